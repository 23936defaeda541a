//! The answer for the peer, made of its offer and of what webrtcbin decided.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;

use sha2::Digest;

use super::candidate::{Address, CandidateKind, IceCandidate, is_ice_text};
use super::fingerprint::Fingerprint;
use super::offer::{Direction, Feedback, Media, Offer, Payload, Setup};
use super::parse::{direction, extensions, feedback, ssrcs};
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

/// What the peer gets: the m-lines of its (narrowed) offer in their order, with what webrtcbin chose of them.
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
    let (tagged_media, tagged) = sections[offer.tag];
    let transport = Transport::read(tagged_media, tagged)?;

    let mut text = String::new();
    let group = offer.bundled_mids();
    // Writing to a String cannot fail.
    let _ = write_session(&mut text, &transport.session_id(), offer.grouped.then_some(&group));
    text.push_str("a=ice-options:trickle\r\n");
    for (index, (media, section)) in sections.into_iter().enumerate() {
        let chosen = Chosen::read(media, section)?;
        let mut more = chosen.sent(media, section);
        if let Some(candidates) = candidates.filter(|_| index == offer.tag) {
            more.extend(candidates.iter().map(ToString::to_string));
            more.push("end-of-candidates".to_owned());
        }
        let written = MediaSection {
            kind: media.kind,
            mid: &media.mid,
            protocol: media.protocol,
            direction: chosen.direction,
            payload: &chosen.payload,
            extensions: &chosen.extensions,
            more: &more,
        };
        let _: fmt::Result = written.write(&mut text, &transport.lines());
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
    fn read(media: &Media, section: &Section) -> Result<Self, AnswerError> {
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
    fn read(media: &Media, section: &Section) -> Result<Self, AnswerError> {
        let kind = media.kind.name();
        let mut words = section.media.split(' ').filter(|word| !word.is_empty());
        let (answered_kind, port) = (words.next(), words.next());
        let formats: Vec<u8> = words.skip(1).filter_map(number).collect();
        let payload = media.payload();
        if answered_kind != Some(kind) || port == Some("0") || !formats.contains(&payload.number) {
            return Err(AnswerError::Rejected { kind });
        }
        if single(media, section, "mid")? != media.mid {
            return Err(AnswerError::Missing { kind, attribute: "mid" });
        }
        let direction =
            direction(section).ok().flatten().ok_or(AnswerError::Missing { kind, attribute: "direction" })?;
        let possible = media.direction.reversed();
        if (direction.sends() && !possible.sends()) || (direction.receives() && !possible.receives()) {
            return Err(AnswerError::Missing { kind, attribute: "direction" });
        }
        let answered = feedback(section, payload.number);
        let feedback = Feedback {
            nack: payload.feedback.nack && answered.nack,
            pli: payload.feedback.pli && answered.pli,
            fir: payload.feedback.fir && answered.fir,
            transport_cc: payload.feedback.transport_cc && answered.transport_cc,
        };
        let rtx = payload.rtx.filter(|rtx| formats.contains(rtx));
        let mut extensions = extensions(media.kind, section, &Section::default()).unwrap_or_default();
        extensions.retain(|extension| media.extensions.contains(extension));
        Ok(Self { direction, payload: Payload { feedback, rtx, ..payload.clone() }, extensions })
    }

    /// The attributes that tell of what the server sends.
    fn sent(&self, media: &Media, section: &Section) -> Vec<String> {
        if !self.direction.sends() {
            return Vec::new();
        }
        let mut lines = vec![format!("msid:{STREAM} {}", media.kind.name())];
        let ssrcs = ssrcs(section).unwrap_or_default();
        for group in section.all("ssrc-group").filter_map(|group| group.strip_prefix("FID ")) {
            let members: Vec<u32> = group.split(' ').filter_map(number).collect();
            if let [source, rtx] = members[..]
                && self.payload.rtx.is_some()
                && ssrcs.contains(&source)
            {
                lines.push(format!("ssrc-group:FID {source} {rtx}"));
            }
        }
        lines.extend(ssrcs.iter().map(|ssrc| format!("ssrc:{ssrc} cname:{STREAM}")));
        lines
    }
}

fn single<'a>(media: &Media, section: &Section<'a>, attribute: &'static str) -> Result<&'a str, AnswerError> {
    let value = section.single(attribute).ok().flatten().filter(|value| !value.is_empty());
    value.ok_or(AnswerError::Missing { kind: media.kind.name(), attribute })
}
