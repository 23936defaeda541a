//! `tessera bots`: some bots in a room for a while, and a line each second of what they get.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::{StreamExt, stream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};
use url::Url;

use super::{Bot, BotConfig, BotError, Counts, Picture, Receive, Role, signalling, tiles};
use crate::control::{Codec, RoomView, Wanted};
use crate::id::RoomId;
use crate::media::{TemplateError, Templates};
use crate::probe::statistics::median;
use crate::probe::tile::Fit;
use crate::probe::tone::Speech;

/// Bots that join or leave at the same time.
const AT_ONCE: usize = 4;

/// Arguments of `tessera bots`.
#[derive(Clone, Debug, clap::Args)]
pub struct BotsArgs {
    /// Address of the server.
    #[arg(long, value_name = "URL", env = "TESSERA_BOTS_SERVER", default_value = "http://127.0.0.1:8080")]
    pub server: Url,
    /// Room to join.
    #[arg(long, value_name = "NAME", env = "TESSERA_BOTS_ROOM", default_value = "demo")]
    pub room: RoomId,
    /// How many participants.
    #[arg(long, value_name = "N", env = "TESSERA_BOTS_COUNT", default_value_t = 4)]
    pub count: usize,
    /// How many viewers beside them, who only watch.
    #[arg(long, value_name = "N", env = "TESSERA_BOTS_VIEWERS", default_value_t = 0)]
    pub viewers: usize,
    /// A film to play, over and over, instead of colours and tones.
    #[arg(long, value_name = "FILE", env = "TESSERA_BOTS_VIDEO")]
    pub video: Option<PathBuf>,
    /// Leave after this many seconds; by default stay until stopped.
    #[arg(long, value_name = "N", env = "TESSERA_BOTS_SECONDS")]
    pub seconds: Option<u64>,
    /// Their names, before a number.
    #[arg(long, value_name = "TEXT", env = "TESSERA_BOTS_NAME_PREFIX", default_value = "Bot")]
    pub name_prefix: String,
    /// VP8 or H264.
    #[arg(long, value_name = "NAME", env = "TESSERA_BOTS_CODEC", default_value = "VP8", value_parser = codec)]
    pub codec: Codec,
    /// Width and height of the pictures sent.
    #[arg(long, value_name = "WxH", env = "TESSERA_BOTS_SIZE", default_value = "640x360", value_parser = size)]
    pub size: (u32, u32),
    /// Frames per second of the pictures sent.
    #[arg(long, value_name = "N", env = "TESSERA_BOTS_FPS", default_value_t = 30,
          value_parser = clap::value_parser!(u32).range(1..=60))]
    pub fps: u32,
    /// Bit/s of each picture sent.
    #[arg(long, value_name = "N", env = "TESSERA_BOTS_BITRATE", default_value_t = 600_000)]
    pub bitrate: u32,
    /// When they speak: `always`, `never`, or `bursts` (a third of a second, one after the other).
    #[arg(long, value_name = "WHEN", env = "TESSERA_BOTS_SPEECH", default_value = "always")]
    pub speech: When,
    /// What they watch: `auto`, `audio`, or the name of a rendition.
    #[arg(long, value_name = "NAME", env = "TESSERA_BOTS_RENDITION", default_value = "auto",
          value_parser = wanted)]
    pub rendition: Wanted,
    /// How many of them decode what they get; the others only count it, which costs next to nothing.
    #[arg(long, value_name = "N", env = "TESSERA_BOTS_DECODE", default_value_t = 1)]
    pub decode: usize,
}

/// When bots speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum When {
    Always,
    Never,
    Bursts,
}

fn codec(text: &str) -> Result<Codec, String> {
    match text.to_ascii_uppercase().as_str() {
        "VP8" => Ok(Codec::Vp8),
        "H264" => Ok(Codec::H264),
        _ => Err("VP8 or H264".to_owned()),
    }
}

fn size(text: &str) -> Result<(u32, u32), String> {
    let parsed = text.split_once('x').and_then(|(width, height)| Some((width.parse().ok()?, height.parse().ok()?)));
    let usable = |side: u32| (16..=4096).contains(&side) && side.is_multiple_of(2);
    parsed
        .filter(|(width, height)| usable(*width) && usable(*height))
        .ok_or_else(|| "two even numbers from 16 to 4096, such as 640x360".to_owned())
}

