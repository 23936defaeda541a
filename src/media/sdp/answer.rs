//! The answer for the peer, made of its offer and of what webrtcbin decided.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;

use sha2::Digest;

use super::candidate::{Address, CandidateKind, IceCandidate, is_ice_text};
use super::fingerprint::Fingerprint;
use super::offer::{Direction, ExtensionKind, Feedback, Media, Offer, Payload, Setup};
use super::payloads::{direction, extensions, feedback};
use super::sources::Sources;
use super::text::{self, Section, number};
use super::write::{MediaSection, TransportLines, write_session};

/// The id of the one MediaStream that everything sent to a peer belongs to.
const STREAM: &str = "tessera";

/// Why webrtcbin's answer cannot be passed on. Never the peer's fault: what it offered was checked before.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    #[error("the answer is not a session description: {0}")]
    Malformed(String),
    #[error("the answer has {answered} m-lines for {offered} offered ones")]
    Count { offered: usize, answered: usize },
    /// webrtcbin found nothing in common with what it was told to send or take.
    #[error("the {kind} m-line was not accepted")]
    Rejected { kind: &'static str },
    #[error("the {kind} m-line is answered without a usable {attribute}")]
    Missing { kind: &'static str, attribute: &'static str },
}

/// Which addresses of the server peers are told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Advertise {
    /// Instead of local ones of the same family, for a server behind 1:1 NAT.
    pub public_address: Option<IpAddr>,
    /// Never told.
    pub exclude: Vec<IpAddr>,
}

impl Advertise {
    /// What a peer is told of a local candidate (`candidate:…`, as webrtcbin found it); none if nothing.
    pub fn candidate(&self, candidate: &str) -> Option<IceCandidate> {
        let mut candidate = IceCandidate::parse(candidate).ok().filter(IceCandidate::usable)?;
        let local = candidate.ip().filter(|ip| !self.exclude.contains(ip))?;
        if candidate.kind == CandidateKind::Host
            && !local.is_loopback()
            && let Some(public) = self.public_address.filter(|public| public.is_ipv4() == local.is_ipv4())
        {
            candidate.address = Address::Ip(public);
        }
        Some(candidate)
    }

    /// The same for all candidates, each address and port once.
    pub fn candidates<'a>(&self, candidates: impl IntoIterator<Item = &'a str>) -> Vec<IceCandidate> {
        let mut seen = BTreeSet::new();
        let told = candidates.into_iter().filter_map(|candidate| self.candidate(candidate));
        told.filter(|candidate| seen.insert((candidate.ip(), candidate.port))).collect()
    }
}

