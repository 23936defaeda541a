//! A caller against a `webrtcbin` that sends everything back, over the host's own address (libnice leaves loopback
//! out): the probe content through real encoders, packets and decoders.

#[path = "calls/echo.rs"]
mod echo;
#[path = "support/eventually.rs"]
mod eventually;

use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use echo::Echo;
use eventually::eventually;

use gstreamer as gst;
use gstreamer::prelude::*;
use tessera::control::Codec;
use tessera::media::Templates;
use tessera::media::caller::{Caller, Direction, Frame, Inbound, Receive, Settings, Source};
use tessera::probe::freshness::Freshness;
use tessera::probe::picture::Rect;
use tessera::probe::statistics::median;
use tessera::probe::tile;
use tessera::probe::tone::Voice;
use tessera::probe::tone::{self, Speech};
use tessera::probe::{SAMPLE_RATE, onset};

const PATIENCE: Duration = Duration::from_secs(10);

fn settings(index: usize, speech: Speech) -> Settings {
    let voice = Voice { frequency: tone::frequency(index), amplitude: 0.25, speech };
    Settings::new(Source::Synthetic { index, grain: false, voice })
}

fn call(settings: Settings) -> (Caller, Echo) {
    let caller = Caller::new(settings, &Templates::load(None).unwrap()).unwrap();
    let offer = caller.offer().unwrap();
    assert!(offer.contains("a=candidate"), "the offer has its candidates");
    let (echo, answer) = Echo::answer(&offer);
    caller.connect(&answer, PATIENCE).unwrap();
    (caller, echo)
}

fn read(frame: &Frame) -> tile::Reading {
    let picture = frame.picture();
    tile::read(&picture, Rect::new(0.0, 0.0, picture.width() as f64, picture.height() as f64))
}

/// Follows the picture over `count` frames.
fn watch(inbound: &Inbound, bot: usize, count: usize) -> Freshness {
    let mut frames = inbound.frames();
    let mut freshness = Freshness::default();
    let end = Instant::now() + PATIENCE;
    let mut seen = 0;
    while seen < count {
        assert!(Instant::now() < end, "{seen} of {count} frames in time");
        let Ok(frame) = frames.try_recv() else {
            std::thread::park_timeout(Duration::from_millis(1));
            continue;
        };
        let reading = read(&frame);
        assert_eq!(reading.bot, Some(bot));
        freshness.frame(reading.timecode, frame.arrived.as_millis() as u64);
        seen += 1;
    }
    freshness
}

#[test]
fn pictures_and_voices_go_through_a_call() {
    for codec in [Codec::Vp8, Codec::H264] {
        let (caller, _echo) = call(Settings { codec, ..settings(5, Speech::Always) });
        let inbound = caller.inbound();
        eventually(PATIENCE, "a picture", || inbound.last_frame());
        let freshness = watch(inbound, 5, 60);
        assert_eq!(freshness.unreadable(), 0, "{codec}");
        let age = median(&mut freshness.ages_ms().to_vec()).unwrap();
        assert!(age < 200.0, "{codec}: {age} ms old");
        println!("{codec}: median age {age} ms, {:?}", inbound.counts());

        let heard = eventually(PATIENCE, "a second of sound", || {
            let heard = inbound.heard(Duration::from_millis(500)).samples;
            (heard.len() >= SAMPLE_RATE as usize / 2).then_some(heard)
        });
        let window = &heard[heard.len() - 9600..];
        let level = tone::level_db(window, tone::frequency(5));
        assert!((level + 12.0).abs() < 2.0, "{codec}: its own tone at {level} dB");
        for other in (0..tone::TONES).filter(|other| *other != 5) {
            let level = tone::level_db(window, tone::frequency(other));
            assert!(level < -40.0, "{codec}: the tone of {other} at {level} dB");
        }
        let counts = inbound.counts();
        assert!(counts.video_frames >= 60 && counts.audio_packets >= 25, "{counts:?}");
        assert!(counts.sent_keyframes >= 1 && counts.sent_bytes > 0, "{counts:?}");
    }
}

#[test]
fn onsets_arrive_late_by_the_call_s_delay() {
    let speech = Speech::Bursts { period: Duration::from_secs(1), length: Duration::from_millis(300) };
    let (caller, _echo) = call(settings(3, speech));
    let delays = eventually(PATIENCE, "two onsets", || {
        let heard = caller.inbound().heard(Duration::from_secs(4));
        let onsets = onset::onsets(&heard.samples, tone::frequency(3));
        let late = |at: &f64| heard.time_of(*at).map(|time| time.as_secs_f64().fract() * 1000.0);
        let delays: Vec<f64> = onsets.iter().filter_map(late).collect();
        (delays.len() >= 2).then_some(delays)
    });
    println!("voice: {delays:?} ms");
    assert!(delays.iter().all(|delay| (20.0..400.0).contains(delay)), "{delays:?}");
}

