//! How a peer gets in: its offer is read, its place is taken, its connection is made, it is handed to the room.

use super::state::{Member, NotAdmitted};
use super::task::{Mail, RoomHandle, RoomStopped};
use super::{Joined, Shared};
use crate::control::{CloseReason, Codec, Intent, Join, Refusal};
use crate::id::PeerId;
use crate::media::sdp::{Offer, Role, SdpError};
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

/// Reads the offer and checks that it fits what the peer asks for.
pub(super) fn read_offer(join: &Join) -> Result<Offer, Refusal> {
    let offer = Offer::parse(&join.offer)?;
    let unsupported = |detail: &str| Err(Refusal::UnsupportedSdp { detail: detail.to_owned() });
    match (join.intent, offer.role()?) {
        (Intent::Participate, Role::Watch) => {
            unsupported("a recvonly offer only watches; publishing takes sendonly or sendrecv")
        }
        (Intent::View, Role::Publish | Role::Join) => unsupported("watching takes a recvonly offer"),
        _ => Ok(offer),
    }
}

/// Lets a peer into `room`.
pub(super) async fn receive(
    room: &RoomHandle,
    join: &Join,
    mut offer: Offer,
    house: &Shared,
) -> Result<Joined, NotReceived> {
    let peer = PeerId::from_bits(rand::random());
    let mut member = Member::new(join.name.clone(), join.intent, join.rendition.clone());
    let sends = |media: Option<&crate::media::sdp::Media>| media.is_some_and(|media| media.direction.sends());
    let receives = |media: Option<&crate::media::sdp::Media>| media.is_some_and(|media| media.direction.receives());
    member.sends_audio = sends(offer.audio());
    member.sends_video = sends(offer.video());
    member.receives_video = receives(offer.video());
    member.receives = member.receives_video || receives(offer.audio());

    let place = room.admit(peer, member, offer.video_codecs()).await?.map_err(refused)?;
    let span = tracing::info_span!("peer", room = %join.room, participant = %peer, display_name = %join.name);
    // If this future is dropped on the way (the client hung up), the place is given back.
    let mut reserved = Reserved { room: room.clone(), peer, kept: false };

    narrow(&mut offer, place.codec).map_err(|error| NotReceived::Refused(error.into()))?;
    let mail = room.clone();
    let opening = Opening {
        plan: Plan {
            peer,
            templates: house.templates.clone(),
            certificate: house.certificate.clone(),
            ice: house.config.ice.clone(),
            fit: house.config.video.fit,
            clock: place.clock,
            offer,
        },
        trickle: join.trickle,
        rungs: house.config.renditions.len(),
        notices: move |notice| mail.post(Mail::Notice(peer, notice)),
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
            self.room.post(Mail::Notice(self.peer, PeerNotice::Gone(CloseReason::NotConnected)));
        }
    }
}
