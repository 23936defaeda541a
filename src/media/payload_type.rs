//! Payload types that GStreamer's payloaders do not write. Theirs are 96 to 127, the dynamic ones of RFC 3551; a peer may
//! number what it wants to be sent by any that is not taken for RTCP (RFC 5761), as Chromium does from 35 on.

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_rtp as gst_rtp;

/// What a payloader can be told to write for `number`.
pub(super) fn stand_in(number: u8) -> u8 {
    if (96..=127).contains(&number) { number } else { 96 }
}

/// Links a payloader, which was told to write the [`stand_in`], so that its packets have `number`.
pub(super) fn link(output: &gst::Pad, input: &gst::Pad, number: u8) -> Result<(), gst::PadLinkError> {
    if stand_in(number) == number {
        return output.link(input).map(drop);
    }
    renumber(output, number);
    // By its caps the payloader would have to be refused.
    output.link_full(input, gst::PadLinkCheck::TEMPLATE_CAPS).map(drop)
}

/// Writes `number` into the packets that leave a payloader by this pad, and into their caps.
fn renumber(pad: &gst::Pad, number: u8) {
    use gst::PadProbeType as Type;
    let queries = Type::QUERY_DOWNSTREAM | Type::QUERY_UPSTREAM;
    let mask = Type::BUFFER | Type::BUFFER_LIST | Type::EVENT_DOWNSTREAM | queries;
    pad.add_probe(mask, move |_, info| {
        match &mut info.data {
            Some(gst::PadProbeData::Buffer(packet)) => write(packet.make_mut(), number),
            Some(gst::PadProbeData::BufferList(packets)) => {
                packets.make_mut().foreach_mut(|mut packet, _| {
                    write(packet.make_mut(), number);
                    std::ops::ControlFlow::Continue(Some(packet))
                });
            }
            Some(gst::PadProbeData::Event(event)) => {
                if let gst::EventView::Caps(caps) = event.view() {
                    let mut caps = caps.caps_owned();
                    caps.make_mut().set("payload", i32::from(number));
                    *event = gst::event::Caps::new(&caps);
                }
            }
            // Each side would name numbers that the other thinks impossible. webrtcbin asks before it answers an offer, and
            // rejects an m-line that nothing seems to be able to feed.
            Some(gst::PadProbeData::Query(query)) => match query.view_mut() {
                gst::QueryViewMut::Caps(query) => {
                    let any = query.filter_owned().unwrap_or_else(gst::Caps::new_any);
                    query.set_result(&any);
                    return gst::PadProbeReturn::Handled;
                }
                // Asked about caps before they are changed.
                gst::QueryViewMut::AcceptCaps(query) => {
                    query.set_result(true);
                    return gst::PadProbeReturn::Handled;
                }
                _ => {}
            },
            _ => {}
        }
        gst::PadProbeReturn::Ok
    });
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
