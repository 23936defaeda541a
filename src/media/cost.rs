//! What peers and rooms cost of the process: descriptors and threads, as measured on GStreamer 1.22 and rounded up, so that
//! nothing is granted that is not there. A pipeline's bus is two descriptors; whoever is taken down has a thread for that.

use super::addresses;
use super::sdp::Offer;
use crate::budget::Amount;
use crate::config::{Config, Ice};

/// A peer's transport: 4 event descriptors and a bus; the threads of webrtcbin, its ICE agent, its socket's two ends, DTLS,
/// RTCP, retransmission and a timer.
const TRANSPORT: Amount = Amount { descriptors: 8, threads: 9 };
/// A socket for each local address.
const ADDRESS: Amount = Amount { descriptors: 1, threads: 0 };
/// An m-line on which it sends: two threads of its jitterbuffer.
const RECEIVED: Amount = Amount { descriptors: 0, threads: 2 };
/// An m-line on which it receives: the thread that feeds it.
const SENT: Amount = Amount { descriptors: 0, threads: 1 };
const DECODER: Amount = Amount { descriptors: 2, threads: 2 };
/// A room without anybody: both mixers, the stage, and a still and a snapshot that are made or taken down.
const ROOM: Amount = Amount { descriptors: 8, threads: 8 };
const ENCODER: Amount = Amount { descriptors: 2, threads: 3 };
/// Of each rendition there may be one in each codec.
const CODECS: usize = 2;

/// Addresses that are counted on where they cannot be listed.
const SOME_ADDRESSES: usize = 4;

/// What a peer with this offer costs as long as it is there.
pub fn of_peer(offer: &Offer, ice: &Ice) -> Amount {
    let mut cost = TRANSPORT + ADDRESS * addresses(ice);
    for media in offer.media() {
        cost = cost + RECEIVED * usize::from(media.direction.sends()) + SENT * usize::from(media.direction.receives());
    }
    cost + DECODER * usize::from(offer.video().is_some_and(|video| video.direction.sends()))
}

/// What a peer costs that sends and gets sound and pictures.
pub fn of_largest_peer(ice: &Ice) -> Amount {
    TRANSPORT + ADDRESS * addresses(ice) + (RECEIVED + SENT) * 2 + DECODER
}

/// What a room costs by itself, with all the encoders that it can come to have.
pub fn of_room(config: &Config) -> Amount {
    ROOM + ENCODER * (CODECS * config.renditions.len())
}

fn addresses(ice: &Ice) -> usize {
    if !ice.addresses.is_empty() {
        return ice.addresses.len();
    }
    let Ok(interfaces) = if_addrs::get_if_addrs() else { return SOME_ADDRESSES };
    match ice.exclude_addresses.as_slice() {
        [] => addresses::taken(&interfaces),
        excluded => addresses::usable(&interfaces, excluded).len(),
    }
}
