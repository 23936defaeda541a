//! The server from outside: the real program on a free port, asked over HTTP and WebSocket. No media flows here.

mod api;
mod configuration;
mod endpoints;
mod pages;
mod process;
mod program;
mod sessions;
mod sockets;
