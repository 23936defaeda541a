//! Reading an offer: the whitelist, and the rules that an offer has to keep to be served.

use std::collections::BTreeMap;

use super::candidate::is_ice_text;
use super::fingerprint::Fingerprint;
use super::h264::ProfileLevelId;
use super::offer::{
    Direction, Extension, ExtensionKind, Feedback, Format, IceCredentials, Kind, Media, Offer, Payload, Protocol, Setup,
};
use super::text::{self, Section, is_token, number};
use super::{IceCandidate, SdpError, Sources, malformed, quote, unsupported};

const MAX_CANDIDATES: usize = 64;
const MAX_FINGERPRINTS: usize = 8;

impl Offer {
    /// Reads an offer. `Malformed` is what is not SDP or contradicts itself; `Unsupported` what breaks a rule of this
    /// server: one audio and one video m-line at most, on one transport (BUNDLE, rtcp-mux), DTLS-SRTP, Opus, VP8 or H.264.
    ///
    /// Simulcast is answered as RFC 8853 has it for those who do not know it: without, so that one encoding is sent.
    pub fn parse(text: &str) -> Result<Self, SdpError> {
        let description = text::read(text)?;
        let session = &description.session;
        let sections = &description.media;
        if sections.is_empty() {
            return unsupported("there is no m-line");
        }
        let mut media = Vec::new();
        for section in sections {
            let line = read_media(section, session)?;
            if media.iter().any(|other: &Media| other.kind == line.kind) {
                return unsupported(format!("there is more than one {} m-line", line.kind.name()));
            }
            media.push(line);
        }
        check_bundled_numbers(&media)?;
        let (tag, grouped) = read_group(session, &media)?;
        for (index, section) in sections.iter().enumerate() {
            let port = section.media.split(' ').nth(1);
            if port == Some("0") && (index == tag || !section.has("bundle-only")) {
                return unsupported(format!("the {} m-line is offered as rejected", media[index].kind.name()));
            }
        }

        let tagged = &sections[tag];
        let others = sections.iter().enumerate().filter(|(index, _)| *index != tag).map(|(_, section)| section);
        let candidates: Vec<_> = usable_candidates(tagged).collect();
        let candidates = match candidates.is_empty() {
            true => others.flat_map(usable_candidates).take(MAX_CANDIDATES).collect(),
            false => candidates,
        };
        Ok(Self {
            media,
            tag,
            grouped,
            ice: read_ice(tagged, session)?,
            ice_lite: session.has("ice-lite"),
            setup: read_setup(tagged, session)?,
            fingerprints: read_fingerprints(tagged, session)?,
            candidates,
            end_of_candidates: tagged.has("end-of-candidates"),
        })
    }
}

fn read_media(section: &Section<'_>, session: &Section<'_>) -> Result<Media, SdpError> {
    let mut words = section.media.split(' ').filter(|word| !word.is_empty());
    let (Some(kind), Some(port), Some(protocol)) = (words.next(), words.next(), words.next()) else {
        return malformed("an m-line is not of the form <media> <port> <protocol> <format>…");
    };
    let kind = match kind {
        "audio" => Kind::Audio,
        "video" => Kind::Video,
        other => {
            return unsupported(format!(
                "there is an m-line of the kind {}; only audio and video are served",
                quote(other)
            ));
        }
    };
    let name = kind.name();
    if number::<u16>(port).is_none() {
        return malformed(format!("the port of the {name} m-line is not a number"));
    }
    let Some(protocol) = Protocol::from_name(protocol) else {
        return unsupported(format!("the {name} m-line is {}, not UDP/TLS/RTP/SAVPF", quote(protocol)));
    };
    let Some(mid) = section.single("mid")? else {
        return unsupported(format!("the {name} m-line has no a=mid"));
    };
    if !is_token(mid, 32) {
        return malformed(format!("the a=mid of the {name} m-line is not a token of up to 32 characters"));
    }
    if !section.has("rtcp-mux") && !section.has("rtcp-mux-only") {
        return unsupported(format!("the {name} m-line has no a=rtcp-mux"));
    }
    let mut payloads = read_payloads(kind, section, words)?;
    if payloads.is_empty() {
        let wanted = match kind {
            Kind::Audio => "Opus",
            Kind::Video => "VP8, nor H264 with packetization-mode=1",
        };
        return unsupported(format!("the {name} m-line offers no {wanted}"));
    }
    let direction = direction(section)?.or(direction(session)?).unwrap_or(Direction::SendRecv);
    let mut extensions = extensions(kind, section, session)?;
    if !direction.sends() {
        // What we send carries none of them.
        extensions.clear();
    }
    if !extensions.iter().any(|extension| extension.kind == ExtensionKind::TransportCc) {
        payloads.iter_mut().for_each(|payload| payload.feedback.transport_cc = false);
    }
    Ok(Media { kind, mid: mid.to_owned(), direction, protocol, payloads, extensions, sources: Sources::read(section)? })
}

