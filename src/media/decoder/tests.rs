//! Real encoders' packets through a real decoder.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use super::*;
use crate::control::PictureRefusal;

pub(in crate::media) const FRAMES: usize = 40;
const KEYFRAME: usize = 20;
const LOST: usize = 10;
const DEADLINE: Duration = Duration::from_secs(20);

/// RTP packets of a stream, by frame.
pub(in crate::media) type Stream = (gst::Caps, Vec<Vec<gst::Buffer>>);

/// RTP packets of a moving picture; frames 0 and [`KEYFRAME`] are keyframes.
pub(in crate::media) fn packets(codec: Codec) -> Stream {
    packets_of_size(codec, (160, 90), FRAMES)
}

fn packets_of_size(codec: Codec, size: (u32, u32), frames: usize) -> Stream {
    match codec {
        Codec::Vp8 => stream(&format!("vp8enc deadline=1 keyframe-max-dist={KEYFRAME} ! rtpvp8pay"), size, frames),
        Codec::H264 => x264(&format!("tune=zerolatency key-int-max={KEYFRAME} option-string=scenecut=0"), size, frames),
    }
}

fn x264(options: &str, size: (u32, u32), frames: usize) -> Stream {
    let encoder =
        format!("x264enc speed-preset=ultrafast threads=1 {options} ! video/x-h264,stream-format=byte-stream");
    stream(&format!("{encoder} ! rtph264pay config-interval=-1 aggregate-mode=zero-latency"), size, frames)
}

fn stream(encoder: &str, (width, height): (u32, u32), count: usize) -> Stream {
    let pipeline = gst::parse::launch(&format!(
        "videotestsrc pattern=ball num-buffers={count} \
         ! video/x-raw,format=I420,width={width},height={height},framerate=30/1 ! {encoder} ! appsink name=out sync=false"
    ))
    .unwrap()
    .downcast::<gst::Pipeline>()
    .unwrap();
    let out: gst_app::AppSink = pipeline.by_name("out").unwrap().downcast().unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    let (mut caps, mut frames) = (None, Vec::<Vec<gst::Buffer>>::new());
    while let Ok(sample) = out.pull_sample() {
        caps = sample.caps_owned();
        let buffer = sample.buffer_owned().unwrap();
        match frames.last_mut().filter(|frame| frame[0].pts() == buffer.pts()) {
            Some(frame) => frame.push(buffer),
            None => frames.push(vec![buffer]),
        }
    }
    pipeline.set_state(gst::State::Null).unwrap();
    assert_eq!(frames.len(), count);
    (caps.unwrap(), frames)
}

/// What a decoder made of a stream.
pub(in crate::media) struct Decoded {
    shown: u64,
    asked: usize,
    /// The last picture's luma.
    pub(in crate::media) last: Vec<u8>,
}

/// The luma of the newest picture.
pub(in crate::media) fn newest(slot: &PictureSlot, now: Duration) -> Vec<u8> {
    slot.latest(now).unwrap().plane_data(0).unwrap().to_vec()
}

/// How many frames are kept, for nobody looks at them.
pub(in crate::media) fn kept(decoder: &VideoDecoder) -> usize {
    decoder.door.kept()
}

/// Decodes these packets to the end.
pub(in crate::media) fn decode(codec: Codec, caps: &gst::Caps, frames: &[Vec<gst::Buffer>]) -> Decoded {
    let (tell, told) = mpsc::sync_channel(2 * FRAMES);
    let (templates, slot, clock) = (Templates::load(None).unwrap(), Arc::<PictureSlot>::default(), RoomClock::start());
    let events = move |event| drop(tell.try_send(event));
    let decoder =
        VideoDecoder::start(&templates, codec, Fit::Fill, Unsaid::Bt601, clock, slot.clone(), events).unwrap();
    decoder.set_caps(caps);
    frames.iter().flatten().for_each(|packet| decoder.push(packet.clone()));
    decoder.source.end_of_stream().unwrap();
    let end = decoder.graph.element::<gst_app::AppSink>("picture-out").unwrap();
    let deadline = Instant::now() + DEADLINE;
    while !end.is_eos() && Instant::now() < deadline {
        std::thread::yield_now();
    }
    assert!(end.is_eos(), "decoded to the end");
    let asked = told.try_iter().filter(|event| *event == DecoderEvent::WantsKeyframe).count();
    Decoded { shown: slot.frames(), asked, last: newest(&slot, clock.now()) }
}

#[test]
fn after_a_loss_nothing_is_shown_until_a_keyframe_that_is_asked_for_once() {
    gst::init().unwrap();
    for codec in [Codec::Vp8, Codec::H264] {
        let (caps, mut frames) = packets(codec);
        let whole = decode(codec, &caps, &frames);
        assert_eq!((whole.shown, whole.asked), (FRAMES as u64, 0), "{codec}, nothing lost");
        frames.remove(LOST);
        let rest = decode(codec, &caps, &frames);
        assert_eq!((rest.shown, rest.asked), ((FRAMES - (KEYFRAME - LOST)) as u64, 1), "{codec}, a frame lost");
    }
}

