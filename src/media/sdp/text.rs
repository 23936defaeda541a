//! The lines of a session description (RFC 8866), bounded: a session section and the media sections after it.
//!
//! What RFC 8866 does not know is left out, as it says of attributes; of line types it leaves the choice.

use super::{SdpError, malformed};

/// Longest description that is read, in bytes. Browsers' longest offers have about 10 KiB.
pub const MAX_BYTES: usize = 64 * 1024;
const MAX_LINES: usize = 2048;
const MAX_LINE_BYTES: usize = 4096;
/// A browser's connection keeps the m-lines of tracks that were stopped long ago.
const MAX_MEDIA: usize = 64;

/// The attributes of the session or of one m-line, in their order.
#[derive(Debug, Default)]
pub(super) struct Section<'a> {
    /// The value of the `m=` line; empty for the session.
    pub media: &'a str,
    attributes: Vec<(&'a str, &'a str)>,
    /// The values of its `b=` lines.
    pub bandwidths: Vec<&'a str>,
}

#[derive(Debug)]
pub(super) struct Description<'a> {
    pub session: Section<'a>,
    pub media: Vec<Section<'a>>,
}

impl<'a> Section<'a> {
    /// The values of all attributes of this name; a property attribute's value is empty.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &'a str> {
        self.attributes.iter().filter(move |attribute| attribute.0 == name).map(|attribute| attribute.1)
    }

    pub fn has(&self, name: &str) -> bool {
        self.all(name).next().is_some()
    }

    /// The value of an attribute that may stand here once at most.
    pub fn single(&self, name: &str) -> Result<Option<&'a str>, SdpError> {
        let mut values = self.all(name);
        let first = values.next();
        if values.any(|other| Some(other) != first) {
            return malformed(format!("a={name} stands twice in one section"));
        }
        Ok(first)
    }
}

/// Splits a description into its sections. Lines that carry nothing for WebRTC are checked for their form and left out,
/// as are those of types that are not known here.
pub(super) fn read(text: &str) -> Result<Description<'_>, SdpError> {
    if text.len() > MAX_BYTES {
        return malformed(format!("it is longer than {MAX_BYTES} bytes"));
    }
    let mut description = Description { session: Section::default(), media: Vec::new() };
    let mut first = true;
    for (index, line) in text.split('\n').enumerate() {
        let number = index + 1;
        if number > MAX_LINES {
            return malformed(format!("it has more than {MAX_LINES} lines"));
        }
        let line = line.trim_end_matches([' ', '\t', '\r']);
        if line.is_empty() {
            continue;
        }
        if line.len() > MAX_LINE_BYTES {
            return malformed(format!("line {number} is longer than {MAX_LINE_BYTES} bytes"));
        }
        // RFC 8866 allows all other characters in a text.
        if line.contains(['\0', '\r']) {
            return malformed(format!("line {number} holds a zero byte or half a line end"));
        }
        let Some((kind, value)) = line.split_once('=').filter(|(kind, _)| kind.chars().count() == 1) else {
            return malformed(format!("line {number} is not of the form <type>=<value>"));
        };
        if std::mem::take(&mut first) && line != "v=0" {
            return malformed("it does not begin with v=0");
        }
        match kind {
            "m" if description.media.len() == MAX_MEDIA => {
                return malformed(format!("it has more than {MAX_MEDIA} m-lines"));
            }
            "m" => description.media.push(Section { media: value, ..Section::default() }),
            "a" | "b" => {
                let section = description.media.last_mut().unwrap_or(&mut description.session);
                match kind {
                    "b" => section.bandwidths.push(value),
                    _ => section.attributes.push(value.split_once(':').unwrap_or((value, ""))),
                }
            }
            _ => {}
        }
    }
    if first {
        return malformed("it is empty");
    }
    Ok(description)
}

/// The words of a value, which blanks part; some writers use tabs.
pub(super) fn words(value: &str) -> impl Iterator<Item = &str> {
    value.split([' ', '\t']).filter(|word| !word.is_empty())
}

/// The first word of a value, and what follows it.
pub(super) fn first_word(value: &str) -> Option<(&str, &str)> {
    value.split_once([' ', '\t']).map(|(word, rest)| (word, rest.trim_start_matches([' ', '\t'])))
}

/// A token of RFC 8866, at most `max` bytes.
pub(super) fn is_token(text: &str, max: usize) -> bool {
    let allowed =
        |b: u8| matches!(b, b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'0'..=b'9' | b'A'..=b'Z' | b'^'..=b'~');
    (1..=max).contains(&text.len()) && text.bytes().all(allowed)
}

/// A number in plain digits, without the sign that `str::parse` would take.
pub(super) fn number<T: std::str::FromStr>(text: &str) -> Option<T> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_sorted_into_sections() {
        let description = read("v=0\r\ns=-\r\na=ice-lite\r\nm=audio 9 X 0\r\na=mid:a:b\n\nm=video 9 X 1\n").unwrap();
        assert!(description.session.has("ice-lite"));
        assert_eq!(description.media.len(), 2);
        assert_eq!(description.media[0].media, "audio 9 X 0");
        assert_eq!(description.media[0].single("mid"), Ok(Some("a:b")));
        assert_eq!(description.media[1].single("mid"), Ok(None));
    }

    #[test]
    fn what_is_not_sdp_is_malformed() {
        let long = format!("v=0\ns={}", "x".repeat(MAX_LINE_BYTES));
        let lines = "v=0\n".repeat(MAX_LINES + 1);
        let media = format!("v=0\n{}", "m=audio\n".repeat(MAX_MEDIA + 1));
        let bytes = " ".repeat(MAX_BYTES + 1);
        for bad in
            ["", "\r\n", "{}", "<html>", "v=1", "o=-", "v=0\nhello", "v=0\nxy=1", "v=0\n=1", "v=0\ns=\0", "v=0\rs=-"]
        {
            assert!(matches!(read(bad), Err(SdpError::Malformed(_))), "{bad:?}");
        }
        for bad in [long, lines, media, bytes] {
            assert!(matches!(read(&bad), Err(SdpError::Malformed(_))), "{} bytes", bad.len());
        }
    }

    #[test]
    fn what_sdp_does_not_know_is_left_out() {
        let text = "v=0\r\ns=a\tb\u{7}\r\nx=new\r\nB=-\r\n%=\r\na=mid:0 \t\r\nb=AS:5\r\nm=audio\t9 X 0\r\nb=X-Y:1\r\n";
        let description = read(text).unwrap();
        assert_eq!(description.session.single("mid"), Ok(Some("0")));
        assert_eq!(description.session.bandwidths, ["AS:5"]);
        assert_eq!(words(description.media[0].media).collect::<Vec<_>>(), ["audio", "9", "X", "0"]);
        assert_eq!(first_word("96 \t VP8/90000"), Some(("96", "VP8/90000")));
        assert_eq!(description.media[0].bandwidths, ["X-Y:1"]);
    }

    #[test]
    fn an_attribute_that_contradicts_itself_is_malformed() {
        let description = read("v=0\na=mid:0\na=mid:1\na=setup:active\na=setup:active\n").unwrap();
        assert!(description.session.single("mid").is_err());
        assert_eq!(description.session.single("setup"), Ok(Some("active")));
    }

    #[test]
    fn numbers_have_no_sign() {
        assert_eq!(number::<u8>("255"), Some(255));
        for bad in ["", "+1", "-1", "256", "1 ", "٣"] {
            assert_eq!(number::<u8>(bad), None, "{bad:?}");
        }
    }
}
