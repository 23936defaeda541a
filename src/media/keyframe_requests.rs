//! When a receiver of video asks for a keyframe.
//!
//! What is received asks by itself: a depayloader that misses a packet, a decoder that cannot make sense of a frame. But
//! some ask without end, and some ask once: of rtph264depay comes one request for a loss, and if that, or the keyframe
//! that it brings, is lost, too, the picture stands until the sender makes a keyframe by itself, which browsers never
//! do. So no request is passed on soon after another one, and while the keyframe is missing, the packets that come
//! instead of it ask again.
//!
//! Not everybody answers: OBS and most encoders in hardware make their keyframes when it is time. Who does is seen here.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gstreamer as gst;
use gstreamer_video as gst_video;

use super::clock::RoomClock;
use super::guarded;

/// Shortest time between two requests, and the longest while packets come and the keyframe does not.
const INTERVAL: Duration = Duration::from_millis(500);

/// Depayloaders take the first packet of all for one after a loss. Its frame is most often a keyframe: that is given the
/// time to arrive.
const FIRST_FRAME: Duration = Duration::from_millis(100);

/// A keyframe that comes so soon after a request is its answer: there and back on a bad line.
const ANSWER: Duration = Duration::from_millis(500);

/// So many answers in a row are no chance: a keyframe each 2 s by itself would be taken for two once in sixteen times.
const ANSWERS: u32 = 2;

/// Follows the packets, the requests and the keyframes of one stream. Times are those of any clock.
#[derive(Debug, Default)]
pub(super) struct KeyframeRequests {
    packets: u64,
    /// A keyframe is missing; if it still is at this time, it is asked for again.
    again: Option<Duration>,
    last: Option<Duration>,
    /// Requests that went out since the picture was last whole.
    asked: u32,
    keyframes: u64,
    /// Keyframes in a row that answered a request.
    answered: u32,
    /// Nobody needs a keyframe now, whoever asks.
    muted: bool,
}

impl KeyframeRequests {
    /// A packet came. Whether it is time to ask again.
    pub(super) fn packet(&mut self, now: Duration) -> bool {
        self.packets += 1;
        self.again.is_some_and(|again| now >= again)
    }

    /// Somebody wants a keyframe. Whether that is passed on.
    pub(super) fn request(&mut self, now: Duration) -> bool {
        if self.muted {
            self.again = None;
            return false;
        }
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
        self.asked += 1;
        true
    }

    /// Whether requests go nowhere from now on.
    pub(super) fn mute(&mut self, muted: bool) {
        self.muted = muted;
    }

    /// Nothing is missing, but it would be good to know whether the sender answers. Whether to ask.
    pub(super) fn probe(&mut self, now: Duration) -> bool {
        let due = self.last.is_none_or(|last| now >= last + 2 * INTERVAL);
        if due {
            self.last = Some(now);
        }
        due
    }

    /// A keyframe came.
    pub(super) fn keyframe(&mut self, now: Duration) {
        self.keyframes += 1;
        // The first one of a stream comes by itself.
        if self.keyframes > 1 {
            let answers = self.last.is_some_and(|last| now.saturating_sub(last) <= ANSWER);
            self.answered = if answers { self.answered + 1 } else { 0 };
        }
        self.settle();
    }

    /// The picture is whole: no keyframe is missing.
    pub(super) fn settle(&mut self) {
        self.again = None;
        self.asked = 0;
    }

    /// The picture is no longer whole: from here on, requests are counted.
    pub(super) fn begin(&mut self) {
        self.asked = 0;
    }

    /// Requests since the picture was last whole, none of which was answered.
    pub(super) fn unanswered(&self) -> u32 {
        self.asked
    }

    /// Whether the sender makes a keyframe when it is asked, and none else.
    pub(super) fn are_answered(&self) -> bool {
        self.answered >= ANSWERS
    }
}

/// What follows the requests, for those who look on from several threads. (A std mutex: held while a time is compared.)
pub(super) type Shared = Arc<Mutex<KeyframeRequests>>;

