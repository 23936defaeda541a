//! H.264 parameter sets that stand in the SDP (`sprop-parameter-sets`, RFC 6184, section 8.1). Where a sender has them
//! there and nowhere else, no decoder makes anything of its pictures without them.

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// Sets of one payload type; two are the rule.
const MAX_SETS: usize = 16;
/// Length of one, in bytes. With scaling matrices it has some hundreds.
const MAX_BYTES: usize = 1024;

/// Some leave the padding out.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Sequence and picture parameter sets, each a NAL unit. Empty where the SDP has none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ParameterSets(Vec<Vec<u8>>);

impl ParameterSets {
    /// Reads the value of the parameter. What is no parameter set, or too long, or too many, is left out: the stream may
    /// hold what is needed.
    pub(super) fn parse(value: &str) -> Self {
        let sets = value.split(',').take(MAX_SETS).filter(|text| text.len() <= MAX_BYTES * 4 / 3 + 4);
        Self(sets.filter_map(|text| BASE64.decode(text.trim()).ok()).filter(|unit| is_parameter_set(unit)).collect())
    }

    /// As a byte stream (ITU-T H.264, annex B); none if there are no sets.
    pub fn byte_stream(&self) -> Option<Vec<u8>> {
        let bytes = self.0.iter().flat_map(|unit| [&[0, 0, 0, 1], &unit[..]].concat()).collect::<Vec<u8>>();
        (!bytes.is_empty()).then_some(bytes)
    }
}

/// One NAL unit of the kind, and nothing that would begin another in a byte stream.
fn is_parameter_set(unit: &[u8]) -> bool {
    const SPS: u8 = 7;
    const PPS: u8 = 8;
    let shortest = match unit.first() {
        Some(header) if header & 0x9f == SPS => 5,
        Some(header) if header & 0x9f == PPS => 2,
        _ => return false,
    };
    (shortest..=MAX_BYTES).contains(&unit.len()) && !unit.windows(3).any(|three| matches!(three, [0, 0, 0..=2]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPS: &str = "Z0LAH9oBQBboQAAAAwBAAAAPI8YMqA==";
    const PPS: &str = "aM48gA==";

    fn units(value: &str) -> usize {
        ParameterSets::parse(value).0.len()
    }

    #[test]
    fn parameter_sets_become_a_byte_stream() {
        let stream = ParameterSets::parse(&format!("{SPS},{PPS}")).byte_stream().unwrap();
        assert_eq!(stream[..6], [0, 0, 0, 1, 0x67, 0x42]);
        assert_eq!(stream[stream.len() - 8..], [0, 0, 0, 1, 0x68, 0xce, 0x3c, 0x80]);
        assert_eq!(ParameterSets::parse("").byte_stream(), None);
        assert_eq!(units(&format!(" {} , {PPS}", SPS.trim_end_matches('='))), 2, "padding and blanks are not needed");
    }

    #[test]
    fn what_is_no_parameter_set_is_left_out_and_all_is_bounded() {
        // An IDR slice, a set that holds a start code, one with the forbidden bit, one that is cut off, and no base64.
        for bad in ["ZYiEAA==", "Z0LAHwAAAWWI", "50LAH9oB", "Z0I=", "Z0LAH?", "=", ",,,"] {
            assert_eq!(units(bad), 0, "{bad:?}");
            assert_eq!(units(&format!("{bad},{PPS}")), 1, "{bad:?}");
        }
        assert_eq!(units(&[PPS; 100].join(",")), MAX_SETS);
        let unit = |length: usize| {
            GeneralPurpose::new(&STANDARD, GeneralPurposeConfig::new())
                .encode([vec![0x68], vec![0x55; length - 1]].concat())
        };
        assert_eq!(units(&unit(MAX_BYTES)), 1);
        assert_eq!(units(&unit(MAX_BYTES + 1)), 0);
    }
}
