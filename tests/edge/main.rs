//! The server at its edges: peers that vanish, lie, flood or send garbage, bad lines, limits, the network's settings, and
//! an end in order. Two participants who do nothing wrong run beside each of them and must not notice.

mod bots_rejoin;
mod budget;
mod bystanders;
mod candidates;
mod churn;
#[path = "../support/eventually.rs"]
mod eventually;
mod flood;
mod goodbye;
mod invalid_media;
mod limits;
mod line;
mod loss;
mod network;
mod newcomers;
mod packets;
mod pixels;
mod process;
#[path = "../support/program.rs"]
mod program;
#[path = "../support/server.rs"]
mod server;
mod slow_viewer;
mod socket;
mod stop;
mod turn;
mod vanished;
mod wrong_fingerprint;

/// An offer that no media follows.
const OFFER: &str = include_str!("../http/offer.sdp");
