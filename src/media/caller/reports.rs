//! When what arrives was captured, by the sender's own reports (RFC 3550, section 6.4.1).

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use gstreamer as gst;
use rtcp_types::{Compound, Packet};

use crate::media::guarded;

/// From the epoch of NTP, 1900, to that of Unix.
const NTP_TO_UNIX: Duration = Duration::from_secs(2_208_988_800);

/// Packets that are remembered of each kind.
const PACKETS: usize = 1_000;

/// The reports of the sources that are received, and how old their packets were.
#[derive(Debug, Default)]
pub(super) struct Reports {
    /// By source: an instant since the Unix epoch, and its RTP timestamp.
    clocks: HashMap<u32, (Duration, u32)>,
    sound: VecDeque<f64>,
    pictures: VecDeque<f64>,
}

impl Reports {
    /// Takes a compound RTCP packet.
    pub(super) fn report(&mut self, rtcp: &[u8]) {
        for packet in Compound::parse(rtcp).into_iter().flatten().flatten() {
            if let Packet::Sr(report) = packet {
                let seconds = report.ntp_timestamp() as f64 / 2f64.powi(32);
                let time = Duration::from_secs_f64(seconds).saturating_sub(NTP_TO_UNIX);
                self.clocks.insert(report.ssrc(), (time, report.rtp_timestamp()));
            }
        }
    }

    /// Takes an RTP packet that came at `now`.
    pub(super) fn packet(&mut self, packet: &gst::BufferRef, video: bool, now: Duration) {
        let Some(header) = guarded::bytes::<12>(packet, 0) else { return };
        let word = |at: usize| u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        let (timestamp, ssrc) = (word(4), word(8));
        let Some((time, reported)) = self.clocks.get(&ssrc) else { return };
        let rate = if video { 90_000.0 } else { 48_000.0 };
        let since = f64::from(timestamp.wrapping_sub(*reported).cast_signed()) / rate;
        let ages = if video { &mut self.pictures } else { &mut self.sound };
        ages.push_back((now.as_secs_f64() - time.as_secs_f64() - since) * 1000.0);
        if ages.len() > PACKETS {
            ages.pop_front();
        }
    }

    pub(super) fn ages_ms(&self, video: bool) -> Vec<f64> {
        if video { &self.pictures } else { &self.sound }.iter().copied().collect()
    }
}
