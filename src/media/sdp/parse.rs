//! Reading an offer: the whitelist, and the rules that an offer has to keep to be served.

use super::bandwidth;
use super::candidate::is_ice_text;
use super::fingerprint::Fingerprint;
use super::mline::{Bundle, MLine};
use super::offer::{Direction, ExtensionKind, IceCredentials, Kind, Media, Offer, Protocol, Rejected, Setup};
use super::payloads::{direction, extensions, payloads};
use super::text::{self, Section};
use super::{IceCandidate, SdpError, Sources, malformed, unsupported};

const MAX_CANDIDATES: usize = 64;
const MAX_FINGERPRINTS: usize = 8;

impl Offer {
    /// Reads an offer. `Malformed` is what is not SDP or contradicts itself; `Unsupported` what breaks a rule of this
    /// server: DTLS-SRTP on one transport (BUNDLE, rtcp-mux), Opus, VP8 or H.264.
    ///
    /// One audio and one video m-line are served, of several of a kind one that sends, or else receives, and the first of these. What is
    /// not for this server at all (data channels, m-lines that are stopped or on another transport) is rejected in the
    /// answer. Audio or video in none of these codecs refuses the whole offer, since a peer that hears half of what it
    /// expects is not told why (RFC 9725, section 4.4.3).
    ///
    /// Simulcast is answered as RFC 8853 has it for those who do not know it: without, so that one encoding is sent.
    pub fn parse(text: &str) -> Result<Self, SdpError> {
        let description = text::read(text)?;
        let session = &description.session;
        let lines = MLine::read_all(&description)?;
        let bundle = Bundle::choose(session, &lines)?;
        let mut media = Vec::new();
        for kind in [Kind::Audio, Kind::Video] {
            media.extend(choose(kind, &lines, &bundle, session)?);
        }
        // The offerer-tagged m-line of RFC 9143, or the first after it that is served (section 7.3.1), comes first.
        let place = |media: &Media| bundle.members.iter().position(|mline| *mline == media.mline);
        media.sort_unstable_by_key(place);
        check_bundled_numbers(&media)?;
        let Some(tagged) = media.first().map(|media| media.mline) else {
            return unsupported("nothing of it can be served");
        };
        let served = |mline: &usize| media.iter().any(|media| media.mline == *mline);
        let rejected = lines.iter().enumerate().filter(|(mline, _)| !served(mline));
        let rejected = rejected.map(|(mline, line)| Rejected::of(mline, line)).collect();

        let first = bundle.members.first().copied().unwrap_or_default();
        let transport = Transport { tagged: lines[tagged].section, first: lines[first].section, session };
        if !transport.multiplexes_rtcp() {
            return unsupported("there is no a=rtcp-mux in the m-line whose transport is used");
        }
        if bundle.grouped {
            // What holds for the transport holds for each m-line on it (RFC 8859: IDENTICAL).
            let only = transport.tagged.has("rtcp-mux-only");
            media.iter_mut().for_each(|media| media.rtcp_mux_only |= only);
        }
        let others = bundle.members.iter().map(|mline| lines[*mline].section);
        let candidates: Vec<_> = usable_candidates(transport.tagged).collect();
        let candidates = match candidates.is_empty() {
            true => others.flat_map(usable_candidates).take(MAX_CANDIDATES).collect(),
            false => candidates,
        };
        let end = |section: &Section<'_>| section.has("end-of-candidates");
        Ok(Self {
            media,
            rejected,
            grouped: bundle.grouped,
            ice: transport.ice()?,
            ice_lite: session.has("ice-lite"),
            setup: transport.setup()?,
            fingerprints: transport.fingerprints()?,
            candidates,
            end_of_candidates: end(transport.tagged) || end(session),
            bandwidth: bandwidth::limit(session),
        })
    }
}

