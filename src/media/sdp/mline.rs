//! The m-lines of an offer by their form alone, and which of them are on the transport that is served.

use std::collections::BTreeSet;

use super::offer::{Kind, Protocol};
use super::text::{Description, Section, is_token, number, words};
use super::{SdpError, malformed, quote, unsupported};

/// Longest identification tag; some write a UUID with a prefix.
const MAX_MID: usize = 64;
/// Longest other word of an m-line.
const MAX_WORD: usize = 64;

/// An m-line, well formed, whatever it is for.
#[derive(Debug)]
pub(super) struct MLine<'a> {
    pub section: &'a Section<'a>,
    pub media: &'a str,
    pub port: u16,
    pub protocol: &'a str,
    pub formats: Vec<&'a str>,
    pub mid: Option<&'a str>,
}

/// The m-lines that share a transport: a BUNDLE group (RFC 9143), or one alone.
#[derive(Debug)]
pub(super) struct Bundle {
    /// Indices of m-lines, in the order of the group.
    pub members: Vec<usize>,
    /// Whether there is an `a=group:BUNDLE` for them.
    pub grouped: bool,
}

impl<'a> MLine<'a> {
    /// All m-lines of a description. Malformed if one of them is, or if two have the same identification tag.
    pub fn read_all(description: &'a Description<'a>) -> Result<Vec<Self>, SdpError> {
        let lines = description.media.iter().map(Self::read).collect::<Result<Vec<_>, _>>()?;
        let mut mids = BTreeSet::new();
        if let Some(twice) = lines.iter().filter_map(|line| line.mid).find(|mid| !mids.insert(*mid)) {
            return malformed(format!("two m-lines have the same a=mid {}", quote(twice)));
        }
        Ok(lines)
    }

    fn read(section: &'a Section<'a>) -> Result<Self, SdpError> {
        let mut words = words(section.media);
        let (Some(media), Some(port), Some(protocol)) = (words.next(), words.next(), words.next()) else {
            return malformed("an m-line is not of the form <media> <port> <protocol> <format>…");
        };
        if !is_token(media, MAX_WORD) {
            return malformed("the kind of an m-line is not a token");
        }
        // What follows a slash is a number of ports.
        let port = port.split_once('/').map_or(port, |(port, _)| port);
        let Some(port) = number::<u16>(port) else {
            return malformed(format!("the port of the {media} m-line is not a number"));
        };
        if protocol.len() > MAX_WORD || !protocol.split('/').all(|part| is_token(part, MAX_WORD)) {
            return malformed(format!("the protocol of the {media} m-line is not one of RFC 8866"));
        }
        let formats: Vec<_> = words.collect();
        if formats.is_empty() || !formats.iter().all(|format| is_token(format, MAX_WORD)) {
            return malformed(format!("the formats of the {media} m-line are not tokens"));
        }
        let mid = section.single("mid")?;
        if mid.is_some_and(|mid| !is_token(mid, MAX_MID)) {
            return malformed(format!("the a=mid of the {media} m-line is not a token of up to {MAX_MID} characters"));
        }
        Ok(Self { section, media, port, protocol, formats, mid })
    }

    /// What it would be served as; otherwise why it is not for this server, whatever it holds.
    pub fn kind(&self, grouped: bool) -> Result<(Kind, Protocol), String> {
        let kind = match self.media {
            "audio" => Kind::Audio,
            "video" => Kind::Video,
            other => return Err(format!("there is an m-line of the kind {}", quote(other))),
        };
        let name = kind.name();
        if self.port == 0 && !(grouped && self.section.has("bundle-only")) {
            return Err(format!("the {name} m-line is offered as rejected"));
        }
        match Protocol::from_name(self.protocol) {
            Some(protocol) => Ok((kind, protocol)),
            None => Err(format!("the {name} m-line is {}, not UDP/TLS/RTP/SAVPF", quote(self.protocol))),
        }
    }
}

impl Bundle {
    /// The transport that carries most of what can be served, the first of equals. Without a group for any of it, an
    /// m-line has a transport of its own, and it is the first that is served (RFC 9429, section 5.3.1: `max-bundle`).
    pub fn choose(session: &Section<'_>, lines: &[MLine<'_>]) -> Result<Self, SdpError> {
        let groups = read_groups(session, lines)?;
        let kinds = |members: &[usize]| {
            let kinds = members.iter().filter_map(|index| lines[*index].kind(true).ok());
            kinds.map(|(kind, _)| kind.name()).collect::<BTreeSet<_>>().len()
        };
        let most = groups.iter().map(|members| kinds(members)).max().filter(|most| *most > 0);
        if let Some(members) = groups.iter().find(|members| Some(kinds(members)) == most) {
            return Ok(Self { members: members.clone(), grouped: true });
        }
        let alone = |index: &usize| !groups.iter().flatten().any(|member| member == index);
        let mut alone = (0..lines.len()).filter(alone);
        match alone.find(|index| lines[*index].kind(false).is_ok()) {
            Some(index) => Ok(Self { members: vec![index], grouped: false }),
            None => unsupported(match lines.iter().find_map(|line| line.kind(true).err()) {
                Some(reason) => format!("{reason}, and nothing else that is served"),
                None => "there is no m-line".to_owned(),
            }),
        }
    }
}

/// The BUNDLE groups, each as the indices of its m-lines.
fn read_groups(session: &Section<'_>, lines: &[MLine<'_>]) -> Result<Vec<Vec<usize>>, SdpError> {
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for group in session.all("group") {
        let mut words = words(group);
        if words.next() != Some("BUNDLE") {
            continue;
        }
        let mut members = Vec::new();
        for mid in words {
            let Some(index) = lines.iter().position(|line| line.mid == Some(mid)) else {
                return malformed("a=group:BUNDLE names an m-line that is not there");
            };
            if members.contains(&index) || groups.iter().any(|other| other.contains(&index)) {
                return malformed("a=group:BUNDLE names an m-line twice");
            }
            members.push(index);
        }
        groups.push(members);
    }
    Ok(groups)
}
