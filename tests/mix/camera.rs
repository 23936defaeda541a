//! Cameras that stop, start, change or are not there.

use std::time::Duration;

use tessera::bots::{BotConfig, Frame, Picture};
use tessera::control::{PictureRefusal, RoomView, TrackState};
use tessera::probe::picture::Rect;

use crate::server::Server;
use crate::sight::{Observation, everybody_is_seen, reading, see};

/// Whether this participant's tile shows a slate: dark, with the disc of its initials in the middle.
fn is_slate(frame: &Frame, room: &RoomView, number: usize) -> bool {
    let picture = frame.picture();
    let tile = room.participants[number].tile.unwrap();
    let scale = picture.width() as f64 / f64::from(room.canvas.width);
    let tile = Rect::new(tile.x.into(), tile.y.into(), tile.width.into(), tile.height.into()).scaled(scale, scale);
    let luma = |part| picture.y.mean(tile.part(part)).unwrap();
    let (edge, disc) = (luma(Rect::new(0.05, 0.1, 0.1, 0.4)), luma(Rect::new(0.4, 0.32, 0.2, 0.36)));
    edge < 60.0 && disc > edge + 25.0
}

#[test]
fn a_picture_that_stands_still_stays_and_goes_on() {
    let server = Server::start(&[]);
    let bots = [0, 1, 2].map(|index| server.join(server.bot(index)));
    let room = server.room_of(3);
    // Long enough to be known for a camera.
    everybody_is_seen(&server, &bots, &room, 100);

    let told = room.clone();
    let watching = Observation::begin(&server, bots[0].frames(), move |frame| {
        let readings = [0, 1, 2].map(|number| reading(frame, &told, &told.participants[number]));
        (frame.arrived, readings, is_slate(frame, &told, 1))
    });
    bots[1].controls().pause_video(true);
    // The same picture, on and on.
    let frozen = server.eventually("the picture stands", || {
        watching.so_far(|frames| {
            let (now, readings, _) = frames.last()?;
            let last = readings[1].timecode?;
            let mut standing = frames.iter().rev().take_while(|(_, readings, _)| readings[1].timecode == Some(last));
            // Much longer than a picture lasts of which nothing but the packets come.
            standing.any(|(at, ..)| *now - *at >= Duration::from_secs(8)).then_some(last)
        })
    });
    assert_eq!(server.room().participants[1].video, TrackState::Live);
    bots[1].controls().pause_video(false);
    see(&server.runtime, &bots[0], "something newer", |frame| {
        reading(frame, &room, &room.participants[1]).timecode.is_some_and(|time| time != frozen)
    });
    everybody_is_seen(&server, &bots, &room, 10);

    let frames = watching.end();
    let slates = frames.iter().filter(|(_, readings, slate)| *slate || readings[1].bot != Some(1)).count();
    assert_eq!(slates, 0, "of {} frames", frames.len());
    // Nobody else is touched by all that.
    for other in [0, 2] {
        let late = frames.iter().filter(|(at, readings, _)| {
            let now = u64::try_from(at.as_millis()).unwrap();
            readings[other].timecode.is_none_or(|time| time.age_ms(now) > 1_000)
        });
        let late = late.count();
        assert!(late * 10 < frames.len(), "{late} of {} frames show bot {} late", frames.len(), other + 1);
        assert!(frames.iter().all(|(_, readings, _)| readings[other].bot == Some(other)));
    }
    drop(bots);
    server.end();
}

#[test]
fn who_has_no_camera_is_a_slate_from_the_start() {
    let server = Server::start(&[]);
    let seen = server.join(server.bot(0));
    server.room_of(1);
    let voice = server.join(BotConfig { picture: Picture::None, ..server.bot(1) });
    let room = server.room_where("both have tiles", |room| {
        room.participants.len() == 2 && room.participants.iter().all(|one| one.tile.is_some())
    });
    assert_eq!(room.participants[1].video, TrackState::None);
    for bot in [&seen, &voice] {
        see(&server.runtime, bot, "the slate", |frame| is_slate(frame, &room, 1));
        let told = room.clone();
        let frames = Observation::begin(&server, bot.frames(), move |frame| {
            is_slate(frame, &told, 1) && reading(frame, &told, &told.participants[0]).bot == Some(0)
        });
        server.eventually("30 frames", || (frames.count() >= 30).then_some(()));
        assert!(frames.end().into_iter().all(|right| right));
    }
    drop((seen, voice));
    server.end();
}

#[test]
fn a_picture_that_changes_its_size_stays_undistorted() {
    let server = Server::start(&["video.fit=fill"]);
    let bots = [0, 1].map(|index| server.join(server.bot(index)));
    let room = server.room_of(2);
    everybody_is_seen(&server, &bots, &room, 10);
    // Smaller, narrower, wider, larger than its tile, and back.
    for (width, height) in [(320, 180), (480, 360), (640, 240), (1280, 720), (640, 360)] {
        let told = room.clone();
        let colours = Observation::begin(&server, bots[0].frames(), move |frame| {
            [0, 1].map(|number| reading(frame, &told, &told.participants[number]).bot)
        });
        bots[1].controls().resize(width, height);
        let room = server.room_where("the new size", |room| {
            room.participants[1].picture.as_ref().is_some_and(|now| (now.width, now.height) == (width, height))
        });
        // A capture time can only be read where the picture is neither stretched nor out of place. What is told comes
        // before what is seen.
        for bot in &bots {
            see(&server.runtime, bot, "a picture of the new size", |frame| {
                reading(frame, &room, &room.participants[1]).timecode.is_some()
            });
        }
        everybody_is_seen(&server, &bots, &room, 15);
        let colours = colours.end();
        assert!(colours.iter().all(|seen| *seen == [Some(0), Some(1)]), "{width}x{height}: {colours:?}");
    }
    drop(bots);
    server.end();
}

#[test]
fn a_picture_that_is_too_large_is_a_slate_until_it_fits_again() {
    let server = Server::start(&[]);
    let bots = [0, 1].map(|index| server.join(server.bot(index)));
    let room = server.room_of(2);
    everybody_is_seen(&server, &bots, &room, 10);
    bots[1].controls().resize(8_192, 1_808);
    see(&server.runtime, &bots[0], "the slate", |frame| is_slate(frame, &room, 1));
    let told = server.room_where("it is refused", |room| room.participants[1].refused.is_some());
    let refused = told.participants[1].refused.as_ref().map(|refused| (refused.reason, refused.width, refused.height));
    assert_eq!(refused, Some((PictureRefusal::TooLarge, 8_192, 1_808)));
    let silent = server.room_where("no picture comes", |room| room.participants[1].video == TrackState::Silent);
    let last = silent.participants[1].picture.as_ref().map(|picture| (picture.width, picture.height));
    assert_eq!(last, Some((640, 360)), "nothing larger was decoded");
    bots[1].controls().resize(1_920, 1_080);
    let room = server.room_where("the largest that is promised", |room| {
        room.participants[1].picture.as_ref().is_some_and(|now| (now.width, now.height) == (1_920, 1_080))
    });
    // The bot has large pictures to encode before these.
    see(&server.runtime, &bots[0], "what is filmed now", |frame| {
        let now = u64::try_from(frame.arrived.as_millis()).unwrap();
        reading(frame, &room, &room.participants[1]).timecode.is_some_and(|time| time.age_ms(now) < 500)
    });
    everybody_is_seen(&server, &bots, &room, 10);
    drop(bots);
    server.end();
}
