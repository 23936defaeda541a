//! How a peer gets in: its offer is read, its place is taken, its connection is made, it is handed to the room.

use std::sync::Arc;

use super::admission::Expected;
use super::joining::Awaited;
use super::state::{Member, NotAdmitted};
use super::task::{News, RoomHandle, RoomStopped};
use super::{Joined, Shared};
use crate::budget::Permit;
use crate::config::Config;
use crate::control::{CloseReason, Codec, Intent, Join, Refusal};
use crate::id::PeerId;
use crate::ladder;
use crate::media::sdp::{Format, Media, Offer, PacketizationMode, Role, SdpError};
use crate::media::{Connection, ConnectionError, Plan};
use crate::peer::{OpenError, Opening, Peer, PeerNotice};

/// Why a peer is not in.
#[derive(Debug)]
pub(super) enum NotReceived {
    /// The room ended meanwhile; another one may be tried.
    RoomStopped,
    Refused(Refusal),
}

impl From<RoomStopped> for NotReceived {
    fn from(RoomStopped: RoomStopped) -> Self {
        Self::RoomStopped
    }
}

/// Reads the offer and checks that it fits what the peer asks for. Who only watches is sent to, whatever it could send:
/// players leave their m-lines `sendrecv`.
pub(super) fn read_offer(join: &Join) -> Result<Offer, Refusal> {
    let mut offer = Offer::parse(&join.offer)?;
    let unsupported = |detail: &str| Err(Refusal::UnsupportedSdp { detail: detail.to_owned() });
    match (join.intent, offer.role()?) {
        (Intent::Participate, Role::Watch) => {
            unsupported("a recvonly offer only watches; publishing takes sendonly or sendrecv")
        }
        (Intent::View, Role::Publish) => unsupported("watching takes a recvonly offer"),
        (Intent::View, Role::Join | Role::Watch) => {
            offer.only_watch();
            Ok(offer)
        }
        (Intent::Participate, _) => Ok(offer),
    }
}

/// Somebody who may come in, as far as that is not a room's business.
#[derive(Clone, Debug)]
pub(super) struct Newcomer {
    pub(super) peer: PeerId,
    pub(super) permit: Arc<Permit>,
    pub(super) expected: Arc<Expected>,
}

/// Lets a peer into `room`.
pub(super) async fn receive(
    room: &RoomHandle,
    join: &Join,
    newcomer: Newcomer,
    mut offer: Offer,
    house: &Shared,
) -> Result<Joined, NotReceived> {
    let Newcomer { peer, permit, expected } = newcomer;
    let mut member = Member::new(join.name.clone(), join.intent, join.rendition.clone());
    let sends = |media: Option<&Media>| media.is_some_and(|media| media.direction.sends());
    let receives = |media: Option<&Media>| media.is_some_and(|media| media.direction.receives());
    member.sends_audio = sends(offer.audio());
    member.sends_video = sends(offer.video());
    member.receives_video = receives(offer.video());
    member.receives = member.receives_video || receives(offer.audio());

    member.single_nal = member.receives_video && single_nal(&offer);
    member.rung = best_rung(&offer, &house.config);
    let (codecs, best_rung) = (codecs(&offer, member.single_nal), member.rung);

    // If this future is dropped on the way (the client hung up), the place is given back.
    let mut reserved = Reserved { room: room.clone(), peer, kept: false };
    let place = match room.admit(peer, member.clone(), codecs.clone()).await? {
        Ok(place) => place,
        Err(why) => {
            // Who is never going to come must not keep a place from who is here.
            let in_this = |one: &Awaited| one.room == join.room && one.peer != peer;
            let Some(first) = house.admission.makes_way(join.from, in_this) else { return Err(refused(why)) };
            room.give_up(first.peer).await;
            room.admit(peer, member, codecs).await?.map_err(refused)?
        }
    };
    let span = tracing::info_span!("peer", room = %join.room, participant = %peer, display_name = %join.name);
    narrow(&mut offer, place.codec).map_err(|error| NotReceived::Refused(error.into()))?;
    let heard = room.clone();
    let opening = Opening {
        plan: Plan {
            peer,
            templates: house.templates.clone(),
            certificate: house.certificate.clone(),
            ice: house.config.ice.clone(),
            fit: house.config.video.fit,
            clock: place.clock,
            offer,
            permit,
        },
        trickle: join.trickle,
        rungs: house.config.renditions.len(),
        best_rung: best_rung.unwrap_or(usize::MAX),
        notices: move |notice| {
            if notice == PeerNotice::Connected {
                expected.came();
            }
            heard.tell(News::Peer(peer, notice));
        },
    };
    let make = move |plan, events| Connection::start(plan, &place.audio, events);
    let opened = tracing::Instrument::instrument(Peer::open(opening, make), span).await.map_err(|error| {
        let detail = error.to_string();
        if let OpenError::Connection(ConnectionError::NoCandidates) = error {
            tracing::warn!(room = %join.room, participant = %peer, detail, "a peer could not be opened");
            return NotReceived::Refused(Refusal::Full { detail });
        }
        tracing::error!(room = %join.room, participant = %peer, detail, "a peer could not be opened");
        NotReceived::Refused(Refusal::Failed { detail })
    })?;
    room.enter(peer, opened.peer).await?;
    reserved.kept = true;
    Ok(Joined { peer, answer: opened.answer, events: opened.events })
}

