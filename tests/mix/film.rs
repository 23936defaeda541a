//! Real pictures come through the mix as they were filmed.

use std::path::PathBuf;

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;
use tessera::bots::{Bot, BotConfig, Frame, Picture, Role};
use tessera::control::Wanted;
use tessera::probe::picture::{Plane, Rect};
use tessera::probe::ssim::ssim;

use crate::server::Server;
use crate::sight::see;

fn film() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/assets/media/big-buck-bunny-720p.mp4"))
}

/// The luma of all frames of the film at this size, tightly packed.
fn originals(width: usize, height: usize) -> Vec<Vec<u8>> {
    gst::init().unwrap();
    let text = format!(
        "filesrc location={} ! qtdemux ! decodebin ! videoconvertscale method=lanczos ! \
         video/x-raw,format=GRAY8,width={width},height={height} ! appsink name=out sync=false",
        film().display()
    );
    let pipeline = gst::parse::launch(&text).unwrap().downcast::<gst::Pipeline>().unwrap();
    let sink = pipeline.by_name("out").unwrap().downcast::<gst_app::AppSink>().unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    let mut frames = Vec::new();
    while let Some(sample) = sink.try_pull_sample(gst::ClockTime::from_seconds(10)) {
        let map = sample.buffer().unwrap().map_readable().unwrap();
        let stride = map.len() / height;
        frames.push(map.chunks(stride).flat_map(|row| row[..width].to_vec()).collect());
    }
    pipeline.set_state(gst::State::Null).unwrap();
    assert!(frames.len() > 100, "{} frames in the film", frames.len());
    frames
}

/// How like the film's most similar frame this part of a frame is.
fn likeness(frame: &Frame, tile: Rect, originals: &[Vec<u8>]) -> f64 {
    let shown = frame.picture().y.crop(tile);
    let (width, height) = (shown.width, shown.height);
    let like = |original: &Vec<u8>| ssim(shown, Plane::new(original, width, width, height).unwrap()).unwrap();
    originals.iter().map(like).fold(f64::NEG_INFINITY, f64::max)
}

/// The part of a tile above the label with the name.
fn above_the_label(tile: Rect) -> Rect {
    tile.part(Rect::new(0.0, 0.0, 1.0, 0.875))
}

fn players(server: &Server, count: usize, width: u32, height: u32, bitrate: u32) -> Vec<Bot> {
    let player = |index| BotConfig {
        picture: Picture::File(film()),
        role: Role::Publish,
        fps: FPS,
        width,
        height,
        bitrate,
        ..server.bot(index)
    };
    (0..count).map(|index| server.join(player(index))).collect()
}

/// The median likeness of every tile over ten frames, of the film at its tile's size.
fn likenesses(settings: &[&str], count: usize, sent: (u32, u32), bitrate: u32) -> Vec<f64> {
    let server = Server::start(settings);
    let bots = players(&server, count, sent.0, sent.1, bitrate);
    let viewer = server.join(server.watcher(10, Wanted::Named("high".to_owned())));
    let room = server.room_of(count);
    let tile = |number: usize| {
        let tile = room.participants[number].tile.unwrap();
        Rect::new(tile.x.into(), tile.y.into(), tile.width.into(), tile.height.into())
    };
    let (width, height) = (tile(0).width as usize, tile(0).height as usize);
    let shown = (height as f64 * 0.875) as usize;
    let originals: Vec<Vec<u8>> =
        originals(width, height).into_iter().map(|frame| frame[..width * shown].to_vec()).collect();
    // Past the first pictures, in which encoders find their rate.
    let sent = bots[0].controls().sent_frames();
    server.eventually("two seconds of the film", || (bots[0].controls().sent_frames() > sent + 20).then_some(()));
    let frames: Vec<_> = (0..5).map(|_| see(&server.runtime, &viewer, "a frame", |_| true)).collect();
    let medians = (0..count).map(|number| {
        let tile = above_the_label(tile(number));
        let mut found: Vec<f64> = frames.iter().map(|frame| likeness(frame, tile, &originals)).collect();
        tessera::probe::statistics::median(&mut found).unwrap()
    });
    let medians = medians.collect();
    drop((bots, viewer));
    server.end();
    medians
}

/// How alike a shown picture must be (SSIM, 0 to 1).
const ENOUGH: f64 = 0.85;

/// A rendition that costs the picture next to nothing, so that what is measured is the mix and not the bitrate.
const RICH: &[&str] =
    &["renditions=[{ name = \"high\", width = 1280, height = 720, fps = 10, bitrate = 8000000 }]", "video.fps=10"];
/// And of a rate that a busy machine keeps up with, as what is judged is single frames.
const FPS: u32 = 10;

// Two encodes in real time, one of them the bot's, leave 0.9 and more of the structure; a tile that is displaced by one
// pixel, smeared or another one's has less than 0.8.
#[test]
fn one_fills_the_canvas_as_filmed() {
    let alike = likenesses(RICH, 1, (1280, 720), 6_000_000);
    assert!(alike.iter().all(|alike| *alike > ENOUGH), "{alike:?}");
}

#[test]
fn each_of_four_is_in_its_tile_as_filmed() {
    let alike = likenesses(RICH, 4, (640, 360), 3_000_000);
    assert!(alike.iter().all(|alike| *alike > ENOUGH), "{alike:?}");
}
