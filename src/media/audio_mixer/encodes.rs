//! The encodes of one room: one of the full mix for everybody who adds nothing to it, one for each listener who does.
//!
//! A decoder does not like to be handed from one encoder to another: each predicts from what it encoded before. So a
//! listener is only ever moved between encoders of which both encoded the same sound just before. One that leaves the
//! shared encode gets an encoder that went through the last frames of the full mix, or, alone on it, the shared encoder
//! itself; one that comes back does so when its own mix has equalled the full one for a while (see [`Routing`]). What
//! the two encoders still differ in, the first packet after a move bridges ([`Encoder::encode_after_another`]).

use std::collections::VecDeque;

use bytes::Bytes;

use crate::id::PeerId;
use crate::mix_minus::{Limiter, Route, Routing, Sum};
use crate::pcm::{Frame, SILENCE};

use super::codec::Encoder;

/// Frames of the full mix that a new encoder goes through: 200 ms.
const WARM_UP: usize = 10;

/// What a listener needs between ticks.
#[derive(Debug, Default)]
pub(super) struct Subscription {
    routing: Routing,
    own: Option<Own>,
}

#[derive(Debug)]
struct Own {
    encoder: Encoder,
    limiter: Limiter,
    /// Its decoder was fed by another encoder until now.
    fresh: bool,
}

/// Encodes one room's mixes.
#[derive(Debug)]
pub(super) struct Encodes {
    bitrate: u32,
    /// Somebody's line loses packets, so all of them carry FEC.
    lossy: bool,
    shared: Option<Encoder>,
    limiter: Limiter,
    /// The last frames of the full mix as they were encoded, the oldest first; full from the beginning.
    history: VecDeque<Frame>,
    own: usize,
    failed: u64,
}

impl Encodes {
    pub(super) fn new(bitrate: u32) -> Self {
        let history = std::iter::repeat_n(SILENCE, WARM_UP).collect();
        Self { bitrate, lossy: false, shared: None, limiter: Limiter::default(), history, own: 0, failed: 0 }
    }

    /// The same encodes, begun anew.
    pub(super) fn renewed(self) -> Self {
        Self { lossy: self.lossy, failed: self.failed, ..Self::new(self.bitrate) }
    }

    /// Puts FEC into all packets from the next tick on, or no more.
    pub(super) fn protect(&mut self, lossy: bool) {
        self.lossy = lossy;
    }

    /// Encoders that run.
    pub(super) fn running(&self) -> usize {
        self.own + usize::from(self.shared.is_some())
    }

    /// Packets that could not be made, each of which a listener misses.
    pub(super) fn failed(&self) -> u64 {
        self.failed
    }

    /// Makes each listener's packet of this tick and hands it to `send` with the listener's place.
    pub(super) fn tick(
        &mut self,
        sum: &Sum<PeerId>,
        listeners: Vec<(PeerId, &mut Subscription)>,
        mut send: impl FnMut(usize, Bytes),
    ) {
        if listeners.is_empty() {
            (self.shared, self.own) = (None, 0);
            return;
        }
        let limiter_before = self.limiter.clone();
        let mut full = sum.full();
        self.limiter.process(&mut full);

        let mut joined = false;
        let mut sharing = Vec::new();
        let mut speaking = Vec::new();
        for (place, (peer, subscription)) in listeners.into_iter().enumerate() {
            match subscription.routing.decide(sum.contains(peer)) {
                Route::Shared => {
                    let own = subscription.own.take();
                    // Whoever comes back to an encode that nobody else takes brings its own along.
                    joined |= own.is_some() && self.shared.is_some();
                    if self.shared.is_none() {
                        self.shared = own.map(|own| own.encoder);
                    }
                    sharing.push(place);
                }
                Route::Own => speaking.push((place, peer, subscription)),
            }
        }
        self.own = speaking.len();

        let mut left_over = None;
        if sharing.is_empty() {
            left_over = self.shared.take();
        } else if let Some(packet) = self.encode_shared(&full, joined) {
            sharing.iter().for_each(|&place| send(place, packet.clone()));
        }
        for (place, peer, subscription) in speaking {
            let mut mix = sum.minus(peer);
            if let Some(packet) = self.encode_own(subscription, &mut left_over, &limiter_before, &mut mix) {
                send(place, packet);
            }
        }
        self.history.pop_front();
        self.history.push_back(full);
    }

    /// `joined`: somebody takes this encode who took another until now.
    fn encode_shared(&mut self, full: &Frame, joined: bool) -> Option<Bytes> {
        let encoder = match self.shared.take() {
            Some(encoder) => Ok(encoder),
            None => Encoder::warmed_up(self.bitrate, self.lossy, &self.history),
        };
        let encoded = encoder.and_then(|mut encoder| {
            encoder.protect(self.lossy)?;
            let packet = if joined { encoder.encode_after_another(full) } else { encoder.encode(full) };
            Ok((encoder, packet?))
        });
        let (encoder, packet) = self.checked(encoded)?;
        self.shared = Some(encoder);
        Some(packet)
    }

    /// A listener that has no encoder of its own yet takes the one that is `left_over` by nobody sharing any more.
    fn encode_own(
        &mut self,
        subscription: &mut Subscription,
        left_over: &mut Option<Encoder>,
        limiter: &Limiter,
        mix: &mut Frame,
    ) -> Option<Bytes> {
        let fresh = left_over.is_none();
        let own = match subscription.own.take() {
            Some(own) => Ok(own),
            None => left_over
                .take()
                .map_or_else(|| Encoder::warmed_up(self.bitrate, self.lossy, &self.history), Ok)
                .map(|encoder| Own { encoder, limiter: limiter.clone(), fresh }),
        };
        let encoded = own.and_then(|mut own| {
            own.limiter.process(mix);
            own.encoder.protect(self.lossy)?;
            let fresh = std::mem::take(&mut own.fresh);
            let packet = if fresh { own.encoder.encode_after_another(mix) } else { own.encoder.encode(mix) };
            Ok((own, packet?))
        });
        let (own, packet) = self.checked(encoded)?;
        subscription.own = Some(own);
        Some(packet)
    }

    /// An encoder that failed is not used again; the next tick makes a new one.
    fn checked<T>(&mut self, encoded: Result<T, opus::Error>) -> Option<T> {
        encoded
            .inspect_err(|error| {
                self.failed += 1;
                if self.failed.is_power_of_two() {
                    tracing::warn!(%error, failed = self.failed, "the mix could not be encoded");
                }
            })
            .ok()
    }
}

#[cfg(test)]
impl Subscription {
    pub(super) fn is_own(&self) -> bool {
        self.own.is_some()
    }
}
