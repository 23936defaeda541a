use std::sync::Arc;
use std::time::{Duration, Instant};

use gstreamer_app as gst_app;

use super::*;
use crate::config::Fit;
use crate::media::clock::RoomClock;
use crate::media::decoder::VideoDecoder;
use crate::media::picture::PictureSlot;
use crate::media::sdp::Offer;
use crate::media::template::Templates;

const PATIENCE: Duration = Duration::from_secs(20);

/// Colours as a camera has them; the middle one is far from where BT.601 and BT.709 meet.
const SEEN: [[u8; 3]; 6] = [[255, 255, 255], [0, 0, 0], [200, 40, 40], [40, 180, 60], [40, 60, 200], [128, 128, 128]];

/// What red, green and blue become.
fn numbers([red, green, blue]: [u8; 3], colours: Colours) -> [f64; 3] {
    let [red, green, blue] = [red, green, blue].map(|part| f64::from(part) / 255.0);
    let Matrix { red: of_red, blue: of_blue } = colours.matrix;
    let luma = of_red * red + (1.0 - of_red - of_blue) * green + of_blue * blue;
    let (steps, chroma, black) = colours.range();
    let difference = |part: f64, of: f64| 128.0 + chroma * (part - luma) / (2.0 * (1.0 - of));
    [black + steps * luma, difference(blue, of_blue), difference(red, of_red)]
}

fn mean(frame: &Frame) -> [f64; 3] {
    [0u32, 1, 2].map(|plane| {
        let (width, height) = (frame.comp_width(plane) as usize, frame.comp_height(plane) as usize);
        let stride = usize::try_from(frame.plane_stride()[plane as usize]).unwrap();
        let data = frame.plane_data(plane).unwrap();
        let rows = (0..height).map(|y| &data[y * stride..y * stride + width]);
        let sum: u64 = rows.flatten().map(|sample| u64::from(*sample)).sum();
        sum as f64 / (width * height) as f64
    })
}

#[track_caller]
fn assert_near(is: [f64; 3], should: [f64; 3], by: f64, what: &str) {
    let near = is.iter().zip(should).all(|(is, should)| (is - should).abs() <= by);
    assert!(near, "{what}: {is:.1?} instead of {should:.1?}");
}

#[test]
fn numbers_change_and_colours_do_not() {
    gst::init().unwrap();
    // Odd, so that the last chroma sample is of one pixel.
    let info = canvas_info(35, 7).unwrap();
    let matrices = [Matrix::BT601, Matrix::BT709, Matrix::BT2020, Matrix::SMPTE240M, Matrix::FCC];
    for from in matrices.into_iter().flat_map(|matrix| [false, true].map(|full| Colours { matrix, full })) {
        for to in [Colours::CANVAS, Colours::guessed(720), Colours::JPEG] {
            let Some(conversion) = Conversion::between(from, to) else {
                assert_eq!(from, to);
                continue;
            };
            for seen in SEEN {
                let mut buffer = gst::Buffer::with_size(info.size()).unwrap();
                {
                    let buffer = buffer.get_mut().unwrap();
                    let mut frame = gst_video::VideoFrameRef::from_buffer_ref_writable(buffer, &info).unwrap();
                    for (plane, number) in (0..).zip(numbers(seen, from)) {
                        frame.plane_data_mut(plane).unwrap().fill(number.round() as u8);
                    }
                }
                let frame = Arc::new(gst_video::VideoFrame::from_buffer_readable(buffer, &info).unwrap());
                let converted = conversion.apply(&frame, &info).unwrap();
                assert_near(mean(&converted), numbers(seen, to), 1.6, &format!("{seen:?} of {from:?}"));
            }
        }
    }
}

/// What is told of itself by a stream that a peer of that kind sends, and what is not.
struct Stream {
    encoder: &'static str,
    codec: Codec,
    colorimetry: &'static str,
    unsaid: Unsaid,
    size: (u32, u32),
}

