//! Who comes often, and for nothing, does not keep out who comes once: floods of offers that are none, and of offers that
//! nobody stands behind.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tessera::bots::BotConfig;

use crate::OFFER;
use crate::bystanders::Bystanders;
use crate::eventually::eventually;
use crate::program::PATIENCE;
use crate::server::Server;

/// An attacker who sends something again and again, at most so often, until it is stopped.
fn again_and_again(stop: &AtomicBool, pause: Duration, mut send: impl FnMut(usize)) -> usize {
    let mut sent = 0;
    while !stop.load(Ordering::Relaxed) {
        let next = Instant::now() + pause;
        send(sent);
        sent += 1;
        std::thread::park_timeout(next.saturating_duration_since(Instant::now()));
    }
    sent
}

/// Posts an offer for somebody behind the proxy that this test plays.
fn post(server: &Server, from: &str, room: &str, body: &str) -> u16 {
    let headers = [("content-type", "application/sdp"), ("x-forwarded-for", from)];
    server.program.ask("POST", &format!("/whip/{room}"), &headers, body.as_bytes()).status.as_u16()
}

#[test]
fn floods_of_one_address_keep_nobody_else_out() {
    let server = Server::start(&["limits.rooms=4", "limits.joins_per_second=20"]);
    let mut bystanders = Bystanders::join(&server);
    let (stop, refused) = (AtomicBool::new(false), AtomicUsize::new(0));
    let (junk, offers) = std::thread::scope(|scope| {
        let junk: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| {
                    again_and_again(&stop, Duration::from_millis(10), |_| {
                        let status = post(&server, "203.0.113.1", "junk", "v=0\r\nhello");
                        assert!(matches!(status, 400 | 429), "{status}");
                        refused.fetch_add(usize::from(status == 429), Ordering::Relaxed);
                    })
                })
            })
            .collect();
        let abandoned = scope.spawn(|| {
            again_and_again(&stop, Duration::from_millis(50), |number| {
                let status = post(&server, "203.0.113.2", &format!("abandoned-{number}"), OFFER);
                assert!(matches!(status, 201 | 429 | 503), "{status}");
            })
        });
        // Into the room that is there, and into new ones, while there are places for four.
        for (index, room) in [(2, "studio"), (3, "new-1"), (4, "new-2"), (5, "new-3")] {
            let config = BotConfig { room: room.parse().unwrap(), ..server.small_bot(index) };
            let (name, asked) = (config.name.clone(), Instant::now());
            let bot = server.join(config);
            println!("{room}: in after {:?}", asked.elapsed());
            eventually(PATIENCE, "it is connected", || {
                server.try_other_room(room).filter(|view| view.participants.iter().any(|one| one.name == name))
            });
            server.leave(bot);
        }
        stop.store(true, Ordering::Relaxed);
        (junk.into_iter().map(|one| one.join().unwrap()).sum::<usize>(), abandoned.join().unwrap())
    });
    println!("{junk} times junk, {} of them told to wait; {offers} offers", refused.load(Ordering::Relaxed));
    assert!(junk > 100 && offers > 10, "the floods were floods");
    assert!(refused.load(Ordering::Relaxed) * 2 > junk, "junk is bounded by itself");
    bystanders.are_undisturbed("floods of junk and of offers");
    drop(bystanders);
    server.end();
}

#[test]
fn peers_that_never_come_make_way_in_a_room() {
    let server = Server::start(&["limits.participants=4"]);
    let mut bystanders = Bystanders::join(&server);
    // Two addresses hold the places that are left, for as long as they are awaited: 15 s.
    assert_eq!(post(&server, "203.0.113.1", "studio", OFFER), 201);
    assert_eq!(post(&server, "203.0.113.2", "studio", OFFER), 201);
    let asked = Instant::now();
    // They have a moment to come, then somebody else has their place.
    let newcomer = eventually(Duration::from_secs(6), "there is a place", || server.try_join(server.small_bot(2)).ok());
    println!("in after {:?}", asked.elapsed());
    server.room_of(3);
    bystanders.are_undisturbed("peers that never come");
    server.leave(newcomer);
    drop(bystanders);
    server.end();
}

#[test]
fn an_address_has_so_many_that_are_not_connected_and_gets_them_back() {
    let server = Server::start(&["limits.joining_per_address=3"]);
    let statuses: Vec<u16> = (0..5).map(|_| post(&server, "203.0.113.1", "studio", OFFER)).collect();
    assert_eq!(statuses, [201, 201, 201, 503, 503]);
    assert_eq!(post(&server, "203.0.113.2", "studio", OFFER), 201);
    assert_eq!(server.metric("tessera_peers_awaited"), 4);
    server.is_empty_again();
    assert_eq!(server.metric("tessera_peers_awaited"), 0);
    assert_eq!(post(&server, "203.0.113.1", "studio", OFFER), 201);
    server.end();
}

#[test]
fn a_class_behind_one_address_gets_in_at_once() {
    let server = Server::start(&["limits.participants=25", "limits.viewers=50"]);
    let program = &server.program;
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        // Two rooms, as a room has 25 places.
        let join =
            |pupil: usize| move || program.post_sdp(&format!("/whip/class-{}", pupil % 2), OFFER).status.as_u16();
        let pupils: Vec<_> = (0..30).map(|pupil| scope.spawn(join(pupil))).collect();
        pupils.into_iter().map(|pupil| pupil.join().unwrap()).collect()
    });
    assert!(statuses.iter().all(|status| *status == 201), "{statuses:?}");
    server.is_empty_again();
    server.end();
}
