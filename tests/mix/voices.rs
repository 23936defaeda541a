//! Everybody hears all but themselves.

use std::time::Duration;

use tessera::bots::{Bot, BotConfig};
use tessera::control::Wanted;
use tessera::probe::SAMPLE_RATE;
use tessera::probe::onset::onsets;
use tessera::probe::tone::{Speech, frequency, level_db};

use crate::server::Server;
use crate::sound::{SENT_DB, level, listen, loudest, trace};

/// Bots whose tones are far from each other: between them the noise that Opus makes around a tone is low.
const SPREAD: [usize; 4] = [0, 7, 14, 21];

/// How far from what was sent a tone may be after Opus at 48 kbit/s, which takes 1 to 2 dB from the highest of three.
const NEAR_DB: f64 = 3.0;

const LONG: Duration = Duration::from_secs(4);

/// This bot hears those, each as it was sent, and nothing of itself.
#[track_caller]
fn hears(server: &Server, bot: &Bot, others: &[usize]) {
    let heard = listen(server, bot, LONG);
    let name = &bot.config().name;
    for other in others {
        let level = level(&heard, *other);
        assert!((level - SENT_DB).abs() < NEAR_DB, "{name} hears bot {} at {level} dB", other + 1);
    }
    for absent in SPREAD.iter().filter(|index| !others.contains(index)) {
        let trace = trace(&heard, *absent);
        assert!(trace < SENT_DB - 60.0, "{name} hears bot {} at {trace} dB", absent + 1);
    }
}

#[test]
fn everybody_hears_all_but_themselves() {
    let server = Server::start(&[]);
    let voice_only = |index| BotConfig { picture: tessera::bots::Picture::None, ..server.bot(index) };
    let speakers = [0, 7, 14].map(|index| server.join(voice_only(index)));
    let silent = server.join(BotConfig { speech: Some(Speech::Never), ..voice_only(21) });
    let viewer = server.join(server.watcher(30, Wanted::Audio));
    hears(&server, &speakers[0], &[7, 14]);
    hears(&server, &speakers[1], &[0, 14]);
    hears(&server, &speakers[2], &[0, 7]);
    hears(&server, &silent, &[0, 7, 14]);
    hears(&server, &viewer, &[0, 7, 14]);
    // One encode for those who are silent, and one for each who speaks.
    let room = server.room();
    assert_eq!(room.audio.encoders, 4, "{:?}", room.audio);
    assert_eq!(room.audio.speaking.len(), 3, "{:?}", room.audio);
    drop((speakers, silent, viewer));
    server.end();
}

#[test]
fn who_starts_and_stops_to_speak_never_hears_itself() {
    let server = Server::start(&[]);
    let voice_only = |index| BotConfig { picture: tessera::bots::Picture::None, ..server.bot(index) };
    let speech = Speech::Bursts { period: Duration::from_secs(1), length: Duration::from_millis(400) };
    let steady = server.join(voice_only(0));
    let bursting = server.join(BotConfig { speech: Some(speech), ..voice_only(14) });
    let heard = listen(&server, &bursting, LONG);
    assert!((level(&heard, 0) - SENT_DB).abs() < NEAR_DB, "it hears the other at {} dB", level(&heard, 0));
    // Each start and stop changes the encode that it gets. What such a change does to the other's tone is louder at
    // its frequency than Opus's noise is, but nothing against a burst.
    let own = loudest(&heard, 14);
    assert!(own < SENT_DB - 40.0, "it hears itself at {own} dB");
    let heard = listen(&server, &steady, LONG);
    let bursts = onsets(&heard, frequency(14)).len();
    assert!((3..=5).contains(&bursts), "the other hears {bursts} bursts in 4 s");
    assert!(loudest(&heard, 14) > SENT_DB - NEAR_DB && trace(&heard, 0) < SENT_DB - 60.0);
    drop((steady, bursting));
    server.end();
}

#[test]
fn a_mute_takes_a_voice_out_and_brings_it_back() {
    let server = Server::start(&[]);
    let voice_only = |index| BotConfig { picture: tessera::bots::Picture::None, ..server.bot(index) };
    let [muted, other] = [0, 7].map(|index| server.join(voice_only(index)));
    let viewer = server.join(server.watcher(30, Wanted::Audio));
    for on in [true, false] {
        server.eventually("the state before", || {
            let heard = viewer.heard(Duration::from_millis(400)).samples;
            let is_heard = |index| (level(&heard, index) - SENT_DB).abs() < NEAR_DB;
            (heard.len() >= 19_000 && is_heard(7) && is_heard(0) == on).then_some(())
        });
        server.mute(&muted, on);
        assert_eq!(server.participant(&muted).muted, on);
        // Once the change is 600 ms old: what was before, a short ramp, what is after.
        let long_ago = Duration::from_millis(600);
        let ramp = server.eventually("the change", || {
            let recent = viewer.heard(long_ago).samples;
            let steady = recent.chunks_exact(4800).all(|piece| (level_db(piece, frequency(0)) < SENT_DB - 40.0) == on);
            (recent.len() > 24_000 && steady).then(|| ramp(&viewer.heard(Duration::from_secs(2)).samples, 0))
        });
        assert!(ramp <= Duration::from_millis(120), "{ramp:?} from one to the other");
    }
    // Who is muted hears on.
    let heard = listen(&server, &muted, LONG);
    assert!((level(&heard, 7) - SENT_DB).abs() < NEAR_DB && trace(&heard, 0) < SENT_DB - 60.0);
    drop((muted, other, viewer));
    server.end();
}

/// How long the tone is neither fully there nor gone.
fn ramp(samples: &[f32], index: usize) -> Duration {
    let piece = SAMPLE_RATE as usize / 50;
    let between = samples.chunks_exact(piece).filter(|piece| {
        let level = level_db(piece, frequency(index));
        (SENT_DB - 35.0..SENT_DB - 3.0).contains(&level)
    });
    Duration::from_millis(20) * u32::try_from(between.count()).unwrap()
}
