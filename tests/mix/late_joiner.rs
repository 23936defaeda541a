//! Who comes late sees the whole picture at once, and not with the next regular keyframe.

use std::time::{Duration, Instant};

use tessera::control::Codec;

use crate::guest;
use crate::program::PATIENCE;
use crate::server::Server;
use crate::sight::{Observation, is_as_told, told};

/// Regular keyframes come every 10 s. This is far less, and enough for a machine that has other things to do.
const SOON: Duration = Duration::from_secs(3);

#[test]
fn the_first_picture_comes_soon_and_is_whole() {
    let server = Server::start(&[]);
    let bots = [0, 1, 2, 3].map(|index| server.join(server.bot(index)));
    let room = server.room_of(4);
    for codec in [Codec::Vp8, Codec::Vp8, Codec::H264] {
        let caller = guest::watcher(&server, codec);
        let offer = caller.offer().unwrap();
        let asked = Instant::now();
        let answer = server.program.post_sdp("/whep/studio", &offer);
        assert_eq!(answer.status, 201, "{answer:?}");
        // Before anything can come: what is kept begins with the very first picture.
        let expected = room.clone();
        let frames = Observation::begin(&server, caller.inbound().frames(), move |frame| {
            (is_as_told(frame, &expected), told(frame, &expected))
        });
        caller.connect(answer.text(), PATIENCE).unwrap();
        server.eventually("ten pictures", || (frames.count() >= 10).then_some(()));
        let first = caller.inbound().first_video().unwrap() - asked;
        assert!(first < SOON, "the first picture took {first:?}");
        for (number, (whole, shows)) in frames.end().into_iter().enumerate() {
            assert!(whole, "{codec}: picture {number} shows {shows:?}");
        }
    }
    drop(bots);
    server.end();
}
