//! When a receiver of video asks for a keyframe.
//!
//! What is received asks by itself: a depayloader that misses a packet, a decoder that cannot make sense of a frame. But
//! some ask without end, and some ask once: of rtph264depay comes one request for a loss, and if that, or the keyframe
//! that it brings, is lost, too, the picture stands until the sender makes a keyframe by itself, which browsers never
//! do. So no request is passed on soon after another one, and while the keyframe is missing, the packets that come
//! instead of it ask again.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_video as gst_video;

use super::clock::RoomClock;

/// Shortest time between two requests, and the longest while packets come and the keyframe does not.
const INTERVAL: Duration = Duration::from_millis(500);

/// Depayloaders take the first packet of all for one after a loss. Its frame is most often a keyframe: that is given the
/// time to arrive.
const FIRST_FRAME: Duration = Duration::from_millis(100);

/// Follows the packets, the requests and the keyframes of one stream. Times are those of any clock.
#[derive(Debug, Default)]
struct KeyframeRequests {
    packets: u64,
    /// A keyframe is missing; if it still is at this time, it is asked for again.
    again: Option<Duration>,
    last: Option<Duration>,
}

impl KeyframeRequests {
    /// A packet came. Whether it is time to ask again.
    fn packet(&mut self, now: Duration) -> bool {
        self.packets += 1;
        self.again.is_some_and(|again| now >= again)
    }

    /// Somebody wants a keyframe. Whether that is passed on.
    fn request(&mut self, now: Duration) -> bool {
        if self.packets <= 1 {
            self.again = Some(now + FIRST_FRAME);
            return false;
        }
        let due = self.last.map_or(now, |last| last + INTERVAL);
        if now < due {
            self.again = Some(due);
            return false;
        }
        self.last = Some(now);
        self.again = Some(now + INTERVAL);
        true
    }

    /// A keyframe reached the decoder.
    fn keyframe(&mut self) {
        self.again = None;
    }
}

/// Watches a stream from where its packets come in to where its frames reach the decoder, and lets `ask` go to the
/// sender: at most each 500 ms, and again while the keyframe that was asked for is missing. All of it on streaming threads.
pub(super) fn watch(packets: &gst::Pad, frames: &gst::Pad, clock: RoomClock, ask: impl Fn() + Send + Sync + 'static) {
    // A std mutex: held while a time is compared.
    let requests = Arc::new(Mutex::new(KeyframeRequests::default()));
    let ask = Arc::new(ask);
    let (wanted, sent) = (requests.clone(), ask.clone());
    packets.add_probe(gst::PadProbeType::EVENT_UPSTREAM, move |_, info| {
        if !info.event().is_some_and(|event| gst_video::ForceKeyUnitEvent::is(event)) {
            return gst::PadProbeReturn::Ok;
        }
        let due = lock(&wanted).request(clock.now());
        if due {
            sent();
        }
        // Not Drop: with that the bindings leave no event for GStreamer to free, which it complains of.
        gst::PadProbeReturn::Handled
    });
    let coming = requests.clone();
    packets.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
        let now = clock.now();
        let due = {
            let mut requests = lock(&coming);
            requests.packet(now) && requests.request(now)
        };
        if due {
            ask();
        }
        gst::PadProbeReturn::Ok
    });
    frames.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        if info.buffer().is_some_and(|frame| !frame.flags().contains(gst::BufferFlags::DELTA_UNIT)) {
            lock(&requests).keyframe();
        }
        gst::PadProbeReturn::Ok
    });
}

/// A panic of another holder leaves nothing half-written behind this lock.
fn lock(requests: &Mutex<KeyframeRequests>) -> MutexGuard<'_, KeyframeRequests> {
    requests.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// The times at which a request goes out, of packets that come each 10 ms from 0 to `end`, of which those at
    /// `losses` make the receiver ask.
    fn sent(requests: &mut KeyframeRequests, end: u64, losses: &[u64]) -> Vec<u64> {
        let mut at = |time: &u64| {
            let again = requests.packet(ms(*time)) && requests.request(ms(*time));
            again || losses.contains(time) && requests.request(ms(*time))
        };
        (0..end).step_by(10).filter(|time| at(time)).collect()
    }

    #[test]
    fn a_keyframe_that_does_not_come_is_asked_for_again() {
        assert_eq!(sent(&mut KeyframeRequests::default(), 1300, &[200]), [200, 700, 1200]);
    }

    #[test]
    fn a_loss_soon_after_a_request_is_not_forgotten() {
        let mut requests = KeyframeRequests::default();
        assert_eq!(sent(&mut requests, 210, &[200]), [200]);
        requests.keyframe();
        assert!(!requests.packet(ms(210)), "nothing is missing");
        assert!(!requests.request(ms(300)), "too soon");
        assert!(!requests.packet(ms(690)));
        assert!(requests.packet(ms(700)) && requests.request(ms(700)));
    }

    #[test]
    fn a_keyframe_ends_the_asking() {
        let mut requests = KeyframeRequests::default();
        assert_eq!(sent(&mut requests, 210, &[200]), [200]);
        requests.keyframe();
        assert!((0..1000).all(|n| !requests.packet(ms(210 + n))));
    }

    #[test]
    fn the_first_packet_of_all_is_no_loss_unless_no_keyframe_begins_with_it() {
        assert_eq!(sent(&mut KeyframeRequests::default(), 300, &[0]), [100]);
        let mut requests = KeyframeRequests::default();
        assert!(sent(&mut requests, 50, &[0]).is_empty());
        requests.keyframe();
        assert!((50..1000).all(|now| !requests.packet(ms(now))));
    }
}