/// What the peer gets: the m-lines of its (narrowed) offer in their order, with what webrtcbin chose of them, and with
/// port 0 where nothing is served.
///
/// With `candidates` the answer holds them and says that they are all (WHIP, WHEP); without, they are trickled. The
/// parameters of the payload types are the offered ones: webrtcbin names an H.264 profile that browsers do not recognise.
pub fn finish_answer(answer: &str, offer: &Offer, candidates: Option<&[IceCandidate]>) -> Result<String, AnswerError> {
    let description = text::read(answer).map_err(|error| AnswerError::Malformed(error.to_string()))?;
    let (offered, answered) = (offer.media.len(), description.media.len());
    if offered != answered {
        return Err(AnswerError::Count { offered, answered });
    }
    let sections: Vec<_> = offer.media.iter().zip(&description.media).collect();
    let Some((tagged_media, tagged)) = sections.first() else {
        return Err(AnswerError::Count { offered, answered });
    };
    let transport = Transport::read(tagged_media, tagged)?;

    let mut text = String::new();
    let group = offer.bundled_mids();
    // Writing to a String cannot fail.
    let _ = write_session(&mut text, &transport.session_id(), offer.grouped.then_some(&group));
    text.push_str("a=ice-options:trickle\r\n");
    let mut lines = BTreeMap::<usize, String>::new();
    for line in &offer.rejected {
        let _: fmt::Result = line.write(lines.entry(line.mline).or_default());
    }
    let mut candidates = candidates;
    for (media, section) in sections {
        let chosen = Chosen::read(media, section)?;
        let mut more = chosen.sent(media, section);
        // Of the first one, whose transport it is.
        if let Some(candidates) = candidates.take() {
            more.extend(candidates.iter().map(ToString::to_string));
            more.push("end-of-candidates".to_owned());
        }
        let written = MediaSection {
            kind: media.kind,
            mid: media.mid.as_deref(),
            protocol: media.protocol,
            direction: chosen.direction,
            payload: &chosen.payload,
            extensions: &chosen.extensions,
            rtcp_mux_only: media.rtcp_mux_only,
            more: &more,
        };
        let _: fmt::Result = written.write(lines.entry(media.mline).or_default(), &transport.lines());
    }
    lines.values().for_each(|line| text.push_str(line));
    // An answer obeys the rules of an offer. What breaks one (a source in both m-lines) came from webrtcbin.
    let read = Offer::parse(&text).map_err(|error| AnswerError::Malformed(error.to_string()))?;
    let (answered, rejected) = (read.media.len(), read.rejected.len());
    if (answered, rejected) != (offered, offer.rejected.len()) {
        return Err(AnswerError::Count { offered, answered });
    }
    Ok(text)
}

/// The server's side of the transport.
struct Transport {
    ufrag: String,
    pwd: String,
    fingerprint: Fingerprint,
    setup: Setup,
}

impl Transport {
    fn read(media: &Media, section: &Section<'_>) -> Result<Self, AnswerError> {
        let value = |attribute| single(media, section, attribute);
        let wrong = |attribute| AnswerError::Missing { kind: media.kind.name(), attribute };
        let (ufrag, pwd) = (value("ice-ufrag")?, value("ice-pwd")?);
        if !is_ice_text(ufrag, 4, 256) || !is_ice_text(pwd, 22, 256) {
            return Err(wrong("ice-pwd"));
        }
        let fingerprint = Fingerprint::parse(value("fingerprint")?).ok().flatten().ok_or(wrong("fingerprint"))?;
        let setup = Setup::from_name(value("setup")?).filter(|setup| *setup != Setup::ActPass);
        let (ufrag, pwd) = (ufrag.to_owned(), pwd.to_owned());
        Ok(Self { ufrag, pwd, fingerprint, setup: setup.ok_or(wrong("setup"))? })
    }

    fn lines(&self) -> TransportLines<'_> {
        TransportLines { ufrag: &self.ufrag, pwd: &self.pwd, fingerprint: &self.fingerprint, setup: self.setup }
    }

    /// A session id for the `o=` line (RFC 9429: a random number of 63 bits), from what is random here anyway.
    fn session_id(&self) -> String {
        let hash = sha2::Sha256::digest(self.ufrag.as_bytes());
        let id = hash.iter().take(8).fold(0u64, |id, byte| id << 8 | u64::from(*byte));
        (id >> 1).to_string()
    }
}

/// What webrtcbin chose of one m-line.
struct Chosen {
    direction: Direction,
    payload: Payload,
    extensions: Vec<super::Extension>,
}

