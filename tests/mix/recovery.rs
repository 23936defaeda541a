//! Encoders that fail under their watchers: pictures come back by themselves, and each failure is answered once.

use std::path::PathBuf;
use std::time::Duration;

use tessera::bots::{BotConfig, Role};
use tessera::control::Wanted;
use tessera::media::Templates;

use crate::server::{Server, complaints};
use crate::sight::{Observation, is_as_told, see, told};

/// An encoder fails after this many frames.
const FAILS_AFTER: usize = 60;

/// The pauses before the second and the third encoder are 0.5 s and 1 s; the rest is for a machine that has other things
/// to do.
const LONGEST_GAP: Duration = Duration::from_secs(5);

/// A directory with the server's own VP8 encode, but that it fails.
fn failing_encode() -> PathBuf {
    let whole = include_str!("../../pipelines/encode-vp8.launch");
    let failing = whole.replace("! appsink", &format!("! identity error-after={FAILS_AFTER} ! appsink"));
    assert_ne!(whole, failing);
    let home = std::env::temp_dir().join(format!("tessera-recovery-{}", std::process::id()));
    std::fs::create_dir_all(&home).unwrap();
    std::fs::write(home.join("encode-vp8.launch"), failing).unwrap();
    Templates::load(Some(&home)).unwrap();
    home
}

#[test]
fn an_encoder_that_fails_is_started_again_under_its_watchers() {
    let home = failing_encode();
    let server = Server::start(&[&format!("server.pipelines={}", home.display())]);
    std::fs::remove_dir_all(home).unwrap();
    let publisher = server.join(BotConfig { role: Role::Publish, ..server.bot(0) });
    let room = server.room_of(1);
    let viewer = server.join(server.watcher(10, Wanted::Named("low".to_owned())));
    see(&server.runtime, &viewer, "the room", |frame| is_as_told(frame, &room));

    let expected = room.clone();
    let frames = Observation::begin(&server, viewer.frames(), move |frame| {
        (frame.arrived, is_as_told(frame, &expected), format!("{:?}", told(frame, &expected)))
    });
    // So many are of three encoders at least.
    server.eventually("pictures of a third encoder", || (frames.count() > 2 * FAILS_AFTER).then_some(()));
    let frames = frames.end();
    for pair in frames.windows(2) {
        let gap = pair[1].0 - pair[0].0;
        assert!(gap < LONGEST_GAP, "{gap:?} without a picture");
    }
    if let Some((_, _, shows)) = frames.iter().find(|(_, whole, _)| !whole) {
        panic!("a broken picture shows {shows}");
    }
    assert_eq!(server.room().viewers[0].rendition, "low", "what it gets is known all the time");

    drop((publisher, viewer));
    let log = server.ended();
    let failures: Vec<&str> = log.lines().filter(|line| line.contains("an encoder failed")).collect();
    let starts = log.lines().filter(|line| line.contains("encoder starts")).count();
    assert!(failures.len() >= 2 && (failures.len()..=failures.len() + 1).contains(&starts), "{starts}: {failures:#?}");
    assert!(failures.iter().all(|line| line.contains("room{room=studio}")), "{failures:#?}");
    assert_eq!(complaints(&log), failures, "there is nothing else to complain of");
}
