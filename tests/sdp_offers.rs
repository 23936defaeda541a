//! Real offers are served or refused for the right reason, and nothing that a peer writes breaks what webrtcbin needs.
//!
//! `tests/sdp` holds offers of Chromium 156, Firefox 153 and GStreamer 1.22 as they came, and others in the form of OBS,
//! ffmpeg, MediaMTX's reader, GStreamer's whepclientsrc and RFC 9725, or of what was seen in other servers' bug reports.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use tessera::control::Codec::{self, H264, Vp8};
use tessera::media::sdp::Role::{Join, Publish, Watch};
use tessera::media::sdp::{Direction, Format, Kind, Offer, PacketizationMode, Profile, Role, SdpError, Setup};

fn read(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/sdp").join(name).with_extension("sdp");
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

const SERVED: [(&str, Role, &[Codec]); 32] = [
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
    ("webrtcbin-publish", Publish, &[Vp8]),
    ("chromium-data-channel", Join, &[Vp8, H264]),
    ("firefox-two-videos", Join, &[Vp8]),
    ("join-with-data-channel", Join, &[Vp8]),
    ("join-with-second-video", Join, &[Vp8]),
    ("join-with-stopped-video", Join, &[Vp8]),
    ("join-h264-mode-0", Join, &[H264]),
    ("join-without-bundle", Join, &[]),
    ("whip-bundle-only", Publish, &[Vp8]),
    ("publish-tagged-second", Publish, &[Vp8]),
    ("watch-with-data-channel", Watch, &[Vp8, H264]),
    ("gstreamer-watch", Watch, &[Vp8, H264]),
];

/// The m-lines of these that are not served.
const REJECTED: [(&str, &[usize]); 6] = [
    ("chromium-data-channel", &[2]),
    ("firefox-two-videos", &[2]),
    ("join-with-data-channel", &[2]),
    ("join-with-second-video", &[2]),
    ("join-with-stopped-video", &[2]),
    ("watch-with-data-channel", &[2]),
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
                || name == "join-h264-mode-0"
                || !media.sources.declared().is_empty()),
            "{name}"
        );
        let rejected: Vec<_> = offer.rejected().iter().map(|line| line.mline).collect();
        let expected = REJECTED.iter().find(|(rejected, _)| *rejected == name).map_or(&[][..], |(_, lines)| lines);
        assert_eq!(rejected, if name == "join-without-bundle" { &[1] } else { expected }, "{name}");
        check(&read(name));
    }
}

