//! `application/trickle-ice-sdpfrag` (RFC 8840, section 9): what a PATCH of a session carries (RFC 9725, section 4.3).
//!
//! With BUNDLE and max-bundle all candidates belong to one transport, so m-lines and `mid`s only have to be well formed.

use std::fmt;

/// Most candidates that one fragment may hold; a real peer has a handful.
const MAX_CANDIDATES: usize = 64;
/// Longest line, in bytes.
const MAX_LINE: usize = 1024;

/// The ICE side of a peer, or an addition to it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Fragment {
    /// Which ICE session it belongs to, if it says so.
    pub ufrag: Option<String>,
    /// `candidate:…` values, in their order.
    pub candidates: Vec<String>,
    /// No more will come.
    pub end_of_candidates: bool,
}

/// Candidates tell where somebody is; they stay out of logs.
impl fmt::Debug for Fragment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let candidates = self.candidates.len();
        f.debug_struct("Fragment").field("candidates", &candidates).finish_non_exhaustive()
    }
}

/// Why a text is not a fragment.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MalformedFragment {
    #[error("it is not UTF-8 text")]
    NotText,
    #[error("line {0} is not of the form <letter>=<value>")]
    NotALine(usize),
    #[error("line {0} is longer than {MAX_LINE} bytes")]
    LongLine(usize),
    #[error("line {0} has an ice-ufrag or ice-pwd that RFC 8839 does not allow")]
    InvalidCredentials(usize),
    #[error("its m-lines have different ICE credentials, although they are bundled")]
    DifferentCredentials,
    #[error("it has more than {MAX_CANDIDATES} candidates")]
    ManyCandidates,
    #[error("it has neither candidates, nor their end, nor ICE credentials")]
    Empty,
}

impl Fragment {
    pub fn parse(body: &[u8]) -> Result<Self, MalformedFragment> {
        let text = str::from_utf8(body).map_err(|_| MalformedFragment::NotText)?;
        let mut fragment = Self::default();
        for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.is_empty()) {
            fragment.add(index + 1, line)?;
        }
        if fragment == Self::default() {
            return Err(MalformedFragment::Empty);
        }
        Ok(fragment)
    }

    fn add(&mut self, number: usize, line: &str) -> Result<(), MalformedFragment> {
        if line.len() > MAX_LINE {
            return Err(MalformedFragment::LongLine(number));
        }
        let (letter, value) = line.split_once('=').ok_or(MalformedFragment::NotALine(number))?;
        if !matches!(letter.as_bytes(), [b'a'..=b'z']) || value.contains(char::is_control) {
            return Err(MalformedFragment::NotALine(number));
        }
        // Other lines (m=, group, mid, options) say nothing new under BUNDLE; RFC 8840 wants unknown ones ignored.
        if letter != "a" {
            return Ok(());
        }
        let value = value.trim();
        match value.split_once(':') {
            Some(("ice-ufrag", ufrag)) => {
                if !is_ice(ufrag, 4) {
                    return Err(MalformedFragment::InvalidCredentials(number));
                }
                if *self.ufrag.get_or_insert_with(|| ufrag.to_owned()) != ufrag {
                    return Err(MalformedFragment::DifferentCredentials);
                }
            }
            Some(("ice-pwd", pwd)) if !is_ice(pwd, 22) => return Err(MalformedFragment::InvalidCredentials(number)),
            Some(("candidate", _)) => {
                if self.candidates.len() == MAX_CANDIDATES {
                    return Err(MalformedFragment::ManyCandidates);
                }
                self.candidates.push(value.to_owned());
            }
            _ => self.end_of_candidates |= value == "end-of-candidates",
        }
        Ok(())
    }
}

/// The `ice-ufrag`s of a whole session description: which ICE sessions a later fragment may belong to.
pub fn ufrags(sdp: &str) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for ufrag in sdp.lines().filter_map(|line| line.trim_end().strip_prefix("a=ice-ufrag:")) {
        if is_ice(ufrag, 4) && !all.iter().any(|known| known == ufrag) {
            all.push(ufrag.to_owned());
        }
    }
    all
}

