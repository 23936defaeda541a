//! What an m-line says of its payload types: which of them can be served, with which feedback and header extensions.

use std::collections::BTreeMap;

use super::h264::{PacketizationMode, ProfileLevelId};
use super::mline::MLine;
use super::offer::{Direction, Extension, ExtensionKind, Feedback, Format, Kind, Payload};
use super::parameter_sets::ParameterSets;
use super::text::{Section, first_word, number, words};
use super::{SdpError, malformed, quote};

/// The payload types that can be served, in the order of the offer.
pub(super) fn payloads(kind: Kind, line: &MLine<'_>) -> Result<Vec<Payload>, SdpError> {
    let section = line.section;
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
    for format in &line.formats {
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
    // 64 to 95 would be taken for RTCP (RFC 5761); all others mean what their rtpmap says (RFC 3551, section 3).
    numbers.retain(|pt| !matches!(pt, 64..=95));
    let encoding = |pt: &u8| encodings.get(pt).map(|encoding| encoding.trim().to_ascii_lowercase());

    let mut payloads = Vec::new();
    for pt in &numbers {
        let mut parameter_sets = ParameterSets::default();
        let format = match (kind, encoding(pt).as_deref()) {
            // Two channels are what RFC 7587 has everybody write; GStreamer's clients leave them out.
            (Kind::Audio, Some("opus/48000/2" | "opus/48000")) => Format::Opus,
            (Kind::Video, Some("vp8/90000")) => Format::Vp8,
            (Kind::Video, Some("h264/90000")) => {
                let profile = parameter(pt, "profile-level-id");
                let profile = profile.map_or(Some(ProfileLevelId::DEFAULT), ProfileLevelId::parse);
                let mode = PacketizationMode::parse(parameter(pt, "packetization-mode"));
                let (Some(id), Some(mode)) = (profile.filter(|id| id.profile().is_some()), mode) else { continue };
                parameter_sets = parameter(pt, "sprop-parameter-sets").map(ParameterSets::parse).unwrap_or_default();
                Format::H264(id, mode)
            }
            _ => continue,
        };
        let retransmits = |rtx: &&u8| {
            encoding(rtx).as_deref() == Some("rtx/90000") && parameter(rtx, "apt").and_then(number::<u8>) == Some(*pt)
        };
        let rtx = numbers.iter().find(retransmits).copied();
        payloads.push(Payload { number: *pt, format, feedback: feedback(section, *pt), rtx, parameter_sets });
    }
    Ok(payloads)
}

/// The attributes of this name that begin with a payload type; of several for one, the first.
fn by_payload_type<'a>(section: &Section<'a>, name: &str) -> BTreeMap<u8, &'a str> {
    let mut values = BTreeMap::new();
    for (pt, value) in section.all(name).filter_map(first_word) {
        if let Some(pt) = number(pt) {
            values.entry(pt).or_insert(value);
        }
    }
    values
}

pub(super) fn feedback(section: &Section<'_>, pt: u8) -> Feedback {
    let mut feedback = Feedback::default();
    for (target, message) in section.all("rtcp-fb").filter_map(first_word) {
        if target != "*" && number(target) != Some(pt) {
            continue;
        }
        match words(message).collect::<Vec<_>>()[..] {
            ["nack"] => feedback.nack = true,
            ["nack", "pli"] => feedback.pli = true,
            ["ccm", "fir"] => feedback.fir = true,
            ["transport-cc"] => feedback.transport_cc = true,
            ["goog-remb"] => feedback.goog_remb = true,
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
        let mut words = words(value);
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
