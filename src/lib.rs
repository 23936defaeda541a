//! Tessera, an MCU mixing server for WebRTC. `README.md` says what it does, `main.rs` starts it.

#![forbid(unsafe_code)]
// The product's own code alone; tests may.
#![deny(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)]

pub mod allocator;
pub mod bots;
pub mod bucket;
pub mod budget;
pub mod cli;
pub mod config;
pub mod control;
pub mod id;
pub mod ladder;
pub mod layout;
pub mod lips;
pub mod media;
pub mod mix_minus;
pub mod network;
pub mod pcm;
pub mod peer;
pub mod pipelines;
pub mod playout;
pub mod probe;
pub mod process;
pub mod protocol;
pub mod recent;
pub mod room;
pub mod server;
pub mod settings;
pub mod speech;
