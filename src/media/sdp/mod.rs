//! SDP hygiene: nothing that a peer wrote reaches webrtcbin.
//!
//! [`Offer::parse`] reads a remote offer into a small typed value and refuses what the server cannot serve;
//! [`Offer::to_webrtcbin`] writes down what of it is served, in the one form that webrtcbin is known to take; and
//! [`finish_answer`] turns webrtcbin's answer into what the offerer is entitled to by JSEP (RFC 9429), the m-lines that are
//! not served included. Candidates go the same way, through [`IceCandidate`].
//!
//! Why not hand webrtcbin the peer's text: GStreamer 1.22 refuses session-level transport attributes, ends the process on
//! some inconsistent descriptions (`g_assert`), makes caps fields of every attribute and fmtp parameter that it meets, and
//! never looks at more than the first codec. And why a reader of our own: general SDP parsers keep what they do not know,
//! whereas here everything that is not on the whitelist has to fall away, every count has a bound, and no text panics.
//!
//! Everything here is a pure function of text; it may be called on any thread.

mod answer;
mod bandwidth;
mod candidate;
mod fingerprint;
mod h264;
mod mline;
mod offer;
mod parameter_sets;
mod parse;
mod payloads;
mod sources;
mod text;
mod write;

pub use answer::{Advertise, AnswerError, finish_answer};
pub use candidate::{Address, CandidateKind, IceCandidate, InvalidCandidate, TcpType, Transport};
pub use fingerprint::{Fingerprint, HashAlgorithm};
pub use h264::{PacketizationMode, Profile, ProfileLevelId};
pub use offer::{
    Direction, Extension, ExtensionKind, Feedback, Format, IceCredentials, Kind, Media, Offer, Payload, Protocol,
    Rejected, Role, Setup,
};
pub use parameter_sets::ParameterSets;
pub use sources::Sources;
pub use text::MAX_BYTES;

use crate::control::Refusal;

/// Why an offer is refused. The texts are for people; they quote names and numbers of the offer, never its secrets.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SdpError {
    /// The text is not SDP, or contradicts itself (HTTP 400).
    #[error("{0}")]
    Malformed(String),
    /// The description is understood but cannot be served as a whole (HTTP 422).
    #[error("{0}")]
    Unsupported(String),
}

impl From<SdpError> for Refusal {
    fn from(error: SdpError) -> Self {
        match error {
            SdpError::Malformed(detail) => Self::MalformedSdp { detail },
            SdpError::Unsupported(detail) => Self::UnsupportedSdp { detail },
        }
    }
}

fn malformed<T>(detail: impl Into<String>) -> Result<T, SdpError> {
    Err(SdpError::Malformed(detail.into()))
}

fn unsupported<T>(detail: impl Into<String>) -> Result<T, SdpError> {
    Err(SdpError::Unsupported(detail.into()))
}

/// A piece of a peer's text as it may stand in a message: short, and with nothing that a terminal would act upon.
fn quote(text: &str) -> String {
    let mut quoted: String = text.chars().take(32).flat_map(char::escape_debug).collect();
    if text.chars().nth(32).is_some() {
        quoted.push('…');
    }
    format!("\"{quoted}\"")
}
