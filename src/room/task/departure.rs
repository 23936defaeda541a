//! How a peer is put out: it is told to go, and then it goes. Whether its own task still works is not taken for granted.

use std::time::Duration;

use crate::control::CloseReason;
use crate::id::PeerId;
use crate::peer::Peer;

/// A peer's task ends within milliseconds. One that has not after this long hangs.
const END_DEADLINE: Duration = Duration::from_secs(3);

/// Tells a peer to go, and ends its task if that hangs. It waits in a task of its own, as the room may be over before.
pub(super) fn see_off(id: PeerId, mut peer: Peer, reason: CloseReason) {
    peer.close(reason);
    let seen_off = async move {
        if tokio::time::timeout(END_DEADLINE, peer.ended()).await.is_err() {
            tracing::error!(participant = %id, "a peer's task hangs and is aborted");
            peer.abort(reason);
        }
    };
    tokio::spawn(tracing::Instrument::in_current_span(seen_off));
}
