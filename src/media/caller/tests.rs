//! A caller against the server's transport: who begins the DTLS handshake, and what is shown in it.

use std::sync::mpsc;

use super::*;
use crate::config;
use crate::media::certificate::Certificate;
use crate::media::sdp::{self, HashAlgorithm, Offer, Sources};
use crate::media::transport::{Kind, Sinks, Track, Transport, TransportEvent};
use crate::probe::tone::Speech;

const PATIENCE: Duration = Duration::from_secs(10);

/// The object identifier of P-256, as DER writes it (RFC 5480).
const P256: &[u8] = &[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];

/// The certificate that the other end showed, as PEM.
fn shown(caller: &Caller) -> String {
    let transceiver =
        caller.webrtc.emit_by_name::<gst_webrtc::WebRTCRTPTransceiver>("get-transceiver", &[&0i32]).receiver();
    let transport = transceiver.and_then(|receiver| receiver.transport()).expect("the call is up");
    transport.remote_certificate().expect("the handshake is over").into()
}

/// RFC 8842, section 5; what a missing attribute means stands in RFC 4145, section 4.1.
#[test]
fn a_p256_certificate_is_shown_and_announced_in_every_role() {
    crate::media::init().unwrap();
    let (templates, certificate) = (Templates::load(None).unwrap(), Certificate::make().unwrap());
    let roles = [
        ("a=setup:actpass\r\n", "active"),
        ("a=setup:active\r\n", "passive"),
        ("a=setup:passive\r\n", "active"),
        ("", "passive"),
    ];
    for (offered, wanted) in roles {
        let voice = Voice { frequency: 440, amplitude: 0.1, speech: Speech::Always };
        let source = Source::Synthetic { index: 0, grain: false, voice };
        let caller = Caller::new(Settings { video: None, ..Settings::new(source) }, &templates).unwrap();
        let text = caller.offer().unwrap();
        assert_eq!(text.matches("a=setup:actpass\r\n").count(), 1, "{text}");
        let mut offer = Offer::parse(&text.replace("a=setup:actpass\r\n", offered)).unwrap();
        offer.narrow(Codec::Vp8, true).unwrap();
        let audio = offer.audio().unwrap();
        let track = Track {
            kind: Kind::Audio,
            codec: None,
            payload: 111,
            sends: false,
            receives: true,
            ssrc: 2,
            rtx: None,
            sources: Sources::default(),
            single_nal: false,
            extensions: audio.extensions.clone(),
        };
        let (tell, connected) = mpsc::sync_channel(16);
        let transport = Transport::start(
            &templates,
            &certificate,
            &config::Ice::default(),
            RoomClock::start(),
            &[track],
            Sinks { packets: Arc::new(|_, _, _| {}), rtcp: Arc::new(|_| {}) },
            move |event| {
                if matches!(event, TransportEvent::Connected) {
                    let _ = tell.try_send(());
                }
            },
        )
        .unwrap();
        let answer = transport.answer(&offer.to_webrtcbin()).unwrap();
        for candidate in &offer.candidates {
            transport.add_candidate(0, &candidate.to_string());
        }
        let answer = sdp::finish_answer(&answer, &offer, None).unwrap();
        assert!(answer.contains(&format!("a=setup:{wanted}\r\n")), "{offered:?}: {answer}");
        caller.connect(&answer, PATIENCE).unwrap();
        connected.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("{offered:?}: the handshake ends here too"));

        let shown = shown(&caller);
        let fingerprint = sdp::Fingerprint::of(HashAlgorithm::Sha256, &shown).unwrap();
        assert!(answer.contains(&format!("a=fingerprint:{fingerprint}\r\n")), "{offered:?}: {answer}");
        assert!(is_on_p256(&shown), "{offered:?}: {shown}");
        // And the other way round, by what the server goes by when it lets media pass.
        let of_caller = transport.peer_certificate().unwrap();
        assert!(offer.accepts_certificate(&of_caller), "{offered:?}");
        assert!(is_on_p256(&of_caller), "{offered:?}: {of_caller}");
    }
}

fn is_on_p256(pem: &str) -> bool {
    use base64::Engine as _;
    let body: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    let der = base64::engine::general_purpose::STANDARD.decode(body).unwrap();
    der.windows(P256.len()).any(|bytes| bytes == P256)
}