impl Stream {
    /// The mean of what a tile of this size shows of this colour.
    fn shown(&self, [red, green, blue]: [u8; 3], tile: (u32, u32)) -> [f64; 3] {
        let (width, height) = self.size;
        let pipeline = gst::parse::launch(&format!(
            "videotestsrc num-buffers=3 pattern=solid-color foreground-color=0xff{red:02x}{green:02x}{blue:02x} \
             ! video/x-raw,format=RGB,width={width},height={height},framerate=30/1 ! videoconvert \
             ! video/x-raw,format=I420,colorimetry={} ! {} ! appsink name=out sync=false",
            self.colorimetry, self.encoder
        ));
        let pipeline = pipeline.unwrap().downcast::<gst::Pipeline>().unwrap();
        let out: gst_app::AppSink = pipeline.by_name("out").unwrap().downcast().unwrap();
        let (templates, slot, clock) =
            (Templates::load(None).unwrap(), Arc::<PictureSlot>::default(), RoomClock::start());
        let decoder =
            VideoDecoder::start(&templates, self.codec, Fit::Fill, self.unsaid, clock, slot.clone(), |_| {}).unwrap();
        decoder.set_tile(tile.0, tile.1);
        pipeline.set_state(gst::State::Playing).unwrap();
        while let Ok(sample) = out.pull_sample() {
            decoder.set_caps(&sample.caps_owned().unwrap());
            decoder.push(sample.buffer_owned().unwrap());
        }
        pipeline.set_state(gst::State::Null).unwrap();
        let deadline = Instant::now() + PATIENCE;
        loop {
            assert!(Instant::now() < deadline, "no picture of {}", self.encoder);
            match slot.look(clock.now()) {
                Some(frame) => {
                    assert_eq!((frame.width(), frame.height()), tile);
                    return mean(&frame);
                }
                None => std::thread::yield_now(),
            }
        }
    }
}

const H264: &str = "x264enc tune=zerolatency speed-preset=ultrafast pass=quant quantizer=12 \
                    ! video/x-h264,profile=high ! rtph264pay config-interval=-1 aggregate-mode=zero-latency";
const H264_SILENT: &str = "x264enc insert-vui=false tune=zerolatency speed-preset=ultrafast pass=quant quantizer=12 \
                           ! video/x-h264,profile=high ! rtph264pay config-interval=-1 aggregate-mode=zero-latency";
const VP8: &str = "vp8enc deadline=1 target-bitrate=4000000 ! rtpvp8pay";

#[test]
fn every_stream_comes_onto_the_canvas_in_its_colours() {
    gst::init().unwrap();
    let (small, large) = ((320, 180), (1280, 720));
    let streams = [
        (H264, Codec::H264, "bt709", Unsaid::Bt601, small),
        (H264, Codec::H264, "1:3:5:1", Unsaid::Bt601, small),
        (H264, Codec::H264, "bt601", Unsaid::BySize, small),
        (H264, Codec::H264, "1:4:16:4", Unsaid::BySize, small),
        (H264_SILENT, Codec::H264, "bt601", Unsaid::Bt601, small),
        (H264_SILENT, Codec::H264, "bt601", Unsaid::Bt601, large),
        (H264_SILENT, Codec::H264, "bt709", Unsaid::BySize, large),
        (VP8, Codec::Vp8, "bt601", Unsaid::Bt601, small),
        (VP8, Codec::Vp8, "bt601", Unsaid::Bt601, large),
        (VP8, Codec::Vp8, "bt601", Unsaid::BySize, small),
        (VP8, Codec::Vp8, "bt709", Unsaid::BySize, large),
    ];
    for (encoder, codec, colorimetry, unsaid, size) in streams {
        let stream = Stream { encoder, codec, colorimetry, unsaid, size };
        // Across the border of SD and HD, too.
        for tile in [small, large] {
            for seen in [[200, 40, 40], [40, 180, 60]] {
                let what = format!("{codec} of {colorimetry}, {unsaid:?}, {size:?} in {tile:?}");
                assert_near(stream.shown(seen, tile), numbers(seen, Colours::CANVAS), 4.0, &what);
            }
        }
    }
}

#[test]
fn browsers_are_told_from_those_who_guess_by_the_size() {
    let of = |sdp: &str| Unsaid::of(Offer::parse(sdp).unwrap().video().unwrap());
    assert_eq!(of(include_str!("../../../tests/sdp/chromium-watch.sdp")), Unsaid::Bt601);
    assert_eq!(of(include_str!("../../../tests/sdp/firefox-watch.sdp")), Unsaid::Bt601);
    assert_eq!(of(include_str!("../../../tests/sdp/chromium-publish-h264.sdp")), Unsaid::Bt601);
    assert_eq!(of(include_str!("../../../tests/sdp/webrtcbin-publish.sdp")), Unsaid::BySize);
}
