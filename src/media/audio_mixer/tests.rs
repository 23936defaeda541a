//! The mixer in virtual time: real Opus, simulated lines, no threads.

mod sound;
mod switching;
