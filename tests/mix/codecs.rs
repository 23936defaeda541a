//! H.264 and VP8 in one room: everybody sees everybody, at the cost of an encoder for each.

use tessera::bots::BotConfig;
use tessera::control::{Codec, Wanted};

use crate::server::Server;
use crate::sight::everybody_is_seen;

/// What Chromium offers to watch with: VP8 first, H.264, and much more.
const OFFERS_BOTH: &str = include_str!("../sdp/chromium-watch.sdp");

#[test]
fn both_codecs_meet_in_one_room() {
    let server = Server::start(&[]);
    let with = |codec, config: BotConfig| server.join(BotConfig { codec, ..config });
    let mut bots = vec![with(Codec::Vp8, server.bot(0)), with(Codec::H264, server.bot(1))];
    server.room_of(2);
    bots.push(with(Codec::Vp8, server.watcher(10, Wanted::Auto)));
    bots.push(with(Codec::H264, server.watcher(11, Wanted::Auto)));
    let room = server.room_where("both watch", |room| room.viewers.iter().all(|viewer| viewer.rendition == "high"));
    let sent = room.participants.iter().map(|one| one.picture.as_ref().unwrap().codec);
    assert!(sent.eq([Codec::Vp8, Codec::H264]), "{room:?}");
    everybody_is_seen(&server, &bots, &room, 30);
    // One encoder for each codec, with the participant and the watcher of that codec.
    let room = server.room();
    let encoders: Vec<_> = room.renditions.iter().map(|one| (one.name.as_str(), one.codec)).collect();
    assert_eq!(encoders, [("high", Codec::Vp8), ("high", Codec::H264)]);
    for (encoder, pair) in room.renditions.iter().zip([(0, 0), (1, 1)]) {
        let mut expected = [room.participants[pair.0].id, room.viewers[pair.1].id];
        let mut watchers = encoder.watchers.clone();
        expected.sort();
        watchers.sort();
        assert_eq!(watchers, expected, "{room:?}");
    }
    drop(bots);
    server.end();
}

#[test]
fn a_newcomer_that_can_do_both_gets_what_is_encoded_already() {
    for codec in [Codec::H264, Codec::Vp8] {
        let server = Server::start(&[]);
        let bot = server.join(BotConfig { codec, ..server.bot(0) });
        server.room_of(1);
        let answer = server.program.post_sdp("/whep/studio", OFFERS_BOTH);
        assert_eq!(answer.status, 201, "{answer:?}");
        let chosen = |codec: Codec| answer.text().contains(&format!(" {codec}/90000"));
        assert!(chosen(codec), "{codec} is encoded: {}", answer.text());
        assert!([Codec::H264, Codec::Vp8].into_iter().filter(|codec| chosen(*codec)).count() == 1);
        drop(bot);
        server.end();
    }
}
