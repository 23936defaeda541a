//! What is kept of an offer. It is made by [`Offer::parse`] and is always one that the server can serve.

use std::fmt;

use super::fingerprint::{Fingerprint, HashAlgorithm};
use super::h264::{PacketizationMode, ProfileLevelId};
use super::mline::MLine;
use super::parameter_sets::ParameterSets;
use super::{IceCandidate, SdpError, Sources, unsupported};
use crate::control::Codec;

/// An offer: one audio m-line, one video m-line, or one of each, on one transport, and what is not served of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// One or two; the first is the one whose transport all use.
    pub(super) media: Vec<Media>,
    /// All other m-lines, in the order of the offer.
    pub(super) rejected: Vec<Rejected>,
    /// Whether there is an `a=group:BUNDLE`; a lone m-line may do without.
    pub(super) grouped: bool,
    pub ice: IceCredentials,
    /// The peer only answers connectivity checks (RFC 8445).
    pub ice_lite: bool,
    pub setup: Setup,
    /// All that the peer may show, strongest hash first; never empty. See [`Offer::accepts_certificate`].
    pub fingerprints: Vec<Fingerprint>,
    /// The usable ones, 64 at most. The canonical description holds none: they are added one by one.
    pub candidates: Vec<IceCandidate>,
    /// No more candidates will come.
    pub end_of_candidates: bool,
    /// The most that the peer wants to be sent in all, in bit/s (`b=` of the session).
    pub bandwidth: Option<u64>,
}

/// An m-line that is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Media {
    /// Its index among all m-lines of the offer.
    pub mline: usize,
    pub kind: Kind,
    /// None only for a lone m-line without a group.
    pub mid: Option<String>,
    /// As the offerer sees it.
    pub direction: Direction,
    pub protocol: Protocol,
    /// Those that can be served, the preferred one first; never empty.
    pub(super) payloads: Vec<Payload>,
    pub extensions: Vec<Extension>,
    /// The synchronisation sources that the offerer names.
    pub sources: Sources,
    /// The peer takes RTCP on no port of its own (RFC 8858).
    pub rtcp_mux_only: bool,
    /// The most that the peer wants to be sent on it, in bit/s (`b=`).
    pub bandwidth: Option<u64>,
}

/// An m-line that is not served. The answer has it in its place, with port 0 (RFC 9429, section 5.3.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// Its index among all m-lines of the offer.
    pub mline: usize,
    pub(super) media: String,
    pub(super) protocol: String,
    pub(super) formats: String,
    pub(super) mid: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Audio,
    Video,
}

/// The profile of an m-line, which the answer has to repeat. All mean DTLS-SRTP with feedback (RFC 9429, section 5.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    UdpTlsRtpSavpf,
    UdpTlsRtpSavp,
    TcpDtlsRtpSavpf,
    TcpDtlsRtpSavp,
    RtpSavpf,
    RtpSavp,
    RtpAvpf,
    RtpAvp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    SendRecv,
    SendOnly,
    RecvOnly,
    Inactive,
}

/// A payload type that can be served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payload {
    pub number: u8,
    pub format: Format,
    pub feedback: Feedback,
    /// The payload type of its retransmissions (RFC 4588).
    pub rtx: Option<u8>,
    /// Those of H.264 that its sender gives beforehand.
    pub parameter_sets: ParameterSets,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Opus,
    Vp8,
    H264(ProfileLevelId, PacketizationMode),
}

/// Which RTCP feedback messages (`a=rtcp-fb`) there are for a payload type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Feedback {
    pub nack: bool,
    pub pli: bool,
    pub fir: bool,
    pub transport_cc: bool,
    /// Google's receiver-estimated bandwidth: not made use of, but telling of whose kin a peer is.
    pub goog_remb: bool,
}

/// An RTP header extension (RFC 8285) that is made use of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extension {
    pub id: u8,
    pub kind: ExtensionKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExtensionKind {
    /// Transport-wide sequence numbers (draft-holmer-rmcat-transport-wide-cc-extensions-01), of the video that a peer
    /// sends: what we report of them tells its congestion control what the line takes.
    TransportCc,
}

/// `a=setup` (RFC 8842).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setup {
    ActPass,
    Active,
    Passive,
}

/// The peer's user name fragment and password. The password is a secret and stays out of `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct IceCredentials {
    pub ufrag: String,
    pub pwd: String,
}

/// What the directions of an offer amount to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Only sends.
    Publish,
    /// Sends and receives, not necessarily on the same m-line.
    Join,
    /// Only receives.
    Watch,
}

impl Offer {
    /// The m-lines that are served, the one whose transport all use first (the tagged one of RFC 9143). webrtcbin 1.22
    /// does not connect where that is another one.
    pub fn media(&self) -> &[Media] {
        &self.media
    }

