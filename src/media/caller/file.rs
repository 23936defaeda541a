//! The source of a bot that plays a file, over and over, without a gap at its end.

use std::path::Path;
use std::sync::{Arc, OnceLock, mpsc};
use std::time::Duration;

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;

use super::feed::Feed;
use super::{CallError, Settings, element};
use crate::media::clock::RoomClock;
use crate::media::colour::CANVAS_COLORIMETRY;
use crate::media::template::Templates;

/// How long a file may take until its first picture.
const START_DEADLINE: Duration = Duration::from_secs(10);

/// A file that plays; dropping it stops it.
#[derive(Debug)]
pub(super) struct Running {
    pipeline: gst::Pipeline,
}

impl Drop for Running {
    fn drop(&mut self) {
        // On a thread of GStreamer's: the state change waits for the file's threads.
        self.pipeline.call_async(|pipeline| {
            if pipeline.set_state(gst::State::Null).is_err() {
                tracing::warn!("a bot's file does not stop");
            }
        });
    }
}

/// Where a file's tracks go.
#[derive(Clone)]
struct Tracks {
    feed: Feed,
    /// The call's running time when the file's was zero; set before it plays.
    begun: Arc<OnceLock<Duration>>,
}

/// Starts to play `path`, from the share `start` (0 to 1) of its length on.
pub(super) fn start(
    feed: Feed,
    path: &Path,
    start: f64,
    settings: &Settings,
    templates: &Templates,
) -> Result<Running, CallError> {
    let failed = |detail: &str| CallError::File(detail.to_owned());
    let player = templates.bin("bot-file", &[], false)?;
    element::<gst::Element>(&player, "file")?
        .set_property("location", path.to_str().ok_or_else(|| failed("its name"))?);
    let pipeline = gst::Pipeline::new();
    pipeline.add(&player).map_err(|_| failed("pipeline"))?;
    let running = Running { pipeline };

    let decoder: gst::Element = element(&player, "decoder")?;
    let (weak, settings, templates) = (player.downgrade(), settings.clone(), templates.clone());
    let begun = Arc::new(OnceLock::new());
    let tracks = Tracks { feed: feed.clone(), begun: Arc::clone(&begun) };
    decoder.connect_pad_added(move |_, pad| {
        if let Some(player) = weak.upgrade()
            && let Err(error) = play(&player, pad, &tracks, &settings, &templates)
        {
            tracing::warn!(%error, "a bot does not play a track of its file");
        }
    });

    let bus = running.pipeline.bus().ok_or(CallError::Missing("bus"))?;
    let (sender, prerolled) = mpsc::sync_channel(4);
    let weak = running.pipeline.downgrade();
    bus.set_sync_handler(move |_, message| {
        match message.view() {
            gst::MessageView::Error(error) => {
                tracing::warn!(error = %error.error(), "a bot's file cannot be played");
                let _ = sender.try_send(Err(error.error().to_string()));
            }
            gst::MessageView::AsyncDone(_) => {
                let _ = sender.try_send(Ok(()));
            }
            gst::MessageView::SegmentDone(_) => {
                // Seeking is not for a streaming thread, on which this runs.
                if let Some(pipeline) = weak.upgrade() {
                    pipeline.call_async(|pipeline| seek(pipeline, gst::SeekFlags::SEGMENT, gst::ClockTime::ZERO));
                }
            }
            _ => {}
        }
        gst::BusSyncReply::Drop
    });

    let wait = |step| match prerolled.recv_timeout(START_DEADLINE) {
        Ok(Ok(())) => Ok(()),
        Ok(Err(detail)) => Err(CallError::File(detail)),
        Err(_) => Err(CallError::Deadline { step, deadline: START_DEADLINE }),
    };
    running.pipeline.set_state(gst::State::Paused).map_err(|_| failed("state change"))?;
    wait("opening the file")?;
    let length = running.pipeline.query_duration::<gst::ClockTime>().unwrap_or_default();
    let position = gst::ClockTime::from_nseconds((length.nseconds() as f64 * start.clamp(0.0, 1.0)) as u64);
    seek(&running.pipeline, gst::SeekFlags::SEGMENT | gst::SeekFlags::FLUSH | gst::SeekFlags::ACCURATE, position);
    wait("finding the beginning")?;
    RoomClock::start().govern(&running.pipeline);
    begun.get_or_init(|| feed.clock.now());
    running.pipeline.set_state(gst::State::Playing).map_err(|_| failed("state change"))?;
    Ok(running)
}

