//! People come and go all day: what they cost is given back.

use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use tessera::bots::{BotConfig, Receive};

use crate::OFFER;
use crate::eventually::eventually;
use crate::process::Holdings;
use crate::server::Server;

/// Joins and leaves, as many at once, by bots with live media.
const JOINS: usize = 100;
const AT_ONCE: usize = 5;
/// Who posts an offer and is never seen again, and who breaks off while asking for a WebSocket.
const ABANDONED: usize = 20;

/// Threads that pools keep for a while: those for blocking work end after 10 s without any, and GStreamer's task pools
/// keep theirs.
const POOLED_THREADS: usize = 8;
const POOLED_DESCRIPTORS: usize = 8;
/// The allocator does not give back all that was freed. A peer costs more than a megabyte: 160 that leak show.
const GROWTH_KB: u64 = 40_000;

fn visits(server: &Server, count: usize) {
    let bot = |index| BotConfig { receive: Receive::Count, width: 160, height: 90, fps: 5, ..server.small_bot(index) };
    let visit = |index| tessera::bots::Bot::join(bot(index), &server.templates);
    for round in 0..count / AT_ONCE {
        server.runtime.block_on(async {
            let (a, b, c, d, e) = tokio::join!(visit(0), visit(1), visit(2), visit(3), visit(4));
            for (index, bot) in [a, b, c, d, e].into_iter().enumerate() {
                let bot = bot.unwrap_or_else(|error| panic!("round {round}, bot {index}: {error}"));
                bot.leave().await.unwrap();
            }
        });
    }
}

fn abandon(server: &Server) {
    for number in 0..ABANDONED {
        assert_eq!(server.program.post_sdp("/whip/studio", OFFER).status, 201);
        // One hangs up before its answer can be there, one in the middle of the handshake, one right after it.
        let body = format!("Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{OFFER}", OFFER.len());
        let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n";
        let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
        for request in [
            format!("POST /whip/studio HTTP/1.1\r\nHost: studio\r\n{body}"),
            format!("GET /ws/studio HTTP/1.1\r\nHost: studio\r\n{upgrade}"),
            format!("GET /ws/studio HTTP/1.1\r\nHost: studio\r\n{upgrade}{key}"),
        ] {
            let mut stream = TcpStream::connect(&server.program.address).unwrap();
            stream.write_all(request.as_bytes()).unwrap();
        }
        if number % 5 == 4 {
            // They all count as participants until they are given up: the room has 25 places.
            server.is_empty_again();
        }
    }
}

/// What the process holds once the pools have come to rest.
fn at_rest(server: &Server, wanted: impl Fn(&Holdings) -> bool) -> Holdings {
    server.is_empty_again();
    let process = server.process();
    let mut seen = process.holdings();
    eventually(Duration::from_secs(25), "it comes to rest", || {
        seen = process.holdings();
        wanted(&seen).then_some(seen)
    })
}

#[test]
fn a_hundred_visits_leave_nothing_behind() {
    let server = Server::start(&[]);
    // What is made once, and stays: caches, pools, libraries' threads, the allocator's arenas.
    visits(&server, 2 * AT_ONCE);
    server.is_empty_again();
    let before = at_rest(&server, |_| true);
    visits(&server, JOINS);
    abandon(&server);
    let after = at_rest(&server, |now| {
        now.threads <= before.threads + POOLED_THREADS && now.descriptors <= before.descriptors + POOLED_DESCRIPTORS
    });
    println!("before {before:?}, after {after:?}; {:?}", server.process().threads());
    assert!(after.resident_kb < before.resident_kb + GROWTH_KB, "{before:?}, then {after:?}");
    server.end();
}
