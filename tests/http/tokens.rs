//! A server with a token (RFC 6750): what needs it, what does not, and that nobody reads it in the log.

use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use crate::OFFER;
use crate::program::{Answer, Program};

const TOKEN: &str = "c0mpass-N0rth~42+/==";
const SETTING: &str = "server.token=c0mpass-N0rth~42+/==";
const RIGHT: (&str, &str) = ("authorization", "Bearer c0mpass-N0rth~42+/==");
const WRONG: (&str, &str) = ("authorization", "Bearer c0mpass-S0uth");

/// Each door, and what it answers to who has the token and nothing else to say.
const DOORS: [(&str, &str, u16); 11] = [
    ("POST", "/whip/demo", 415),
    ("GET", "/whip/demo", 204),
    ("POST", "/whep/demo", 415),
    ("PATCH", "/session/0123", 404),
    ("DELETE", "/session/0123", 404),
    ("GET", "/ws/demo", 426),
    ("GET", "/api/rooms", 200),
    ("GET", "/api/rooms/demo/snapshot.jpg", 404),
    ("POST", "/api/rooms/demo/participants/0123456789abcdef/mute", 415),
    ("DELETE", "/api/rooms/demo/participants/0123456789abcdef", 404),
    ("GET", "/metrics", 200),
];

#[track_caller]
fn is_challenged(answer: &Answer, challenge: &str) {
    answer.is_problem(401, "unauthorized");
    assert_eq!(answer.header("www-authenticate"), Some(challenge));
    assert!(!answer.text().contains("c0mpass"), "{}", answer.text());
}

#[test]
fn every_door_wants_the_token() {
    let program = Program::start(&[SETTING]);
    for (method, path, status) in DOORS {
        let ask = |headers: &[(&str, &str)]| program.ask(method, path, headers, b"");
        is_challenged(&ask(&[]), "Bearer realm=\"tessera\"");
        is_challenged(&ask(&[("authorization", "Basic YTpi")]), "Bearer realm=\"tessera\"");
        is_challenged(&ask(&[WRONG]), "Bearer realm=\"tessera\", error=\"invalid_token\"");
        assert_eq!(ask(&[RIGHT]).status, status, "{method} {path}");
        let for_all = ["/whip", "/whep", "/session"].iter().any(|prefix| path.starts_with(prefix));
        for headers in [&[][..], &[RIGHT]] {
            let origin = ask(headers).header("access-control-allow-origin").map(str::to_owned);
            assert_eq!(origin.as_deref(), for_all.then_some("*"), "{method} {path}");
        }
    }
    let typed = [("content-type", "application/sdp"), RIGHT];
    assert_eq!(program.ask("POST", "/whip/demo", &typed, OFFER.as_bytes()).status, 201);
}

#[test]
fn pages_probes_and_preflights_need_none() {
    let program = Program::start(&[SETTING]);
    for path in ["/", "/r/demo", "/watch/demo", "/assets/base.css", "/healthz", "/readyz"] {
        assert_eq!(program.get(path).status, 200, "{path}");
    }
    let preflight = [
        ("origin", "https://player.example"),
        ("access-control-request-method", "POST"),
        ("access-control-request-headers", "authorization"),
    ];
    for path in ["/whip/demo", "/whep/demo", "/session/0123"] {
        let answer = program.ask("OPTIONS", path, &preflight, b"");
        assert_eq!(answer.status, 200, "{path}");
        assert!(answer.header("access-control-allow-headers").unwrap().contains("Authorization"));
    }
}

#[test]
fn options_tell_the_ice_servers_to_who_has_the_token() {
    let program = Program::start(&[SETTING, "ice.turn=turn:turn.example.net:3478", "ice.turn_secret=north"]);
    let page = ("origin", "https://player.example");
    let preflight = ("access-control-request-method", "POST");
    for path in ["/whip/demo", "/whep/demo"] {
        let tells = |headers: &[(&str, &str)]| {
            let answer = program.ask("OPTIONS", path, headers, b"");
            assert_eq!(answer.status, 200, "{path}");
            answer.header("link").is_some()
        };
        assert!(tells(&[RIGHT]) && tells(&[RIGHT, page]));
        for headers in [&[][..], &[page], &[WRONG], &[RIGHT, page, preflight]] {
            assert!(!tells(headers), "{path} {headers:?}");
        }
    }
}

#[test]
fn no_spelling_of_a_path_is_a_way_round() {
    let program = Program::start(&[SETTING]);
    for path in ["/api/rooms?", "/API/rooms", "/%61pi/rooms", "//api/rooms", "/r/../api/rooms", "/assets/../metrics"] {
        let status = program.get(path).status.as_u16();
        assert!([400, 401, 404].contains(&status), "{path}: {status}");
    }
}

#[test]
fn who_has_no_token_costs_no_join() {
    let program = Program::start(&[SETTING, "limits.joins_per_second=1"]);
    let post = |authorization| {
        program.ask("POST", "/whip/demo", &[("content-type", "application/sdp"), authorization], OFFER.as_bytes())
    };
    for _ in 0..10 {
        post(WRONG).is_problem(401, "unauthorized");
    }
    assert_eq!(post(RIGHT).status, 201);
    post(RIGHT).is_problem(429, "rate-limited");
}

/// The status that a WebSocket's handshake is answered with.
async fn handshake(program: &Program, query: &str, header: Option<(&'static str, &str)>) -> u16 {
    let mut request = format!("ws://{}/ws/demo{query}", program.address).into_client_request().unwrap();
    if let Some((name, value)) = header {
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    match connect_async(request).await {
        Ok((_, answer)) => answer.status().as_u16(),
        Err(Error::Http(answer)) => answer.status().as_u16(),
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn a_websocket_may_bring_its_token_in_the_url() {
    let program = Program::start(&[SETTING]);
    let in_url = "?name=Ada&access_token=c0mpass-N0rth~42%2B%2F%3D%3D";
    assert_eq!(handshake(&program, "", None).await, 401);
    assert_eq!(handshake(&program, "?access_token=c0mpass", None).await, 401);
    assert_eq!(handshake(&program, in_url, None).await, 101);
    assert_eq!(handshake(&program, "", Some(RIGHT)).await, 101);
    // The one place where a URL may have it.
    program.get("/api/rooms?access_token=c0mpass-N0rth~42%2B%2F%3D%3D").is_problem(401, "unauthorized");
}

#[tokio::test]
async fn the_token_is_in_no_log() {
    let mut program = Program::start(&[SETTING, "server.log=trace"]);
    for headers in [[RIGHT], [WRONG]] {
        program.ask("GET", "/api/rooms", &headers, b"");
        program.ask("POST", "/whip/demo", &headers, b"hello");
    }
    for query in ["?access_token=c0mpass-S0uth", "?access_token=c0mpass-N0rth~42%2B%2F%3D%3D"] {
        handshake(&program, query, None).await;
    }
    program.signal("TERM");
    program.ended();
    let log = program.log();
    assert!(log.contains("path=\"/ws/demo\" status=401") && log.contains("path=\"/ws/demo\" status=101"), "{log}");
    assert!(!log.contains("c0mpass") && !log.contains(TOKEN), "{log}");
}

#[test]
fn without_a_token_nobody_is_asked() {
    for settings in [&[][..], &["server.token="]] {
        let program = Program::start(settings);
        for (method, path, status) in DOORS {
            for headers in [&[][..], &[WRONG]] {
                assert_eq!(program.ask(method, path, headers, b"").status, status, "{method} {path}");
            }
        }
    }
}
