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
    /// Which ICE session it belongs to, as far as it says so.
    pub ufrag: Option<String>,
    pub pwd: Option<String>,
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

/// What an ICE session is known by (RFC 8839, section 5.4), of one m-line or of a whole description.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    ufrag: String,
    pwd: String,
}

/// With the password anybody could answer the peer's connectivity checks.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").finish_non_exhaustive()
    }
}

/// Which ICE session a fragment is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Belonging {
    /// The one that is asked about.
    This,
    /// One with another `ice-ufrag`, as a restart brings.
    Another,
    /// None that can be: a session's `ice-ufrag` or `ice-pwd` beside another's (RFC 8839, section 4.4.1.1.1: a restart
    /// changes both).
    Neither,
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

    /// Whether it is of the session that has these credentials. What it does not say is no contradiction.
    pub fn belongs_to(&self, session: &[Credentials]) -> Belonging {
        let is_ufrag = |own: &&Credentials| self.ufrag.as_ref().is_none_or(|ufrag| *ufrag == own.ufrag);
        let is_pwd = |own: &&Credentials| self.pwd.as_ref().is_none_or(|pwd| *pwd == own.pwd);
        let same: Vec<&Credentials> = session.iter().filter(is_ufrag).collect();
        if same.is_empty() {
            Belonging::Another
        } else if same.iter().any(is_pwd) {
            Belonging::This
        } else {
            Belonging::Neither
        }
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
            Some(("ice-pwd", pwd)) => {
                if !is_ice(pwd, 22) {
                    return Err(MalformedFragment::InvalidCredentials(number));
                }
                if *self.pwd.get_or_insert_with(|| pwd.to_owned()) != pwd {
                    return Err(MalformedFragment::DifferentCredentials);
                }
            }
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

impl Credentials {
    /// Those of a whole session description, each once: with which ones a later fragment may come. What an m-line does not
    /// say is as the session says it.
    pub fn of(sdp: &str) -> Vec<Self> {
        let mut all = Vec::new();
        let mut session = (None, None);
        // An `m=` begins a line, and so each section but the first.
        for (index, section) in sdp.split("\nm=").enumerate() {
            let value = |name, min| {
                let mut values = section.lines().filter_map(|line| line.trim_end().strip_prefix(name));
                values.find(|value| is_ice(value, min))
            };
            let own = (value("a=ice-ufrag:", 4).or(session.0), value("a=ice-pwd:", 22).or(session.1));
            if index == 0 {
                session = own;
            }
            if let (Some(ufrag), Some(pwd)) = own {
                let own = Self { ufrag: ufrag.to_owned(), pwd: pwd.to_owned() };
                if !all.contains(&own) {
                    all.push(own);
                }
            }
        }
        all
    }
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
        let two_pwds = format!("a=ice-pwd:{}\r\na=ice-pwd:{}", "1".repeat(22), "2".repeat(22));
        let cases = [
            ("", MalformedFragment::Empty),
            ("a=mid:0\r\n", MalformedFragment::Empty),
            ("hello", MalformedFragment::NotALine(1)),
            ("a=mid:0\r\nab=c", MalformedFragment::NotALine(2)),
            ("a=candidate:1\u{0} 1", MalformedFragment::NotALine(1)),
            ("a=ice-ufrag:x", MalformedFragment::InvalidCredentials(1)),
            ("a=ice-ufrag:abcd\r\na=ice-pwd:short", MalformedFragment::InvalidCredentials(2)),
            ("a=ice-ufrag:abcd\r\na=ice-ufrag:efgh", MalformedFragment::DifferentCredentials),
            (two_pwds.as_str(), MalformedFragment::DifferentCredentials),
            (many.as_str(), MalformedFragment::ManyCandidates),
        ];
        for (text, error) in cases {
            assert_eq!(Fragment::parse(text.as_bytes()), Err(error), "{text:?}");
        }
        assert_eq!(Fragment::parse(&[0xff, 0xfe]), Err(MalformedFragment::NotText));
        let long = format!("a=x:{}", "y".repeat(MAX_LINE));
        assert_eq!(Fragment::parse(long.as_bytes()), Err(MalformedFragment::LongLine(1)));
    }

    /// Credentials with short names: `abcd` and twenty-two `1`s.
    fn ice(ufrag: &str, pwd: char) -> Credentials {
        Credentials { ufrag: ufrag.to_owned(), pwd: pwd.to_string().repeat(22) }
    }

    #[test]
    fn an_offers_ice_sessions_are_named_once() {
        let lines = |own: Credentials| format!("a=ice-ufrag:{}\r\na=ice-pwd:{}\r\n", own.ufrag, own.pwd);
        let (one, two) = (lines(ice("abcd", '1')), lines(ice("efgh", '2')));
        let offer = |session: &str, audio: &str, video: &str| {
            Credentials::of(&format!("v=0\r\n{session}m=audio 9\r\n{audio}m=video 9\r\n{video}"))
        };
        assert_eq!(offer("", &one, &one), [ice("abcd", '1')]);
        assert_eq!(offer("", &one, &two), [ice("abcd", '1'), ice("efgh", '2')]);
        assert_eq!(offer(&one, "", ""), [ice("abcd", '1')]);
        assert_eq!(offer(&one, "", &two), [ice("abcd", '1'), ice("efgh", '2')]);
        assert_eq!(offer(&one, "", "a=ice-ufrag:efgh\r\n"), [ice("abcd", '1'), ice("efgh", '1')]);
        assert_eq!(offer("", "a=ice-ufrag:abcd\r\n", ""), []);
        assert_eq!(Credentials::of(""), []);
    }

    #[test]
    fn a_fragment_is_of_the_session_whose_credentials_it_has() {
        let session = [ice("abcd", '1'), ice("efgh", '2')];
        let of = |ufrag: Option<&str>, pwd: Option<char>| {
            let fragment = Fragment {
                ufrag: ufrag.map(str::to_owned),
                pwd: pwd.map(|pwd| pwd.to_string().repeat(22)),
                end_of_candidates: true,
                ..Fragment::default()
            };
            fragment.belongs_to(&session)
        };
        for (ufrag, pwd, belonging) in [
            (None, None, Belonging::This),
            (Some("abcd"), None, Belonging::This),
            (Some("abcd"), Some('1'), Belonging::This),
            (Some("efgh"), Some('2'), Belonging::This),
            (None, Some('2'), Belonging::This),
            (Some("ijkl"), Some('3'), Belonging::Another),
            (Some("ijkl"), Some('1'), Belonging::Another),
            (Some("ijkl"), None, Belonging::Another),
            (Some("abcd"), Some('3'), Belonging::Neither),
            (Some("abcd"), Some('2'), Belonging::Neither),
            (None, Some('3'), Belonging::Neither),
        ] {
            assert_eq!(of(ufrag, pwd), belonging, "{ufrag:?} {pwd:?}");
        }
        assert!(!format!("{session:?}").contains("1111"));
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
            let expected = Fragment { candidates, end_of_candidates: end, ..Fragment::default() };
            prop_assert_eq!(Fragment::parse(text.as_bytes()), Ok(expected));
        }
    }
}
