//! What a caller's packets can be made into on their way out, after its own stack and before they are protected: for tests
//! of what genuine peers of another make may send, and hostile ones.

use std::sync::Arc;

use gstreamer as gst;
use gstreamer::prelude::*;

use crate::media::guarded;

/// A packet on its way out, not protected yet.
#[derive(Clone, Copy, Debug)]
pub enum Outgoing<'a> {
    /// RFC 3550, section 5.1.
    Rtp(&'a [u8]),
    /// A compound packet (RFC 3550, section 6.1).
    Rtcp(&'a [u8]),
}

/// What is sent in a packet's place: any number of packets of the same kind. Called on streaming threads.
#[derive(Clone)]
pub struct Mischief(Arc<Making>);

type Making = dyn Fn(Outgoing<'_>) -> Vec<Vec<u8>> + Send + Sync;

impl std::fmt::Debug for Mischief {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Mischief")
    }
}

impl Mischief {
    pub fn new(make: impl Fn(Outgoing<'_>) -> Vec<Vec<u8>> + Send + Sync + 'static) -> Self {
        Self(Arc::new(make))
    }

    /// Makes it of all that leaves this webrtcbin. Before it leaves NULL.
    pub(super) fn attach(&self, webrtc: &gst::Element) {
        let Some(bin) = webrtc.downcast_ref::<gst::Bin>() else { return };
        let mischief = self.clone();
        bin.connect_deep_element_added(move |_, _, element| {
            if element.factory().is_some_and(|factory| factory.name() == "rtpsession") {
                let mischief = mischief.clone();
                element.connect_pad_added(move |_, pad| match pad.name().as_str() {
                    "send_rtp_src" => mischief.watch(pad, |packet| Outgoing::Rtp(packet)),
                    "send_rtcp_src" => mischief.watch(pad, |packet| Outgoing::Rtcp(packet)),
                    _ => {}
                });
            }
        });
    }

    fn watch(&self, pad: &gst::Pad, outgoing: impl Fn(&[u8]) -> Outgoing<'_> + Send + Sync + 'static) {
        let mischief = self.clone();
        guarded::probe(pad, gst::PadProbeType::BUFFER | gst::PadProbeType::BUFFER_LIST, move |pad, info| {
            let packets: Vec<gst::Buffer> = match &info.data {
                Some(gst::PadProbeData::Buffer(packet)) => vec![packet.clone()],
                Some(gst::PadProbeData::BufferList(list)) => list.iter_owned().collect(),
                _ => return gst::PadProbeReturn::Ok,
            };
            let Some(next) = pad.peer() else { return gst::PadProbeReturn::Ok };
            for packet in packets {
                let Ok(bytes) = packet.map_readable() else { continue };
                for made in (mischief.0)(outgoing(&bytes)) {
                    let mut made = gst::Buffer::from_mut_slice(made);
                    if let Some(made) = made.get_mut() {
                        made.set_pts(packet.pts());
                        made.set_dts(packet.dts());
                    }
                    // It fails only while the pipeline goes down.
                    let _ = next.chain(made);
                }
            }
            gst::PadProbeReturn::Handled
        });
    }
}