/// Plays up to the end as one segment, after which the next one follows without a gap.
fn seek(pipeline: &gst::Pipeline, flags: gst::SeekFlags, position: gst::ClockTime) {
    let end = gst::ClockTime::NONE;
    if pipeline.seek(1.0, flags, gst::SeekType::Set, position, gst::SeekType::End, end).is_err() {
        tracing::warn!("a bot's file cannot be repeated");
    }
}

/// Continues a track of the file with a branch of its own. Runs on a streaming thread.
fn play(
    player: &gst::Bin,
    pad: &gst::Pad,
    tracks: &Tracks,
    settings: &Settings,
    templates: &Templates,
) -> Result<(), CallError> {
    let caps = pad.current_caps().unwrap_or_else(|| pad.query_caps(None));
    let video = match caps.structure(0).map(|caps| caps.name().as_str()) {
        Some("video/x-raw") if tracks.feed.has_picture() => true,
        Some("audio/x-raw") if tracks.feed.has_voice() => false,
        _ => return Ok(()),
    };
    let branch = if video {
        let values = [
            ("fps", settings.fps.to_string()),
            ("width", settings.width.to_string()),
            ("height", settings.height.to_string()),
        ];
        templates.bin("bot-file-video", &values, true)?
    } else {
        templates.bin("bot-file-audio", &[], true)?
    };
    let sink: gst_app::AppSink = element(&branch, "out")?;
    let size = if video { Some(element::<gst::Element>(&branch, "size")?) } else { None };
    let tracks = tracks.clone();
    let new_sample = move |sink: &gst_app::AppSink| {
        let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
        send(&sample, &tracks, size.as_ref());
        Ok(gst::FlowSuccess::Ok)
    };
    sink.set_callbacks(gst_app::AppSinkCallbacks::builder().new_sample(new_sample).build());
    player.add(&branch).map_err(|_| CallError::Missing("branch"))?;
    branch.sync_state_with_parent().map_err(|_| CallError::File("state change".to_owned()))?;
    let sink = branch.static_pad("sink").ok_or(CallError::Missing("sink pad"))?;
    pad.link(&sink).map(drop).map_err(|_| CallError::File("link".to_owned()))
}

/// Hands a sample over to the call, with the call's own time stamp.
fn send(sample: &gst::Sample, Tracks { feed, begun }: &Tracks, size: Option<&gst::Element>) {
    let time = sample.segment().and_then(|segment| segment.downcast_ref::<gst::ClockTime>()).zip(sample.buffer());
    let time = time.and_then(|(segment, buffer)| segment.to_running_time(buffer.pts()));
    let (Some(time), Some(begun), Some(mut buffer)) = (time, begun.get(), sample.buffer_owned()) else { return };
    let pts = *begun + Duration::from(time);
    let Some(filter) = size else {
        if feed.controls.muted() {
            buffer = gst::Buffer::from_mut_slice(vec![0u8; buffer.size()]);
        }
        feed.push_voice(buffer, pts);
        return;
    };
    let current = sample.caps().and_then(|caps| {
        let caps = caps.structure(0)?;
        Some((caps.get::<i32>("width").ok()?.cast_unsigned(), caps.get::<i32>("height").ok()?.cast_unsigned()))
    });
    if let Some(current) = current {
        feed.push_picture(buffer, current, pts);
    }
    let wanted = feed.controls.size();
    if current != Some(wanted) {
        let caps = gst::Caps::builder("video/x-raw")
            .field("format", "I420")
            .field("width", wanted.0.cast_signed())
            .field("height", wanted.1.cast_signed())
            .field("pixel-aspect-ratio", gst::Fraction::new(1, 1))
            .field("colorimetry", CANVAS_COLORIMETRY)
            .build();
        filter.set_property("caps", caps);
    }
}