/// A panic of another holder leaves nothing half-written behind this lock.
pub(super) fn lock(requests: &Mutex<KeyframeRequests>) -> MutexGuard<'_, KeyframeRequests> {
    requests.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Stands where the packets of a stream come in, and lets `ask` go to the sender: at most each 500 ms, and again while the
/// keyframe that was asked for is missing. All of it on streaming threads.
pub(super) fn stand_at(packets: &gst::Pad, clock: RoomClock, requests: &Shared, ask: Arc<dyn Fn() + Send + Sync>) {
    let (wanted, sent) = (requests.clone(), ask.clone());
    guarded::probe(packets, gst::PadProbeType::EVENT_UPSTREAM, move |_, info| {
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
    guarded::probe(packets, gst::PadProbeType::BUFFER, move |_, _| {
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
}

/// As [`stand_at`] for a stream of which every frame reaches the decoder: its keyframes end the asking.
pub(super) fn watch(packets: &gst::Pad, frames: &gst::Pad, clock: RoomClock, ask: impl Fn() + Send + Sync + 'static) {
    let requests = Shared::default();
    stand_at(packets, clock, &requests, Arc::new(ask));
    guarded::probe(frames, gst::PadProbeType::BUFFER, move |_, info| {
        if info.buffer().is_some_and(|frame| !frame.flags().contains(gst::BufferFlags::DELTA_UNIT)) {
            lock(&requests).keyframe(clock.now());
        }
        gst::PadProbeReturn::Ok
    });
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
        requests.keyframe(ms(205));
        assert!(!requests.packet(ms(210)), "nothing is missing");
        assert!(!requests.request(ms(300)), "too soon");
        assert!(!requests.packet(ms(690)));
        assert!(requests.packet(ms(700)) && requests.request(ms(700)));
    }

    #[test]
    fn a_keyframe_ends_the_asking() {
        let mut requests = KeyframeRequests::default();
        assert_eq!(sent(&mut requests, 210, &[200]), [200]);
        requests.keyframe(ms(205));
        assert!((0..1000).all(|n| !requests.packet(ms(210 + n))));
    }

    #[test]
    fn the_first_packet_of_all_is_no_loss_unless_no_keyframe_begins_with_it() {
        assert_eq!(sent(&mut KeyframeRequests::default(), 300, &[0]), [100]);
        let mut requests = KeyframeRequests::default();
        assert!(sent(&mut requests, 50, &[0]).is_empty());
        requests.keyframe(ms(50));
        assert!((50..1000).all(|now| !requests.packet(ms(now))));
    }

    #[test]
    fn who_makes_keyframes_when_it_is_time_does_not_answer() {
        /// Whether they are answered, of keyframes at these times and requests at those.
        fn are_answered(keyframes: &[u64], asked: &[u64]) -> bool {
            let mut requests = KeyframeRequests { packets: 2, ..KeyframeRequests::default() };
            for time in (0..20_000).step_by(10) {
                if keyframes.contains(&time) {
                    requests.keyframe(ms(time));
                }
                if asked.contains(&time) {
                    assert!(requests.probe(ms(time)));
                }
            }
            requests.are_answered()
        }
        assert!(are_answered(&[0, 1_100, 5_400], &[1_000, 5_000]), "a browser");
        assert!(!are_answered(&[0, 1_100], &[1_000]), "once may be chance");
        assert!(!are_answered(&[0, 8_300, 16_600], &[1_000, 2_000, 3_000]), "a keyframe each 8.3 s");
        assert!(
            !are_answered(&[0, 8_300, 16_600], &[8_000, 16_000, 18_000].map(|time| time - 500)),
            "late is no answer"
        );
        assert!(!are_answered(&[0, 1_100, 5_400, 9_000], &[1_000, 5_000]), "one without a request");
    }

    #[test]
    fn requests_that_nobody_answers_are_counted_while_the_picture_is_not_whole() {
        let mut requests = KeyframeRequests::default();
        assert_eq!(sent(&mut requests, 1_300, &[200]).len(), 3);
        assert_eq!(requests.unanswered(), 3);
        requests.settle();
        assert_eq!(requests.unanswered(), 0);
        requests.mute(true);
        assert!(!requests.request(ms(5_000)) && requests.unanswered() == 0, "nobody needs one");
    }
}
