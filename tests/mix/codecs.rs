//! H.264 and VP8 in one room: everybody sees everybody, at the cost of an encoder for each.

use tessera::bots::BotConfig;
use tessera::control::{Codec, Wanted};

use crate::conference::Conference;
use crate::sight::everybody_is_seen;

/// What Chromium offers to watch with: VP8 first, H.264, and much more.
const OFFERS_BOTH: &str = include_str!("../sdp/chromium-watch.sdp");

#[test]
fn both_codecs_meet_in_one_room() {
    let conference = Conference::start(&[]);
    let with = |codec, config: BotConfig| conference.join(BotConfig { codec, ..config });
    let mut bots = vec![with(Codec::Vp8, conference.bot(0)), with(Codec::H264, conference.bot(1))];
    conference.room_of(2);
    bots.push(with(Codec::Vp8, conference.watcher(10, Wanted::Auto)));
    bots.push(with(Codec::H264, conference.watcher(11, Wanted::Auto)));
    let room = conference.room_where("both watch", |room| room.viewers.iter().all(|viewer| viewer.rendition == "high"));
    let sent = room.participants.iter().map(|one| one.picture.as_ref().unwrap().codec);
    assert!(sent.eq([Codec::Vp8, Codec::H264]), "{room:?}");
    everybody_is_seen(&conference, &bots, &room, 30);
    // One encoder for each codec, with the participant and the watcher of that codec.
    let room = conference.room();
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
    conference.end();
}

#[test]
fn a_newcomer_that_can_do_both_gets_what_is_encoded_already() {
    for codec in [Codec::H264, Codec::Vp8] {
        let conference = Conference::start(&[]);
        let bot = conference.join(BotConfig { codec, ..conference.bot(0) });
        conference.room_of(1);
        let answer = conference.program().post_sdp("/whep/mix", OFFERS_BOTH);
        assert_eq!(answer.status, 201, "{answer:?}");
        let chosen = |codec: Codec| answer.text().contains(&format!(" {codec}/90000"));
        assert!(chosen(codec), "{codec} is encoded: {}", answer.text());
        assert!([Codec::H264, Codec::Vp8].into_iter().filter(|codec| chosen(*codec)).count() == 1);
        drop(bot);
        conference.end();
    }
}