/// Whether all H.264 that it offers is for single NAL units (RFC 6184, section 6.2).
fn single_nal(offer: &Offer) -> bool {
    let payloads = || offer.video().into_iter().flat_map(Media::payloads);
    let mode = |mode| payloads().any(|payload| matches!(payload.format, Format::H264(_, found) if found == mode));
    mode(PacketizationMode::SingleNal) && !mode(PacketizationMode::NonInterleaved)
}

/// The codecs that its video can be in, in its order. H.264 in single NAL units takes an encode of its own, so that it is
/// left out where there is another.
fn codecs(offer: &Offer, single_nal: bool) -> Vec<Codec> {
    let mut codecs = offer.video_codecs();
    if single_nal && codecs.len() > 1 {
        codecs.retain(|codec| *codec != Codec::H264);
    }
    codecs
}

/// The best rung of the ladder that what the peer wants to be sent at most leaves room for, beside the voices.
fn best_rung(offer: &Offer, config: &Config) -> Option<usize> {
    let voices = offer.audio().filter(|media| media.direction.receives()).map_or(0, |_| config.audio.bitrate.into());
    let in_all = offer.bandwidth.map(|limit| limit.saturating_sub(voices));
    let limit = offer.video().and_then(|media| media.bandwidth).into_iter().chain(in_all).min();
    let bitrates = config.renditions.iter().map(|rendition| rendition.bitrate.into());
    limit.map_or(Some(0), |limit| ladder::best_within(bitrates, limit))
}

/// One payload type for each m-line; the codec was chosen among those offered.
fn narrow(offer: &mut Offer, codec: Option<Codec>) -> Result<(), SdpError> {
    offer.narrow(codec.unwrap_or(Codec::Vp8), true)
}

fn refused(why: NotAdmitted) -> NotReceived {
    let detail = match why {
        NotAdmitted::Participants(limit) => format!("the room has {limit} participants already"),
        NotAdmitted::Viewers(limit) => format!("the room has {limit} viewers already"),
    };
    NotReceived::Refused(Refusal::Full { detail })
}

/// A place in a room that is taken until the peer is in, or given back.
struct Reserved {
    room: RoomHandle,
    peer: PeerId,
    kept: bool,
}

impl Drop for Reserved {
    fn drop(&mut self) {
        if !self.kept {
            self.room.tell(News::Peer(self.peer, PeerNotice::Gone(CloseReason::NotConnected)));
        }
    }
}