#[expect(clippy::unnecessary_wraps, reason = "the form of a value parser")]
fn wanted(text: &str) -> Result<Wanted, String> {
    Ok(text.to_owned().into())
}

/// Why the bots did not run.
#[derive(Debug, thiserror::Error)]
pub enum BotsError {
    #[error(transparent)]
    Template(#[from] TemplateError),
    #[error("no bot got in; the last one because: {0}")]
    NobodyIn(#[source] BotError),
    #[error("signals cannot be waited for: {0}")]
    Signal(#[source] std::io::Error),
}

impl BotsArgs {
    /// The bot with this number, participants first.
    fn bot(&self, index: usize) -> BotConfig {
        let rendition = self.rendition.clone();
        let participant = index < self.count;
        let speech = match self.speech {
            When::Always => Speech::Always,
            When::Never => Speech::Never,
            When::Bursts => Speech::Bursts { period: Duration::from_secs(1), length: Duration::from_millis(300) },
        };
        BotConfig {
            name: format!("{} {}", self.name_prefix, index + 1),
            role: if participant { Role::Join { rendition } } else { Role::Watch { rendition } },
            picture: self.video.clone().map_or(Picture::Colour, Picture::File),
            speech: Some(speech),
            codec: self.codec,
            width: self.size.0,
            height: self.size.1,
            fps: self.fps,
            bitrate: self.bitrate,
            receive: if index < self.decode { Receive::Decode } else { Receive::Count },
            ..BotConfig::new(self.server.clone(), self.room.clone(), index)
        }
    }
}

/// Runs the bots until they are stopped (SIGINT, SIGTERM) or their time is over; then all of them leave.
pub async fn run(args: BotsArgs) -> Result<(), BotsError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(BotsError::Signal)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(BotsError::Signal)?;
    let end = args.seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let over = async move {
        match end {
            Some(end) => sleep_until(end).await,
            None => std::future::pending().await,
        }
    };
    let (stop, stopped) = watch::channel(false);
    let waiting = tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            () = over => {}
        }
        stop.send_replace(true);
    });

    let mut crew = Crew::new(args);
    crew.join(&Templates::load(None)?, &stopped).await?;
    let mut seconds = interval(Duration::from_secs(1));
    seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    seconds.tick().await;
    let mut stopped = std::pin::pin!(until(stopped));
    loop {
        tokio::select! {
            _ = seconds.tick() => crew.report().await,
            () = &mut stopped => break,
        }
    }
    waiting.abort();
    crew.leave().await;
    Ok(())
}

/// Waits until it is time to stop.
async fn until(mut stopped: watch::Receiver<bool>) {
    // An error means that nobody can stop it any more, and that is a reason too.
    let _ = stopped.wait_for(|stopped| *stopped).await;
}

/// The bots of one run.
struct Crew {
    args: BotsArgs,
    bots: Vec<Bot>,
    /// Those that read the tiles of what the decoding bots see.
    watches: Vec<JoinHandle<()>>,
    /// Where the tiles are, as last told.
    room: watch::Sender<Option<Arc<RoomView>>>,
    /// Milliseconds from capture to decoded composite, since the last report.
    ages: Arc<Mutex<Vec<f64>>>,
    last: Vec<Counts>,
}

impl Crew {
    fn new(args: BotsArgs) -> Self {
        Self {
            args,
            bots: Vec::new(),
            watches: Vec::new(),
            room: watch::Sender::new(None),
            ages: Arc::default(),
            last: Vec::new(),
        }
    }

    /// Lets all in, one after the other or some at once. Where it is stopped meanwhile, only those that are on their
    /// way get in.
    async fn join(&mut self, templates: &Templates, stopped: &watch::Receiver<bool>) -> Result<(), BotsError> {
        let mut refused = None;
        // The first participant makes the room.
        for range in [0..self.args.count.min(1), self.args.count.min(1)..self.args.count + self.args.viewers] {
            let mut joining = stream::iter(range)
                .take_while(|_| std::future::ready(!*stopped.borrow()))
                .map(|index| Bot::join(self.args.bot(index), templates))
                .buffered(AT_ONCE);
            while let Some(joined) = joining.next().await {
                match joined {
                    Ok(bot) => self.bots.push(bot),
                    Err(error) => {
                        tracing::warn!(%error, "a bot did not get in");
                        refused = Some(error);
                    }
                }
            }
        }
        for bot in self.bots.iter().filter(|bot| bot.config().receive == Receive::Decode) {
            self.watches.push(tokio::spawn(read_ages(bot.frames(), self.room.subscribe(), Arc::clone(&self.ages))));
        }
        self.last = self.bots.iter().map(Bot::counts).collect();
        match refused {
            Some(error) if self.bots.is_empty() => Err(BotsError::NobodyIn(error)),
            _ => Ok(()),
        }
    }