#[test]
fn what_cannot_be_served_is_refused_with_its_reason() {
    for (name, reason) in [("chromium-av1-only", "the video m-line offers no VP8")] {
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
    let edits: [Edit; 23] = [
        ("a=group:BUNDLE 0 1", "a=group:BUNDLE 0 1 2", true, "not there"),
        ("a=group:BUNDLE 0 1", "a=group:BUNDLE 0 0", true, "twice"),
        ("a=mid:1", "a=mid:0", true, "same a=mid"),
        ("a=mid:1", "a=mid:1 2", true, "token"),
        ("a=mid:1\r\n", "", true, "not there"),
        ("a=mid:1", "a=mid:1\r\na=mid:2", true, "a=mid stands twice"),
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
        ("packetization-mode=1", "packetization-mode=2", false, "no VP8, nor H264"),
        ("profile-level-id=42e01f", "profile-level-id=f4001f", false, "no VP8, nor H264"),
        ("m=video 51234", "m=video x", true, "port"),
        ("SAVPF 96", "SAVPF 111", true, "another meaning"),
        ("m=video 51234 UDP/TLS/RTP/SAVPF 96", "m=video 51234 UDP/TLS/RTP/SAVPF", true, "formats"),
        ("m=video", "m=vidéo", true, "not a token"),
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

/// An offer whose m-lines are these, each with what follows it; `g` stands for the group's identification tags.
fn offer_of(groups: &str, lines: &[&str]) -> String {
    let transport = "a=ice-ufrag:kQ7s\na=ice-pwd:hV0mYt2uLz8cWb4nRe6xPd\na=setup:actpass\na=fingerprint:sha-1 \
                     00:01:02:03:04:05:06:07:08:09:0A:0B:0C:0D:0E:0F:10:11:12:13\n";
    let lines: Vec<_> =
        lines.iter().map(|line| format!("m={}\n{transport}a=rtcp-mux\n", line.replace(';', "\n"))).collect();
    format!(
        "v=0\n{}{}",
        groups.split_inclusive('\n').map(|group| format!("a=group:{group}")).collect::<String>(),
        lines.concat()
    )
}

const OPUS: &str = "audio 9 UDP/TLS/RTP/SAVPF 111;a=rtpmap:111 opus/48000/2;a=mid:";
const VP8: &str = "video 9 UDP/TLS/RTP/SAVPF 96;a=rtpmap:96 VP8/90000;a=mid:";

#[test]
fn what_is_not_for_this_server_is_rejected_and_the_rest_is_served() {
    let (a, v) = (format!("{OPUS}a"), format!("{VP8}v"));
    let stopped = |line: &str| line.replacen(" 9 ", " 0 ", 1);
    let also = |line: &str, more: &str| format!("{line};{more}");
    let data = "application 9 UDP/DTLS/SCTP webrtc-datachannel;a=mid:d;a=sctp-port:5000";
    let (text, image) = ("text 9 UDP/TLS/RTP/SAVPF 98;a=mid:t", "image 9 UDPTL t38");
    let (v2, a2, av1) = (format!("{VP8}v2"), format!("{OPUS}a2"), v.replace("VP8", "AV1"));
    let bundled = also(&stopped(&v), "a=bundle-only");
    // The groups, the m-lines, which of them are served, which has the transport.
    type Case<'a> = (&'a str, Vec<&'a str>, &'a [usize], usize);
    let stopped_v = stopped(&v);
    let (inactive, recvonly, sendonly) = (also(&v, "a=inactive"), also(&v, "a=recvonly"), also(&v2, "a=sendonly"));
    let nothing_for_us = also(&stopped(&v.replace("96", "300")), "a=ssrc:0 x;a=extmap:z");
    let (no_mid_a, no_mid_v) = (a.replace(";a=mid:a", ""), v.replace(";a=mid:v", ""));
    let cases: Vec<Case<'_>> = vec![
        ("BUNDLE d a v\n", vec![data, &a, &v], &[1, 2], 1),
        ("BUNDLE a v t\n", vec![&a, text, image, &v], &[0, 3], 0),
        ("BUNDLE v2 a v\n", vec![&a, &v, &v2], &[0, 2], 2),
        ("BUNDLE a v v2\n", vec![&a, &v, &v2], &[0, 1], 0),
        ("BUNDLE a v v2\n", vec![&a, &av1, &v2], &[0, 2], 0),
        ("BUNDLE a v v2\n", vec![&a, &inactive, &v2], &[0, 2], 0),
        ("BUNDLE a v v2\n", vec![&a, &recvonly, &sendonly], &[0, 2], 0),
        ("BUNDLE a v a2\n", vec![&a, &a2, &v], &[0, 2], 0),
        ("BUNDLE a\n", vec![&a, &stopped_v], &[0], 0),
        ("BUNDLE a v\n", vec![&a, &stopped_v], &[0], 0),
        ("BUNDLE a v\n", vec![&a, &bundled], &[0, 1], 0),
        ("BUNDLE a\n", vec![&a, &nothing_for_us], &[0], 0),
        ("BUNDLE a v2\n", vec![&stopped_v, &a, &v2], &[1, 2], 1),
        ("BUNDLE a\n", vec![&a, &v], &[0], 0),
        ("BUNDLE d\nBUNDLE v a\n", vec![data, &a, &v], &[1, 2], 2),
        ("BUNDLE a\nBUNDLE v2\nBUNDLE a2 v\n", vec![&a, &a2, &v, &v2], &[1, 2], 1),
        ("LS a v\nBUNDLE a v\n", vec![&a, &v], &[0, 1], 0),
        ("BUNDLE d\n", vec![data, &v], &[1], 1),
        ("BUNDLE\n", vec![&a, &v], &[0], 0),
        ("", vec![&a, &v], &[0], 0),
        ("", vec![data, &v, &a], &[1], 1),
        ("", vec![&no_mid_v], &[0], 0),
        ("", vec![&no_mid_a, &no_mid_v], &[0], 0),
        ("BUNDLE a\n", vec![&no_mid_v, &a], &[1], 1),
    ];
    for (groups, lines, served, tagged) in cases {
        let text = offer_of(groups, &lines);
        let offer = Offer::parse(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
        let mut found: Vec<_> = offer.media().iter().map(|media| media.mline).collect();
        assert_eq!(found[0], offer.tagged_mline());
        found.sort_unstable();
        assert_eq!((&found[..], offer.tagged_mline()), (served, tagged), "{text}");
        assert_eq!(offer.rejected().len(), lines.len() - served.len(), "{text}");
        check(&text);
    }
    for (groups, lines, reason) in [
        ("BUNDLE d\n", vec![data], "\"application\", and nothing else"),
        ("BUNDLE a\n", vec![&stopped(&a)[..]], "the audio m-line is offered as rejected"),
        ("BUNDLE a v\n", vec![&a[..], &av1], "the video m-line offers no VP8"),
        ("", vec![&a.replace("UDP/TLS/RTP/SAVPF", "UDP/TLS/RTP/AVP")[..]], "not UDP/TLS/RTP/SAVPF"),
        ("", vec![], "there is no m-line"),
    ] {
        let text = offer_of(groups, &lines);
        match Offer::parse(&text) {
            Err(SdpError::Unsupported(detail)) => assert!(detail.contains(reason), "{detail}: {text}"),
            other => panic!("{other:?}: {text}"),
        }
    }
}

#[test]
fn any_payload_type_that_is_not_taken_for_rtcp_is_served() {
    for number in 0..=127u8 {
        let rtx = if number == 50 { 51 } else { 50 };
        let video = format!(
            "video 9 UDP/TLS/RTP/SAVPF {number} {rtx};a=rtpmap:{number} VP8/90000;a=rtpmap:{rtx} rtx/90000;a=fmtp:{rtx} apt={number};a=mid:v"
        );
        let offer = Offer::parse(&offer_of("BUNDLE v\n", &[&video]));
        match number {
            64..=95 => assert!(matches!(offer, Err(SdpError::Unsupported(_))), "{number}"),
            _ => {
                let payload = offer.unwrap().media()[0].payload().clone();
                assert_eq!((payload.number, payload.rtx), (number, Some(rtx)));
            }
        }
    }
    for number in ["128", "255", "256", "-1", "x"] {
        let video = format!("video 9 UDP/TLS/RTP/SAVPF {number};a=rtpmap:{number} VP8/90000;a=mid:v");
        assert!(matches!(Offer::parse(&offer_of("BUNDLE v\n", &[&video])), Err(SdpError::Malformed(_))), "{number}");
    }
}

#[test]
fn what_a_receiver_wants_at_most_is_read_for_the_session_and_for_each_m_line() {
    let text = offer_of(
        "BUNDLE a v\n",
        &[&format!("{OPUS}a"), &VP8.replacen(";", ";b=AS:400;b=TIAS:300000;", 1).replace("mid:", "mid:v")],
    );
    let offer = Offer::parse(&text.replace("v=0\n", "v=0\nb=AS:1000\n")).unwrap();
    assert_eq!(offer.bandwidth, Some(950_000));
    assert_eq!((offer.audio().unwrap().bandwidth, offer.video().unwrap().bandwidth), (None, Some(300_000)));
}

#[test]
fn who_watches_sends_nothing_whatever_it_offers() {
    for name in ["chromium-join", "firefox-join", "join-h264-mode-0", "watch-with-data-channel"] {
        let mut offer = Offer::parse(&read(name)).unwrap();
        offer.only_watch();
        assert_eq!(offer.role(), Ok(Watch), "{name}");
        assert!(offer.media().iter().all(|media| media.direction == Direction::RecvOnly), "{name}");
        let canonical = offer.to_webrtcbin();
        check(&canonical);
        assert!(!canonical.contains("transport-cc"), "{canonical}");
    }
    let mut offer = Offer::parse(&read("obs-publish")).unwrap();
    offer.only_watch();
    assert!(offer.role().is_err(), "who only sends has nothing to watch with");
}

#[test]
fn the_h264_payload_type_nearest_to_constrained_baseline_is_chosen() {
    let mut offer = Offer::parse(&read("chromium-join")).unwrap();
    let offered = offer.video().unwrap().payloads().to_vec();
    offer.narrow(H264, false).unwrap();
    let payload = offer.video().unwrap().payload();
    let Format::H264(id, mode) = payload.format else { panic!("{payload:?}") };
    assert_eq!((id.profile(), mode), (Some(Profile::ConstrainedBaseline), PacketizationMode::NonInterleaved));
    let before = offered.iter().take_while(|other| other.number != payload.number);
    assert!(before.count() > 0, "the first one would have been as good a choice");
    assert_eq!(offer.narrow(Vp8, false), Err(SdpError::Unsupported("the video is not offered as VP8".into())));
}

#[test]
fn without_fragments_is_how_some_have_to_be_sent_h264() {
    // A missing packetization-mode means the same.
    for (name, number) in [("join-h264-mode-0", 96), ("watch-with-data-channel", 102), ("gstreamer-watch", 97)] {
        let mut offer = Offer::parse(&read(name)).unwrap();
        offer.narrow(H264, true).unwrap();
        let payload = offer.video().unwrap().payload();
        assert_eq!(payload.number, number, "{name}");
        assert!(matches!(payload.format, Format::H264(_, PacketizationMode::SingleNal)), "{name}: {payload:?}");
        assert!(offer.to_webrtcbin().contains("packetization-mode=0"), "{name}");
    }
}

#[test]
fn parameter_sets_of_the_sdp_are_kept_and_shown_to_nobody() {
    let mut offer = Offer::parse(&read("publish-one-without-mid")).unwrap();
    offer.narrow(H264, true).unwrap();
    let stream = offer.video().unwrap().payload().parameter_sets.byte_stream().unwrap();
    assert!(stream.starts_with(&[0, 0, 0, 1, 0x67, 0x42]));
    assert!(!offer.to_webrtcbin().contains("sprop"));
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
    assert_eq!((offer.media()[0].kind, offer.tagged_mline()), (Kind::Video, 1));
    assert!(
        offer.to_webrtcbin().contains("a=group:BUNDLE 1 0\r\nm=video "),
        "webrtcbin connects by the first one only"
    );
    assert_eq!(offer.candidates.len(), 2, "they stand in the other m-line");
}

fn mutated() -> impl Strategy<Value = String> {
    let line = prop_oneof![
        "[a-z]=[ -~]{0,40}",
        "a=(mid|ssrc|rtpmap|fmtp|rtcp-fb|extmap|group|setup|candidate|fingerprint|ice-ufrag|ice-pwd):[ -~]{0,30}",
        "a=(sendonly|recvonly|inactive|bundle-only|ice-lite|rtcp-mux)",
        "m=(audio|video|application) [0-9]{1,5}(/2)? UDP/TLS/RTP/SAVPF( [0-9]{1,3}){0,5}",
        "[a-zA-Z]=[\\t -~]{0,20}",
        "b=(AS|TIAS|CT):[0-9]{0,12}",
        "a=ssrc-group:(FID|SIM|FEC-FR)( [0-9]{1,2}){0,4}",
        "a=fmtp:[0-9]{2,3} (packetization-mode|sprop-parameter-sets)=[0-9A-Za-z+/=,]{0,20}",
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
