//! The WebSocket protocol of `src/protocol.rs`, spoken well and badly.

use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::OFFER;
use crate::eventually::eventually;
use crate::program::{PATIENCE, Program};

struct Socket(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Socket {
    /// Connects and takes the welcome.
    async fn open(program: &Program, path: &str) -> (Self, Value) {
        let (stream, _) = connect_async(format!("ws://{}{path}", program.address)).await.unwrap();
        let mut socket = Self(stream);
        let welcome = socket.next("welcome").await;
        (socket, welcome)
    }

    async fn say(&mut self, message: Value) {
        self.0.send(Message::text(message.to_string())).await.unwrap();
    }

    async fn frame(&mut self) -> Option<Message> {
        timeout(PATIENCE, self.0.next()).await.expect("the server says something").map(Result::unwrap)
    }

    /// The next message of this type; events in between are passed over, errors are not.
    async fn next(&mut self, kind: &str) -> Value {
        let message = self.next_of(&[kind, "error"]).await;
        assert_eq!(message["type"], kind, "{message}");
        message
    }

    async fn complaint(&mut self) -> String {
        let error = self.next_of(&["error"]).await;
        assert!(error["title"].is_string() && error["detail"].is_string());
        error["problem"].as_str().unwrap().strip_prefix("urn:tessera:problem:").unwrap().to_owned()
    }

    async fn next_of(&mut self, kinds: &[&str]) -> Value {
        loop {
            let frame = self.frame().await;
            let Some(Message::Text(text)) = frame else { panic!("{frame:?} instead of {kinds:?}") };
            let message: Value = serde_json::from_str(&text).unwrap();
            if kinds.iter().any(|kind| message["type"] == *kind) {
                return message;
            }
        }
    }

    /// The code of the close frame.
    async fn close_code(&mut self) -> u16 {
        loop {
            match self.frame().await {
                Some(Message::Close(Some(frame))) => return frame.code.into(),
                Some(_) => {}
                None => panic!("the line ended without a close frame"),
            }
        }
    }
}

#[tokio::test]
async fn the_welcome_tells_all_that_a_client_needs() {
    let program =
        Program::start(&["ice.stun=stun:stun.example.net", "ice.turn=turn:t.example", "ice.turn_secret=north"]);
    let (_, welcome) = Socket::open(&program, "/ws/demo?name=%20%C3%89mile%0A+%F0%9F%8E%A5%20").await;
    assert_eq!(welcome["room"], "demo");
    assert_eq!(welcome["name"], "Émile 🎥");
    assert_eq!(welcome["iceServers"][0]["urls"], json!(["stun:stun.example.net"]));
    assert!(welcome["iceServers"][1]["credential"].is_string());
    let names: Vec<_> = welcome["renditions"].as_array().unwrap().iter().map(|r| r["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["high", "medium", "low"]);
    assert!(welcome["pingInterval"].is_u64());
    let (_, nameless) = Socket::open(&program, "/ws/demo").await;
    assert_eq!(nameless["name"], "Guest");
}

#[tokio::test]
async fn garbage_gets_an_error_and_the_talk_goes_on() {
    let program = Program::start(&[]);
    let (mut socket, _) = Socket::open(&program, "/ws/demo").await;
    let long = format!("{{\"type\":\"{}\"}}", "x".repeat(10_000));
    for garbage in ["", "{", "[]", "null", "{\"type\":\"dance\"}", "{\"type\":\"join\"}", &long] {
        socket.0.send(Message::text(garbage)).await.unwrap();
        assert_eq!(socket.complaint().await, "invalid-message", "{garbage:.40}");
    }
    socket.0.send(Message::binary(vec![0, 159, 146, 150])).await.unwrap();
    assert_eq!(socket.complaint().await, "invalid-message");
    for early in [
        json!({ "type": "candidate", "candidate": "candidate:1 1 udp 1 192.0.2.1 9 typ host" }),
        json!({ "type": "mute", "muted": true }),
        json!({ "type": "camera", "on": false }),
        json!({ "type": "rendition", "name": "low" }),
    ] {
        socket.say(early).await;
        assert_eq!(socket.complaint().await, "not-joined");
    }
    socket.say(json!({ "type": "join", "sdp": "hello" })).await;
    assert_eq!(socket.complaint().await, "malformed-sdp");
    socket.say(json!({ "type": "join", "sdp": OFFER, "rendition": "nosuch" })).await;
    assert_eq!(socket.complaint().await, "no-rendition");
    socket.say(json!({ "type": "ping" })).await;
    socket.next("pong").await;
}

#[tokio::test]
async fn a_client_joins_once_and_leaves() {
    let program = Program::start(&[]);
    let (mut socket, _) = Socket::open(&program, "/ws/demo?name=Ada").await;
    socket.say(json!({ "type": "join", "sdp": OFFER })).await;
    // Sent before the answer can be there: it must neither be lost nor refused.
    socket
        .say(
            json!({ "type": "candidate", "candidate": "candidate:1 1 udp 1 192.0.2.1 9 typ host", "sdpMLineIndex": 0 }),
        )
        .await;
    let answer = socket.next("answer").await;
    assert!(answer["sdp"].as_str().unwrap().starts_with("v=0"));
    assert_eq!(answer["peer"].as_str().unwrap().len(), 16);
    socket.next("participants").await;
    socket.say(json!({ "type": "join", "sdp": OFFER })).await;
    assert_eq!(socket.complaint().await, "already-joined");
    socket.say(json!({ "type": "leave" })).await;
    assert_eq!(socket.next("closed").await["reason"], "left");
    assert_eq!(socket.close_code().await, 1000);
}

#[tokio::test]
async fn a_message_over_the_limit_ends_the_line() {
    let program = Program::start(&["limits.message_bytes=2048", "limits.sdp_bytes=1024"]);
    let (mut socket, _) = Socket::open(&program, "/ws/demo").await;
    socket.say(json!({ "type": "join", "sdp": "x".repeat(1500) })).await;
    assert_eq!(socket.complaint().await, "too-large");
    socket.say(json!({ "type": "join", "sdp": "x".repeat(5000) })).await;
    assert_eq!(socket.close_code().await, 1009);
}

#[tokio::test]
async fn each_way_to_be_wrong_has_its_code() {
    let program = Program::start(&[]);
    let text = |payload: &'static [u8]| Frame::message(payload, OpCode::Data(Data::Text), true);
    let mut reserved = text(b"{}");
    reserved.header_mut().rsv1 = true;
    for (frame, code) in [(reserved, 1002), (text(&[0xff]), 1007)] {
        let (mut socket, _) = Socket::open(&program, "/ws/demo").await;
        socket.0.send(Message::Frame(frame)).await.unwrap();
        assert_eq!(socket.close_code().await, code);
    }
}

#[tokio::test]
async fn a_line_that_breaks_is_no_wrong_message() {
    let mut program = Program::start(&[]);
    let (socket, _) = Socket::open(&program, "/ws/demo").await;
    drop(socket);
    eventually(PATIENCE, "the server notices", || {
        program.get("/metrics").text().contains("tessera_websockets 0").then_some(())
    });
    program.signal("TERM");
    program.ended();
    assert!(program.log().contains("WebSocket ended end=Gone"));
}

#[tokio::test]
async fn a_flood_is_slowed_down_and_nothing_of_it_is_lost() {
    let program = Program::start(&[]);
    let (socket, _) = Socket::open(&program, "/ws/demo").await;
    let (mut sink, mut stream) = socket.0.split();
    let flood = 300;
    let started = Instant::now();
    let send = async {
        for _ in 0..flood {
            sink.send(Message::text("{\"type\":\"ping\"}")).await.unwrap();
        }
    };
    let receive = async {
        for _ in 0..flood {
            assert!(timeout(PATIENCE, stream.next()).await.unwrap().unwrap().unwrap().is_text());
        }
    };
    tokio::join!(send, receive);
    // 200 at once, then 50 a second.
    assert!(started.elapsed() > Duration::from_millis(1_900), "it took {:?}", started.elapsed());
}

#[tokio::test]
async fn a_silent_line_is_closed() {
    let program = Program::start(&[]);
    let (mut socket, _) = Socket::open(&program, "/ws/demo").await;
    let started = Instant::now();
    assert_eq!(socket.next("closed").await["reason"], "vanished");
    assert_eq!(socket.close_code().await, 1008);
    assert!(started.elapsed() > Duration::from_secs(6), "two pings may get lost");
}

#[tokio::test]
async fn sockets_are_told_that_the_server_stops() {
    let mut program = Program::start(&[]);
    let (mut outside, _) = Socket::open(&program, "/ws/demo").await;
    let (mut inside, _) = Socket::open(&program, "/ws/demo").await;
    inside.say(json!({ "type": "join", "sdp": OFFER })).await;
    inside.next("answer").await;
    program.signal("TERM");
    for socket in [&mut outside, &mut inside] {
        assert_eq!(socket.next("closed").await["reason"], "server_stopping");
        assert_eq!(socket.close_code().await, 1001);
    }
    assert_eq!(program.ended().code(), Some(0));
}

/// What a handshake from a page of this origin is answered with.
async fn handshake(program: &Program, origin: &str) -> Result<(), (u16, Value)> {
    let mut request = format!("ws://{}/ws/demo", program.address).into_client_request().unwrap();
    request.headers_mut().insert("origin", origin.parse().unwrap());
    match connect_async(request).await {
        Ok(_) => Ok(()),
        Err(Error::Http(answer)) => {
            let document = serde_json::from_slice(answer.body().as_deref().unwrap()).unwrap();
            Err((answer.status().as_u16(), document))
        }
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn pages_of_other_sites_get_no_socket() {
    let program = Program::start(&["server.origins=https://meet.example.org"]);
    for own in [&format!("http://{}", program.address), "https://meet.example.org"] {
        assert_eq!(handshake(&program, own).await, Ok(()), "{own}");
    }
    for foreign in ["https://evil.example", "http://127.0.0.1", "http://meet.example.org", "null"] {
        let (status, document) = handshake(&program, foreign).await.unwrap_err();
        assert_eq!((status, &document["type"]), (403, &json!("urn:tessera:problem:foreign-origin")), "{foreign}");
    }
}

/// RFC 6455, section 4.4.
#[test]
fn other_versions_of_the_protocol_are_told_which_there_is() {
    let program = Program::start(&[]);
    let mut handshake =
        vec![("connection", "Upgrade"), ("upgrade", "websocket"), ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")];
    for version in [None, Some("8"), Some("14"), Some("13, 8")] {
        handshake.truncate(3);
        handshake.extend(version.map(|version| ("sec-websocket-version", version)));
        let answer = program.ask("GET", "/ws/demo", &handshake, b"");
        answer.is_problem(426, "upgrade-required");
        assert_eq!(answer.header("sec-websocket-version"), Some("13"), "{version:?}");
    }
}

#[tokio::test]
async fn what_is_no_websocket_is_told_so() {
    let program = Program::start(&[]);
    let answer = program.get("/ws/demo");
    answer.is_problem(426, "upgrade-required");
    assert_eq!(answer.header("upgrade"), Some("websocket"));
    assert_eq!(answer.header("sec-websocket-version"), Some("13"));
    program.ask("POST", "/ws/demo", &[], b"").is_problem(405, "method-not-allowed");
    program.get("/ws/a%20b").is_problem(400, "invalid-room-name");
}

#[tokio::test]
async fn mutes_and_renditions_are_slowed_down_and_none_is_lost() {
    let program = Program::start(&[]);
    let (mut socket, _) = Socket::open(&program, "/ws/demo").await;
    let started = Instant::now();
    for _ in 0..14 {
        // Not joined: each is answered, and counts.
        socket.say(json!({ "type": "mute", "muted": true })).await;
    }
    for _ in 0..14 {
        assert_eq!(socket.complaint().await, "not-joined");
    }
    // Ten at once, then two a second.
    assert!(started.elapsed() > Duration::from_millis(1_400), "it took {:?}", started.elapsed());
}

#[tokio::test]
async fn who_never_joins_is_closed() {
    let program = Program::start(&[]);
    let (mut socket, _) = Socket::open(&program, "/ws/demo").await;
    let opened = Instant::now();
    loop {
        socket.say(json!({ "type": "ping" })).await;
        // A join that fails is no join.
        socket.say(json!({ "type": "join", "sdp": "hello" })).await;
        let message = socket.next_of(&["error", "closed"]).await;
        if message["type"] == "closed" {
            assert_eq!(message["reason"], "not_connected");
            break;
        }
        assert!(opened.elapsed() < Duration::from_secs(45), "it is still open");
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    assert_eq!(socket.close_code().await, 1008);
    assert!(opened.elapsed() > Duration::from_secs(25), "there is time to make up one's mind");
}

#[tokio::test]
async fn an_address_has_so_many_sockets() {
    // 100 connections: 75 may be WebSockets, half of those of one address.
    let program = Program::start(&["limits.connections=100"]);
    let request = |from: &str| {
        let mut request = format!("ws://{}/ws/demo", program.address).into_client_request().unwrap();
        request.headers_mut().insert("x-forwarded-for", from.parse().unwrap());
        request
    };
    let mut sockets = Vec::new();
    while let Ok((socket, _)) = connect_async(request("203.0.113.1")).await {
        sockets.push(socket);
        assert!(sockets.len() <= 38);
    }
    assert_eq!(sockets.len(), 38);
    assert!(connect_async(request("203.0.113.2")).await.is_ok());
    drop(sockets);
    eventually(PATIENCE, "the places are given back", || {
        program.get("/metrics").text().contains("tessera_websockets 0").then_some(())
    });
    assert!(connect_async(request("203.0.113.1")).await.is_ok());
}
