//! The synchronisation sources that an offerer names (RFC 5576), and which of them is meant.

use super::text::{Section, number};
use super::{SdpError, malformed};

/// Sources of an m-line; browsers name two for each encoding of a simulcast.
const MAX_SOURCES: usize = 16;
const MAX_GROUPS: usize = 16;

/// What an m-line says of its `a=ssrc` and `a=ssrc-group` lines. All of it is empty where the offerer names none, as under
/// simulcast by rid (RFC 8853).
///
/// A hint, no promise: browsers send on other sources than those once a track was restarted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sources {
    declared: Vec<u32>,
    primary: Vec<u32>,
    preferred: Option<u32>,
    rtx: Vec<(u32, u32)>,
}

impl Sources {
    pub(super) fn read(section: &Section<'_>) -> Result<Self, SdpError> {
        let mut declared = Vec::new();
        for (ssrc, _) in section.all("ssrc").filter_map(|value| value.split_once(' ')) {
            let Some(ssrc) = number(ssrc).filter(|ssrc| *ssrc != 0) else {
                return malformed("an a=ssrc is not a number from 1 to 2^32-1");
            };
            if !declared.contains(&ssrc) && declared.len() < MAX_SOURCES {
                declared.push(ssrc);
            }
        }

        let (mut rtx, mut repairs, mut preferred) = (Vec::new(), Vec::new(), None);
        for (semantics, members) in section.all("ssrc-group").filter_map(|value| value.split_once(' ')).take(MAX_GROUPS)
        {
            let members: Vec<u32> =
                members.split(' ').filter(|word| !word.is_empty()).filter_map(number).take(MAX_SOURCES).collect();
            match (semantics, &members[..]) {
                ("FID", [source, repair]) if source != repair && declared.contains(source) => {
                    rtx.push((*source, *repair));
                    repairs.push(*repair);
                }
                ("FEC-FR" | "FEC", [_, others @ ..]) => repairs.extend_from_slice(others),
                // The encodings of one picture, the smallest first.
                ("SIM", [.., largest]) if preferred.is_none() && declared.contains(largest) => {
                    preferred = Some(*largest);
                }
                _ => {}
            }
        }
        let primary: Vec<u32> = declared.iter().copied().filter(|ssrc| !repairs.contains(ssrc)).collect();
        let preferred = preferred.filter(|ssrc| primary.contains(ssrc)).or(primary.first().copied());
        rtx.retain(|(source, _)| primary.contains(source));
        Ok(Self { declared, primary, preferred, rtx })
    }

    /// One source, and no other.
    pub(super) fn only(ssrc: u32) -> Self {
        Self { declared: vec![ssrc], primary: vec![ssrc], preferred: Some(ssrc), rtx: Vec::new() }
    }

    /// All that have an `a=ssrc`, in the order of the offer; 16 at most. webrtcbin 1.22 knows by nothing else to which of
    /// two bundled m-lines a packet belongs.
    pub fn declared(&self) -> &[u32] {
        &self.declared
    }

    /// Those of them that carry media, and neither its retransmissions nor its FEC.
    pub fn primary(&self) -> &[u32] {
        &self.primary
    }

    /// The one to be shown: the largest encoding of an `a=ssrc-group:SIM`, else the first that is named.
    pub fn preferred(&self) -> Option<u32> {
        self.preferred
    }

    /// Media and its retransmissions (`a=ssrc-group:FID`, RFC 4588). The latter need no `a=ssrc` of their own.
    pub fn rtx(&self) -> &[(u32, u32)] {
        &self.rtx
    }
}

#[cfg(test)]
mod tests {
    use super::super::text;
    use super::*;

    fn read(lines: &[&str]) -> Result<Sources, SdpError> {
        let text =
            format!("v=0\nm=video 9 X 96\n{}", lines.iter().map(|line| format!("a={line}\n")).collect::<String>());
        Sources::read(&text::read(&text).unwrap().media[0])
    }

    #[test]
    fn of_several_encodings_the_largest_is_meant_and_repairs_are_told_from_media() {
        let sources = read(&[
            "ssrc-group:SIM 1 2 3",
            "ssrc-group:FID 1 11",
            "ssrc-group:FID 2 12",
            "ssrc-group:FID 3 13",
            "ssrc-group:FEC-FR 3 23",
            "ssrc:1 cname:x",
            "ssrc:1 msid:s v",
            "ssrc:11 cname:x",
            "ssrc:2 cname:x",
            "ssrc:12 cname:x",
            "ssrc:3 msid:s v",
            "ssrc:23 cname:x",
        ])
        .unwrap();
        assert_eq!(sources.declared(), [1, 11, 2, 12, 3, 23]);
        assert_eq!(sources.primary(), [1, 2, 3]);
        assert_eq!(sources.preferred(), Some(3));
        assert_eq!(sources.rtx(), [(1, 11), (2, 12), (3, 13)]);
    }

    #[test]
    fn without_groups_the_first_is_meant() {
        let sources = read(&["ssrc:9 cname:x", "ssrc:7 cname:x"]).unwrap();
        assert_eq!((sources.primary(), sources.preferred()), (&[9, 7][..], Some(9)));
        assert_eq!(read(&[]), Ok(Sources::default()));
    }

    #[test]
    fn groups_that_make_no_sense_change_nothing_and_all_is_bounded() {
        let plain = read(&["ssrc:9 cname:x"]).unwrap();
        for group in ["FID 9", "FID 9 9", "FID 8 9", "SIM 7 8", "SIM", "FID", "LS 9 8", "FID x 9", "FEC-FR 9", ""] {
            assert_eq!(read(&[&format!("ssrc-group:{group}"), "ssrc:9 cname:x"]), Ok(plain.clone()), "{group:?}");
        }
        for bad in ["ssrc:0 cname:x", "ssrc:-1 cname:x", "ssrc:4294967296 cname:x", "ssrc:x cname:x"] {
            assert!(read(&[bad]).is_err(), "{bad:?}");
        }
        let many: Vec<String> = (1..100)
            .flat_map(|ssrc| [format!("ssrc:{ssrc} cname:x"), format!("ssrc-group:FID {ssrc} {}", ssrc + 1000)])
            .collect();
        let sources = read(&many.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
        assert_eq!((sources.declared().len(), sources.rtx().len()), (16, 16));
    }
}
