//! What the first peer would otherwise wait for: plugins to be loaded, types to be registered, the process's DTLS
//! certificate (an RSA key) to be made. All that takes some tenths of a second, once, and is done by one thread here
//! rather than by several peers at the same moment.

use std::sync::mpsc;
use std::time::Duration;

use gstreamer as gst;
use gstreamer::prelude::*;

use super::clock::RoomClock;
use super::graph::{Graph, GraphError};
use super::template::Templates;

/// The machine may be slow; peers can come without it.
const DEADLINE: Duration = Duration::from_secs(5);

/// Makes every pipeline once, and an offer that is thrown away. Blocks for some tenths of a second, at most for 5 s.
pub fn warm_up(templates: &Templates) -> Result<(), GraphError> {
    for name in templates.names().map(str::to_owned).collect::<Vec<_>>() {
        // A template that cannot be made is for `pipelines check` to tell of.
        let _ = templates.bin(&name, &[], false);
    }
    let graph = Graph::new(templates, "peer", &[], RoomClock::start(), |_| {})?;
    let webrtc: gst::Element = graph.element("webrtc")?;
    let direction = gstreamer_webrtc::WebRTCRTPTransceiverDirection::Recvonly;
    let caps = gst::Caps::builder("application/x-rtp")
        .field("media", "audio")
        .field("encoding-name", "OPUS")
        .field("clock-rate", 48_000)
        .field("payload", 111)
        .build();
    webrtc.emit_by_name::<gstreamer_webrtc::WebRTCRTPTransceiver>("add-transceiver", &[&direction, &caps]);
    graph.start()?;
    let (sender, receiver) = mpsc::sync_channel(1);
    let promise = gst::Promise::with_change_func(move |_| {
        // Nobody waits any more after the deadline.
        let _ = sender.try_send(());
    });
    webrtc.emit_by_name::<()>("create-offer", &[&None::<gst::Structure>, &promise]);
    if receiver.recv_timeout(DEADLINE).is_err() {
        tracing::warn!("the first peers will wait: media did not get ready in time");
    }
    Ok(())
}