impl Chosen {
    fn read(media: &Media, section: &Section<'_>) -> Result<Self, AnswerError> {
        let kind = media.kind.name();
        let mut words = section.media.split(' ').filter(|word| !word.is_empty());
        let (answered_kind, port) = (words.next(), words.next());
        let formats: Vec<u8> = words.skip(1).filter_map(number).collect();
        let payload = media.payload();
        if answered_kind != Some(kind) || port == Some("0") || !formats.contains(&payload.number) {
            return Err(AnswerError::Rejected { kind });
        }
        if media.mid.as_ref().is_some_and(|mid| single(media, section, "mid") != Ok(mid)) {
            return Err(AnswerError::Missing { kind, attribute: "mid" });
        }
        let direction =
            direction(section).ok().flatten().ok_or(AnswerError::Missing { kind, attribute: "direction" })?;
        let possible = media.direction.reversed();
        if (direction.sends() && !possible.sends()) || (direction.receives() && !possible.receives()) {
            return Err(AnswerError::Missing { kind, attribute: "direction" });
        }
        let mut extensions = extensions(media.kind, section, &Section::default()).unwrap_or_default();
        extensions.retain(|extension| media.extensions.contains(extension));
        let numbered = extensions.iter().any(|extension| extension.kind == ExtensionKind::TransportCc);
        let answered = feedback(section, payload.number);
        let feedback = Feedback {
            nack: payload.feedback.nack && answered.nack,
            pli: payload.feedback.pli && answered.pli,
            fir: payload.feedback.fir && answered.fir,
            transport_cc: payload.feedback.transport_cc && answered.transport_cc && numbered,
            goog_remb: false,
        };
        let rtx = payload.rtx.filter(|rtx| formats.contains(rtx));
        Ok(Self { direction, payload: Payload { feedback, rtx, ..payload.clone() }, extensions })
    }

    /// The attributes that tell of what the server sends.
    fn sent(&self, media: &Media, section: &Section<'_>) -> Vec<String> {
        if !self.direction.sends() {
            return Vec::new();
        }
        let mut lines = vec![format!("msid:{STREAM} {}", media.kind.name())];
        let sources = Sources::read(section).unwrap_or_default();
        let pairs = sources.rtx().iter().filter(|_| self.payload.rtx.is_some());
        lines.extend(pairs.map(|(source, rtx)| format!("ssrc-group:FID {source} {rtx}")));
        lines.extend(sources.declared().iter().map(|ssrc| format!("ssrc:{ssrc} cname:{STREAM}")));
        lines
    }
}

