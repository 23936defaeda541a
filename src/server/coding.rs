//! Content codings (RFC 9110, section 8.4.1), and which of them a client takes (section 12.5.3). Pure: the files are
//! compressed elsewhere, once.

/// How a representation is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    Identity,
    Gzip,
}

/// Thousandths; 0 is "not acceptable".
type Quality = u16;

impl Coding {
    /// Every name that it goes by in `Accept-Encoding`.
    const fn names(self) -> &'static [&'static str] {
        match self {
            Self::Identity => &["identity"],
            Self::Gzip => &["gzip", "x-gzip"],
        }
    }

    /// The one of `offered` that a client wants most; the earlier of two that are as good. `None` is a client that takes
    /// none of them. `accept` is its `Accept-Encoding`: who sends none might take anything, and is given what needs no
    /// unpacking.
    pub fn wanted(accept: Option<&str>, offered: &[Self]) -> Option<Self> {
        let accept = accept.unwrap_or_default();
        // What is not mentioned is not taken, but for the identity, which is the last resort.
        let rank = |coding: Self| {
            let named = coding.names().iter().filter_map(|name| quality(accept, name)).max();
            match named.or_else(|| quality(accept, "*")) {
                Some(quality) => (quality, true),
                None => (Quality::from(coding == Self::Identity), false),
            }
        };
        offered.iter().rev().copied().filter(|coding| rank(*coding).0 > 0).max_by_key(|coding| rank(*coding))
    }
}

/// The weight that `name` is given. Of what is not well formed nothing is known.
fn quality(accept: &str, name: &str) -> Option<Quality> {
    let weight = |member: &str| {
        let (coding, weight) = member.split_once(';').map_or((member, None), |(coding, weight)| (coding, Some(weight)));
        coding.trim().eq_ignore_ascii_case(name).then(|| weight.map_or(Some(1000), thousandths)).flatten()
    };
    accept.split(',').filter_map(weight).max()
}

/// `q=` and 0 to 1 with at most three decimals (RFC 9110, section 12.4.2).
fn thousandths(weight: &str) -> Option<Quality> {
    let weight = weight.trim();
    let value = weight.strip_prefix("q=").or_else(|| weight.strip_prefix("Q="))?;
    let (whole, decimals) = value.split_once('.').unwrap_or((value, ""));
    let digits = decimals.len() <= 3 && decimals.bytes().all(|b| b.is_ascii_digit());
    let thousandths = format!("{decimals:0<3}").parse::<Quality>().ok().filter(|_| digits)?;
    match whole {
        "0" => Some(thousandths),
        "1" if thousandths == 0 => Some(1000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BOTH: [Coding; 2] = [Coding::Gzip, Coding::Identity];

    #[test]
    fn the_client_decides() {
        let (gzip, identity) = (Some(Coding::Gzip), Some(Coding::Identity));
        for (accept, wanted) in [
            ("gzip, deflate, br, zstd", gzip),
            ("gzip", gzip),
            ("GZip", gzip),
            ("x-gzip", gzip),
            ("*", gzip),
            ("br, *;q=0.1", gzip),
            ("gzip;q=0.001", gzip),
            ("gzip ; q=0.5 , identity;q=0.5", gzip),
            ("identity;q=0.5, gzip;Q=1.000", gzip),
            ("identity;q=0, *", gzip),
            ("*;q=0, gzip", gzip),
            ("", identity),
            ("br", identity),
            ("identity", identity),
            ("gzip;q=0", identity),
            ("gzip;q=0.000, *", identity),
            ("gzip;q=0.5, identity", identity),
            ("gzip;q=0.5, *;q=0.8", identity),
            ("gzipped", identity),
            ("gzip;q=2", identity),
            ("gzip;q=0.1234", identity),
            ("gzip;level=9", identity),
            (";;,=,", identity),
            ("identity;q=0", None),
            ("*;q=0", None),
            ("gzip;q=0, *;q=0", None),
            ("br, identity;q=0.0", None),
        ] {
            assert_eq!(Coding::wanted(Some(accept), &BOTH), wanted, "{accept:?}");
        }
        assert_eq!(Coding::wanted(None, &BOTH), identity);
    }

    #[test]
    fn nobody_gets_what_there_is_not() {
        let only = [Coding::Identity];
        assert_eq!(Coding::wanted(Some("gzip"), &only), Some(Coding::Identity));
        assert_eq!(Coding::wanted(Some("gzip, identity;q=0"), &only), None);
    }

    proptest! {
        #[test]
        fn any_header_is_answered(accept in "[a-z*;=,.0-9 ]{0,60}") {
            let plain = !accept.contains("identity") && !accept.contains('*');
            prop_assert!(Coding::wanted(Some(&accept), &BOTH).is_some() || !plain);
        }
    }
}
