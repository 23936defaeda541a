//! The `b=` lines of an offer: how much its sender wants to be sent (RFC 8834, section 7.1).

use super::text::{Section, number};

/// Part of a packet that is not media but headers (IP, UDP, RTP) and SRTP's tag, in hundredths: 50 bytes with 1150.
const OVERHEAD: u64 = 5;

/// The limit that a section states, in bit/s of media; none where it states none that is understood.
///
/// `b=TIAS` (RFC 3890) counts media alone and is the one that holds where both stand; `b=AS` (RFC 8866) counts kbit/s with
/// all headers. Of several of one kind the smallest holds.
pub(super) fn limit(section: &Section<'_>) -> Option<u64> {
    let smallest = |kind: &str| {
        let values = section.bandwidths.iter().filter_map(|value| value.split_once(':'));
        values.filter(|(name, _)| *name == kind).filter_map(|(_, value)| number::<u64>(value.trim())).min()
    };
    let media = |kbit: u64| kbit.saturating_mul(1000) / 100 * (100 - OVERHEAD);
    smallest("TIAS").or_else(|| smallest("AS").map(media))
}

#[cfg(test)]
mod tests {
    use super::super::text;
    use super::*;

    #[test]
    fn headers_are_no_media_and_the_finer_statement_holds() {
        for (lines, expected) in [
            ("", None),
            ("b=AS:500\n", Some(475_000)),
            ("b=TIAS:500000\n", Some(500_000)),
            ("b=AS:100\nb=TIAS:500000\n", Some(500_000)),
            ("b=AS:500\nb=AS:100\n", Some(95_000)),
            ("b=TIAS:0\n", Some(0)),
            ("b=AS:18446744073709551615\n", Some(u64::MAX / 100 * 95)),
            ("b=AS:-1\nb=AS:x\nb=CT:5\nb=X-AS:5\nb=RR:5\nb=as:5\nb=AS\nb=\n", None),
        ] {
            let text = format!("v=0\n{lines}");
            assert_eq!(limit(&text::read(&text).unwrap().session), expected, "{lines:?}");
        }
    }
}
