//! Writing descriptions: the canonical offer for webrtcbin, and the shape that answers share with it.

use std::fmt::{self, Display, Write};

use super::offer::{Direction, Extension, Kind, Offer, Payload, Protocol, Rejected, Setup};

/// The identification tag for an m-line that has none.
const MADE_UP_MID: &str = "0";

/// The transport attributes, which stand in every m-line: webrtcbin asks for them there, and clients built upon it too.
pub(super) struct TransportLines<'a> {
    pub ufrag: &'a str,
    pub pwd: &'a str,
    pub fingerprint: &'a dyn Display,
    pub setup: Setup,
}

/// One media section to be written.
pub(super) struct MediaSection<'a> {
    pub kind: Kind,
    pub mid: Option<&'a str>,
    pub protocol: Protocol,
    pub direction: Direction,
    pub payload: &'a Payload,
    pub extensions: &'a [Extension],
    pub rtcp_mux_only: bool,
    /// Further attributes, without `a=`.
    pub more: &'a [String],
}

impl Offer {
    /// The canonical description for webrtcbin's `set-remote-description`. It holds for every offer that was parsed:
    /// - nothing but what is typed in [`Offer`] and served; no candidates (use `add-ice-candidate` with
    ///   [`Offer::candidates`]);
    /// - one payload type in each m-line, the first ([`Offer::narrow`] chooses), and its retransmissions if they are kept;
    /// - `mid`, `setup`, `ice-ufrag`, `ice-pwd` and one `fingerprint` in every m-line, equal in all, none in the session;
    /// - one BUNDLE group of exactly the m-lines, the tagged one first in both; `rtcp-mux`; no port 0;
    /// - the `ssrc`s with a made-up `cname`.
    ///
    /// Reading it again and writing that gives the same text.
    pub fn to_webrtcbin(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = self.write_canonical(&mut text);
        text
    }

    fn write_canonical(&self, out: &mut String) -> fmt::Result {
        write_session(out, "0", Some(&self.bundled_mids()))?;
        if self.ice_lite {
            write!(out, "a=ice-lite\r\n")?;
        }
        let fingerprint = self.fingerprint().map(ToString::to_string).unwrap_or_default();
        let transport =
            TransportLines { ufrag: &self.ice.ufrag, pwd: &self.ice.pwd, fingerprint: &fingerprint, setup: self.setup };
        for media in &self.media {
            let more: Vec<_> = media.sources.declared().iter().map(|ssrc| format!("ssrc:{ssrc} cname:peer")).collect();
            let section = MediaSection {
                kind: media.kind,
                mid: Some(media.mid.as_deref().unwrap_or(MADE_UP_MID)),
                protocol: Protocol::UdpTlsRtpSavpf,
                direction: media.direction,
                payload: media.payload(),
                extensions: &media.extensions,
                rtcp_mux_only: false,
                more: &more,
            };
            section.write(out, &transport)?;
        }
        Ok(())
    }

    /// The identification tags of the group, the tagged one first.
    pub(super) fn bundled_mids(&self) -> Vec<&str> {
        self.media.iter().map(|media| media.mid.as_deref().unwrap_or(MADE_UP_MID)).collect()
    }
}

/// The session section; with a BUNDLE group, if there are mids for one.
pub(super) fn write_session(out: &mut String, id: &str, group: Option<&[&str]>) -> fmt::Result {
    write!(out, "v=0\r\no=- {id} 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n")?;
    group.map_or(Ok(()), |mids| write!(out, "a=group:BUNDLE {}\r\n", mids.join(" ")))
}

impl MediaSection<'_> {
    pub fn write(&self, out: &mut String, transport: &TransportLines<'_>) -> fmt::Result {
        let Payload { number, format, feedback, rtx, .. } = self.payload;
        write!(out, "m={} 9 {} {number}", self.kind.name(), self.protocol.name())?;
        if let Some(rtx) = rtx {
            write!(out, " {rtx}")?;
        }
        write!(out, "\r\nc=IN IP4 0.0.0.0\r\n")?;
        if let Some(mid) = self.mid {
            write!(out, "a=mid:{mid}\r\n")?;
        }
        let TransportLines { ufrag, pwd, fingerprint, setup } = transport;
        write!(out, "a=ice-ufrag:{ufrag}\r\na=ice-pwd:{pwd}\r\n")?;
        write!(out, "a=fingerprint:{fingerprint}\r\na=setup:{}\r\na=rtcp-mux\r\n", setup.name())?;
        if self.rtcp_mux_only {
            write!(out, "a=rtcp-mux-only\r\n")?;
        }
        write!(out, "a={}\r\na=rtpmap:{number} {}\r\n", self.direction.name(), format.rtpmap())?;
        if let Some(fmtp) = format.fmtp() {
            write!(out, "a=fmtp:{number} {fmtp}\r\n")?;
        }
        let messages = [
            (feedback.nack, "nack"),
            (feedback.pli, "nack pli"),
            (feedback.fir, "ccm fir"),
            (feedback.transport_cc, "transport-cc"),
        ];
        for (_, message) in messages.into_iter().filter(|(offered, _)| *offered) {
            write!(out, "a=rtcp-fb:{number} {message}\r\n")?;
        }
        if let Some(rtx) = rtx {
            write!(out, "a=rtpmap:{rtx} rtx/{}\r\na=fmtp:{rtx} apt={number}\r\n", format.clock_rate())?;
        }
        for Extension { id, kind } in self.extensions {
            write!(out, "a=extmap:{id} {}\r\n", kind.uri())?;
        }
        self.more.iter().try_for_each(|attribute| write!(out, "a={attribute}\r\n"))
    }
}

impl Rejected {
    /// As an answer has it.
    pub(super) fn write(&self, out: &mut String) -> fmt::Result {
        let Self { media, protocol, formats, mid, .. } = self;
        write!(out, "m={media} 0 {protocol} {formats}\r\nc=IN IP4 0.0.0.0\r\n")?;
        if let Some(mid) = mid {
            write!(out, "a=mid:{mid}\r\n")?;
        }
        write!(out, "a=inactive\r\n")
    }
}
