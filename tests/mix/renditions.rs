//! A watcher changes what it watches: at once, without a broken picture, and nobody pays for what nobody watches.

use std::time::Duration;

use tessera::bots::{BotConfig, Frame, Role};
use tessera::control::{RoomView, Wanted};
use tessera::probe::timecode::Timecode;

use crate::guest::Guest;
use crate::server::Server;
use crate::sight::{Observation, is_as_told, reading, see, told};

/// Longer without a picture is a freeze. Over a switch the last picture of one encoder and the first of the other are at
/// most 80 ms apart, also where a machine has several times more to do than it can. A switch that misses the keyframe made
/// for it is late by half a second and more, one that waits for a regular keyframe by up to 10 s.
const LONGEST_GAP: Duration = Duration::from_millis(1_000);

/// Two who publish, for whom no encoder runs.
fn publishers(server: &Server) -> ([tessera::bots::Bot; 2], RoomView) {
    let bots = [0, 1].map(|index| server.join(BotConfig { role: Role::Publish, ..server.bot(index) }));
    let room = server.room_of(2);
    (bots, room)
}

/// What matters of a frame over a change.
#[derive(Debug)]
struct Seen {
    width: usize,
    arrived: Duration,
    whole: bool,
    time: Option<Timecode>,
    shows: String,
}

fn look(frame: &Frame, room: &RoomView) -> Seen {
    Seen {
        width: frame.picture().width(),
        arrived: frame.arrived,
        whole: is_as_told(frame, room),
        time: reading(frame, room, &room.participants[0]).timecode,
        shows: format!("{:?}", told(frame, room)),
    }
}

/// Frames of these widths, one after another, each whole, without a gap and without a step back in time.
#[track_caller]
fn are_in_order(frames: &[Seen], widths: &[usize]) {
    let mut steps: Vec<usize> = frames.iter().map(|frame| frame.width).collect();
    steps.dedup();
    assert_eq!(steps, widths);
    if let Some(broken) = frames.iter().find(|frame| !frame.whole) {
        panic!("a broken picture shows {}: {broken:?}", broken.shows);
    }
    for pair in frames.windows(2) {
        let gap = pair[1].arrived - pair[0].arrived;
        assert!(gap < LONGEST_GAP, "{gap:?} without a picture: {pair:?}");
    }
    let times: Vec<Timecode> = frames.iter().filter_map(|frame| frame.time).collect();
    assert!(times.len() * 2 > frames.len(), "{} of {} times can be read", times.len(), frames.len());
    // Encoders differ in their delay: one that is behind has two composites waiting and one at work, which are all older
    // than what another one may have sent already.
    let back = times.windows(2).map(|pair| pair[0].since(pair[1])).max().unwrap();
    assert!(back <= 200, "the pictures go {back} ms back in time");
}

#[test]
fn a_viewer_goes_down_and_up_the_ladder() {
    let server = Server::start(&[]);
    let (bots, room) = publishers(&server);
    let viewer = server.join(server.watcher(10, Wanted::Named("high".to_owned())));
    see(&server.runtime, &viewer, "the room", |frame| is_as_told(frame, &room));
    let expected = room.clone();
    let frames = Observation::begin(&server, viewer.frames(), move |frame| look(frame, &expected));
    server.eventually("the first picture", || (frames.count() > 0).then_some(()));
    for (name, width) in [("low", 320), ("medium", 640), ("high", 1280), ("low", 320), ("high", 1280)] {
        server.watch(&viewer, name);
        server.eventually(name, || frames.latest(|seen| seen.width == width).then_some(()));
        // The encoder of what it watched before stops, the one of what it watches runs.
        let room = server.room_where("one encoder", |room| {
            room.renditions.len() == 1 && room.renditions[0].name == name && room.viewers[0].rendition == name
        });
        assert_eq!(room.renditions[0].watchers, [room.viewers[0].id]);
    }
    are_in_order(&frames.end(), &[1280, 320, 640, 1280, 320, 1280]);
    drop((bots, viewer));
    server.end();
}

#[test]
fn audio_stops_the_pictures_and_a_rendition_brings_them_back() {
    let server = Server::start(&[]);
    let (bots, room) = publishers(&server);
    let viewer = server.join(server.watcher(10, Wanted::Auto));
    see(&server.runtime, &viewer, "the room", |frame| is_as_told(frame, &room));

    server.watch(&viewer, "audio");
    server.room_where("no encoder", |room| room.renditions.is_empty() && room.viewers[0].rendition == "audio");
    let packets = viewer.counts().audio_packets;
    server.eventually("half a second of sound", || (viewer.counts().audio_packets > packets + 25).then_some(()));
    // Whatever was under way has come by now.
    let (pictures, composed) = (viewer.counts().video_frames, server.room().canvas.frames);
    let packets = viewer.counts().audio_packets;
    server.eventually("a second of sound", || (viewer.counts().audio_packets > packets + 50).then_some(()));
    assert_eq!(viewer.counts().video_frames, pictures, "no picture comes");
    assert_eq!(server.room().canvas.frames, composed, "none is made");
    let heard = crate::sound::listen(&server, &viewer, Duration::from_secs(1));
    assert!([0, 1].iter().all(|index| crate::sound::level(&heard, *index) > crate::sound::SENT_DB - 3.0));

    let expected = room.clone();
    let frames = Observation::begin(&server, viewer.frames(), move |frame| look(frame, &expected));
    server.watch(&viewer, "high");
    server.eventually("ten pictures", || (frames.count() >= 10).then_some(()));
    // The first picture after the pause is a whole one.
    are_in_order(&frames.end(), &[1280]);
    drop((bots, viewer));
    server.end();
}

#[test]
fn a_socket_changes_what_it_watches() {
    let server = Server::start(&[]);
    let (bots, room) = publishers(&server);
    let mut guest = Guest::watch(&server);
    let expected = room.clone();
    let frames = Observation::begin(&server, guest.caller().inbound().frames(), move |frame| look(frame, &expected));
    for (name, width) in [("high", 1280), ("low", 320), ("high", 1280)] {
        guest.say(&serde_json::json!({ "type": "rendition", "name": name }));
        let told = guest.next("rendition", |told| told["name"] == name && told["auto"] == false);
        assert_eq!(told["name"], name);
        server.eventually(name, || frames.latest(|seen| seen.width == width).then_some(()));
    }
    are_in_order(&frames.end(), &[1280, 320, 1280]);
    drop((bots, guest));
    server.end();
}
