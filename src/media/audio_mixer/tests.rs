//! The mixer in virtual time: real Opus, simulated lines, no threads.

mod drift;
mod fec;
mod lines;
mod load;
mod room;
mod sound;
mod stereo;
mod switching;