#[test]
fn a_keyframe_that_does_not_come_is_asked_for_again() {
    gst::init().unwrap();
    for codec in [Codec::Vp8, Codec::H264] {
        let (caps, frames) = packets(codec);
        let (tell, told) = mpsc::sync_channel(2 * FRAMES);
        let templates = Templates::load(None).unwrap();
        let events = move |event| drop(tell.try_send(event));
        let decoder = VideoDecoder::start(
            &templates,
            codec,
            Fit::Fill,
            Unsaid::Bt601,
            RoomClock::start(),
            Arc::default(),
            events,
        )
        .unwrap();
        decoder.set_caps(&caps);
        let until_keyframe = frames[..KEYFRAME].iter().enumerate().filter(|(index, _)| *index != LOST);
        until_keyframe.flat_map(|(_, packets)| packets).for_each(|packet| decoder.push(packet.clone()));
        // The stream goes on with what cannot be shown.
        let (mut asked, deadline) = (0, Instant::now() + DEADLINE);
        while asked < 3 {
            assert!(Instant::now() < deadline, "{codec}: {asked} requests");
            decoder.push(frames[KEYFRAME - 1][0].clone());
            asked += told.try_iter().filter(|event| *event == DecoderEvent::WantsKeyframe).count();
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }
}

#[test]
fn a_stream_without_keyframes_is_shown_from_where_it_is_whole() {
    gst::init().unwrap();
    for (what, options, most) in [
        ("intra refresh", "tune=zerolatency intra-refresh=true key-int-max=12", 24),
        ("open groups of pictures", "bframes=2 b-adapt=false option-string=open-gop=1:scenecut=0 key-int-max=12", 30),
    ] {
        let (caps, frames) = x264(options, (160, 96), FRAMES);
        let whole = decode(Codec::H264, &caps, &frames);
        assert_eq!(whole.shown, FRAMES as u64, "{what}");
        // Who comes late has missed the keyframe at the beginning.
        let late = decode(Codec::H264, &caps, &frames[5..]);
        assert!((10..=most).contains(&late.shown), "{what}: {} frames", late.shown);
        assert!(late.last == whole.last, "{what}: it is not whole");
        // So has who lost something.
        let lossy = decode(Codec::H264, &caps, &[&frames[..3], &frames[5..]].concat());
        assert!((13..=most + 5).contains(&lossy.shown), "{what}: {} frames", lossy.shown);
        assert!(lossy.last == whole.last, "{what}: it is not whole after a loss");
    }
}

#[test]
fn a_picture_that_is_too_large_does_not_reach_the_decoder_and_is_told_of() {
    gst::init().unwrap();
    for (codec, large) in [(Codec::Vp8, (8_192, 1_808)), (Codec::H264, (8_192, 1_808))] {
        let (tell, told) = mpsc::sync_channel(2 * FRAMES);
        let (templates, slot) = (Templates::load(None).unwrap(), Arc::<PictureSlot>::default());
        let events = move |event| drop(tell.try_send(event));
        let decoder =
            VideoDecoder::start(&templates, codec, Fit::Fill, Unsaid::Bt601, RoomClock::start(), slot.clone(), events)
                .unwrap();
        // A wide screen is not too large.
        for (size, frames) in [(large, 2), ((5_120, 1_440), 2), ((160, 90), FRAMES)] {
            let (caps, frames) = packets_of_size(codec, size, frames);
            decoder.set_caps(&caps);
            frames.into_iter().flatten().for_each(|packet| decoder.push(packet));
        }
        let (shown, deadline) = (FRAMES as u64 + 2, Instant::now() + DEADLINE);
        while slot.frames() < shown {
            assert!(Instant::now() < deadline, "{codec}: {} frames", slot.frames());
            std::thread::yield_now();
        }
        assert_eq!(slot.frames(), shown, "{codec}: what fits comes by itself");
        // Of H.264, parameter sets may come by themselves, too.
        assert!(decoder.dropped() >= 2, "{codec}: what does not is counted");
        let events: Vec<_> = told.try_iter().filter(|event| *event != DecoderEvent::WantsKeyframe).collect();
        let [DecoderEvent::Refused(Some(refused)), DecoderEvent::Refused(None), sizes @ ..] = &events[..] else {
            panic!("{codec}: {events:?}");
        };
        assert_eq!((refused.reason, refused.width, refused.height), (PictureRefusal::TooLarge, large.0, large.1));
        let size = |width, height| DecoderEvent::Picture { width, height };
        assert_eq!(sizes, [size(5_120, 1_440), size(160, 90)], "{codec}");
    }
}