fn read_payloads<'a>(
    kind: Kind,
    section: &Section<'a>,
    formats: impl Iterator<Item = &'a str>,
) -> Result<Vec<Payload>, SdpError> {
    let encodings = by_payload_type(section, "rtpmap");
    let parameters = by_payload_type(section, "fmtp");
    let parameter = |pt: &u8, name: &str| {
        let pairs = parameters.get(pt)?.split(';').filter_map(|pair| pair.split_once('='));
        pairs
            .map(|(key, value)| (key.trim(), value.trim()))
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|pair| pair.1)
    };
    let mut numbers: Vec<u8> = Vec::new();
    for format in formats {
        match number(format) {
            Some(pt) if pt < 128 && !numbers.contains(&pt) => numbers.push(pt),
            _ => {
                return malformed(format!(
                    "{} in the {} m-line is no payload type, or a second time",
                    quote(format),
                    kind.name()
                ));
            }
        }
    }
    // 64 to 95 would be taken for RTCP (RFC 5761); below 35 are the static ones, none of which is served.
    numbers.retain(|pt| matches!(pt, 35..=63 | 96..=127));
    let encoding = |pt: &u8| encodings.get(pt).map(|encoding| encoding.trim().to_ascii_lowercase());

    let mut payloads = Vec::new();
    for pt in &numbers {
        let format = match (kind, encoding(pt).as_deref()) {
            (Kind::Audio, Some("opus/48000/2")) => Format::Opus,
            (Kind::Video, Some("vp8/90000")) => Format::Vp8,
            (Kind::Video, Some("h264/90000")) if parameter(pt, "packetization-mode") == Some("1") => {
                let text = parameter(pt, "profile-level-id");
                match text.map_or(Some(ProfileLevelId::DEFAULT), ProfileLevelId::parse) {
                    Some(id) if id.profile().is_some() => Format::H264(id),
                    _ => continue,
                }
            }
            _ => continue,
        };
        let retransmits = |rtx: &&u8| {
            encoding(rtx).as_deref() == Some("rtx/90000") && parameter(rtx, "apt").and_then(number::<u8>) == Some(*pt)
        };
        let rtx = numbers.iter().find(retransmits).copied();
        payloads.push(Payload { number: *pt, format, feedback: feedback(section, *pt), rtx });
    }
    Ok(payloads)
}

/// The attributes of this name that begin with a payload type; of several for one, the first.
fn by_payload_type<'a>(section: &Section<'a>, name: &str) -> BTreeMap<u8, &'a str> {
    let mut values = BTreeMap::new();
    for (pt, value) in section.all(name).filter_map(|value| value.split_once(' ')) {
        if let Some(pt) = number(pt) {
            values.entry(pt).or_insert(value);
        }
    }
    values
}

pub(super) fn feedback(section: &Section<'_>, pt: u8) -> Feedback {
    let mut feedback = Feedback::default();
    for (target, message) in section.all("rtcp-fb").filter_map(|value| value.split_once(' ')) {
        if target != "*" && number(target) != Some(pt) {
            continue;
        }
        match message.trim() {
            "nack" => feedback.nack = true,
            "nack pli" => feedback.pli = true,
            "ccm fir" => feedback.fir = true,
            "transport-cc" => feedback.transport_cc = true,
            _ => {}
        }
    }
    feedback
}

pub(super) fn direction(section: &Section<'_>) -> Result<Option<Direction>, SdpError> {
    let mut directions = Direction::ALL.into_iter().filter(|direction| section.has(direction.name()));
    let first = directions.next();
    if directions.next().is_some() {
        return malformed("an m-line has more than one direction");
    }
    Ok(first)
}

/// The extensions that are made use of. Those with a direction of their own are left out.
pub(super) fn extensions(kind: Kind, section: &Section<'_>, session: &Section<'_>) -> Result<Vec<Extension>, SdpError> {
    let mut extensions: Vec<Extension> = Vec::new();
    for value in section.all("extmap").chain(session.all("extmap")) {
        let mut words = value.split(' ').filter(|word| !word.is_empty());
        let (Some(id), Some(uri)) = (words.next(), words.next()) else {
            return malformed("an a=extmap is not of the form <id> <URI>");
        };
        let Some(extension) = ExtensionKind::from_uri(uri).filter(|extension| extension.fits(kind)) else { continue };
        // 15 is reserved in the one-byte form, and above are those of the two-byte form, which is not written here.
        let Some(id) = number(id).filter(|id| (1..=14).contains(id)) else { continue };
        if extensions.iter().all(|other| other.id != id && other.kind != extension) {
            extensions.push(Extension { id, kind: extension });
        }
    }
    Ok(extensions)
}

