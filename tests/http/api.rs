//! The API, the metrics and the probes of a server without rooms.

use crate::program::Program;

const NOBODY: &str = "0123456789abcdef";

#[test]
fn an_empty_server_has_no_rooms() {
    let program = Program::start(&[]);
    let rooms = program.get("/api/rooms");
    assert_eq!(rooms.status, 200);
    assert_eq!(rooms.header("content-type"), Some("application/json"));
    assert_eq!(rooms.json(), serde_json::json!({ "rooms": [] }));
    program.get("/api/rooms/demo").is_problem(404, "no-room");
    program.get("/api/rooms/demo/snapshot.jpg").is_problem(404, "no-room");
    program.ask("DELETE", &format!("/api/rooms/demo/participants/{NOBODY}"), &[], b"").is_problem(404, "no-room");
}

#[test]
fn wrong_requests_are_refused() {
    let program = Program::start(&[]);
    program.get("/api/rooms/a%20b").is_problem(400, "invalid-room-name");
    program.ask("DELETE", "/api/rooms/demo/participants/ada", &[], b"").is_problem(404, "no-peer");
    for (path, body, allow) in [
        (format!("/api/rooms/demo/participants/{NOBODY}/mute"), r#"{"muted":true}"#, "OPTIONS, POST"),
        (format!("/api/rooms/demo/participants/{NOBODY}/rendition"), r#"{"rendition":"low"}"#, "OPTIONS, POST"),
    ] {
        let post =
            |media_type: &str, body: &str| program.ask("POST", &path, &[("content-type", media_type)], body.as_bytes());
        post("application/json", body).is_problem(404, "no-room");
        // A form on a foreign page can send this type without a preflight.
        post("text/plain", body).is_problem(415, "unsupported-media-type");
        post("application/json", "{").is_problem(400, "malformed-body");
        post("application/json", r#"{"other":1}"#).is_problem(400, "malformed-body");
        post("application/json", &" ".repeat(5000)).is_problem(413, "too-large");
        let get = program.get(&path);
        get.is_problem(405, "method-not-allowed");
        assert_eq!(get.header("allow"), Some(allow));
    }
    let foreign = program.ask("DELETE", "/api/rooms/demo", &[("origin", "https://evil.example")], b"");
    foreign.is_problem(405, "method-not-allowed");
    assert_eq!(foreign.header("access-control-allow-origin"), None);
    program.get("/nowhere").is_problem(404, "not-found");
    program.get("/api").is_problem(404, "not-found");
}

#[test]
fn the_server_is_alive_ready_and_counted() {
    let program = Program::start(&[]);
    for path in ["/healthz", "/readyz"] {
        let answer = program.get(path);
        assert_eq!((answer.status.as_u16(), answer.text()), (200, "ok\n"));
    }
    program.get("/nowhere");
    let metrics = program.get("/metrics");
    assert!(metrics.header("content-type").unwrap().starts_with("application/openmetrics-text"));
    let text = metrics.text();
    for line in [
        "tessera_http_requests_total{status=\"200\"} 2",
        "tessera_http_requests_total{status=\"404\"} 1",
        "tessera_rooms 0",
        "tessera_websockets 0",
        "tessera_descriptors_used ",
        "tessera_threads_limit ",
        "tessera_peers_awaited 0",
        "tessera_connections_refused_total 0",
        "tessera_build_info{version=",
    ] {
        assert!(text.lines().any(|found| found.starts_with(line)), "{line} is missing in\n{text}");
    }
    assert!(text.ends_with("# EOF\n"));
}

#[test]
fn a_caller_has_so_many_changes_and_others_and_looks_are_not_among_them() {
    let program = Program::start(&[]);
    let path = format!("/api/rooms/demo/participants/{NOBODY}/mute");
    let mute = |from: &str| {
        let headers = [("content-type", "application/json"), ("x-forwarded-for", from)];
        program.ask("POST", &path, &headers, br#"{"muted":true}"#)
    };
    let answers: Vec<_> = (0..300).map(|_| mute("203.0.113.1")).collect();
    let refused: Vec<_> = answers.iter().filter(|answer| answer.status != 404).collect();
    assert!(refused.len() > 100, "{} of 300 are refused", refused.len());
    for answer in refused {
        answer.is_problem(429, "rate-limited");
        assert!(answer.header("retry-after").is_some_and(|wait| wait.parse::<u32>().unwrap() >= 1));
    }
    assert_eq!(mute("203.0.113.2").status, 404);
    // The first address is one of many behind the same proxy, and may still look.
    let look = program.ask("GET", "/api/rooms", &[("x-forwarded-for", "203.0.113.1")], b"");
    assert_eq!(look.status, 200);
}
