//! The decoders of a room, each fed with the packets of a camera.

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;
use tessera::config;
use tessera::layout;
use tessera::media::{Graph, RoomClock, Templates};

use super::material;
use super::pace::{self, FRAME};
use crate::failure::Failure;

pub fn run(participants: usize, templates: &Templates) -> Result<(), Failure> {
    let canvas = config::Video::default();
    let clock = RoomClock::start();
    let mut decoders = Vec::new();
    let mut graphs = Vec::new();
    for (index, tile) in layout::grid((canvas.width, canvas.height), participants).into_iter().enumerate() {
        let camera = material::camera(index, templates)?;
        let graph = Graph::new(templates, "decode-vp8", &[], clock, |_| {})?;
        let size = material::raw_caps((tile.width, tile.height));
        graph.element::<gst::Element>("size")?.set_property("caps", size);
        let source: gst_app::AppSrc = graph.element("rtp-in")?;
        source.set_caps(material::caps_of(&camera).as_ref());
        let sink: gst_app::AppSink = graph.element("picture-out")?;
        let take =
            |sink: &gst_app::AppSink| sink.pull_sample().map(|_| gst::FlowSuccess::Ok).map_err(|_| gst::FlowError::Eos);
        sink.set_callbacks(gst_app::AppSinkCallbacks::builder().new_sample(take).build());
        graph.start()?;
        decoders.push((source, camera));
        graphs.push(graph);
    }
    pace::every(FRAME, move |number| {
        for (source, camera) in &decoders {
            for packet in &camera[number as usize % camera.len()] {
                let Some(packet) = packet.buffer() else { continue };
                let mut packet = packet.copy();
                packet.make_mut().set_pts(clock.now().as_nanos().try_into().ok().map(gst::ClockTime::from_nseconds));
                // It fails only while the pipeline goes down.
                let _ = source.push_buffer(packet);
            }
        }
    })?;
    super::ready()?;
    drop(graphs);
    Ok(())
}
