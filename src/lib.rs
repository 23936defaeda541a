//! Tessera, an MCU mixing server for WebRTC. `README.md` says what it does, `main.rs` starts it.

#![forbid(unsafe_code)]

pub mod cli;
pub mod config;
pub mod control;
pub mod id;
pub mod protocol;
pub mod room;
pub mod server;
pub mod settings;
