//! Tessera, an MCU mixing server for WebRTC. `README.md` says what it does, `main.rs` starts it.

#![forbid(unsafe_code)]

pub mod config;
pub mod control;
pub mod id;
pub mod layout;
pub mod media;
pub mod probe;
pub mod protocol;
