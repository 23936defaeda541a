//! WHIP and WHEP endpoints (RFC 9725): discovery, cross-origin access, and what is refused before any media.

use crate::OFFER;
use crate::program::Program;

const PREFLIGHT: [(&str, &str); 3] = [
    ("origin", "https://player.example"),
    ("access-control-request-method", "POST"),
    ("access-control-request-headers", "authorization,content-type"),
];

#[test]
fn options_say_what_a_browser_may_do() {
    let program = Program::start(&[]);
    for (path, accept, value) in [
        ("/whip/demo", "accept-post", "application/sdp"),
        ("/whep/demo", "accept-post", "application/sdp"),
        ("/session/0123", "accept-patch", "application/trickle-ice-sdpfrag"),
    ] {
        for headers in [&PREFLIGHT[..], &[]] {
            let answer = program.ask("OPTIONS", path, headers, b"");
            assert_eq!(answer.status, 200);
            assert_eq!(answer.header(accept), Some(value));
            assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
            let allowed = answer.header("access-control-allow-headers").unwrap().to_lowercase();
            let wanted = ["authorization", "content-type", "etag", "if-match"];
            assert!(wanted.iter().all(|name| allowed.contains(name)), "{allowed}");
            let exposed = answer.header("access-control-expose-headers").unwrap().to_lowercase();
            assert!(["etag", "link", "location", "retry-after"].iter().all(|name| exposed.contains(name)), "{exposed}");
        }
    }
    let methods = |path| {
        let answer = program.ask("OPTIONS", path, &PREFLIGHT, b"");
        answer.header("access-control-allow-methods").unwrap().to_owned()
    };
    assert!(methods("/whip/demo").contains("POST"));
    assert!(methods("/session/0123").contains("PATCH") && methods("/session/0123").contains("DELETE"));
}

#[test]
fn options_tell_the_ice_servers_and_a_preflight_does_not() {
    let program = Program::start(&[
        "ice.turn=turn:turn.example.net:3478",
        "ice.turn_secret=north",
        "ice.stun=stun:stun.example.net",
    ]);
    for path in ["/whip/demo", "/whep/demo"] {
        let links = |headers: &[(&str, &str)]| {
            let answer = program.ask("OPTIONS", path, headers, b"");
            assert_eq!(answer.status, 200);
            let all = answer.headers.get_all("link").iter().map(|link| link.to_str().unwrap().to_owned());
            (answer.header("cache-control").map(str::to_owned), all.collect::<Vec<_>>())
        };
        // From a program, from a page after its preflight, and a request that has no page behind it.
        for headers in [&[][..], &PREFLIGHT[..1], &PREFLIGHT[1..]] {
            let (cached, links) = links(headers);
            assert_eq!(cached.as_deref(), Some("no-store"));
            assert_eq!(links[0], "<stun:stun.example.net>; rel=\"ice-server\"");
            assert!(links[1].starts_with("<turn:turn.example.net:3478>; rel=\"ice-server\"; username="), "{links:?}");
        }
        assert_eq!(links(&PREFLIGHT).1, [""; 0]);
        program.ask("OPTIONS", &format!("{path}%20"), &[], b"").is_problem(400, "invalid-room-name");
    }
}

#[test]
fn the_server_as_a_whole_has_options() {
    use std::io::{Read, Write};
    let program = Program::start(&["server.token=north"]);
    let ask = |method: &str| {
        let mut line = std::net::TcpStream::connect(&program.address).unwrap();
        line.set_read_timeout(Some(crate::program::PATIENCE)).unwrap();
        line.write_all(format!("{method} * HTTP/1.1\r\nHost: tessera\r\nConnection: close\r\n\r\n").as_bytes())
            .unwrap();
        let mut answer = String::new();
        line.read_to_string(&mut answer).unwrap();
        answer.to_lowercase()
    };
    let options = ask("OPTIONS");
    assert!(options.starts_with("http/1.1 200") && options.contains("\nallow: delete, get, head,"), "{options}");
    assert!(ask("GET").starts_with("http/1.1 404"));
}

#[test]
fn endpoints_can_be_looked_at() {
    let program = Program::start(&[]);
    for (path, status, media_type) in [("/whip/demo", 204, None), ("/whep/demo", 200, Some("application/sdp"))] {
        let look = |method: &str| {
            let answer = program.ask(method, path, &[], b"");
            assert_eq!((answer.status.as_u16(), answer.body.len()), (status, 0), "{method} {path}");
            assert_eq!(answer.header("content-type"), media_type);
            let mut headers = answer.headers;
            headers.remove("date");
            headers
        };
        assert_eq!(look("HEAD"), look("GET"), "{path}");
    }
    let answer = program.ask("DELETE", "/whip/demo", &[], b"");
    answer.is_problem(405, "method-not-allowed");
    assert_eq!(answer.header("allow"), Some("GET, HEAD, OPTIONS, POST"));
}

#[test]
fn a_room_that_cannot_be_is_an_error_to_who_looks() {
    let program = Program::start(&[]);
    for path in ["/r/a%20b", "/watch/a%20b", "/whip/a%20b", "/whep/.a", "/ws/a%20b", "/api/rooms/a%20b"] {
        program.get(path).is_problem(400, "invalid-room-name");
    }
    assert_eq!(program.ask("HEAD", "/whep/a%20b", &[], b"").status, 400);
    // A page can only read that after a preflight that succeeds.
    assert_eq!(program.ask("OPTIONS", "/whip/a%20b", &PREFLIGHT, b"").status, 200);
}

