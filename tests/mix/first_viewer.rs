//! Publishers that make keyframes when it is time and not when they are asked, as OBS and most encoders in hardware do, or
//! none at all after the first: who comes first, or after a while in which nobody watched, sees them at once all the same.

use std::time::{Duration, Instant};

use tessera::bots::{Bot, BotConfig, Role};
use tessera::control::Codec;
use tessera::media::Templates;

use crate::guest;
use crate::program::PATIENCE;
use crate::server::Server;
use crate::sight::{Observation, is_as_told, told};

/// Their keyframes are 250 pictures apart. This is far less, and enough for a machine that has other things to do.
const SOON: Duration = Duration::from_secs(3);

/// Pictures sent while nobody watches: so long that those of the last viewer's time are of no use any more.
const UNWATCHED: u64 = 90;

const PICTURE: &str = "appsrc name=picture-in is-live=true format=time max-bytes=0 max-buffers=0 max-time=0";
/// A request is answered an hour after the last keyframe.
const DEAF: &str = "min-force-key-unit-interval=3600000000000";
const TWCC: &str = "capsfilter caps=\"application/x-rtp,\
    extmap-1=(string)\\\"http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01\\\"\"";

fn x264(options: &str) -> String {
    format!(
        "{PICTURE} ! x264enc name=encoder tune=zerolatency speed-preset=ultrafast sliced-threads=false threads=1 \
         bitrate=${{bitrate-kbit}} {options} {DEAF} ! video/x-h264,profile=constrained-baseline,stream-format=byte-stream \
         ! rtph264pay pt=102 mtu=1200 config-interval=-1 aggregate-mode=zero-latency ! {TWCC}"
    )
}

/// Bots' templates with this chain for pictures of a codec.
fn templates(codec: Codec, chain: &str) -> Templates {
    let home = std::env::temp_dir().join(format!("tessera-mix-{}", std::process::id()));
    std::fs::create_dir_all(&home).unwrap();
    let video = if codec == Codec::Vp8 { "bot-send-vp8" } else { "bot-send-h264" };
    std::fs::write(home.join(video).with_extension("launch"), chain).unwrap();
    let templates = Templates::load(Some(&home)).unwrap();
    std::fs::remove_dir_all(&home).unwrap();
    templates
}

#[test]
fn a_publisher_that_makes_no_keyframe_when_asked_is_seen_at_once() {
    let server = Server::start(&[]);
    let vp8 = format!(
        "{PICTURE} ! vp8enc name=encoder deadline=1 cpu-used=-16 threads=1 target-bitrate=${{bitrate}} lag-in-frames=0 \
         keyframe-max-dist=250 {DEAF} ! rtpvp8pay pt=96 mtu=1200 picture-id-mode=15-bit ! {TWCC}"
    );
    let publishers = [
        (Codec::Vp8, vp8),
        (Codec::H264, x264("key-int-max=250")),
        (Codec::H264, x264("key-int-max=60 intra-refresh=true")),
    ];
    let bots: Vec<Bot> = publishers
        .iter()
        .enumerate()
        .map(|(index, (codec, chain))| {
            let config = BotConfig { codec: *codec, role: Role::Publish, ..server.bot(index) };
            server.runtime.block_on(Bot::join(config, &templates(*codec, chain))).unwrap()
        })
        .collect();
    let room = server.room_of(bots.len());
    for visit in ["the first viewer", "one that comes later"] {
        let sent: Vec<u64> = bots.iter().map(|bot| bot.controls().sent_frames()).collect();
        let unwatched = || bots.iter().zip(&sent).all(|(bot, sent)| bot.controls().sent_frames() >= sent + UNWATCHED);
        server.eventually("pictures for nobody", || unwatched().then_some(()));
        let caller = guest::watcher(&server, Codec::Vp8);
        let offer = caller.offer().unwrap();
        let asked = Instant::now();
        let answer = server.program.post_sdp("/whep/studio", &offer);
        assert_eq!(answer.status, 201, "{answer:?}");
        let expected = room.clone();
        let frames = Observation::begin(&server, caller.inbound().frames(), move |frame| {
            (asked.elapsed(), is_as_told(frame, &expected), told(frame, &expected))
        });
        caller.connect(answer.text(), PATIENCE).unwrap();
        server.eventually("three seconds of pictures", || (frames.count() >= 90).then_some(()));
        let frames = frames.end();
        let whole = frames.iter().position(|(_, whole, _)| *whole);
        let (after, ..) = frames[whole.unwrap_or_else(|| panic!("{visit} never sees all: {:?}", frames.last()))];
        println!("{visit} sees all after {after:?}");
        assert!(after < SOON, "{visit} sees all after {after:?}; at first: {:?}", frames.first());
        // And goes on seeing them.
        let (_, last, shows) = &frames[frames.len() - 1];
        assert!(last, "{visit} sees at last {shows:?}");
        server.program.end_session(&answer);
        drop(caller);
        server.room_where("no viewer", |room| room.viewers.is_empty() && room.renditions.is_empty());
    }
    drop(bots);
    server.end();
}
