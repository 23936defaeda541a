//! Sound and picture of one sender are in the mix together, however late one of them came.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tessera::bots::{BotConfig, Late, Role, host_time};
use tessera::control::Wanted;
use tessera::probe::onset::onsets;
use tessera::probe::statistics::median;
use tessera::probe::tone::{Speech, frequency};

use crate::server::Server;
use crate::sight::{Observation, reading};

/// A burst each second: of each it is known when it was said.
const SPEECH: Speech = Speech::Bursts { period: Duration::from_secs(1), length: Duration::from_millis(300) };

/// How far apart sound and picture may be in the mix.
const TOGETHER_MS: f64 = 40.0;

/// What the way to a viewer adds to the picture: it is encoded and decoded, the sound hardly.
const VIEWER_MS: f64 = 25.0;

/// Sound and pictures of this long are looked at.
const WINDOW: Duration = Duration::from_secs(5);

const LATE: Duration = Duration::from_millis(400);

/// How late sound and picture are in the mix of a server that a viewer watches, in ms; both of the last seconds, and once
/// they are as `wanted`.
fn lateness(late: Late, wanted: impl Fn(f64, f64) -> bool) -> (f64, f64) {
    let server = Server::start(&[]);
    let speaker = server.join(BotConfig { role: Role::Publish, speech: Some(SPEECH), late, ..server.bot(0) });
    let viewer = server.join(server.watcher(10, Wanted::Named("high".to_owned())));
    let room = server.room_of(1);
    let ages = Arc::new(Mutex::new(Vec::new()));
    let keep = ages.clone();
    let frames = Observation::begin(&server, viewer.frames(), move |frame| {
        let now = u64::try_from(frame.arrived.as_millis()).unwrap();
        if let Some(time) = reading(frame, &room, &room.participants[0]).timecode {
            keep.lock().unwrap().push((frame.arrived, f64::from(time.age_ms(now))));
        }
    });
    let found = server.eventually(&format!("sound and picture as they should be, {late:?}"), || {
        let since = host_time().saturating_sub(WINDOW);
        let mut pictures: Vec<f64> =
            ages.lock().unwrap().iter().filter(|(at, _)| *at >= since).map(|(_, age)| *age).collect();
        let heard = viewer.heard(WINDOW);
        let mut sounds: Vec<f64> = onsets(&heard.samples, frequency(0))
            .into_iter()
            .filter_map(|onset| heard.time_of(onset))
            .map(|heard| heard.as_secs_f64().fract() * 1000.0)
            .collect();
        let is_enough = heard.samples.len() > 235_000 && sounds.len() >= 4 && pictures.len() >= 50;
        let found = (median(&mut sounds)?, median(&mut pictures)?);
        (is_enough && wanted(found.0, found.1)).then_some(found)
    });
    drop(frames.end());
    // What is sent is dated when it is mixed, so that a receiver who goes by the reports has no reason to move it.
    let reported = [true, false].map(|video| median(&mut viewer.reported_ages_ms(video)).expect("there are reports"));
    let [picture, sound] = reported;
    assert!((-10.0..200.0).contains(&picture) && (-10.0..200.0).contains(&sound), "sent {reported:?} ms after the mix");
    assert!((picture - sound).abs() < TOGETHER_MS, "sent {reported:?} ms after the mix");
    drop((speaker, viewer));
    server.end();
    println!("{late:?}: sound {:.0} ms, picture {:.0} ms", found.0, found.1);
    found
}

fn are_together(sound: f64, picture: f64) -> bool {
    (picture - sound).abs() < TOGETHER_MS + VIEWER_MS
}

#[test]
fn the_sound_waits_for_a_late_picture() {
    let (_, picture) = lateness(Late { picture: LATE, voice: Duration::ZERO }, are_together);
    assert!((400.0..650.0).contains(&picture), "the picture is {picture} ms late by itself");
}

#[test]
fn the_picture_waits_for_a_late_sound() {
    let (sound, _) = lateness(Late { picture: Duration::ZERO, voice: LATE }, are_together);
    assert!((400.0..650.0).contains(&sound), "the sound is {sound} ms late by itself");
}

#[test]
fn nobody_waits_where_both_come_in_time() {
    let (sound, picture) = lateness(Late::default(), |_, _| true);
    assert!(sound < 200.0 && picture < 200.0, "{sound} ms, {picture} ms");
}
