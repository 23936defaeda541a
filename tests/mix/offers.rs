//! What a peer may write into its offer is what it gets: a bound on the bitrate, H.264 without fragments, payload types that
//! are seldom used, a transport that is not the first m-line's.

use std::time::{Duration, Instant};

use tessera::bots::{BotConfig, Role};
use tessera::control::{Codec, RoomView};
use tessera::media::caller::Caller;

use crate::guest::watcher;
use crate::program::{Answer, PATIENCE};
use crate::server::Server;
use crate::sight::{everybody_is_seen, is_as_told};

/// Asks to watch with the caller's offer as `edit` changes it; gives the answer.
#[track_caller]
fn watch(server: &Server, caller: &Caller, edit: impl Fn(&str) -> String) -> Answer {
    let offer = edit(&caller.offer().unwrap());
    let answer = server.program.post_sdp("/whep/studio", &offer);
    assert_eq!(answer.status, 201, "{answer:?} to {offer}");
    answer
}

/// The width of the first picture after this.
fn width(server: &Server, caller: &Caller) -> usize {
    let before = caller.inbound().counts().video_frames;
    server.eventually("a picture", || {
        let frame = caller.inbound().last_frame().filter(|_| caller.inbound().counts().video_frames > before)?;
        Some(frame.picture().width())
    })
}

/// Everybody is in the picture that this caller gets.
#[track_caller]
fn shows_all(server: &Server, caller: &Caller, room: &RoomView) {
    server.eventually("everybody in their tiles", || {
        caller.inbound().last_frame().filter(|frame| is_as_told(frame, room)).map(drop)
    });
}

#[test]
fn nobody_is_sent_more_than_it_wants() {
    let server = Server::start(&["audio.bitrate=32000"]);
    let bot = server.join(BotConfig { role: Role::Publish, ..server.bot(0) });
    server.room_of(1);
    let video = "\r\nm=video";
    for (before, line, expected, bound) in [
        // With their headers 500 kbit/s of video would be more.
        (video, "b=AS:500", Some(320), 500_000),
        (video, "b=TIAS:500000", Some(640), 560_000),
        ("\r\nm=", "b=AS:650", Some(640), 650_000),
        ("\r\nm=", "b=AS:530", Some(320), 530_000),
        (video, "b=AS:100", None, 100_000),
        (video, "b=AS:4000", Some(1280), 4_000_000),
    ] {
        let caller = watcher(&server, Codec::Vp8);
        let answer = watch(&server, &caller, |offer| match before {
            // After the line of the m-line itself, and before all of them.
            "\r\nm=video" => {
                let at = offer.find(before).unwrap() + 2;
                let end = at + offer[at..].find("\r\n").unwrap();
                format!("{}\r\n{line}{}", &offer[..end], &offer[end..])
            }
            _ => offer.replacen(before, &format!("\r\n{line}{before}"), 1),
        });
        caller.connect(answer.text(), PATIENCE).unwrap();
        match expected {
            Some(expected) => assert_eq!(width(&server, &caller), expected, "{line}"),
            None => {
                let room =
                    server.room_where("only sound", |room| room.viewers.iter().any(|one| one.rendition == "audio"));
                assert!(room.renditions.is_empty(), "nobody gets pictures: {room:?}");
            }
        }
        let (counts, begin) = (caller.inbound().counts(), Instant::now());
        let (packets, bytes) = (counts.audio_packets, counts.audio_bytes + counts.video_bytes);
        let later = server.eventually("two seconds of sound", || {
            Some(caller.inbound().counts()).filter(|counts| counts.audio_packets > packets + 100)
        });
        let rate = (later.audio_bytes + later.video_bytes - bytes) as f64 * 8.0 / begin.elapsed().as_secs_f64();
        assert!(rate < f64::from(bound) * 1.1, "{line}: {rate} bit/s");
        assert_eq!(later.video_frames > counts.video_frames, expected.is_some(), "{line}");
        server.program.end_session(&answer);
        drop(caller);
        server.room_where("nobody watches", |room| room.viewers.is_empty());
    }
    drop(bot);
    server.end();
}

#[test]
fn who_takes_no_fragments_is_sent_single_nal_units() {
    let server = Server::start(&[]);
    let bots = [0, 1].map(|index| server.join(BotConfig { codec: Codec::H264, ..server.bot(index) }));
    let room = server.room_of(2);
    for missing in [false, true] {
        let caller = watcher(&server, Codec::H264);
        let answer = watch(&server, &caller, |offer| {
            let (mode, changed) = ("packetization-mode=1", if missing { "x=1" } else { "packetization-mode=0" });
            assert!(offer.contains(mode), "{offer}");
            offer.replace(mode, changed)
        });
        assert!(answer.text().contains("packetization-mode=0"), "{answer:?}");
        caller.connect(answer.text(), PATIENCE).unwrap();
        shows_all(&server, &caller, &room);
        let encoders = server.room().renditions;
        assert_eq!(encoders.len(), 2, "those who take fragments have an encoder of their own: {encoders:?}");
        server.program.end_session(&answer);
        drop(caller);
        server.room_where("nobody watches", |room| room.viewers.is_empty());
    }
    drop(bots);
    server.end();
}

#[test]
fn every_payload_type_carries_pictures_both_ways() {
    let server = Server::start(&[]);
    let cases = [(0, Codec::Vp8), (34, Codec::H264), (35, Codec::Vp8), (63, Codec::H264)];
    let bots = cases.iter().enumerate().map(|(index, (payload, codec))| {
        server.join(BotConfig { payload: Some(*payload), codec: *codec, ..server.bot(index) })
    });
    let bots: Vec<_> = bots.collect();
    let room = server.room_of(cases.len());
    everybody_is_seen(&server, &bots, &room, 10);
    drop(bots);
    server.end();
}

/// The text with the two m-lines the other way round.
fn swapped(sdp: &str) -> String {
    let mut parts = sdp.split_inclusive("\r\n").fold(vec![String::new()], |mut parts, line| {
        if line.starts_with("m=") {
            parts.push(String::new());
        }
        parts.last_mut().unwrap().push_str(line);
        parts
    });
    assert_eq!(parts.len(), 3, "{sdp}");
    parts.swap(1, 2);
    parts.concat()
}

#[test]
fn the_transport_may_be_that_of_the_second_m_line() {
    let server = Server::start(&[]);
    let bot = server.join(server.bot(0));
    let room = server.room_of(1);
    let viewer = watcher(&server, Codec::Vp8);
    let answer = watch(&server, &viewer, |offer| {
        // Nothing but the tagged m-line has a transport.
        let offer = swapped(offer);
        let (video, audio) = offer.split_at(offer.find("\r\nm=audio").unwrap() + 2);
        let of_transport = |line: &&str| {
            !["a=ice-", "a=candidate", "a=setup", "a=fingerprint", "a=rtcp-mux"]
                .iter()
                .any(|name| line.starts_with(name))
        };
        let video: String = video.split_inclusive("\r\n").filter(of_transport).collect();
        format!("{}{audio}", video.replace("m=video 9", "m=video 0"))
    });
    let answer = answer.text();
    assert!(answer.find("m=video") < answer.find("m=audio"), "{answer}");
    let begin = Instant::now();
    viewer.connect(&swapped(answer), PATIENCE).unwrap();
    assert!(begin.elapsed() < Duration::from_secs(2), "it took {:?}", begin.elapsed());
    shows_all(&server, &viewer, &room);
    drop((bot, viewer));
    server.end();
}
