//! What the server's answers promise to real browsers.

use crate::program::Program;

const TWCC: &str = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01";

fn offer(name: &str) -> String {
    std::fs::read_to_string(format!("{}/tests/sdp/{name}.sdp", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// The m-line of video and what belongs to it.
fn video(sdp: &str) -> &str {
    let begin = sdp.find("m=video").unwrap();
    let length = sdp[begin + 1..].find("\r\nm=").unwrap_or(sdp.len() - begin - 1);
    &sdp[begin..=begin + length]
}

/// The id of the extension that numbers packets over the whole transport.
fn twcc(section: &str) -> Option<&str> {
    let line = section.lines().find(|line| line.starts_with("a=extmap:") && line.ends_with(TWCC))?;
    line.strip_prefix("a=extmap:")?.split([' ', '/']).next()
}

#[test]
fn who_sends_video_gets_feedback_on_all_of_its_packets() {
    let program = Program::start(&[]);
    for name in
        ["chromium-join", "chromium-publish-vp8", "chromium-publish-h264", "firefox-join", "firefox-publish-vp8"]
    {
        let offer = offer(name);
        let answer = program.post_sdp("/whip/demo", &offer);
        assert_eq!(answer.status, 201, "{name}: {answer:?}");
        let answered = video(answer.text());
        assert!(twcc(answered).is_some(), "{name}: {answered}");
        assert_eq!(twcc(answered), twcc(video(&offer)), "{name}");
        assert!(answered.contains(" transport-cc"), "{name}: {answered}");
    }
    for name in ["chromium-watch", "firefox-watch"] {
        let answer = program.post_sdp("/whep/demo", &offer(name));
        assert_eq!(answer.status, 201, "{name}: {answer:?}");
        let answered = video(answer.text());
        // What the server sends is not numbered: it learns of loss from receiver reports.
        assert!(!answered.contains("transport"), "{name}: {answered}");
        assert!(answered.contains(" nack pli"), "{name}: {answered}");
    }
}

#[test]
fn a_rendition_that_does_not_exist_is_refused_at_each_door() {
    let program = Program::start(&[]);
    let (join, watch) = (offer("chromium-join"), offer("chromium-watch"));
    assert_eq!(program.post_sdp("/whip/demo", &join).status, 201);
    for (path, offer) in [("/whip/demo", &join), ("/whep/demo", &watch)] {
        program.post_sdp(&format!("{path}?rendition=nosuch"), offer).is_problem(404, "no-rendition");
        for rendition in ["auto", "audio", "low"] {
            assert_eq!(program.post_sdp(&format!("{path}?rendition={rendition}"), offer).status, 201, "{rendition}");
        }
    }
}
