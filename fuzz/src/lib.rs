//! What is fuzzed: everything that reads what somebody else wrote. Each target takes any bytes and panics where a promise
//! is broken. `tests/fuzz_seeds.rs` of the product runs them over the kept inputs, without a fuzzer.

use tessera::media::Template;
use tessera::media::sdp::{Advertise, IceCandidate, Kind, Offer, finish_answer};
use tessera::protocol::ClientMessage;
use tessera::server::sdpfrag::Fragment;

/// A target and its name, which is that of its directory in `corpus/`.
pub type Target = (&'static str, fn(&[u8]));

pub const TARGETS: [Target; 6] = [
    ("sdp_offer", sdp_offer),
    ("sdp_answer", sdp_answer),
    ("ice_candidate", ice_candidate),
    ("sdpfrag", sdpfrag),
    ("client_message", client_message),
    ("template", template),
];

/// An offer that is let through can be narrowed and written, and what is written reads as the same.
pub fn sdp_offer(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    let Ok(offer) = Offer::parse(text) else { return };
    for codec in offer.video_codecs() {
        let mut narrowed = offer.clone();
        narrowed.narrow(codec, true).expect("a codec that is offered can be chosen");
        rewrites_to_itself(&narrowed);
    }
    rewrites_to_itself(&offer);
    let mut watching = offer.clone();
    watching.only_watch();
    rewrites_to_itself(&watching);
    let _ = offer.role();
    assert!(!offer.accepts_certificate(text), "an offer is no certificate");
}

fn rewrites_to_itself(offer: &Offer) {
    let canonical = offer.to_webrtcbin();
    assert!(canonical.is_ascii() && canonical.split("\r\n").all(|line| !line.contains(['\r', '\n'])));
    let again = Offer::parse(&canonical).expect("the canonical offer is let through");
    assert_eq!(again.to_webrtcbin(), canonical);
    assert_eq!((again.media().len(), again.rejected().len()), (offer.media().len(), 0));
    for (again, media) in again.media().iter().zip(offer.media()) {
        assert_eq!((again.kind, again.direction), (media.kind, media.direction));
        assert!(media.mid.is_none() || again.mid == media.mid);
        assert_eq!(again.payload().number, media.payload().number);
        assert!(matches!(again.kind, Kind::Audio | Kind::Video));
    }
}

/// An offer and a local answer to it, after one another with a blank byte between: an answer that is finished is one
/// that a strict reader takes.
pub fn sdp_answer(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    let Some((offer, answer)) = text.split_once('\0') else { return };
    let Ok(offer) = Offer::parse(offer) else { return };
    if let Ok(finished) = finish_answer(answer, &offer, Some(&offer.candidates)) {
        let again = Offer::parse(&finished).expect("a finished answer is well formed");
        assert_eq!(again.media().len(), offer.media().len());
        let places = |offer: &Offer| offer.rejected().iter().map(|line| line.mline).collect::<Vec<_>>();
        assert_eq!(places(&again), places(&offer));
        assert_eq!(again.candidates, offer.candidates);
    }
}

/// A candidate that is read is written in one line, and reads as the same.
pub fn ice_candidate(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    let advertise = Advertise { public_address: "203.0.113.9".parse().ok(), exclude: Vec::new() };
    if let Some(told) = advertise.candidate(text) {
        assert!(told.usable());
    }
    let Ok(candidate) = IceCandidate::parse(text) else { return };
    let canonical = candidate.to_string();
    assert!(!canonical.contains(char::is_control));
    assert_eq!(IceCandidate::parse(&canonical), Ok(candidate));
}

/// A fragment holds no more than its bounds, and each of its candidates is one line.
pub fn sdpfrag(data: &[u8]) {
    let Ok(fragment) = Fragment::parse(data) else { return };
    assert!(fragment.candidates.len() <= 64);
    assert!(fragment.candidates.iter().all(|candidate| !candidate.contains(['\r', '\n'])));
    fragment.candidates.iter().for_each(|candidate| ice_candidate(candidate.as_bytes()));
}

/// A message that is understood means the same when it is sent again.
pub fn client_message(data: &[u8]) {
    let Ok(message) = serde_json::from_slice::<ClientMessage>(data) else { return };
    let text = serde_json::to_string(&message).expect("a message can be written");
    assert_eq!(serde_json::from_str::<ClientMessage>(&text).expect("what is written can be read"), message);
}

/// A template that is read takes a plain value for each of its placeholders, and no value that is pipeline text.
pub fn template(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    let Ok(template) = Template::parse("fuzzed", text) else { return };
    let values: Vec<(&str, String)> = template.keys().into_iter().map(|key| (key, "1".to_owned())).collect();
    let rendered = template.render(&values).expect("each placeholder has a value");
    assert!(template.keys().iter().all(|key| !rendered.contains(&format!("${{{key}}}"))));
    if let Some(key) = template.keys().first() {
        assert!(template.render(&[(key, "1 ! fakesink".to_owned())]).is_err());
    }
}
