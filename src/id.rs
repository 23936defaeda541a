//! Names that cross module borders: rooms, peers, renditions.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Longest room name that is accepted, in characters.
const MAX_ROOM: usize = 64;

/// A room's name as it stands in URLs: 1 to 64 of `A-Z a-z 0-9 - _ .`, not beginning with a dot.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RoomId(String);

/// Why a text is not a room's name.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("a room's name is 1 to {MAX_ROOM} of the characters A-Z a-z 0-9 - _ . and does not begin with a dot")]
pub struct InvalidRoomId;

impl RoomId {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for RoomId {
    type Err = InvalidRoomId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let valid = (1..=MAX_ROOM).contains(&text.len()) && text.chars().all(allowed) && !text.starts_with('.');
        valid.then(|| Self(text.to_owned())).ok_or(InvalidRoomId)
    }
}

impl TryFrom<String> for RoomId {
    type Error = InvalidRoomId;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<RoomId> for String {
    fn from(id: RoomId) -> Self {
        id.0
    }
}

impl fmt::Display for RoomId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A peer (participant or viewer), unique in the process and public: it grants nothing. What may control a peer is its
/// session id, which only its owner is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PeerId(u64);

/// A text that is not a peer's id.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("a peer's id is 16 hexadecimal digits")]
pub struct InvalidPeerId;

impl PeerId {
    /// The id made of these bits (random ones, by whoever makes peers).
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The bits, for what is derived from an id (a colour, a synchronisation source).
    pub const fn bits(self) -> u64 {
        self.0
    }
}

impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for PeerId {
    type Err = InvalidPeerId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() != 16 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(InvalidPeerId);
        }
        u64::from_str_radix(text, 16).map(Self).map_err(|_| InvalidPeerId)
    }
}

impl Serialize for PeerId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PeerId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_names_are_checked() {
        for good in ["demo", "a", "Team_1.2-x", &"x".repeat(64)] {
            assert_eq!(good.parse::<RoomId>().map(String::from).as_deref(), Ok(good));
        }
        for bad in ["", ".hidden", "a/b", "a b", "é", &"x".repeat(65)] {
            assert_eq!(bad.parse::<RoomId>(), Err(InvalidRoomId), "{bad:?}");
        }
    }

    #[test]
    fn peer_ids_survive_their_text() {
        let id = PeerId::from_bits(0x00ab_cdef_0123_4567);
        assert_eq!(id.to_string().parse(), Ok(id));
        for bad in ["", "+123456789012345", "00abcdef012345678", "xyz"] {
            assert_eq!(bad.parse::<PeerId>(), Err(InvalidPeerId), "{bad:?}");
        }
    }
}
