//! A caller without a bot around it: for what bots do not do.

use std::time::Duration;

use tessera::bots::Receive;
use tessera::control::Codec;
use tessera::media::caller::{Caller, Direction, Settings, Source};
use tessera::probe::tone::{Speech, Voice};

use crate::conference::Conference;

/// A caller that wants to watch with this codec, and has not asked yet.
pub fn watcher(conference: &Conference, codec: Codec) -> Caller {
    let settings = Settings {
        audio: Some(Direction::RecvOnly),
        video: Some(Direction::RecvOnly),
        codec,
        source: Source::Synthetic {
            index: 0,
            voice: Voice { frequency: 0, amplitude: 0.0, speech: Speech::Never },
        },
        receive: Receive::Decode,
        width: 640,
        height: 360,
        fps: 30,
        bitrate: 600_000,
        jitter: Duration::from_millis(40),
        relay: None,
        gathering: Duration::from_millis(500),
        wrong_fingerprint: false,
    };
    Caller::new(settings, conference.templates()).unwrap()
}
