//! The life of a session: made by POST, trickled to by PATCH, ended by DELETE (RFC 9725, sections 4.2 and 4.3).

use crate::OFFER;
use crate::program::{Answer, Program};

const FRAGMENT: &str = "a=group:BUNDLE 0 1\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\na=ice-ufrag:EsAw\r\n\
    a=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\na=candidate:1 1 udp 2122260223 192.0.2.1 61764 typ host\r\n\
    a=candidate:2 1 udp 2122260222 3e3a5ac4-3d6e-4c0e-9f0e-6d1f0e5b1c11.local 61765 typ host\r\na=end-of-candidates\r\n";
const FRAGMENT_TYPE: (&str, &str) = ("content-type", "application/trickle-ice-sdpfrag");

fn publish(program: &Program) -> Answer {
    let answer = program.post_sdp("/whip/demo?name=Ada", OFFER);
    assert_eq!(answer.status, 201, "{answer:?}");
    answer
}

#[test]
fn a_publisher_comes_trickles_and_goes() {
    let mut program = Program::start(&["ice.turn=turn:turn.example.net:3478", "ice.turn_secret=north"]);
    let created = publish(&program);
    assert_eq!(created.header("content-type"), Some("application/sdp"));
    assert!(created.text().starts_with("v=0"));
    assert_eq!(created.header("etag"), None, "an entity tag would promise ICE restarts");
    let link = created.header("link").unwrap();
    assert!(link.starts_with("<turn:turn.example.net:3478>; rel=\"ice-server\"; username=\""), "{link}");
    let exposed = created.header("access-control-expose-headers").unwrap();
    assert!(exposed.contains("Location") && exposed.contains("Link"));

    let session = created.header("location").unwrap();
    let id = session.strip_prefix("/session/").unwrap();
    assert!(id.len() >= 32 && id.bytes().all(|b| b.is_ascii_hexdigit()));
    let seen = program.ask("GET", session, &[], b"");
    assert_eq!((seen.status.as_u16(), seen.body.len()), (204, 0));

    let trickled = program.ask("PATCH", session, &[FRAGMENT_TYPE], FRAGMENT.as_bytes());
    assert_eq!((trickled.status.as_u16(), trickled.header("etag")), (204, None));
    let any = program.ask("PATCH", session, &[FRAGMENT_TYPE, ("if-match", "*")], FRAGMENT.as_bytes());
    assert_eq!(any.status, 204);

    let left = program.ask("DELETE", session, &[("if-match", "\"whatever\"")], b"");
    assert_eq!(left.status, 200);
    program.ask("DELETE", session, &[], b"").is_problem(404, "no-session");
    program.ask("PATCH", session, &[FRAGMENT_TYPE], FRAGMENT.as_bytes()).is_problem(404, "no-session");

    let id = id.to_owned();
    program.signal("TERM");
    assert!(program.ended().success());
    let log = program.log();
    assert!(log.contains("/session/…") && log.contains("room=demo"), "{log}");
    assert!(!log.contains("room=demo room=demo"), "the room is named once: {log}");
    assert!(!log.contains(&id) && !log.contains("P2uYro0UCOQ4zxjKXaWCBui1"), "secrets stay out of the log");
}

#[test]
fn a_patch_that_cannot_be_done_changes_nothing() {
    let program = Program::start(&[]);
    let created = publish(&program);
    let session = created.header("location").unwrap();
    let patch = |headers: &[(&str, &str)], body: &str| program.ask("PATCH", session, headers, body.as_bytes());

    let wrong_type = patch(&[("content-type", "application/sdp")], OFFER);
    wrong_type.is_problem(415, "unsupported-media-type");
    assert_eq!(wrong_type.header("accept-patch"), Some("application/trickle-ice-sdpfrag"));
    patch(&[FRAGMENT_TYPE], "hello").is_problem(400, "malformed-fragment");
    patch(&[FRAGMENT_TYPE], &"a=x:y\r\n".repeat(10_000)).is_problem(413, "too-large");
    patch(&[FRAGMENT_TYPE, ("if-match", "\"old\"")], FRAGMENT).is_problem(412, "precondition-failed");

    let restart = FRAGMENT.replace("EsAw", "ysXw").replace("P2uYro0UCOQ4zxjKXaWCBui1", "vw5LmwG4y/e6dPP/zAP9Gp5k");
    for condition in
        [&[FRAGMENT_TYPE, ("if-match", "*")][..], &[FRAGMENT_TYPE], &[FRAGMENT_TYPE, ("if-match", "\"x\"")]]
    {
        patch(condition, &restart).is_problem(422, "ice-restart-unsupported");
    }
    let (ufrag, pwd) = ("a=ice-ufrag:EsAw\r\n", "a=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\n");
    let other_pwd = "a=ice-pwd:vw5LmwG4y/e6dPP/zAP9Gp5k\r\n";
    for foreign in [FRAGMENT.replace(pwd, other_pwd), FRAGMENT.replace(ufrag, "").replace(pwd, other_pwd)] {
        for condition in [&[FRAGMENT_TYPE][..], &[FRAGMENT_TYPE, ("if-match", "*")]] {
            patch(condition, &foreign).is_problem(422, "foreign-ice-credentials");
        }
    }
    patch(&[FRAGMENT_TYPE], &format!("{FRAGMENT}{other_pwd}")).is_problem(400, "malformed-fragment");
    for own in [FRAGMENT.replace(pwd, ""), FRAGMENT.replace(ufrag, "").replace(pwd, "")] {
        assert_eq!(patch(&[FRAGMENT_TYPE], &own).status, 204, "{own}");
    }
    let still = patch(&[FRAGMENT_TYPE], FRAGMENT);
    assert_eq!(still.status, 204);
}

#[test]
fn patches_are_limited() {
    let program = Program::start(&[]);
    let created = publish(&program);
    let session = created.header("location").unwrap();
    let limited = (0..500)
        .map(|_| program.ask("PATCH", session, &[FRAGMENT_TYPE], FRAGMENT.as_bytes()))
        .find(|answer| answer.status != 204)
        .expect("500 at once are too many");
    limited.is_problem(429, "rate-limited");
    assert!(limited.header("retry-after").is_some());
}

#[test]
fn an_unknown_session_is_not_found() {
    let program = Program::start(&[]);
    for method in ["GET", "PATCH", "DELETE"] {
        program.ask(method, "/session/00000000000000000000000000000000", &[], b"");
    }
    let answer = program.ask("DELETE", "/session/00000000000000000000000000000000", &[], b"");
    answer.is_problem(404, "no-session");
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    program.ask("PUT", "/session/0", &[], b"").is_problem(405, "method-not-allowed");
}
