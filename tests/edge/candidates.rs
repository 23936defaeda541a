//! Candidates that are of no use, malformed, or far too many, by PATCH and by WebSocket.

use serde_json::json;

use crate::OFFER;
use crate::bystanders::Bystanders;
use crate::eventually::eventually;
use crate::program::PATIENCE;
use crate::server::Server;
use crate::socket::Socket;

/// How many: by PATCH in fragments of 50, by WebSocket in messages of one.
const PATCHED: usize = 1_000;
const SAID: usize = 500;

/// What clients send that cannot or must not be used: hidden and public names, TCP, other components, junk.
const USELESS: [&str; 9] = [
    "candidate:1 1 udp 2122260223 6a1e2f0c-2b5d-4f6a-8f0e-1a2b3c4d5e6f.local 50000 typ host",
    "candidate:2 1 udp 2122260223 example.net 50000 typ host",
    "candidate:3 1 tcp 1518280447 192.0.2.1 9 typ host tcptype active",
    "candidate:4 2 udp 2122260223 192.0.2.1 50000 typ host",
    "candidate:5 1 udp 99999999999 192.0.2.1 50000 typ host",
    "candidate:6 1 udp 2122260223 192.0.2.1 70000 typ host",
    "candidate:7 1 udp 2122260223 300.0.2.1 50000 typ host",
    "candidate:",
    "candidate:%s%n ../../etc 1 2 3 \u{1f3a5}",
];

fn numbered(number: usize) -> String {
    format!("candidate:{number} 1 udp {number} 198.51.100.{} {} typ host", number % 250 + 1, 1_024 + number)
}

fn fragment(candidates: impl Iterator<Item = String>) -> String {
    candidates.map(|candidate| format!("a={candidate}\r\n")).collect()
}

#[test]
fn useless_and_countless_candidates_hurt_nobody() {
    let server = Server::start(&[]);
    let mut bystanders = Bystanders::join(&server);
    let patch = |session: &str, body: &str| {
        let headers = [("content-type", "application/trickle-ice-sdpfrag")];
        server.program.ask("PATCH", session, &headers, body.as_bytes())
    };
    let answer = server.program.post_sdp("/whip/studio?name=Ada", OFFER);
    assert_eq!(answer.status, 201);
    let session = answer.header("location").unwrap();

    // One that cannot be used is no fault of the client's: browsers send such ones.
    for candidate in USELESS {
        assert_eq!(patch(session, &format!("a={candidate}\r\n")).status, 204, "{candidate}");
    }
    assert_eq!(patch(session, "a=end-of-candidates\r\n").status, 204);
    for malformed in ["", "candidate:1\r\n", "a=candidate:1\u{7}\r\n", "a=ice-ufrag:\r\n", &"a=x\r\n".repeat(10)] {
        patch(session, malformed).is_problem(400, "malformed-fragment");
    }
    patch(session, &fragment((0..65).map(numbered))).is_problem(400, "malformed-fragment");
    patch(session, &"a=x\r\n".repeat(10_000)).is_problem(413, "too-large");

    let answers: Vec<_> =
        (0..PATCHED / 50).map(|part| patch(session, &fragment((part * 50..part * 50 + 50).map(numbered)))).collect();
    assert_eq!(answers[0].status, 204);
    assert!(answers.iter().all(|answer| matches!(answer.status.as_u16(), 204 | 429)), "{answers:?}");
    let flood: Vec<_> = (0..100).map(|_| patch(session, &format!("a={}\r\n", numbered(1))).status.as_u16()).collect();
    assert!(flood.contains(&429) && flood.iter().all(|status| matches!(status, 204 | 429)), "{flood:?}");
    bystanders.are_undisturbed("candidates by PATCH");

    server.runtime.block_on(async {
        let mut socket = Socket::join(&server, "/ws/studio?name=Bob").await;
        for candidate in USELESS {
            socket.say(&json!({ "type": "candidate", "candidate": candidate, "sdpMLineIndex": 7 })).await;
        }
        for number in 0..SAID {
            socket.say(&json!({ "type": "candidate", "candidate": numbered(number) })).await;
        }
        socket.say(&json!({ "type": "ping" })).await;
        assert_eq!(socket.next(&["pong", "error"]).await["type"], "pong", "none of them was an error");
        for malformed in [r#"{"type":"candidate"}"#, r#"{"type":"candidate","candidate":7}"#] {
            socket.say_text(malformed).await;
            assert_eq!(socket.next(&["error"]).await["problem"], "urn:tessera:problem:invalid-message");
        }
    });
    bystanders.are_undisturbed("candidates by WebSocket");
    let gone = |name: &str| server.try_room().is_some_and(|room| room.participants.iter().all(|one| one.name != name));
    eventually(PATIENCE, "who never connects is given up", || (gone("Ada") && gone("Bob")).then_some(()));
    drop(bystanders);
    server.end();
}