/// RFC 8839, section 5.4: at least `min` and at most 256 of `ALPHA / DIGIT / "+" / "/"`. Real peers also use `-` and `_`.
fn is_ice(text: &str, min: usize) -> bool {
    (min..=256).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'-' | b'_' | b'='))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TRICKLE: &str = "a=group:BUNDLE 0 1\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\na=ice-ufrag:EsAw\r\n\
        a=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\na=candidate:1 1 udp 2122260223 192.0.2.1 61764 typ host\r\n\
        a=candidate:2 1 tcp 1518280447 192.0.2.1 9 typ host tcptype active\r\na=end-of-candidates\r\n";

    #[test]
    fn candidates_and_their_end_are_found() {
        let fragment = Fragment::parse(TRICKLE.as_bytes()).unwrap();
        assert_eq!(fragment.ufrag.as_deref(), Some("EsAw"));
        assert_eq!(fragment.candidates[0], "candidate:1 1 udp 2122260223 192.0.2.1 61764 typ host");
        assert_eq!(fragment.candidates.len(), 2);
        assert!(fragment.end_of_candidates);
    }

    #[test]
    fn bare_line_ends_are_accepted() {
        assert_eq!(Fragment::parse(TRICKLE.replace("\r\n", "\n").as_bytes()), Fragment::parse(TRICKLE.as_bytes()));
    }

    #[test]
    fn what_is_not_a_fragment_is_refused() {
        let many = "a=candidate:1 1 udp 1 192.0.2.1 1 typ host\n".repeat(MAX_CANDIDATES + 1);
        let cases = [
            ("", MalformedFragment::Empty),
            ("a=mid:0\r\n", MalformedFragment::Empty),
            ("hello", MalformedFragment::NotALine(1)),
            ("a=mid:0\r\nab=c", MalformedFragment::NotALine(2)),
            ("a=candidate:1\u{0} 1", MalformedFragment::NotALine(1)),
            ("a=ice-ufrag:x", MalformedFragment::InvalidCredentials(1)),
            ("a=ice-ufrag:abcd\r\na=ice-pwd:short", MalformedFragment::InvalidCredentials(2)),
            ("a=ice-ufrag:abcd\r\na=ice-ufrag:efgh", MalformedFragment::DifferentCredentials),
            (many.as_str(), MalformedFragment::ManyCandidates),
        ];
        for (text, error) in cases {
            assert_eq!(Fragment::parse(text.as_bytes()), Err(error), "{text:?}");
        }
        assert_eq!(Fragment::parse(&[0xff, 0xfe]), Err(MalformedFragment::NotText));
        let long = format!("a=x:{}", "y".repeat(MAX_LINE));
        assert_eq!(Fragment::parse(long.as_bytes()), Err(MalformedFragment::LongLine(1)));
    }

    #[test]
    fn an_offers_ice_sessions_are_named_once() {
        let offer = "v=0\r\nm=audio\r\na=ice-ufrag:abcd\r\nm=video\r\na=ice-ufrag:abcd\r\na=ice-ufrag:efgh\r\n";
        assert_eq!(ufrags(offer), ["abcd", "efgh"]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_answered(body in prop::collection::vec(any::<u8>(), 0..600)) {
            let _ = Fragment::parse(&body);
        }

        #[test]
        fn any_lines_stay_within_bounds(lines in prop::collection::vec("[am]=(candidate:|ice-ufrag:|mid:)?[ -~]{0,40}", 0..200)) {
            if let Ok(fragment) = Fragment::parse(lines.join("\r\n").as_bytes()) {
                prop_assert!(fragment.candidates.len() <= MAX_CANDIDATES);
                prop_assert!(fragment.candidates.iter().all(|c| c.starts_with("candidate:") && c.len() <= MAX_LINE));
            }
        }

        #[test]
        fn what_was_written_is_read(ports in prop::collection::vec(1u16.., 1..MAX_CANDIDATES), end: bool) {
            let candidates: Vec<_> =
                ports.iter().map(|port| format!("candidate:1 1 udp 1 192.0.2.1 {port} typ host")).collect();
            let mut text: String = candidates.iter().map(|candidate| format!("a={candidate}\r\n")).collect();
            if end {
                text += "a=end-of-candidates\r\n";
            }
            let expected = Fragment { ufrag: None, candidates, end_of_candidates: end };
            prop_assert_eq!(Fragment::parse(text.as_bytes()), Ok(expected));
        }
    }
}
