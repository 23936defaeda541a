//! `tessera bots`: some bots in a room for a while, and a line each second of what they get.

use std::path::Path;
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
use crate::config::{Bots, When};
use crate::control::RoomView;
use crate::media::{TemplateError, Templates};
use crate::probe::statistics::median;
use crate::probe::tile::Fit;
use crate::probe::tone::Speech;

/// Bots that join or leave at the same time.
const AT_ONCE: usize = 4;

/// Why the bots did not run.
#[derive(Debug, thiserror::Error)]
pub enum BotsError {
    #[error("bots.server: {address:?} is not a URL")]
    Server { address: String, source: url::ParseError },
    #[error(transparent)]
    Template(#[from] TemplateError),
    #[error("no bot got in; the last one because: {0}")]
    NobodyIn(BotError),
    #[error("signals cannot be waited for: {0}")]
    Signal(std::io::Error),
}

/// The bot with this number, participants first.
fn bot(config: &Bots, server: &Url, index: usize) -> BotConfig {
    let rendition = config.rendition.clone();
    let speech = match config.speech {
        When::Always => Speech::Always,
        When::Never => Speech::Never,
        When::Bursts => Speech::Bursts { period: Duration::from_secs(1), length: Duration::from_millis(300) },
    };
    BotConfig {
        token: config.token.clone(),
        name: format!("{} {}", config.name_prefix, index + 1),
        role: if index < config.count { Role::Join { rendition } } else { Role::Watch { rendition } },
        picture: config.video.clone().map_or(Picture::Colour, Picture::File),
        speech: Some(speech),
        codec: config.codec,
        width: config.size.width,
        height: config.size.height,
        fps: config.fps,
        bitrate: config.bitrate,
        receive: if index < config.decode { Receive::Decode } else { Receive::Count },
        ..BotConfig::new(server.clone(), config.room.clone(), index)
    }
}

/// Runs the bots until they are stopped (SIGINT, SIGTERM) or their time is over; then all of them leave. `pipelines` is
/// the folder whose templates take the place of the built-in ones.
pub async fn run(config: Bots, pipelines: Option<&Path>) -> Result<(), BotsError> {
    let server =
        Url::parse(&config.server).map_err(|source| BotsError::Server { address: config.server.clone(), source })?;
    let mut terminate = signal(SignalKind::terminate()).map_err(BotsError::Signal)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(BotsError::Signal)?;
    let end = config.seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
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

    let mut crew = Crew::new(config, server);
    crew.join(&Templates::load(pipelines)?, &stopped).await?;
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
    config: Bots,
    server: Url,
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
    fn new(config: Bots, server: Url) -> Self {
        Self {
            config,
            server,
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
        let (first, all) = (self.config.count.min(1), self.config.count.saturating_add(self.config.viewers));
        for range in [0..first, first..all] {
            let mut joining = stream::iter(range)
                .take_while(|_| std::future::ready(!*stopped.borrow()))
                .map(|index| Bot::join(bot(&self.config, &self.server, index), templates))
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
        let (server, room, token) = (self.server.clone(), self.config.room.clone(), self.config.token.clone());
        match spawn_blocking(move || signalling::room(&server, &room, &token)).await {
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
        let readings = tiles::read(&frame.picture(), &room, Fit::Auto);
        let read = readings.iter().filter_map(|(_, reading)| reading.timecode).map(|time| f64::from(time.age_ms(now)));
        ages.lock().unwrap_or_else(PoisonError::into_inner).extend(read);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::{Codec, Wanted};

    #[test]
    fn participants_come_before_viewers() {
        let config = Bots { count: 3, viewers: 2, codec: Codec::H264, ..Bots::default() };
        let bot = |index| bot(&config, &"http://192.0.2.7:1".parse().unwrap(), index);
        assert_eq!((bot(0).width, bot(0).height, bot(0).codec), (640, 360, Codec::H264));
        assert_eq!((bot(0).receive, bot(1).receive), (Receive::Decode, Receive::Count));
        assert_eq!(bot(2).role, Role::Join { rendition: Wanted::Auto });
        assert_eq!(bot(3).role, Role::Watch { rendition: Wanted::Auto });
    }
}