#[test]
fn pages_of_other_sites_can_read_that_there_is_nothing() {
    let program = Program::start(&[]);
    for path in ["/whip", "/whip/", "/whep/a/b", "/session", "/session/", "/session/0/1", "/session/0"] {
        for method in ["GET", "POST", "PATCH", "DELETE"] {
            let answer = program.ask(method, path, &PREFLIGHT[..1], b"");
            assert!([404, 405, 415].contains(&answer.status.as_u16()), "{method} {path}: {answer:?}");
            assert_eq!(answer.header("access-control-allow-origin"), Some("*"), "{method} {path}");
        }
        let preflight = program.ask("OPTIONS", path, &PREFLIGHT, b"");
        assert_eq!((preflight.status.as_u16(), preflight.header("access-control-allow-origin")), (200, Some("*")));
    }
    for path in ["/api", "/api/rooms/none", "/none", "/whipped/demo", "/assets/none.js"] {
        let answer = program.ask("GET", path, &PREFLIGHT[..1], b"");
        assert_eq!((answer.status.as_u16(), answer.header("access-control-allow-origin")), (404, None), "{path}");
    }
}

#[test]
fn named_origins_bound_the_pages_that_publish_and_watch() {
    let program = Program::start(&["server.origins=https://meet.example.org"]);
    let own = format!("http://{}", program.address);
    for (method, path, open) in [
        ("POST", "/whip/demo", 415),
        ("POST", "/whep/demo", 415),
        ("OPTIONS", "/whep/demo", 200),
        ("PATCH", "/session/0", 404),
        ("DELETE", "/session/0", 404),
    ] {
        for origin in [own.as_str(), "https://meet.example.org"] {
            assert_eq!(program.ask(method, path, &[("origin", origin)], b"").status, open, "{method} {path} {origin}");
        }
        assert_eq!(program.ask(method, path, &[], b"").status, open, "{method} {path}");
        for origin in ["https://player.example", "null"] {
            let answer = program.ask(method, path, &[("origin", origin)], b"");
            answer.is_problem(403, "foreign-origin");
            assert_eq!(answer.header("access-control-allow-origin"), Some("*"), "the page may read why");
        }
    }
    assert_eq!(program.ask("OPTIONS", "/whip/demo", &PREFLIGHT, b"").status, 200);
    let open = Program::start(&[]);
    assert_eq!(open.ask("POST", "/whip/demo", &[("origin", "https://player.example")], b"").status, 415);
}

#[test]
fn a_body_that_is_no_offer_is_refused() {
    let program = Program::start(&["limits.sdp_bytes=4096"]);
    for path in ["/whip/demo", "/whep/demo"] {
        let typed = |media_type: &str| program.ask("POST", path, &[("content-type", media_type)], b"hello");
        let answer = typed("text/plain");
        answer.is_problem(415, "unsupported-media-type");
        assert_eq!(answer.header("accept-post"), Some("application/sdp"));
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
        program.ask("POST", path, &[], b"").is_problem(415, "unsupported-media-type");
        typed("application/sdpx").is_problem(415, "unsupported-media-type");
        program.post_sdp(path, &"x".repeat(4097)).is_problem(413, "too-large");
        let bytes = program.ask("POST", path, &[("content-type", "application/sdp")], &[0xff; 20]);
        bytes.is_problem(400, "malformed-sdp");
    }
    // The media type may have parameters and any case.
    let odd = [("content-type", "Application/SDP ; charset=utf-8")];
    program.ask("POST", "/whip/demo", &odd, b"hello").is_problem(400, "malformed-sdp");
    program.post_sdp("/whip/a%20b", OFFER).is_problem(400, "invalid-room-name");
}

#[test]
fn a_body_without_length_is_bounded_too() {
    use std::io::{Read, Write};
    let program = Program::start(&["limits.sdp_bytes=1024"]);
    let mut line = std::net::TcpStream::connect(&program.address).unwrap();
    line.set_read_timeout(Some(crate::program::PATIENCE)).unwrap();
    let head =
        "POST /whip/demo HTTP/1.1\r\nhost: x\r\ncontent-type: application/sdp\r\ntransfer-encoding: chunked\r\n\r\n";
    line.write_all(head.as_bytes()).unwrap();
    for _ in 0..3 {
        line.write_all(format!("200\r\n{}\r\n", "x".repeat(0x200)).as_bytes()).unwrap();
    }
    let mut answer = [0; 12];
    line.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 413");
}

#[test]
fn a_viewer_of_nothing_is_told_to_come_back() {
    let program = Program::start(&[]);
    let answer = program.post_sdp("/whep/empty", &OFFER.replace("sendonly", "recvonly"));
    answer.is_problem(409, "nothing-live");
    assert!(answer.header("retry-after").unwrap().parse::<u32>().unwrap() > 0);
    assert!(answer.header("access-control-expose-headers").unwrap().contains("Retry-After"));
}

#[test]
fn joins_are_limited() {
    let program = Program::start(&["limits.joins_per_second=2"]);
    let answers: Vec<_> = (0..20).map(|_| program.post_sdp("/whip/demo", OFFER)).collect();
    let limited: Vec<_> = answers.iter().filter(|answer| answer.status == 429).collect();
    assert!(answers[0].status == 201 && answers[1].status == 201, "a burst passes");
    assert!(!limited.is_empty(), "twenty at once do not");
    limited[0].is_problem(429, "rate-limited");
    assert_eq!(limited[0].header("retry-after"), Some("1"));
    let metrics = program.get("/metrics");
    assert!(
        metrics
            .text()
            .contains(&format!("tessera_joins_total{{kind=\"whip\",result=\"rate-limited\"}} {}", limited.len()))
    );
}
