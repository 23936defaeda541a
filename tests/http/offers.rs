//! Offers that are not only audio and video for this server are answered, each m-line in its place.

use crate::program::Program;

fn offer(name: &str) -> String {
    std::fs::read_to_string(format!("{}/tests/sdp/{name}.sdp", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// Each m-line's kind, whether it is accepted, and its direction.
fn lines(sdp: &str) -> Vec<(&str, bool, &str)> {
    sdp.split("\r\nm=")
        .skip(1)
        .map(|section| {
            let mut words = section.split(' ');
            let (kind, port) = (words.next().unwrap(), words.next().unwrap());
            let direction =
                section.lines().find(|line| matches!(*line, "a=sendrecv" | "a=sendonly" | "a=recvonly" | "a=inactive"));
            (kind, port != "0", direction.unwrap().trim_start_matches("a="))
        })
        .collect()
}

#[test]
fn m_lines_that_are_not_for_the_server_do_not_stop_the_others() {
    let program = Program::start(&[]);
    let (both, data) = (("audio", true, "sendrecv"), ("application", false, "inactive"));
    let (video, no_video) = (("video", true, "sendrecv"), ("video", false, "inactive"));
    for (name, expected) in [
        ("join-with-data-channel", vec![both, video, data]),
        ("chromium-data-channel", vec![both, video, data]),
        ("join-with-second-video", vec![both, video, no_video]),
        ("firefox-two-videos", vec![both, video, no_video]),
        ("join-with-stopped-video", vec![both, video, no_video]),
        ("join-h264-mode-0", vec![both, video]),
        ("join-without-bundle", vec![both, no_video]),
        ("whip-bundle-only", vec![("audio", true, "recvonly"), ("video", true, "recvonly")]),
        ("publish-tagged-second", vec![("audio", true, "recvonly"), ("video", true, "recvonly")]),
        ("publish-one-without-mid", vec![("video", true, "recvonly")]),
    ] {
        let answer = program.post_sdp("/whip/demo", &offer(name));
        assert_eq!(answer.status, 201, "{name}: {}", answer.text());
        assert_eq!(lines(answer.text()), expected, "{name}: {}", answer.text());
    }
    let watched = [("video", true, "sendonly"), ("audio", true, "sendonly")];
    let answer = program.post_sdp("/whep/demo", &offer("watch-with-data-channel"));
    assert_eq!(lines(answer.text()), [watched[0], watched[1], data], "{answer:?}");
    assert_eq!(lines(program.post_sdp("/whep/demo", &offer("gstreamer-watch")).text()), watched);
}

#[test]
fn rtcp_mux_only_is_said_where_it_was_offered() {
    let program = Program::start(&[]);
    let only =
        |name: &str| program.post_sdp("/whip/demo", &offer(name)).text().matches("\r\na=rtcp-mux-only\r\n").count();
    assert_eq!([only("whip-bundle-only"), only("webrtcbin-publish"), only("obs-publish")], [2, 2, 0]);
}

#[test]
fn who_watches_need_not_say_that_it_only_receives() {
    let program = Program::start(&[]);
    assert_eq!(program.post_sdp("/whip/demo", &offer("chromium-join")).status, 201);
    for name in ["chromium-join", "firefox-join", "join-with-data-channel"] {
        let answer = program.post_sdp("/whep/demo", &offer(name));
        assert_eq!(answer.status, 201, "{name}");
        let answer = answer.text();
        assert!(
            lines(answer)[..2].iter().all(|(_, accepted, direction)| *accepted && *direction == "sendonly"),
            "{answer}"
        );
    }
    program.post_sdp("/whep/demo", &offer("chromium-publish-vp8")).is_problem(422, "unsupported-sdp");
}

#[test]
fn every_payload_type_is_answered_and_none_is_a_fault_of_the_server() {
    let program = Program::start(&["limits.joins_per_second=1000", "limits.joins_per_second_per_address=1000"]);
    let join = offer("join-with-stopped-video").replace("a=sendrecv", "a=recvonly");
    for number in (0..128u8).step_by(5).chain(35..64) {
        let text = join.replace("SAVPF 96 97", &format!("SAVPF {number} 97"));
        let text = ["rtpmap:", "rtcp-fb:", "apt="]
            .iter()
            .fold(text, |text, before| text.replace(&format!("{before}96"), &format!("{before}{number}")));
        let text = text.replace("a=recvonly", if number % 2 == 0 { "a=sendrecv" } else { "a=sendonly" });
        let answer = program.post_sdp("/whip/demo", &text);
        let expected = if (64..96).contains(&number) { 422 } else { 201 };
        assert_eq!(answer.status, expected, "{number}: {}", answer.text());
        // The room has places for a few.
        if let Some(session) = answer.header("location") {
            assert_eq!(program.ask("DELETE", session, &[], b"").status, 200);
        }
    }
}
