//! An end in order: told to end, the server says so to everybody and is gone within 5 s, with participants in a call.

use std::time::{Duration, Instant};

use crate::eventually::eventually;
use crate::server::Server;
use crate::socket::Socket;

#[test]
fn a_stop_tells_everybody_and_takes_less_than_five_seconds() {
    let mut server = Server::start(&[]);
    let bots: Vec<_> = (0..3).map(|index| server.join(server.small_bot(index))).collect();
    server.room_of(3);
    let mut socket = server.runtime.block_on(Socket::join(&server, "/ws/studio?name=Ada"));

    let start = Instant::now();
    server.program.signal("TERM");
    let closed = server.runtime.block_on(socket.next(&["closed"]));
    assert_eq!(closed["reason"], "server_stopping");
    assert_eq!(server.program.ended().code(), Some(0));
    let took = start.elapsed();
    assert!(took < Duration::from_secs(5), "it took {took:?}");
    println!("gone after {took:?}");
    // They have no WebSocket; by silence alone they would know much later.
    for bot in &bots {
        eventually(Duration::from_secs(2), "the bots know too", || bot.ended().then_some(()));
    }
    drop(bots);
    let log = server.program.log();
    assert!(!log.contains("did not go down") && !log.contains("ERROR") && !log.contains("panicked"), "{log}");
}
