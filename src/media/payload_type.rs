//! Payload types that GStreamer's payloaders do not write. Theirs are 96 to 127, the dynamic ones of RFC 3551; a peer may
//! number what it wants to be sent by any that is not taken for RTCP (RFC 5761), as Chromium does from 35 on.

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_rtp as gst_rtp;

use super::guarded;

/// What a payloader can be told to write for `number`.
pub(super) fn stand_in(number: u8) -> u8 {
    if (96..=127).contains(&number) { number } else { 96 }
}

/// Links a payloader's branch, which was told to write the [`stand_in`], so that its packets have `number`. webrtcbin asks
/// what a branch can be before it answers an offer, so that the caps must say so, too: an element between sees to that.
pub(super) fn link(output: &gst::Pad, input: &gst::Pad, number: u8) -> Result<(), gst::glib::BoolError> {
    let failed = |_| gst::glib::bool_error!("the pads cannot be linked");
    if stand_in(number) == number {
        return output.link(input).map(drop).map_err(failed);
    }
    let caps = gst::Caps::builder("application/x-rtp").field("payload", i32::from(number)).build();
    let setter = gst::ElementFactory::make("capssetter").property("caps", caps).build()?;
    let home = output.parent_element().and_then(|branch| branch.parent()).and_downcast::<gst::Bin>();
    home.ok_or_else(|| gst::glib::bool_error!("the branch is in no bin"))?.add(&setter)?;
    let pad = |name| setter.static_pad(name).ok_or_else(|| gst::glib::bool_error!("a pad is missing"));
    let (sink, source) = (pad("sink")?, pad("src")?);
    let branch = output.downgrade();
    guarded::probe(&source, gst::PadProbeType::BUFFER | gst::PadProbeType::QUERY_UPSTREAM, move |_, info| {
        match &mut info.data {
            Some(gst::PadProbeData::Buffer(packet)) => write(packet.make_mut(), number),
            Some(gst::PadProbeData::Query(query)) => {
                // The element itself answers past the filter, of which GStreamer complains in the log.
                if let gst::QueryViewMut::Caps(query) = query.view_mut()
                    && let Some(branch) = branch.upgrade()
                {
                    let mut caps = branch.query_caps(None);
                    caps.make_mut().iter_mut().for_each(|caps| caps.set("payload", i32::from(number)));
                    let within = query.filter().map(|filter| filter.intersect(&caps));
                    query.set_result(&within.unwrap_or(caps));
                    return gst::PadProbeReturn::Handled;
                }
            }
            _ => {}
        }
        gst::PadProbeReturn::Ok
    });
    output.link(&sink).map_err(failed)?;
    source.link(input).map_err(failed)?;
    setter.sync_state_with_parent()
}

fn write(packet: &mut gst::BufferRef, number: u8) {
    if let Ok(mut rtp) = gst_rtp::RTPBuffer::from_buffer_writable(packet) {
        rtp.set_payload_type(number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_and_caps_have_the_number_whatever_the_payloader_thinks_of_it() {
        gst::init().unwrap();
        for (number, stand_in_for_it) in [(35, 96), (0, 96), (127, 127), (96, 96)] {
            assert_eq!(stand_in(number), stand_in_for_it);
            let text = format!(
                "audiotestsrc num-buffers=3 ! audio/x-raw,rate=48000,channels=1 ! opusenc ! rtpopuspay name=pay pt={} ! \
                 application/x-rtp,payload={number} ! appsink name=out sync=false",
                stand_in(number)
            );
            // Linked later: the text alone would be refused.
            let (before, after) = text.split_once(" ! application/x-rtp").unwrap();
            let pipeline = gst::Pipeline::new();
            let sender = gst::parse::bin_from_description(before, true).unwrap();
            let receiver =
                gst::parse::bin_from_description(&format!("capsfilter caps=application/x-rtp{after}"), true).unwrap();
            pipeline.add_many([&sender, &receiver]).unwrap();
            let output = sender.static_pad("src").unwrap();
            link(&output, &receiver.static_pad("sink").unwrap(), number).unwrap();
            pipeline.set_state(gst::State::Playing).unwrap();
            let sink = receiver.by_name("out").unwrap().downcast::<gstreamer_app::AppSink>().unwrap();
            for _ in 0..3 {
                let sample = sink.try_pull_sample(gst::ClockTime::from_seconds(10)).expect("a packet");
                let caps = sample.caps().unwrap().structure(0).unwrap();
                assert_eq!(caps.get::<i32>("payload"), Ok(i32::from(number)));
                let rtp = gst_rtp::RTPBuffer::from_buffer_readable(sample.buffer().unwrap()).unwrap();
                assert_eq!(rtp.payload_type(), number);
            }
            pipeline.set_state(gst::State::Null).unwrap();
        }
    }
}