/// What is told apart by number on the common transport must not have the same number in both m-lines (RFC 9143).
fn check_bundled_numbers(media: &[Media]) -> Result<(), SdpError> {
    let [one, other] = media else { return Ok(()) };
    if one.mid == other.mid {
        return malformed("both m-lines have the same a=mid");
    }
    if one.sources.declared().iter().any(|ssrc| other.sources.declared().contains(ssrc)) {
        return malformed("both m-lines have the same a=ssrc");
    }
    if one.extensions.iter().any(|extension| other.extensions.iter().any(|other| other.id == extension.id)) {
        return malformed("an a=extmap has another meaning in the other m-line");
    }
    let numbers = |media: &Media| -> Vec<u8> {
        media.payloads.iter().flat_map(|payload| [Some(payload.number), payload.rtx]).flatten().collect()
    };
    let taken = numbers(other);
    if numbers(one).iter().any(|pt| taken.contains(pt)) {
        return malformed("a payload type has another meaning in the other m-line");
    }
    Ok(())
}

/// The index of the tagged m-line, and whether there is a group at all.
fn read_group(session: &Section<'_>, media: &[Media]) -> Result<(usize, bool), SdpError> {
    let mut groups = session.all("group").filter_map(|group| {
        let mut words = group.split(' ').filter(|word| !word.is_empty());
        (words.next() == Some("BUNDLE")).then_some(words)
    });
    let Some(group) = groups.next() else {
        return match media.len() {
            1 => Ok((0, false)),
            _ => unsupported("the m-lines are not bundled: there is no a=group:BUNDLE"),
        };
    };
    if groups.next().is_some() {
        return unsupported("there is more than one a=group:BUNDLE");
    }
    let mut members = Vec::new();
    for mid in group {
        match media.iter().position(|media| media.mid == mid) {
            Some(index) if !members.contains(&index) => members.push(index),
            Some(_) => return malformed("a=group:BUNDLE names an m-line twice"),
            None => return malformed("a=group:BUNDLE names an m-line that is not there"),
        }
    }
    match members.first() {
        Some(tag) if members.len() == media.len() => Ok((*tag, true)),
        _ => unsupported("not every m-line is in a=group:BUNDLE"),
    }
}

/// A value of the m-line, or else of the session.
fn inherited<'a>(section: &Section<'a>, session: &Section<'a>, name: &str) -> Result<Option<&'a str>, SdpError> {
    Ok(section.single(name)?.or(session.single(name)?))
}

fn read_ice(section: &Section<'_>, session: &Section<'_>) -> Result<IceCredentials, SdpError> {
    let (Some(ufrag), Some(pwd)) = (inherited(section, session, "ice-ufrag")?, inherited(section, session, "ice-pwd")?)
    else {
        return unsupported("there is no a=ice-ufrag or no a=ice-pwd");
    };
    if !is_ice_text(ufrag, 4, 256) {
        return malformed("a=ice-ufrag is not 4 to 256 of the characters of RFC 8839");
    }
    if !is_ice_text(pwd, 22, 256) {
        return malformed("a=ice-pwd is not 22 to 256 of the characters of RFC 8839");
    }
    Ok(IceCredentials { ufrag: ufrag.to_owned(), pwd: pwd.to_owned() })
}

fn read_setup(section: &Section<'_>, session: &Section<'_>) -> Result<Setup, SdpError> {
    match inherited(section, session, "setup")? {
        // The default of RFC 4145.
        None => Ok(Setup::Active),
        Some("holdconn") => unsupported("a=setup:holdconn is not served"),
        Some(name) => Setup::from_name(name).map_or_else(|| malformed("a=setup is not one of RFC 4145"), Ok),
    }
}

fn read_fingerprints(section: &Section<'_>, session: &Section<'_>) -> Result<Vec<Fingerprint>, SdpError> {
    let source = if section.has("fingerprint") { section } else { session };
    if !source.has("fingerprint") {
        return unsupported("there is no a=fingerprint: media is only taken and sent encrypted, by DTLS-SRTP");
    }
    let mut fingerprints = Vec::new();
    for value in source.all("fingerprint").take(MAX_FINGERPRINTS) {
        fingerprints.extend(Fingerprint::parse(value)?);
    }
    if fingerprints.is_empty() {
        return unsupported("no a=fingerprint uses a hash function that is known here");
    }
    fingerprints.sort_by_key(|fingerprint| std::cmp::Reverse(fingerprint.algorithm()));
    Ok(fingerprints)
}

fn usable_candidates(section: &Section<'_>) -> impl Iterator<Item = IceCandidate> {
    let candidates = section.all("candidate").take(MAX_CANDIDATES);
    let parsed = candidates.filter_map(|value| IceCandidate::parse(&format!("candidate:{value}")).ok());
    parsed.filter(IceCandidate::usable)
}
