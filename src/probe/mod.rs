//! Content that proves itself: what the bots show and say, and how to read it back out of a mix.
//!
//! Pure functions over planes and samples, without media, sockets or a clock; tests, benchmarks and `tessera bots` share
//! them. A bot's picture is a colour of its own ([`palette`]) with the capture time written into it ([`timecode`]); its
//! voice is a tone of its own ([`tone`]). So a receiver of the mix can tell who is in which tile and how old, who is
//! heard and how late, and what the mix lost on its way.
//!
//! Times are milliseconds or [`std::time::Duration`]s since the Unix epoch on the clock of the host, which sender and
//! receiver have to share.

pub mod estimate;
pub mod freshness;
pub mod grain;
pub mod onset;
pub mod palette;
pub mod picture;
pub mod ssim;
pub mod statistics;
pub mod tile;
pub mod timecode;
pub mod tone;

/// Samples per second of every audio buffer here.
pub const SAMPLE_RATE: u32 = 48_000;