#[test]
fn what_is_sent_can_be_changed() {
    let (caller, _echo) = call(settings(1, Speech::Always));
    let (inbound, controls) = (caller.inbound(), caller.controls());
    eventually(PATIENCE, "a picture", || inbound.last_frame());
    controls.resize(320, 180);
    eventually(PATIENCE, "a smaller picture", || {
        inbound.last_frame().filter(|frame| frame.picture().width() == 320 && read(frame).bot == Some(1))
    });
    controls.mute(true);
    eventually(PATIENCE, "silence", || {
        let heard = inbound.heard(Duration::from_millis(200)).samples;
        (tone::level_db(&heard, tone::frequency(1)) < -60.0).then_some(())
    });
    controls.pause_video(true);
    let sent = controls.sent_frames();
    let packets = inbound.counts().audio_packets;
    eventually(PATIENCE, "sound goes on", || (inbound.counts().audio_packets > packets + 25).then_some(()));
    assert!(controls.sent_frames() <= sent + 1, "no picture while paused");
    controls.pause_video(false);
    eventually(PATIENCE, "pictures again", || (controls.sent_frames() > sent + 10).then_some(()));
    assert_eq!(controls.skipped(), 0);
}

#[test]
fn counting_decodes_nothing() {
    let (caller, _echo) = call(Settings { receive: Receive::Count, ..settings(2, Speech::Always) });
    let counts = eventually(PATIENCE, "30 frames", || {
        Some(caller.inbound().counts()).filter(|counts| counts.video_frames >= 30 && counts.audio_packets >= 30)
    });
    assert!(counts.video_bytes > 0 && counts.audio_bytes > 0 && counts.video_decoded == 0, "{counts:?}");
    assert!(caller.inbound().first_video().is_some() && caller.inbound().last_frame().is_none());
}

#[test]
fn a_caller_without_camera_offers_to_receive() {
    let caller = Caller::new(
        Settings { video: Some(Direction::RecvOnly), audio: Some(Direction::SendRecv), ..settings(0, Speech::Always) },
        &Templates::load(None).unwrap(),
    );
    let offer = caller.unwrap().offer().unwrap();
    let (audio, video) = offer.split_once("m=video").expect("an m-line of video, after the audio's");
    assert!(audio.contains("m=audio") && audio.contains("a=sendrecv"), "{offer}");
    assert!(video.contains("a=recvonly") && video.contains("VP8/90000"), "{offer}");
    for line in ["a=rtcp-fb:96 nack pli", "a=rtcp-fb:96 transport-cc", "a=rtcp-mux"] {
        assert!(video.contains(line), "{line} in {offer}");
    }
}

#[test]
fn a_cut_line_says_no_goodbye() {
    let (caller, echo) = call(settings(0, Speech::Always));
    eventually(PATIENCE, "a picture", || caller.inbound().last_frame());
    let received = echo.count_received();
    eventually(PATIENCE, "packets at the far end", || (received.load(Relaxed) > 10).then_some(()));
    caller.vanish();
    let before = received.load(Relaxed);
    // Long enough for a goodbye to come: another call is made and sees its first picture meanwhile.
    let (other, _echo) = call(settings(1, Speech::Always));
    eventually(PATIENCE, "another call's picture", || other.inbound().last_frame());
    let after = received.load(Relaxed);
    assert!(after <= before + 5, "{after} packets instead of {before}, and those under way");
}

#[test]
fn a_file_is_played_over_and_over() {
    let path = std::env::temp_dir().join(format!("tessera-caller-{}.webm", std::process::id()));
    // A second of picture and tone, as any file has them.
    let text = format!(
        "videotestsrc num-buffers=25 ! video/x-raw,width=320,height=240,framerate=25/1 ! vp8enc deadline=1 ! webmmux name=mux \
         audiotestsrc num-buffers=50 samplesperbuffer=960 freq=1000 ! audio/x-raw,rate=48000 ! opusenc ! mux. \
         mux. ! filesink location={}",
        path.display()
    );
    gst::init().unwrap();
    let recorder = gst::parse::launch(&text).unwrap();
    recorder.set_state(gst::State::Playing).unwrap();
    let bus = recorder.bus().unwrap();
    let ended =
        bus.timed_pop_filtered(gst::ClockTime::from_seconds(10), &[gst::MessageType::Eos, gst::MessageType::Error]);
    assert!(matches!(ended.unwrap().view(), gst::MessageView::Eos(_)));
    recorder.set_state(gst::State::Null).unwrap();

    let source = Source::File { path: path.clone(), start: 0.5 };
    let (caller, _echo) = call(Settings { source, ..settings(0, Speech::Always) });
    let inbound = caller.inbound();
    // The file ends twice in this time.
    eventually(PATIENCE, "75 frames", || (inbound.counts().video_decoded >= 75).then_some(()));
    let heard = inbound.heard(Duration::from_millis(2000)).samples;
    for window in heard.as_chunks::<4800>().0 {
        let level = tone::level_db(window, 1000);
        assert!(level > -9.0, "no gap in the tone: {level} dB");
    }
    let frame = inbound.last_frame().unwrap();
    assert_eq!((frame.picture().width(), frame.picture().height()), (640, 360));
    assert_eq!(caller.controls().skipped(), 0);
    std::fs::remove_file(path).unwrap();
}
