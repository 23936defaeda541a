//! What webrtcbin keeps to itself: its ICE agent, its jitterbuffers, its pacing, its sockets.
//!
//! There are no properties for these; they are reached through the elements that webrtcbin is made of, which are the same
//! from GStreamer 1.22 to 1.26.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use gstreamer as gst;
use gstreamer::prelude::*;

use super::addresses;
use super::clock::RoomClock;
use super::dtls::{self, AfterHandshake};
use super::gate::Gate;
use super::guarded;
use super::receiver_reports::{self, ReceiverReports};
use super::transport::{Kind, ReportSink, Track, TransportError};
use crate::config;

/// How long voice waits for a missing packet, in ms: it has FEC and concealment, and only packets out of order are worth
/// a wait.
const AUDIO_LATENCY_MS: u32 = 20;

/// When something was last heard of a peer, and whether its handshake is over. Written on streaming threads.
#[derive(Debug, Default)]
pub(super) struct Heard {
    millis: AtomicU64,
    /// When its last report came, plus one; zero before the first.
    reported: AtomicU64,
    settled: AtomicBool,
    after_handshake: Mutex<AfterHandshake>,
}

impl Heard {
    pub(super) fn note(&self, now: Duration) {
        self.millis.store(u64::try_from(now.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// In running time.
    pub(super) fn last(&self) -> Duration {
        Duration::from_millis(self.millis.load(Ordering::Relaxed))
    }

    /// A report (RTCP) came, which has passed SRTCP.
    fn note_report(&self, now: Duration) {
        let millis = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        self.reported.store(millis.saturating_add(1), Ordering::Relaxed);
    }

    /// When its last report came, in running time.
    pub(super) fn reported(&self) -> Option<Duration> {
        self.reported.load(Ordering::Relaxed).checked_sub(1).map(Duration::from_millis)
    }

    /// The handshake is over and the peer's certificate verified: what comes without protection is not the peer's.
    pub(super) fn settle(&self) {
        self.settled.store(true, Ordering::Relaxed);
    }

    /// Whether the peer can have sent this, and has a reason to.
    fn passes(&self, datagram: &gst::BufferRef, now: Duration) -> bool {
        if !self.settled.load(Ordering::Relaxed) {
            return true;
        }
        if !guarded::bytes::<1>(datagram, 0).is_some_and(|first| dtls::is_dtls(&first)) {
            return true;
        }
        let Ok(datagram) = datagram.map_readable() else { return false };
        self.after_handshake.lock().unwrap_or_else(PoisonError::into_inner).passes(&datagram, now)
    }
}

/// Ports, addresses and what libnice does unasked. Before webrtcbin leaves NULL.
pub(super) fn configure_ice(webrtc: &gst::Element, config: &config::Ice) -> Result<(), TransportError> {
    let ice = webrtc.property::<Option<gst::Object>>("ice-agent").ok_or(TransportError::Webrtc("no ICE agent"))?;
    // One more thread and eleven more descriptors for each peer otherwise, and a router that opens ports by itself.
    let agent = ice.property::<Option<gst::glib::Object>>("agent").ok_or(TransportError::Webrtc("no NiceAgent"))?;
    for (property, value) in [("upnp", false), ("ice-tcp", false)] {
        if agent.has_property(property) {
            agent.set_property(property, value);
        }
    }
    if config.port_max > 0 {
        ice.set_property("min-rtp-port", u32::from(config.port_min));
        ice.set_property("max-rtp-port", u32::from(config.port_max));
    }
    let mut addresses = config.addresses.clone();
    if addresses.is_empty() && !config.exclude_addresses.is_empty() {
        let interfaces = if_addrs::get_if_addrs().map_err(TransportError::Interfaces)?;
        addresses = addresses::usable(&interfaces, &config.exclude_addresses);
    }
    for address in &addresses {
        // Any address given turns the discovery of all others off.
        if !ice.emit_by_name::<bool>("add-local-ip-address", &[&address.to_string()]) {
            tracing::warn!(%address, "the media address is not usable");
        }
    }
    Ok(())
}

/// What webrtcbin makes inside itself and has no properties for.
pub(super) fn configure_insides(
    webrtc: &gst::Element,
    clock: RoomClock,
    tracks: &[Track],
    heard: &Arc<Heard>,
    reports: &Arc<Mutex<ReceiverReports>>,
    gate: &Arc<Gate>,
    rtcp: &ReportSink,
) {
    let Some(bin) = webrtc.downcast_ref::<gst::Bin>() else { return };
    let (heard, reports, gate, rtcp) = (heard.clone(), reports.clone(), gate.clone(), rtcp.clone());
    let receives = tracks.iter().any(|track| track.receives);
    let audio_payload = tracks.iter().find(|track| track.kind == Kind::Audio).map(|track| track.payload);
    bin.connect_deep_element_added(move |_, _, element| {
        let Some(factory) = element.factory() else { return };
        gate.guard(element);
        match factory.name().as_str() {
            // The mixers are the pace; a second one would only delay.
            "clocksync" => element.set_property("sync", false),
            "rtpsession" => {
                // It would wait for two packets in a row, and some senders leave out packets before each frame. Who sends
                // is known: the gate lets nobody else in.
                element.set_property("probation", 0u32);
                report_capture_time(element);
                if receives {
                    hasten_feedback(element);
                } else {
                    set_rtcp_interval(element, receiver_reports::INTERVAL);
                }
                let noted = heard.clone();
                let rtcp = rtcp.clone();
                listen_for_reports(
                    element,
                    reports.clone(),
                    Arc::new(move |packet: &[u8]| {
                        noted.note_report(clock.now());
                        rtcp(packet);
                    }),
                );
            }
            "rtpjitterbuffer" => {
                // Otherwise the first packets wait for the whole latency.
                element.set_property("faststart-min-packets", 1u32);
                // It would give the next packet up for lost when it is not there after as long as the last ones took, and
                // drop it when it comes: frames of a shared screen, or of a camera in the dark, come when they come.
                element.set_property("rtx-next-seqnum", false);
                shorten_audio_wait(element, audio_payload);
            }
            "nicesrc" => {
                let (Some(pad), heard) = (element.static_pad("src"), heard.clone()) else { return };
                guarded::probe(&pad, gst::PadProbeType::BUFFER | gst::PadProbeType::BUFFER_LIST, move |_, info| {
                    let now = clock.now();
                    if let Some(gst::PadProbeData::Buffer(datagram)) = &info.data
                        && !heard.passes(datagram, now)
                    {
                        return gst::PadProbeReturn::Handled;
                    }
                    heard.note(now);
                    gst::PadProbeReturn::Ok
                });
            }
            _ => {}
        }
    });
}

/// Lets feedback go when it is needed. By its defaults GStreamer speaks RTCP every 5 s, and a NACK or PLI may only come
/// early once in between (RFC 4585, section 3.5.2): with some loss, most would come when it is too late for them.
pub(super) fn hasten_feedback(session: &gst::Element) {
    const MIN_INTERVAL: Duration = Duration::from_millis(50);
    // Of this, 5 % are for RTCP: enough for a packet of 100 bytes each 20 ms from everybody.
    const BANDWIDTH: f64 = 5_000_000.0; // bit/s
    // As libwebrtc does where the line has room for it. GStreamer's way is with each frame.
    const TRANSPORT_FEEDBACK: gst::ClockTime = gst::ClockTime::from_mseconds(100);
    session.set_property("bandwidth", BANDWIDTH);
    set_rtcp_interval(session, MIN_INTERVAL);
    internal(session).set_property("twcc-feedback-interval", TRANSPORT_FEEDBACK.nseconds());
}

/// Has sender reports tell the time of capture, which is when a frame was mixed. By default GStreamer adds the pipeline's
/// latency, of which a session in webrtcbin is never told; then it takes the time for unknown, and the timestamps that it
/// reports run away from those that it sends by as much time as goes by.
pub(super) fn report_capture_time(session: &gst::Element) {
    session.set_property("rtcp-sync-send-time", false);
}

/// Sets how long at least the pause between regular RTCP packets is.
pub(super) fn set_rtcp_interval(session: &gst::Element, interval: Duration) {
    internal(session).set_property("rtcp-min-interval", u64::try_from(interval.as_nanos()).unwrap_or(u64::MAX));
}

/// What keeps the RTP session of an `rtpsession`, which has few properties of its own.
fn internal(session: &gst::Element) -> gst::glib::Object {
    session.property("internal-session")
}

/// Notes what the peer reports; what it says has passed SRTCP.
fn listen_for_reports(session: &gst::Element, reports: Arc<Mutex<ReceiverReports>>, rtcp: ReportSink) {
    on_rtcp(session, move |packet| {
        reports.lock().unwrap_or_else(PoisonError::into_inner).take(packet);
        rtcp(packet);
    });
}

/// Calls `take` with each compound RTCP packet that comes, on a streaming thread.
pub(super) fn on_rtcp(session: &gst::Element, take: impl Fn(&[u8]) + Send + Sync + 'static) {
    internal(session).connect("on-receiving-rtcp", false, move |values| {
        if let Some(Ok(packet)) = values.get(1).map(gst::glib::Value::get::<gst::Buffer>)
            && let Ok(packet) = packet.map_readable()
        {
            let _ = guarded::call(|| take(&packet));
        }
        None
    });
}

/// Sets a jitterbuffer's latency for voice if its first packet is one: webrtcbin has one latency for all.
fn shorten_audio_wait(jitterbuffer: &gst::Element, audio_payload: Option<u8>) {
    let (Some(pad), weak) = (jitterbuffer.static_pad("sink"), jitterbuffer.downgrade()) else { return };
    guarded::probe(&pad, gst::PadProbeType::BUFFER, move |_, info| {
        let Some(gst::PadProbeData::Buffer(packet)) = &info.data else { return gst::PadProbeReturn::Ok };
        if let Some([_, marked]) = guarded::bytes(packet, 0)
            && Some(marked & 0x7f) == audio_payload
            && let Some(jitterbuffer) = weak.upgrade()
        {
            jitterbuffer.set_property("latency", AUDIO_LATENCY_MS);
        }
        gst::PadProbeReturn::Remove
    });
}