/// Which m-line of this kind is served, if any.
fn choose(kind: Kind, lines: &[MLine<'_>], bundle: &Bundle, session: &Section<'_>) -> Result<Option<Media>, SdpError> {
    // Of equals the one with the transport: others may have left it to that (section 7.3.1 of RFC 9143).
    let rank = |media: &Media| {
        let direction = match media.direction {
            Direction::SendRecv | Direction::SendOnly => 0,
            Direction::RecvOnly => 1,
            Direction::Inactive => 2,
        };
        (direction, bundle.members.first() != Some(&media.mline))
    };
    let (mut best, mut refused) = (None::<Media>, None);
    for (mline, line) in lines.iter().enumerate().filter(|(mline, _)| bundle.members.contains(mline)) {
        let Some((_, protocol)) = line.kind(bundle.grouped).ok().filter(|(found, _)| *found == kind) else { continue };
        match read_media(mline, line, kind, protocol, session) {
            Ok(media) if best.as_ref().is_none_or(|best| rank(&media) < rank(best)) => {
                best = Some(media);
            }
            Ok(_) => {}
            Err(SdpError::Unsupported(_)) if direction(line.section)? == Some(Direction::Inactive) => {}
            Err(SdpError::Unsupported(detail)) => drop(refused.get_or_insert(detail)),
            Err(error) => return Err(error),
        }
    }
    match refused {
        Some(detail) if best.as_ref().is_none_or(|best| best.direction == Direction::Inactive) => unsupported(detail),
        _ => Ok(best),
    }
}

fn read_media(
    mline: usize,
    line: &MLine<'_>,
    kind: Kind,
    protocol: Protocol,
    session: &Section<'_>,
) -> Result<Media, SdpError> {
    let section = line.section;
    let mut payloads = payloads(kind, line)?;
    if payloads.is_empty() {
        let wanted = match kind {
            Kind::Audio => "Opus",
            Kind::Video => "VP8, nor H264 of a profile that is decoded here",
        };
        return unsupported(format!("the {} m-line offers no {wanted}", kind.name()));
    }
    let direction = direction(section)?.or(direction(session)?).unwrap_or(Direction::SendRecv);
    let mut extensions = extensions(kind, section, session)?;
    if !direction.sends() {
        // What we send carries none of them.
        extensions.clear();
    }
    if !extensions.iter().any(|extension| extension.kind == ExtensionKind::TransportCc) {
        payloads.iter_mut().for_each(|payload| payload.feedback.transport_cc = false);
    }
    Ok(Media {
        mline,
        kind,
        mid: line.mid.map(ToOwned::to_owned),
        direction,
        protocol,
        payloads,
        extensions,
        sources: Sources::read(section)?,
        rtcp_mux_only: section.has("rtcp-mux-only"),
        bandwidth: bandwidth::limit(section),
    })
}

/// What is told apart by number on the common transport must not have the same number in both m-lines (RFC 9143).
fn check_bundled_numbers(media: &[Media]) -> Result<(), SdpError> {
    let [one, other] = media else { return Ok(()) };
    if one.sources.declared().iter().any(|ssrc| other.sources.declared().contains(ssrc)) {
        return malformed("both m-lines have the same a=ssrc");
    }
    if one.extensions.iter().any(|extension| other.extensions.iter().any(|other| other.id == extension.id)) {
        return malformed("an a=extmap has another meaning in the other m-line");
    }
    let numbers = |media: &Media| -> Vec<u8> {
        media.payloads.iter().flat_map(|payload| [Some(payload.number), payload.rtx]).flatten().collect()
    };
    let taken = numbers(other);
    if numbers(one).iter().any(|pt| taken.contains(pt)) {
        return malformed("a payload type has another meaning in the other m-line");
    }
    Ok(())
}

/// Where the attributes of the transport stand: in the m-line whose transport is used, or in the session. Where the first
/// m-line of the group is not served, others of the group may have left them to it.
struct Transport<'a> {
    tagged: &'a Section<'a>,
    first: &'a Section<'a>,
    session: &'a Section<'a>,
}

impl<'a> Transport<'a> {
    fn sections(&self) -> [&'a Section<'a>; 3] {
        [self.tagged, self.first, self.session]
    }

    fn value(&self, name: &str) -> Result<Option<&'a str>, SdpError> {
        let with = self.sections().into_iter().find(|section| section.has(name));
        with.map_or(Ok(None), |section| section.single(name))
    }

    fn multiplexes_rtcp(&self) -> bool {
        [self.tagged, self.first].iter().any(|section| section.has("rtcp-mux") || section.has("rtcp-mux-only"))
    }

    fn ice(&self) -> Result<IceCredentials, SdpError> {
        let (Some(ufrag), Some(pwd)) = (self.value("ice-ufrag")?, self.value("ice-pwd")?) else {
            return unsupported("there is no a=ice-ufrag or no a=ice-pwd");
        };
        if !is_ice_text(ufrag, 4, 256) {
            return malformed("a=ice-ufrag is not 4 to 256 of the characters of RFC 8839");
        }
        if !is_ice_text(pwd, 22, 256) {
            return malformed("a=ice-pwd is not 22 to 256 of the characters of RFC 8839");
        }
        Ok(IceCredentials { ufrag: ufrag.to_owned(), pwd: pwd.to_owned() })
    }

    fn setup(&self) -> Result<Setup, SdpError> {
        match self.value("setup")? {
            // The default of RFC 4145.
            None => Ok(Setup::Active),
            Some("holdconn") => unsupported("a=setup:holdconn is not served"),
            Some(name) => Setup::from_name(name).map_or_else(|| malformed("a=setup is not one of RFC 4145"), Ok),
        }
    }

    fn fingerprints(&self) -> Result<Vec<Fingerprint>, SdpError> {
        let Some(source) = self.sections().into_iter().find(|section| section.has("fingerprint")) else {
            return unsupported("there is no a=fingerprint: media is only taken and sent encrypted, by DTLS-SRTP");
        };
        let mut fingerprints = Vec::new();
        for value in source.all("fingerprint").take(MAX_FINGERPRINTS) {
            fingerprints.extend(Fingerprint::parse(value)?);
        }
        if fingerprints.is_empty() {
            return unsupported("no a=fingerprint uses a hash function that is known here");
        }
        fingerprints.sort_by_key(|fingerprint| std::cmp::Reverse(fingerprint.algorithm()));
        Ok(fingerprints)
    }
}

fn usable_candidates(section: &Section<'_>) -> impl Iterator<Item = IceCandidate> {
    let candidates = section.all("candidate").take(MAX_CANDIDATES);
    let parsed = candidates.filter_map(|value| IceCandidate::parse(&format!("candidate:{value}")).ok());
    parsed.filter(IceCandidate::usable)
}
