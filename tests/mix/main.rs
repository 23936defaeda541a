//! The mix from outside: the real program, real participants and viewers, and what they see and hear of each other.

mod camera;
mod codecs;
mod control;
#[path = "../support/eventually.rs"]
mod eventually;
mod film;
mod first_viewer;
mod fit;
mod guest;
mod idle;
mod keyframes;
mod late_joiner;
mod lips;
mod offers;
#[path = "../support/program.rs"]
mod program;
mod recovery;
mod renditions;
#[path = "../support/server.rs"]
mod server;
mod sight;
mod snapshot;
mod sound;
#[path = "../strangers/mod.rs"]
mod strangers;
mod tiles;
mod viewers;
mod voices;
