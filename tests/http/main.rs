//! The server from outside: the real program on a free port, asked over HTTP and WebSocket. No media flows here.

mod answers;
mod api;
mod configuration;
mod connections;
mod endpoints;
#[path = "../support/eventually.rs"]
mod eventually;
mod hosts;
mod offers;
mod pages;
mod process;
#[path = "../support/program.rs"]
mod program;
mod sessions;
mod sockets;
mod tokens;

/// An offer as a browser that only sends makes it: VP8 and Opus, bundled, no candidates yet.
const OFFER: &str = include_str!("offer.sdp");