    /// Prints a line of the last second.
    #[expect(clippy::print_stdout, reason = "what this program is there to say")]
    async fn report(&mut self) {
        let (server, room) = (self.args.server.clone(), self.args.room.clone());
        match spawn_blocking(move || signalling::room(&server, &room)).await {
            Ok(Ok(view)) => {
                self.room.send_replace(Some(Arc::new(view)));
            }
            Ok(Err(error)) => tracing::warn!(%error, "the room cannot be read"),
            Err(_) => {}
        }
        let counts: Vec<Counts> = self.bots.iter().map(Bot::counts).collect();
        let since = |field: fn(&Counts) -> u64| -> u64 {
            counts.iter().zip(&self.last).map(|(now, last)| field(now).saturating_sub(field(last))).sum()
        };
        let up = self.bots.iter().filter(|bot| !bot.ended()).count();
        let frames = since(|counts| counts.video_frames) as f64 / up.max(1) as f64;
        let down = since(|counts| counts.video_bytes + counts.audio_bytes) * 8 / 1000;
        let sent = since(|counts| counts.sent_bytes) * 8 / 1000;
        let lost = since(|counts| counts.lost);
        let mut ages = std::mem::take(&mut *self.ages.lock().unwrap_or_else(PoisonError::into_inner));
        let age = median(&mut ages).map_or("no age read".to_owned(), |age| format!("age {age:.0} ms"));
        println!(
            "{up} of {} bots: {frames:.1} frames each, {down} kbit/s down, {sent} kbit/s up, {lost} lost, {age}",
            self.bots.len()
        );
        self.last = counts;
    }

    async fn leave(self) {
        self.watches.iter().for_each(JoinHandle::abort);
        let mut leaving = stream::iter(self.bots).map(Bot::leave).buffer_unordered(AT_ONCE);
        while let Some(left) = leaving.next().await {
            if let Err(error) = left {
                tracing::warn!(%error, "a bot left without goodbye");
            }
        }
    }
}

/// Collects the ages of all tiles that a bot sees.
async fn read_ages(
    mut frames: tokio::sync::broadcast::Receiver<Arc<super::Frame>>,
    room: watch::Receiver<Option<Arc<RoomView>>>,
    ages: Arc<Mutex<Vec<f64>>>,
) {
    loop {
        let frame = match frames.recv().await {
            Ok(frame) => frame,
            Err(RecvError::Lagged(_)) => continue,
            Err(RecvError::Closed) => return,
        };
        let Some(room) = room.borrow().clone() else { continue };
        let now = u64::try_from(frame.arrived.as_millis()).unwrap_or(u64::MAX);
        let readings = tiles::read(&frame.picture(), &room, Fit::Cover);
        let read = readings.iter().filter_map(|(_, reading)| reading.timecode).map(|time| f64::from(time.age_ms(now)));
        ages.lock().unwrap_or_else(PoisonError::into_inner).extend(read);
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, clap::Parser)]
    struct Line {
        #[command(flatten)]
        bots: BotsArgs,
    }

    #[test]
    fn arguments_are_understood() {
        let line = "tessera --server http://192.0.2.7:1 --room r --count 3 --viewers 2 --size 320x180 --codec h264";
        let args = Line::try_parse_from(line.split(' ')).unwrap().bots;
        let first = args.bot(0);
        assert_eq!((first.width, first.height, first.codec), (320, 180, Codec::H264));
        assert_eq!((first.receive, args.bot(1).receive), (Receive::Decode, Receive::Count));
        assert_eq!(args.bot(2).role, Role::Join { rendition: Wanted::Auto });
        assert_eq!(args.bot(3).role, Role::Watch { rendition: Wanted::Auto });
        for wrong in ["--size 320", "--size 321x180", "--codec av1", "--room a/b", "--fps 0", "--server x"] {
            assert!(Line::try_parse_from(format!("tessera {wrong}").split(' ')).is_err(), "{wrong}");
        }
    }
}