fn single<'a>(media: &Media, section: &Section<'a>, attribute: &'static str) -> Result<&'a str, AnswerError> {
    let value = section.single(attribute).ok().flatten().filter(|value| !value.is_empty());
    value.ok_or(AnswerError::Missing { kind: media.kind.name(), attribute })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::Codec;

    const HOST: &str = "candidate:1 1 UDP 2015363327 10.0.0.5 40000 typ host";

    /// An offer to be watched, as it is narrowed, and webrtcbin's answer to it.
    fn exchange() -> (Offer, String) {
        let transport = "a=ice-ufrag:abcd\na=ice-pwd:abcdefghijklmnopqrstuv\n\
                         a=fingerprint:sha-1 00:01:02:03:04:05:06:07:08:09:0A:0B:0C:0D:0E:0F:10:11:12:13\n";
        let offer = format!(
            "v=0\na=group:BUNDLE 0 1\n{transport}a=setup:actpass\n\
             m=audio 9 RTP/SAVPF 111\na=mid:0\na=rtcp-mux\na=recvonly\na=rtpmap:111 opus/48000/2\n\
             m=video 9 UDP/TLS/RTP/SAVPF 96 97\na=mid:1\na=rtcp-mux\na=recvonly\na=rtpmap:96 H264/90000\n\
             a=fmtp:96 packetization-mode=1;profile-level-id=42e01f\na=rtpmap:97 rtx/90000\na=fmtp:97 apt=96\n\
             a=rtcp-fb:96 nack\na=rtcp-fb:96 transport-cc\n"
        );
        let mut offer = Offer::parse(&offer).unwrap();
        offer.narrow(Codec::H264, true).unwrap();
        let answer = format!(
            "v=0\na=group:BUNDLE 0 1\n\
             m=audio 9 UDP/TLS/RTP/SAVPF 111\na=mid:0\n{transport}a=setup:active\na=sendonly\na=ssrc:5 cname:x\n\
             m=video 9 UDP/TLS/RTP/SAVPF 96 97\na=mid:1\n{transport}a=setup:active\na=sendonly\n\
             a=rtpmap:96 H264/90000\na=fmtp:96 profile-level-id=42c01f\na=rtcp-fb:96 nack\na=rtcp-fb:96 ccm fir\n\
             a=ssrc-group:FID 6 7\na=ssrc:6 cname:x\na=ssrc:7 cname:x\n"
        );
        (offer, answer)
    }

    #[test]
    fn the_answer_keeps_what_was_offered_and_tells_what_is_sent() {
        let (offer, answer) = exchange();
        let answer = finish_answer(&answer, &offer, None).unwrap();
        for line in [
            "a=group:BUNDLE 0 1",
            "m=audio 9 RTP/SAVPF 111",
            "m=video 9 UDP/TLS/RTP/SAVPF 96 97",
            "a=fmtp:96 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f",
            "a=rtcp-fb:96 nack",
            "a=ssrc-group:FID 6 7",
            "a=msid:tessera audio",
            "a=msid:tessera video",
            "a=sendonly",
        ] {
            assert!(answer.contains(&format!("{line}\r\n")), "{line} in {answer}");
        }
        for text in ["candidate", "fir", "transport-cc", "42c01f", "actpass"] {
            assert!(!answer.contains(text), "{text} in {answer}");
        }
    }

    #[test]
    fn all_candidates_stand_in_the_tagged_m_line_and_are_said_to_be_all() {
        let (offer, answer) = exchange();
        let candidates = Advertise::default().candidates([HOST, HOST]);
        let answer = finish_answer(&answer, &offer, Some(&candidates)).unwrap();
        let (first, second) = answer.split_once("m=video").unwrap();
        assert!(first.ends_with("a=candidate:1 1 udp 2015363327 10.0.0.5 40000 typ host\r\na=end-of-candidates\r\n"));
        assert!(!second.contains("candidate"));
        assert!(finish_answer(&answer, &offer, Some(&[])).unwrap().contains("a=end-of-candidates"));
    }

    #[test]
    fn what_is_not_served_is_rejected_in_its_place() {
        let (whole, answer) = exchange();
        let whole = whole.to_webrtcbin();
        let (session, lines) = whole.split_at(whole.find("m=").unwrap());
        let (audio, video) = lines.split_at(lines.find("m=video").unwrap());
        let (data, second) =
            ("m=application 9 UDP/DTLS/SCTP webrtc-datachannel\na=mid:d\n", "m=video 9/2 X/Y 96 a.b\na=mid:2\n");
        let stopped = "m=audio 0 UDP/TLS/RTP/SAVPF 0\n";
        let session = session.replace("BUNDLE 0 1", "BUNDLE d 0 1 2");
        let text = format!(
            "{session}{data}{}{second}{video}{stopped}",
            audio.replace("rtcp-mux", "rtcp-mux\r\na=rtcp-mux-only")
        );
        let mut offer = Offer::parse(&text).unwrap();
        offer.narrow(Codec::H264, true).unwrap();
        assert_eq!(offer.tagged_mline(), 1);
        let finished = finish_answer(&answer, &offer, Some(&[])).unwrap();
        let lines: Vec<_> = finished.lines().filter(|line| line.starts_with("m=")).collect();
        let expected = [
            "m=application 0 UDP/DTLS/SCTP webrtc-datachannel",
            "m=audio 9 UDP/TLS/RTP/SAVPF 111",
            "m=video 0 X/Y 96 a.b",
            "m=video 9 UDP/TLS/RTP/SAVPF 96 97",
            "m=audio 0 UDP/TLS/RTP/SAVPF 0",
        ];
        assert_eq!(lines, expected);
        let mids: Vec<_> = finished.lines().filter(|line| line.starts_with("a=mid:")).collect();
        assert_eq!(mids, ["a=mid:d", "a=mid:0", "a=mid:2", "a=mid:1"]);
        assert!(finished.contains("\r\na=group:BUNDLE 0 1\r\n"), "{finished}");
        assert_eq!(finished.matches("a=rtcp-mux-only\r\n").count(), 2, "in each bundled m-line: {finished}");
    }

    #[test]
    fn a_lone_m_line_without_a_name_gets_none() {
        let (whole, answer) = exchange();
        let whole = whole.to_webrtcbin();
        let (alone, _) = whole.split_once("m=video").unwrap();
        let alone = alone.replace("a=group:BUNDLE 0 1\r\n", "").replace("a=mid:0\r\n", "");
        let (answer, _) = answer.split_once("m=video").unwrap();
        let finished = finish_answer(answer, &Offer::parse(&alone).unwrap(), None).unwrap();
        assert!(!finished.contains("a=mid") && !finished.contains("BUNDLE"), "{finished}");
    }

    #[test]
    fn half_an_answer_is_none() {
        let (offer, good) = exchange();
        for (from, to, reason) in [
            ("m=video 9", "m=video 0", "the video m-line was not accepted"),
            ("SAVPF 96 97", "SAVPF 98", "the video m-line was not accepted"),
            ("m=audio", "m=video", "the audio m-line was not accepted"),
            ("a=mid:1\n", "a=mid:2\n", "without a usable mid"),
            ("a=setup:active", "a=setup:actpass", "without a usable setup"),
            ("a=sendonly", "a=recvonly", "without a usable direction"),
            ("a=sendonly\n", "", "without a usable direction"),
            ("a=fingerprint", "a=f", "without a usable fingerprint"),
            ("ice-pwd:abcd", "ice-pwd:", "without a usable ice-pwd"),
            ("v=0", "v=1", "not a session description"),
            ("a=ssrc:6", "a=ssrc:5", "both m-lines have the same a=ssrc"),
        ] {
            let error = finish_answer(&good.replace(from, to), &offer, None).unwrap_err();
            assert!(error.to_string().contains(reason), "{to:?}: {error}");
        }
        let short = good.split_once("m=video").unwrap().0;
        assert_eq!(finish_answer(short, &offer, None), Err(AnswerError::Count { offered: 2, answered: 1 }));
    }

    #[test]
    fn behind_nat_peers_are_told_the_public_address() {
        let advertise = Advertise {
            public_address: "203.0.113.9".parse().ok(),
            exclude: vec!["172.17.0.1".parse().unwrap(), "fd00::1".parse().unwrap()],
        };
        let told = |text: &str| advertise.candidate(text).map(|candidate| candidate.to_string());
        assert_eq!(told(HOST).as_deref(), Some("candidate:1 1 udp 2015363327 203.0.113.9 40000 typ host"));
        for (text, kept) in [
            ("candidate:1 1 udp 1 2001:db8::1 5 typ host", true),
            ("candidate:1 1 udp 1 127.0.0.1 5 typ host", true),
            ("candidate:1 1 udp 1 198.51.100.1 5 typ srflx raddr 10.0.0.5 rport 40000", true),
            ("candidate:1 1 udp 1 172.17.0.1 5 typ host", false),
            ("candidate:1 1 udp 1 fd00::1 5 typ host", false),
            ("candidate:1 1 tcp 1 10.0.0.5 9 typ host tcptype active", false),
            ("candidate:1 1 udp 1 server.local 5 typ host", false),
            ("", false),
        ] {
            assert_eq!(told(text).as_deref(), kept.then_some(text), "{text:?}");
        }
        let two = [HOST, "candidate:2 1 udp 1 10.1.0.5 40000 typ host", "candidate:3 1 udp 1 10.1.0.5 40001 typ host"];
        let ports: Vec<_> = advertise.candidates(two).iter().map(|candidate| candidate.port).collect();
        assert_eq!(ports, [40000, 40001]);
    }
}
