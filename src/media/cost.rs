//! What peers and rooms cost of the process: descriptors and threads, measured on GStreamer 1.22 and rounded up, so that
//! nothing is granted that is not there.

use super::sdp::Offer;
use crate::budget::Amount;
use crate::config::{Config, Ice};

use super::addresses;

/// A peer's transport, whatever goes over it: webrtcbin, its ICE agent, DTLS and RTCP; and a thread that takes it down.
const TRANSPORT: Amount = Amount { descriptors: 8, threads: 9 };
/// A socket for each local address.
const ADDRESS: Amount = Amount { descriptors: 1, threads: 0 };
/// An m-line on which it sends: two threads of its jitterbuffer.
const RECEIVED: Amount = Amount { descriptors: 0, threads: 2 };
/// An m-line on which it receives: the thread that feeds it.
const SENT: Amount = Amount { descriptors: 0, threads: 1 };
/// A decoder, and the thread that takes it down.
const DECODER: Amount = Amount { descriptors: 1, threads: 2 };
/// A room without anybody: both mixers, the threads of their stills and of a snapshot.
const ROOM: Amount = Amount { descriptors: 8, threads: 10 };
/// An encoder, and the thread that takes it down.
const ENCODER: Amount = Amount { descriptors: 2, threads: 4 };
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

fn addresses(ice: &Ice) -> usize {
    if !ice.addresses.is_empty() {
        return ice.addresses.len();
    }
    let interfaces = if_addrs::get_if_addrs();
    interfaces.map_or(SOME_ADDRESSES, |interfaces| addresses::usable(&interfaces, &ice.exclude_addresses).len())
}

/// What a room costs by itself, with all the encoders that it can come to have.
pub fn of_room(config: &Config) -> Amount {
    ROOM + ENCODER * (CODECS * config.renditions.len())
}
