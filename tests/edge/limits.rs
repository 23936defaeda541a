//! The limits of the configuration: what is over them is refused in plain words, and nothing of it stays behind.

use tessera::bots::{Bot, BotConfig, BotError, Role, SignallingError};
use tessera::control::Wanted;

use crate::OFFER;
use crate::eventually::eventually;
use crate::program::PATIENCE;
use crate::server::Server;

/// The status and the words of a refusal.
#[track_caller]
fn refusal(result: Result<Bot, BotError>) -> (u16, String) {
    match result {
        Err(BotError::Signalling(SignallingError::Refused { status, detail })) => (status, detail),
        other => panic!("{other:?} instead of a refusal"),
    }
}

#[test]
fn participants_viewers_and_rooms_are_limited() {
    let server = Server::start(&["limits.participants=2", "limits.viewers=1", "limits.rooms=1"]);
    let viewer = |index| BotConfig {
        role: Role::Watch { rendition: Wanted::Named("low".to_owned()) },
        ..server.small_bot(index)
    };
    let mut bots: Vec<Bot> = (0..2).map(|index| server.join(server.small_bot(index))).collect();
    bots.push(server.join(viewer(2)));
    server.room_of(2);
    server.room_where("all encoders run", |room| {
        room.renditions.len() == 2 && room.viewers.iter().all(|viewer| viewer.rendition == "low")
    });
    let before = server.metric("tessera_pipelines");

    let (status, detail) = refusal(server.try_join(server.small_bot(3)));
    assert_eq!((status, detail.contains("2 participants")), (503, true), "{detail}");
    let (status, detail) = refusal(server.try_join(viewer(3)));
    assert_eq!((status, detail.contains("1 viewers")), (503, true), "{detail}");
    let elsewhere = BotConfig { room: "other".parse().unwrap(), ..server.small_bot(3) };
    let (status, detail) = refusal(server.try_join(elsewhere));
    assert_eq!((status, detail.contains("1 rooms")), (503, true), "{detail}");
    server.program.post_sdp("/whip/studio", OFFER).is_problem(503, "full");

    let room = server.room();
    assert_eq!((room.participants.len(), room.viewers.len()), (2, 1));
    // The room that was opened for nothing has to end first.
    eventually(PATIENCE, "no refusal leaves a pipeline behind", || {
        (server.metric("tessera_pipelines") <= before).then_some(())
    });

    // A place that becomes free can be taken.
    server.leave(bots.remove(0));
    bots.push(eventually(PATIENCE, "the place is free", || server.try_join(server.small_bot(4)).ok()));
    bots.into_iter().for_each(|bot| server.leave(bot));
    server.is_empty_again();
    server.end();
}

#[test]
fn sizes_and_rates_are_limited() {
    let server = Server::start(&["limits.sdp_bytes=2048", "limits.joins_per_second=3"]);
    let long = format!("{OFFER}a={}\r\n", "x".repeat(2048));
    server.program.post_sdp("/whip/studio", &long).is_problem(413, "too-large");
    let answers: Vec<_> = (0..20).map(|_| server.program.post_sdp("/whip/studio", OFFER)).collect();
    let refused: Vec<_> = answers.iter().filter(|answer| answer.status == 429).collect();
    assert!(!refused.is_empty(), "20 joins at once are more than 3 a second");
    for answer in refused {
        answer.is_problem(429, "rate-limited");
        assert!(answer.header("retry-after").is_some_and(|wait| wait.parse::<u32>().unwrap() >= 1));
    }
    for answer in answers.iter().filter(|answer| answer.status != 429) {
        assert_eq!(answer.status, 201, "{answer:?}");
        let session = answer.header("location").unwrap();
        assert_eq!(server.program.ask("DELETE", session, &[], b"").status, 200);
    }
    server.is_empty_again();
    server.end();
}