    /// Those that are not, which the answer rejects.
    pub fn rejected(&self) -> &[Rejected] {
        &self.rejected
    }

    /// The index of that one among all m-lines of the offer: candidates are told for it.
    pub fn tagged_mline(&self) -> usize {
        self.media.first().map_or(0, |media| media.mline)
    }

    pub fn audio(&self) -> Option<&Media> {
        self.media.iter().find(|media| media.kind == Kind::Audio)
    }

    pub fn video(&self) -> Option<&Media> {
        self.media.iter().find(|media| media.kind == Kind::Video)
    }

    /// The codecs that the video can be in, in the offerer's order.
    pub fn video_codecs(&self) -> Vec<Codec> {
        let mut codecs = Vec::new();
        for codec in self.video().into_iter().flat_map(|media| &media.payloads).filter_map(|payload| payload.codec()) {
            if !codecs.contains(&codec) {
                codecs.push(codec);
            }
        }
        codecs
    }

    /// Leaves one payload type in each m-line, as webrtcbin needs it: `video` for the video, if there is any.
    ///
    /// Of several H.264 ones it is one with packetization-mode=1, nearest to constrained baseline, and the first of these.
    /// With `rtx`, the
    /// retransmissions of the video stay; webrtcbin does not answer a NACK without them.
    pub fn narrow(&mut self, video: Codec, rtx: bool) -> Result<(), SdpError> {
        for media in &mut self.media {
            let wanted = |payload: &&Payload| media.kind == Kind::Audio || payload.codec() == Some(video);
            let Some(best) = media.payloads.iter().filter(wanted).min_by_key(|payload| payload.format.rank()) else {
                return unsupported(format!("the video is not offered as {video}"));
            };
            let rtx = best.rtx.filter(|_| rtx && media.kind == Kind::Video);
            media.payloads = vec![Payload { rtx, ..best.clone() }];
        }
        Ok(())
    }

    /// Puts one source in the place of those that the offerer names for what it sends of this kind.
    pub fn rename_sources(&mut self, kind: Kind, ssrc: u32) {
        for media in self.media.iter_mut().filter(|media| media.kind == kind && media.direction.sends()) {
            media.sources = Sources::only(ssrc);
        }
    }

    /// Takes nothing from the peer: what it offers to send as well as to receive is only sent to it.
    pub fn only_watch(&mut self) {
        for media in &mut self.media {
            media.direction = match media.direction {
                Direction::SendRecv | Direction::RecvOnly => Direction::RecvOnly,
                Direction::SendOnly | Direction::Inactive => Direction::Inactive,
            };
            media.extensions.clear();
            media.payloads.iter_mut().for_each(|payload| payload.feedback.transport_cc = false);
        }
    }

    /// What the peer wants, by its directions.
    pub fn role(&self) -> Result<Role, SdpError> {
        let sends = self.media.iter().any(|media| media.direction.sends());
        let receives = self.media.iter().any(|media| media.direction.receives());
        match (sends, receives) {
            (true, false) => Ok(Role::Publish),
            (true, true) => Ok(Role::Join),
            (false, true) => Ok(Role::Watch),
            (false, false) => unsupported("every m-line is inactive"),
        }
    }

    /// Whether the certificate (PEM) that the peer showed in its DTLS handshake is one that it announced: a fingerprint of
    /// the strongest hash matches (RFC 8122, section 5). webrtcbin 1.22 does not check that.
    pub fn accepts_certificate(&self, certificate_pem: &str) -> bool {
        let strongest = self.fingerprints.first().map(Fingerprint::algorithm);
        self.fingerprints
            .iter()
            .filter(|fingerprint| Some(fingerprint.algorithm()) == strongest)
            .any(|fingerprint| fingerprint.matches(certificate_pem))
    }

    /// The fingerprint for webrtcbin, which takes one: SHA-256 where there is one, since later versions compare it and
    /// know SHA-1, SHA-256 and SHA-512 only.
    pub(super) fn fingerprint(&self) -> Option<&Fingerprint> {
        let common = self.fingerprints.iter().find(|fingerprint| fingerprint.algorithm() == HashAlgorithm::Sha256);
        common.or(self.fingerprints.first())
    }
}

impl Media {
    /// The payload type that is used: the first, unless [`Offer::narrow`] chose another.
    pub fn payload(&self) -> &Payload {
        self.payloads.first().expect("an m-line without payload types is refused by Offer::parse, the only maker")
    }

    /// All payload types that can be served, in the offerer's order.
    pub fn payloads(&self) -> &[Payload] {
        &self.payloads
    }
}

