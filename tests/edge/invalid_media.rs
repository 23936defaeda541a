//! Participants whose packets are in order and whose payload is not: noise, broken frames, broken sound.

use tessera::bots::{Bot, BotConfig};
use tessera::control::Codec;
use tessera::media::Templates;

use crate::bystanders::{Bystanders, tile_of};
use crate::eventually::eventually;
use crate::program::PATIENCE;
use crate::server::Server;

/// What a bot sends in the place of what it should: the end of its picture's chain, and of its voice's.
struct Broken {
    name: &'static str,
    codec: Codec,
    video: String,
    audio: String,
    /// Whether no decoder can make a picture of it.
    hopeless: bool,
}

const PICTURE: &str = "appsrc name=picture-in is-live=true format=time max-bytes=0 max-buffers=0 max-time=0";
const VOICE: &str = "appsrc name=voice-in is-live=true format=time max-bytes=0 max-buffers=0 max-time=0 \
                     caps=audio/x-raw,format=F32LE,layout=interleaved,rate=48000,channels=1";
const VP8: &str = "vp8enc name=encoder deadline=1 cpu-used=-16 target-bitrate=${bitrate} keyframe-max-dist=15";
const H264: &str = "x264enc name=encoder tune=zerolatency speed-preset=ultrafast sliced-threads=false \
                    bitrate=${bitrate-kbit} key-int-max=15 \
                    ! video/x-h264,profile=constrained-baseline,stream-format=byte-stream,alignment=au";
const OPUS: &str = "audioconvert ! opusenc";

/// Any bytes, as RTP of what was negotiated: white noise, sent as it is.
fn noise(size: &str, caps: &str) -> String {
    format!(
        "fakesink sync=false async=false
         audiotestsrc is-live=true wave=white-noise volume=1 samplesperbuffer=480
         ! audio/x-raw,format=S16BE,layout=interleaved,rate=48000,channels=1
         ! rtpL16pay {size} ! capssetter replace=true caps=\"{caps}\""
    )
}

/// What was negotiated, as a bot offers it.
const TWCC: &str = r#"extmap-1=(string)\"http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01\""#;
const OPUS_CAPS: &str =
    "application/x-rtp,media=audio,encoding-name=OPUS,encoding-params=(string)2,clock-rate=48000,payload=111";

fn video_caps(codec: Codec) -> String {
    let specific = match codec {
        Codec::Vp8 => "encoding-name=VP8,payload=96",
        Codec::H264 => {
            "encoding-name=H264,payload=102,packetization-mode=(string)1,profile-level-id=(string)42e01f,\
             level-asymmetry-allowed=(string)1"
        }
    };
    format!("application/x-rtp,media=video,clock-rate=90000,{TWCC},{specific}")
}

fn all() -> [Broken; 4] {
    let with_twcc = format!("capsfilter caps=\"application/x-rtp,{TWCC}\"");
    [
        Broken {
            name: "noise as VP8 and Opus",
            codec: Codec::Vp8,
            video: format!("{VP8} ! {}", noise("pt=96 mtu=1200", &video_caps(Codec::Vp8))),
            audio: noise("pt=111 max-ptime=20000000", OPUS_CAPS),
            hopeless: true,
        },
        Broken {
            name: "noise as H.264, and Opus cut off after some bytes",
            codec: Codec::H264,
            video: format!("{H264} ! {}", noise("pt=102 mtu=1200", &video_caps(Codec::H264))),
            audio: noise("pt=111 mtu=28", OPUS_CAPS).replace("! rtpL16pay", "! rtpL16pay max-ptime=100000"),
            hopeless: true,
        },
        Broken {
            name: "VP8 and Opus with broken bytes",
            codec: Codec::Vp8,
            video: format!(
                "{VP8} ! rtpvp8pay pt=96 picture-id-mode=15-bit ! {with_twcc} ! breakmydata probability=0.005"
            ),
            audio: format!("{OPUS} ! breakmydata probability=0.3 ! rtpopuspay pt=111"),
            hopeless: false,
        },
        Broken {
            name: "H.264 and RTP of Opus with broken bytes",
            codec: Codec::H264,
            video: format!(
                "{H264} ! breakmydata probability=0.01 ! rtph264pay pt=102 config-interval=-1 ! {with_twcc}"
            ),
            audio: format!("{OPUS} ! rtpopuspay pt=111 ! breakmydata probability=0.01"),
            hopeless: false,
        },
    ]
}

impl Broken {
    fn templates(&self) -> Templates {
        let home = std::env::temp_dir().join(format!("tessera-edge-{}", std::process::id()));
        std::fs::create_dir_all(&home).unwrap();
        let video = if self.codec == Codec::Vp8 { "bot-send-vp8" } else { "bot-send-h264" };
        std::fs::write(home.join(video).with_extension("launch"), format!("{PICTURE} ! {}", self.video)).unwrap();
        std::fs::write(home.join("bot-send-audio.launch"), format!("{VOICE} ! {}", self.audio)).unwrap();
        let templates = Templates::load(Some(&home)).unwrap();
        std::fs::remove_dir_all(&home).unwrap();
        templates
    }
}

#[test]
fn a_broken_payload_ends_as_a_slate_and_disturbs_nobody() {
    let server = Server::start(&[]);
    let mut bystanders = Bystanders::join(&server);
    for broken in all() {
        let config = BotConfig { codec: broken.codec, ..server.small_bot(2) };
        let bot = server.runtime.block_on(Bot::join(config, &broken.templates())).unwrap();
        server
            .room_where("it has a tile", |room| room.participants.iter().filter(|one| one.tile.is_some()).count() == 3);
        // Broken bytes end the bot's own side sooner or later, too; some of them have left it by then.
        let enough = if broken.hopeless { 200 } else { 20 };
        eventually(PATIENCE, "its packets are under way", || (bot.counts().sent_packets > enough).then_some(()));
        bystanders.are_undisturbed_in_noise(broken.name);
        for bystander in 0..2 {
            let frame = bystanders.bot(bystander).last_frame().unwrap();
            let seen: Vec<_> = (0..3).map(|index| tile_of(&frame, index, 3).bot).collect();
            assert_eq!(seen[..2], [Some(0), Some(1)], "{}", broken.name);
            assert!(!broken.hopeless || seen[2].is_none(), "{}: a picture of noise: {seen:?}", broken.name);
        }
        // It may have been put out, but not have hung.
        server.leave(bot);
        server.room_where("it has left", |room| room.participants.len() == 2);
    }
    drop(bystanders);
    let log = server.end();
    // Each of them may wear out five.
    let decoders = log.lines().filter(|line| line.contains("the decoder failed")).count();
    println!("{decoders} decoders were worn out");
    assert!(decoders <= 4 * 5, "{decoders} decoders");
}
