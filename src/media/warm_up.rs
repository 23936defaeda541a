//! What the first peers would otherwise wait for, all of them while they negotiate: plugins to load and types to register,
//! 0.1 s, and many times that where the machine has more to do than it can. The other part of it, GStreamer's own RSA key,
//! is made with the process's [`Certificate`](super::certificate::Certificate).

use std::sync::mpsc;
use std::time::Duration;

use gstreamer as gst;
use gstreamer::prelude::*;

use super::clock::RoomClock;
use super::graph::{Graph, GraphError};
use super::template::Templates;

/// Until then all is there even on a machine that is hardly to be used. Peers that come earlier are likely to be refused, so
/// there is nothing to be gained by less patience.
const DEADLINE: Duration = Duration::from_secs(30);

/// Makes every pipeline once, and an offer that is thrown away: a transport is made for it. Blocks for some tenths of a
/// second, at most for 30 s.
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
