//! Parameter sets that came by SDP, put in front of the stream that lacks them.

use std::sync::atomic::{AtomicBool, Ordering};

use gstreamer as gst;

use super::coded_frame::CodedFrame;
use super::coded_size;
use super::guarded;
use crate::control::Codec;

/// Puts `sets`, a byte stream, in front of each access unit that passes `pad` and that decoding may begin with, until one has
/// its own: which of them it begins with is decided behind. What looks at the units there must be added after this.
pub(super) fn lead_in(pad: &gst::Pad, sets: Vec<u8>) {
    let done = AtomicBool::new(false);
    guarded::probe(pad, gst::PadProbeType::BUFFER, move |_, info| {
        let Some(gst::PadProbeData::Buffer(unit)) = &mut info.data else { return gst::PadProbeReturn::Ok };
        if !done.load(Ordering::Relaxed) {
            let (own, frame) = match unit.map_readable() {
                Ok(bytes) => (coded_size::has_parameter_sets(&bytes), CodedFrame::read(Codec::H264, &bytes)),
                Err(_) => return gst::PadProbeReturn::Ok,
            };
            done.store(own, Ordering::Relaxed);
            if !own && !matches!(frame, CodedFrame::Delta { .. } | CodedFrame::Headers) {
                unit.make_mut().prepend_memory(gst::Memory::from_slice(sets.clone()));
            }
        }
        gst::PadProbeReturn::Ok
    });
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use gstreamer::prelude::*;
    use gstreamer_app as gst_app;
    use gstreamer_rtp as gst_rtp;

    use super::super::clock::RoomClock;
    use super::super::colour::Unsaid;
    use super::super::inbound::Inbound;
    use super::super::template::Templates;
    use super::super::transport::Kind;
    use super::*;
    use crate::config::Fit;

    const FRAMES: u64 = 10;
    const DEADLINE: Duration = Duration::from_secs(20);

    /// Packets of a stream without parameter sets, and these as a byte stream.
    fn bare_stream(width: u32, height: u32, frames: u64) -> (gst::Caps, Vec<gst::Buffer>, Vec<u8>) {
        let pipeline = gst::parse::launch(&format!(
            "videotestsrc pattern=ball num-buffers={frames} ! video/x-raw,width={width},height={height},framerate=30/1 \
             ! x264enc tune=zerolatency speed-preset=ultrafast aud=false ! video/x-h264,profile=constrained-baseline \
             ! rtph264pay config-interval=0 aggregate-mode=none ! appsink name=out sync=false"
        ))
        .unwrap()
        .downcast::<gst::Pipeline>()
        .unwrap();
        let out: gst_app::AppSink = pipeline.by_name("out").unwrap().downcast().unwrap();
        pipeline.set_state(gst::State::Playing).unwrap();
        let (mut caps, mut packets, mut sets) = (None, Vec::new(), Vec::new());
        while let Ok(sample) = out.pull_sample() {
            let mut bare = sample.caps_owned().unwrap();
            bare.make_mut().structure_mut(0).unwrap().remove_field("sprop-parameter-sets");
            caps = Some(bare);
            let packet = sample.buffer_owned().unwrap();
            let rtp = gst_rtp::RTPBuffer::from_buffer_readable(&packet).unwrap();
            match rtp.payload().unwrap() {
                [header, ..] if matches!(header & 0x1f, 6 | 9) => {}
                unit @ [header, ..] if matches!(header & 0x1f, 7 | 8) => {
                    sets.extend_from_slice(&[0, 0, 0, 1]);
                    sets.extend_from_slice(unit);
                }
                _ => {
                    drop(rtp);
                    packets.push(packet);
                }
            }
        }
        pipeline.set_state(gst::State::Null).unwrap();
        (caps.unwrap(), packets, sets)
    }

    #[test]
    fn a_stream_whose_parameter_sets_are_in_the_sdp_is_decoded_by_every_decoder_that_starts() {
        gst::init().unwrap();
        let templates = Templates::load(None).unwrap();
        let (caps, packets, sets) = bare_stream(160, 90, FRAMES);
        let clock = RoomClock::start();
        let inbound = Inbound::new(clock, None, None);
        let slot = inbound.slot().clone();
        slot.look(clock.now());
        let start = || inbound.start_decoder(&templates, Codec::H264, Fit::Fill, Unsaid::Bt601, clock, |_| {}).unwrap();
        let push = || packets.iter().for_each(|packet| inbound.packet(Kind::Video, Some(&caps), packet.clone()));
        inbound.set_parameter_sets(Some(sets));
        for decoder in 1..=2 {
            start();
            push();
            let end = Instant::now() + DEADLINE;
            while slot.frames() < decoder * FRAMES {
                assert!(Instant::now() < end, "{} frames of decoder {decoder}", slot.frames());
                std::thread::yield_now();
            }
        }
    }

    #[test]
    fn parameter_sets_of_a_picture_that_is_too_large_open_no_way_around_the_bound() {
        gst::init().unwrap();
        let templates = Templates::load(None).unwrap();
        let ((caps, packets, _), (_, _, sets)) = (bare_stream(160, 90, FRAMES), bare_stream(6_144, 3_456, 1));
        let clock = RoomClock::start();
        let inbound = Inbound::new(clock, None, None);
        inbound.slot().look(clock.now());
        inbound.set_parameter_sets(Some(sets));
        inbound.start_decoder(&templates, Codec::H264, Fit::Fill, Unsaid::Bt601, clock, |_| {}).unwrap();
        packets.iter().for_each(|packet| inbound.packet(Kind::Video, Some(&caps), packet.clone()));
        let end = Instant::now() + DEADLINE;
        while inbound.dropped() < FRAMES {
            assert!(Instant::now() < end, "{} dropped", inbound.dropped());
            std::thread::yield_now();
        }
        assert_eq!(inbound.slot().frames(), 0);
    }
}
