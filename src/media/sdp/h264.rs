//! H.264 `profile-level-id` and `packetization-mode` (RFC 6184, section 8.1): which of the many H.264 payload types of an
//! offer fits.

use std::fmt;

/// How NAL units are put into packets. Both sides keep to the one that is agreed (RFC 6184, section 8.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PacketizationMode {
    /// Mode 1: small ones together, large ones in fragments.
    NonInterleaved,
    /// Mode 0: each in a packet of its own.
    SingleNal,
}

impl PacketizationMode {
    /// Reads the parameter's value; mode 0 is what holds without. None for mode 2, in which no browser sends.
    pub(super) fn parse(value: Option<&str>) -> Option<Self> {
        match value {
            None | Some("0") => Some(Self::SingleNal),
            Some("1") => Some(Self::NonInterleaved),
            Some(_) => None,
        }
    }

    pub fn number(self) -> u8 {
        u8::from(self == Self::NonInterleaved)
    }
}

/// The three bytes `profile_idc`, `profile-iop` and `level_idc`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProfileLevelId([u8; 3]);

/// The profiles that are decoded here and whose decoders take a constrained baseline stream, the preferred one first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Profile {
    ConstrainedBaseline,
    Baseline,
    Main,
    ConstrainedHigh,
    High,
}

impl ProfileLevelId {
    /// What holds where an offer names none: Baseline at level 1.
    pub const DEFAULT: Self = Self([0x42, 0x00, 0x0a]);

    /// Reads six hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != 6 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        let [_, a, b, c] = u32::from_str_radix(text, 16).ok()?.to_be_bytes();
        Some(Self([a, b, c]))
    }

    /// The profile by the table 5 of RFC 6184; none for those that are not served (Extended, 10 bit, 4:2:2, 4:4:4).
    pub fn profile(self) -> Option<Profile> {
        let [idc, iop, _] = self.0;
        match idc {
            0x42 if iop & 0x4f == 0x40 => Some(Profile::ConstrainedBaseline),
            0x4d if iop & 0x8f == 0x80 => Some(Profile::ConstrainedBaseline),
            0x58 if iop & 0xcf == 0xc0 => Some(Profile::ConstrainedBaseline),
            0x42 if iop & 0x4f == 0x00 => Some(Profile::Baseline),
            0x58 if iop & 0xcf == 0x80 => Some(Profile::Baseline),
            0x4d if iop & 0xaf == 0x00 => Some(Profile::Main),
            0x64 if iop == 0x0c => Some(Profile::ConstrainedHigh),
            0x64 if iop == 0x00 => Some(Profile::High),
            _ => None,
        }
    }
}

impl fmt::Display for ProfileLevelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [idc, iop, level] = self.0;
        write!(f, "{idc:02x}{iop:02x}{level:02x}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles_of_real_offers_are_known() {
        for (text, profile) in [
            ("42e01f", Some(Profile::ConstrainedBaseline)),
            ("42c01f", Some(Profile::ConstrainedBaseline)),
            ("42E034", Some(Profile::ConstrainedBaseline)),
            ("42001f", Some(Profile::Baseline)),
            ("4d001f", Some(Profile::Main)),
            ("640c1f", Some(Profile::ConstrainedHigh)),
            ("64001f", Some(Profile::High)),
            ("f4001f", None),
            ("58001f", None),
        ] {
            let id = ProfileLevelId::parse(text).unwrap();
            assert_eq!(id.profile(), profile, "{text}");
            assert_eq!(id.to_string(), text.to_lowercase());
        }
        assert!(Profile::ConstrainedBaseline < Profile::Baseline);
        assert_eq!(ProfileLevelId::DEFAULT.profile(), Some(Profile::Baseline));
    }

    #[test]
    fn other_texts_are_refused() {
        for bad in ["", "42e01", "42e01f0", "+2e01f", "42e01g", "é2e01"] {
            assert_eq!(ProfileLevelId::parse(bad), None, "{bad:?}");
        }
    }
}
