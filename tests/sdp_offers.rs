//! Real offers are served or refused for the right reason, and nothing that a peer writes breaks what webrtcbin needs.
//!
//! `tests/sdp` holds offers of Chromium 156, Firefox 153 and GStreamer 1.22 as they came, and one each in the form of OBS
//! and ffmpeg.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use tessera::control::Codec::{self, H264, Vp8};
use tessera::media::sdp::Role::{Join, Publish, Watch};
use tessera::media::sdp::{Direction, Format, Kind, Offer, Profile, Role, SdpError, Setup};

fn read(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/sdp").join(name).with_extension("sdp");
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

const SERVED: [(&str, Role, &[Codec]); 20] = [
    ("chromium-join", Join, &[Vp8, H264]),
    ("chromium-join-gathered", Join, &[Vp8, H264]),
    ("chromium-join-balanced-gathered", Join, &[Vp8, H264]),
    ("chromium-join-without-camera", Join, &[Vp8, H264]),
    ("chromium-publish-vp8", Publish, &[Vp8]),
    ("chromium-publish-h264", Publish, &[H264]),
    ("chromium-publish-video-first", Publish, &[Vp8, H264]),
    ("chromium-publish-audio", Publish, &[]),
    ("chromium-simulcast", Publish, &[Vp8, H264]),
    ("chromium-watch", Watch, &[Vp8, H264]),
    ("firefox-join", Join, &[Vp8]),
    ("firefox-join-gathered", Join, &[Vp8]),
    ("firefox-join-balanced-gathered", Join, &[Vp8]),
    ("firefox-join-without-camera", Join, &[Vp8]),
    ("firefox-publish-vp8", Publish, &[Vp8]),
    ("firefox-publish-video-first", Publish, &[Vp8]),
    ("firefox-simulcast", Publish, &[Vp8]),
    ("firefox-watch", Watch, &[Vp8]),
    ("obs-publish", Publish, &[H264]),
    ("ffmpeg-publish", Publish, &[H264]),
];

/// The preconditions of webrtcbin 1.22, checked on the text alone.
fn check_canonical(text: &str) {
    assert!(text.is_ascii() && text.ends_with("\r\n"), "{text:?}");
    let lines: Vec<&str> = text.strip_suffix("\r\n").unwrap().split("\r\n").collect();
    assert!(lines.iter().all(|line| !line.contains(['\r', '\n']) && line.len() < 600), "{text}");
    let mut sections = lines.split(|line| line.starts_with("m=")).collect::<Vec<_>>().into_iter();
    let medias: Vec<&str> = lines.iter().copied().filter(|line| line.starts_with("m=")).collect();
    let values = |section: &[&str], name: &str| -> Vec<String> {
        section.iter().filter_map(|line| line.strip_prefix(name)).map(str::to_owned).collect()
    };

    let session = sections.next().unwrap();
    let expected = ["v=0", "o=- 0 1 IN IP4 127.0.0.1", "s=-", "t=0 0"];
    assert_eq!(session[..4], expected, "{text}");
    assert!(session[4].starts_with("a=group:BUNDLE "), "{text}");
    assert!(session[5..].iter().all(|line| *line == "a=ice-lite"), "{text}");
    let mut group: Vec<&str> = session[4].split(' ').skip(1).collect();

    let mut mids = Vec::new();
    let mut transports = Vec::new();
    for (media, section) in medias.iter().zip(sections) {
        let words: Vec<&str> = media.split(' ').collect();
        assert!(matches!(words[0], "m=audio" | "m=video"), "{text}");
        assert_eq!(words[1..3], ["9", "UDP/TLS/RTP/SAVPF"], "{text}");
        let formats = &words[3..];
        let rtpmaps = values(section, "a=rtpmap:");
        assert_eq!(rtpmaps.len(), formats.len(), "{text}");
        match formats {
            [one] => assert!(rtpmaps[0].starts_with(&format!("{one} ")), "{text}"),
            [one, rtx] => {
                assert_eq!(rtpmaps[1], format!("{rtx} rtx/90000"), "{text}");
                assert!(values(section, "a=fmtp:").contains(&format!("{rtx} apt={one}")), "{text}");
            }
            _ => panic!("{text}"),
        }
        for name in ["a=mid:", "a=ice-ufrag:", "a=ice-pwd:", "a=fingerprint:", "a=setup:"] {
            assert!(matches!(&values(section, name)[..], [value] if !value.is_empty()), "{name} {text}");
        }
        let direction = |line: &&&str| matches!(**line, "a=sendrecv" | "a=sendonly" | "a=recvonly" | "a=inactive");
        assert_eq!(section.iter().filter(direction).count(), 1, "{text}");
        assert_eq!(section.iter().filter(|line| **line == "a=rtcp-mux").count(), 1, "{text}");
        for feedback in values(section, "a=rtcp-fb:") {
            let (_, message) = feedback.split_once(' ').unwrap();
            assert!(matches!(message, "nack" | "nack pli" | "ccm fir" | "transport-cc"), "{text}");
        }
        let fingerprint = values(section, "a=fingerprint:").remove(0);
        assert_eq!(fingerprint.split_once(' ').unwrap().1, fingerprint.to_uppercase().split_once(' ').unwrap().1);
        for line in section {
            let name = line.split([':', '=']).nth(1).unwrap();
            let known = "mid ice-ufrag ice-pwd fingerprint setup rtcp-mux sendrecv sendonly recvonly inactive rtpmap fmtp \
                         rtcp-fb extmap ssrc";
            assert!(*line == "c=IN IP4 0.0.0.0" || known.split(' ').any(|known| known == name), "{line:?} in {text}");
        }
        mids.push(values(section, "a=mid:").remove(0));
        transports.push(["a=ice-ufrag:", "a=ice-pwd:", "a=fingerprint:", "a=setup:"].map(|name| values(section, name)));
    }
    assert!(!mids.is_empty() && transports.windows(2).all(|pair| pair[0] == pair[1]), "{text}");
    group.sort_unstable();
    mids.sort_unstable();
    assert_eq!(group, mids, "{text}");
}

/// What holds for every text, whatever it is.
fn check(text: &str) {
    let Ok(offer) = Offer::parse(text) else { return };
    let mut variants = vec![offer.clone()];
    for (codec, rtx) in offer.video_codecs().into_iter().flat_map(|codec| [(codec, true), (codec, false)]) {
        let mut narrowed = offer.clone();
        narrowed.narrow(codec, rtx).unwrap();
        assert!(narrowed.media().iter().all(|media| media.payloads().len() == 1));
        variants.push(narrowed);
    }
    for offer in variants {
        let canonical = offer.to_webrtcbin();
        check_canonical(&canonical);
        let again = Offer::parse(&canonical).unwrap();
        assert_eq!(again.to_webrtcbin(), canonical);
        assert_eq!((&again.ice, again.setup, again.role()), (&offer.ice, offer.setup, offer.role()));
    }
}

#[test]
fn real_offers_are_served() {
    for (name, role, codecs) in SERVED {
        let offer = Offer::parse(&read(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(offer.role(), Ok(role), "{name}");
        assert_eq!(offer.video_codecs(), codecs, "{name}");
        assert_eq!(offer.audio().map(|media| media.payload().format), Some(Format::Opus), "{name}");
        assert!(
            offer.media().iter().all(|media| media.direction == Direction::RecvOnly
                || name.contains("simulcast")
                || !media.sources.declared().is_empty()),
            "{name}"
        );
        check(&read(name));
    }
}

#[test]
fn what_cannot_be_served_is_refused_with_its_reason() {
    for (name, reason) in [
        ("chromium-av1-only", "the video m-line offers no VP8"),
        ("chromium-data-channel", "an m-line of the kind \"application\""),
        ("firefox-two-videos", "more than one video m-line"),
    ] {
        match Offer::parse(&read(name)) {
            Err(SdpError::Unsupported(detail)) => assert!(detail.contains(reason), "{name}: {detail}"),
            other => panic!("{name}: {other:?}"),
        }
    }
}

#[test]
fn one_change_to_a_good_offer_is_refused_for_that_change() {
    let good = read("obs-publish");
    type Edit = (&'static str, &'static str, bool, &'static str);
    let edits: [Edit; 24] = [
        ("a=group:BUNDLE 0 1\r\n", "", false, "not bundled"),
        ("a=group:BUNDLE 0 1", "a=group:BUNDLE 0", false, "not every m-line"),
        ("a=group:BUNDLE 0 1", "a=group:BUNDLE 0 1 2", true, "not there"),
        ("a=group:BUNDLE 0 1", "a=group:BUNDLE 0 0", true, "twice"),
        ("a=mid:1", "a=mid:0", true, "same a=mid"),
        ("a=mid:1", "a=mid:1 2", true, "token"),
        ("a=mid:1\r\n", "", false, "no a=mid"),
        ("a=rtcp-mux\r\n", "", false, "rtcp-mux"),
        ("a=ice-pwd:hV0mYt2uLz8cWb4nRe6xPd", "a=ice-pwd:short", true, "ice-pwd"),
        ("a=ice-ufrag:kQ7s", "a=ice-ufrag:k:Q7s", true, "ice-ufrag"),
        ("a=ice-ufrag:kQ7s\r\n", "", false, "ice-ufrag"),
        ("a=fingerprint:sha-256 0A", "a=fingerprint:sha-256 0G", true, "fingerprint"),
        ("a=fingerprint:sha-256", "a=fingerprint:md5", false, "hash function"),
        ("a=fingerprint:", "a=x:", false, "no a=fingerprint"),
        ("a=setup:actpass", "a=setup:maybe", true, "setup"),
        ("a=setup:actpass", "a=setup:holdconn", false, "holdconn"),
        ("opus/48000/2", "PCMU/8000", false, "no Opus"),
        ("packetization-mode=1", "packetization-mode=0", false, "no VP8, nor H264"),
        ("profile-level-id=42e01f", "profile-level-id=f4001f", false, "no VP8, nor H264"),
        ("m=video 51234", "m=video 0", false, "rejected"),
        ("m=video 51234", "m=video x", true, "port"),
        ("SAVPF 96", "SAVPF 111", true, "another meaning"),
        ("m=audio 51234 UDP/TLS/RTP/SAVPF", "m=audio 51234 UDP/DTLS/SCTP", false, "SAVPF"),
        ("a=ssrc:1120034456 ", "a=ssrc:1120034455 ", true, "same a=ssrc"),
    ];
    for (from, to, malformed, reason) in edits {
        assert!(good.contains(from), "{from:?}");
        let mut text = good.replace(from, to);
        if reason == "another meaning" {
            text = text.replace(":96 ", ":111 ");
        }
        let error = Offer::parse(&text).expect_err(to);
        assert_eq!(matches!(error, SdpError::Malformed(_)), malformed, "{to:?}: {error:?}");
        assert!(error.to_string().contains(reason), "{to:?}: {error}");
    }
}

#[test]
fn the_h264_payload_type_nearest_to_constrained_baseline_is_chosen() {
    let mut offer = Offer::parse(&read("chromium-join")).unwrap();
    let offered = offer.video().unwrap().payloads().to_vec();
    offer.narrow(H264, false).unwrap();
    let payload = offer.video().unwrap().payload();
    let Format::H264(id) = payload.format else { panic!("{payload:?}") };
    assert_eq!(id.profile(), Some(Profile::ConstrainedBaseline));
    let before = offered.iter().take_while(|other| other.number != payload.number);
    assert!(before.count() > 0, "the first one would have been as good a choice");
    assert_eq!(offer.narrow(Vp8, false), Err(SdpError::Unsupported("the video is not offered as VP8".into())));
}

#[test]
fn candidates_are_those_of_the_transport_that_can_be_used() {
    let offer = Offer::parse(&read("obs-publish")).unwrap();
    let addresses: Vec<_> = offer.candidates.iter().map(|candidate| candidate.address.to_string()).collect();
    assert_eq!(addresses, ["198.51.100.23", "2001:db8::23"]);
    assert!(offer.end_of_candidates);
    // Those of browsers without a camera are all under `.local`.
    assert!(Offer::parse(&read("firefox-join-gathered")).unwrap().candidates.is_empty());
    let many: String = (1..200).map(|port| format!("a=candidate:1 1 udp 1 192.0.2.1 {port} typ host\r\n")).collect();
    let offer = Offer::parse(&read("obs-publish").replace("a=end-of-candidates\r\n", &many)).unwrap();
    assert!(offer.candidates.len() <= 64);
}

#[test]
fn transport_attributes_of_the_session_hold_for_its_media() {
    let offer = Offer::parse(&read("obs-publish")).unwrap();
    assert_eq!((offer.ice.ufrag.as_str(), offer.setup), ("kQ7s", Setup::ActPass));
    assert!(!format!("{offer:?}").contains("hV0mYt2uLz8cWb4nRe6xPd"), "passwords stay out of logs");
    let offer = Offer::parse(&read("ffmpeg-publish")).unwrap();
    assert!(offer.ice_lite && offer.setup == Setup::Passive);
}

#[test]
fn the_order_of_the_offer_is_kept_and_the_tag_followed() {
    let offer = Offer::parse(&read("firefox-publish-video-first")).unwrap();
    assert_eq!([offer.media()[0].kind, offer.media()[1].kind], [Kind::Video, Kind::Audio]);
    let swapped = read("obs-publish").replace("BUNDLE 0 1", "BUNDLE 1 0");
    let offer = Offer::parse(&swapped).unwrap();
    assert_eq!(offer.tag(), 1);
    assert!(offer.to_webrtcbin().contains("a=group:BUNDLE 1 0\r\nm=audio "));
    assert_eq!(offer.candidates.len(), 2, "they stand in the other m-line");
}

fn mutated() -> impl Strategy<Value = String> {
    let line = prop_oneof![
        "[a-z]=[ -~]{0,40}",
        "a=(mid|ssrc|rtpmap|fmtp|rtcp-fb|extmap|group|setup|candidate|fingerprint|ice-ufrag|ice-pwd):[ -~]{0,30}",
        "a=(sendonly|recvonly|inactive|bundle-only|ice-lite|rtcp-mux)",
        "m=(audio|video|application) [0-9]{1,5} UDP/TLS/RTP/SAVPF( [0-9]{1,3}){0,5}",
        any::<String>(),
    ];
    let edit = (any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0..5u8, line);
    (0..SERVED.len(), prop::collection::vec(edit, 1..8)).prop_map(|(offer, edits)| {
        let text = read(SERVED[offer].0);
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        for (at, other, action, line) in edits {
            let (at, other) = (at.index(lines.len()), other.index(lines.len()));
            match action {
                0 => drop(lines.remove(at)),
                1 => lines.insert(at, line),
                2 => lines[at] = line,
                3 => lines.swap(at, other),
                _ => lines.insert(at, lines[other].clone()),
            }
        }
        lines.join("\r\n")
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_text_panics(text in any::<String>()) {
        check(&text);
        check(&format!("v=0\r\n{text}"));
    }
}

#[test]
fn changed_offers_are_refused_or_written_well() {
    let mut runner = TestRunner::new(ProptestConfig::with_cases(2000));
    let served = AtomicUsize::new(0);
    let outcome = runner.run(&mutated(), |text| {
        served.fetch_add(usize::from(Offer::parse(&text).is_ok()), Ordering::Relaxed);
        check(&text);
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
    let served = served.into_inner();
    assert!((200..1800).contains(&served), "{served} of 2000 were let through: the changes are too many or too few");
}