impl Rejected {
    pub(super) fn of(mline: usize, line: &MLine<'_>) -> Self {
        Self {
            mline,
            media: line.media.to_owned(),
            protocol: line.protocol.to_owned(),
            formats: line.formats.join(" "),
            mid: line.mid.map(ToOwned::to_owned),
        }
    }
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Audio => "audio",
            Self::Video => "video",
        }
    }
}

impl Protocol {
    const ALL: [(Self, &'static str); 8] = [
        (Self::UdpTlsRtpSavpf, "UDP/TLS/RTP/SAVPF"),
        (Self::UdpTlsRtpSavp, "UDP/TLS/RTP/SAVP"),
        (Self::TcpDtlsRtpSavpf, "TCP/DTLS/RTP/SAVPF"),
        (Self::TcpDtlsRtpSavp, "TCP/DTLS/RTP/SAVP"),
        (Self::RtpSavpf, "RTP/SAVPF"),
        (Self::RtpSavp, "RTP/SAVP"),
        (Self::RtpAvpf, "RTP/AVPF"),
        (Self::RtpAvp, "RTP/AVP"),
    ];

    pub(super) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|entry| entry.1 == name).map(|entry| entry.0)
    }

    pub fn name(self) -> &'static str {
        Self::ALL.into_iter().find(|entry| entry.0 == self).map_or("", |entry| entry.1)
    }
}

impl Direction {
    pub(super) const ALL: [Self; 4] = [Self::SendRecv, Self::SendOnly, Self::RecvOnly, Self::Inactive];

    pub fn name(self) -> &'static str {
        match self {
            Self::SendRecv => "sendrecv",
            Self::SendOnly => "sendonly",
            Self::RecvOnly => "recvonly",
            Self::Inactive => "inactive",
        }
    }

    pub fn sends(self) -> bool {
        matches!(self, Self::SendRecv | Self::SendOnly)
    }

    pub fn receives(self) -> bool {
        matches!(self, Self::SendRecv | Self::RecvOnly)
    }

    /// The same as the other side sees it: all that can be answered.
    pub fn reversed(self) -> Self {
        match self {
            Self::SendOnly => Self::RecvOnly,
            Self::RecvOnly => Self::SendOnly,
            both => both,
        }
    }
}

impl Payload {
    /// The video codec; none for audio.
    pub fn codec(&self) -> Option<Codec> {
        match self.format {
            Format::Opus => None,
            Format::Vp8 => Some(Codec::Vp8),
            Format::H264(..) => Some(Codec::H264),
        }
    }
}

impl Format {
    /// The encoding name, as caps spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Opus => "OPUS",
            Self::Vp8 => "VP8",
            Self::H264(..) => "H264",
        }
    }

    /// The RTP clock, in Hz.
    pub fn clock_rate(self) -> u32 {
        match self {
            Self::Opus => 48_000,
            Self::Vp8 | Self::H264(..) => 90_000,
        }
    }

    /// The value of `a=rtpmap` after the payload type.
    pub(super) fn rtpmap(self) -> &'static str {
        match self {
            Self::Opus => "opus/48000/2",
            Self::Vp8 => "VP8/90000",
            Self::H264(..) => "H264/90000",
        }
    }

    /// The value of `a=fmtp` after the payload type: what we ask of whoever sends to us, not what the peer wrote.
    pub(super) fn fmtp(self) -> Option<String> {
        match self {
            Self::Opus => Some("minptime=10;useinbandfec=1".to_owned()),
            Self::Vp8 => None,
            Self::H264(id, mode) => {
                let mode = mode.number();
                Some(format!("level-asymmetry-allowed=1;packetization-mode={mode};profile-level-id={id}"))
            }
        }
    }

    /// The lower, the better among payload types of one codec.
    fn rank(self) -> impl Ord {
        match self {
            Self::H264(id, mode) => Some((mode, id.profile())),
            Self::Opus | Self::Vp8 => None,
        }
    }
}

impl ExtensionKind {
    pub(super) fn from_uri(uri: &str) -> Option<Self> {
        [Self::TransportCc].into_iter().find(|kind| kind.uri() == uri)
    }

    pub fn uri(self) -> &'static str {
        match self {
            Self::TransportCc => "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01",
        }
    }

    pub(super) fn fits(self, kind: Kind) -> bool {
        match self {
            Self::TransportCc => kind == Kind::Video,
        }
    }
}

impl Setup {
    pub(super) fn from_name(name: &str) -> Option<Self> {
        [Self::ActPass, Self::Active, Self::Passive].into_iter().find(|setup| setup.name() == name)
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::ActPass => "actpass",
            Self::Active => "active",
            Self::Passive => "passive",
        }
    }
}

impl fmt::Debug for IceCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IceCredentials").field("ufrag", &self.ufrag).finish_non_exhaustive()
    }
}
