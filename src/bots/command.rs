//! `tessera bots`: some bots in a room for a while, and a line each second of what they get. Whoever loses the server
//! joins again when it is back; once it refuses all of them for good, there is nothing left to do.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant as Time};

use futures_util::{StreamExt, stream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};
use url::Url;

use super::berth::{Berth, Change, Traffic};
use super::{BotConfig, BotError, Picture, Receive, Role, signalling, tiles};
use crate::config::{Bots, When};
use crate::control::RoomView;
use crate::media::{TemplateError, Templates};
use crate::probe::statistics::median;
use crate::probe::tile::Fit;
use crate::probe::tone::Speech;

/// Bots that join or leave at the same time.
const AT_ONCE: usize = 4;

/// How often it is looked for those that are on their way in.
const LOOK: Duration = Duration::from_millis(20);

/// Why the bots did not run.
#[derive(Debug, thiserror::Error)]
pub enum BotsError {
    #[error("bots.server: {address:?} is not a URL")]
    Server { address: String, source: url::ParseError },
    #[error(transparent)]
    Template(#[from] TemplateError),
    #[error("no bot got in; the last one because: {0}")]
    NobodyIn(BotError),
    #[error("the server refuses all bots by now; the last one because: {0}")]
    Refused(BotError),
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

    let mut crew = Crew::new(config, server, Templates::load(pipelines)?);
    crew.join(&stopped).await?;
    let mut seconds = interval(Duration::from_secs(1));
    seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    seconds.tick().await;
    let mut stopped = std::pin::pin!(until(stopped));
    let outcome = loop {
        tokio::select! {
            _ = seconds.tick() => {
                if let Err(refused) = crew.look_after().await {
                    break Err(refused);
                }
                crew.report().await;
            }
            () = &mut stopped => break Ok(()),
        }
    };
    waiting.abort();
    crew.leave().await;
    outcome
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
    templates: Templates,
    berths: Vec<Berth>,
    /// Those that read the tiles of what the decoding bots see. Each ends with its bot.
    watches: Vec<JoinHandle<()>>,
    /// Where the tiles are, as last told.
    room: watch::Sender<Option<Arc<RoomView>>>,
    /// Whether the room could be read the last time.
    readable: bool,
    /// Milliseconds from capture to decoded composite, since the last report.
    ages: Arc<Mutex<Vec<f64>>>,
}

impl Crew {
    fn new(config: Bots, server: Url, templates: Templates) -> Self {
        let berths =
            (0..config.count.saturating_add(config.viewers)).map(|index| Berth::new(bot(&config, &server, index)));
        Self {
            berths: berths.collect(),
            config,
            server,
            templates,
            watches: Vec::new(),
            room: watch::Sender::new(None),
            readable: true,
            ages: Arc::default(),
        }
    }

    /// Lets each try once, the first participant before all others: it makes the room. Where it is stopped meanwhile, only
    /// those that are on their way get in.
    async fn join(&mut self, stopped: &watch::Receiver<bool>) -> Result<(), BotsError> {
        let first = self.config.count.min(1);
        let (mut tried, mut why) = (0, None);
        loop {
            let now = Time::now();
            let ready = if tried == 0 && first > 0 { 1 } else { self.berths.len() };
            let mut joining = self.berths.iter().filter(|berth| berth.is_joining()).count();
            while tried < ready && joining < AT_ONCE && !*stopped.borrow() {
                self.berths[tried].join(&self.templates);
                (tried, joining) = (tried + 1, joining + 1);
            }
            if joining == 0 {
                break;
            }
            // Of the first one, the others wait for the outcome.
            tokio::time::sleep(LOOK).await;
            why = self.see(now).await.or(why);
        }
        match why {
            Some(error) if self.berths.iter().all(|berth| berth.bot().is_none()) => Err(BotsError::NobodyIn(error)),
            _ => Ok(()),
        }
    }

    /// Sees what became of whom, and says so. The last reason for which one did not get in.
    async fn see(&mut self, now: Time) -> Option<BotError> {
        let mut why = None;
        for berth in &mut self.berths {
            let name = berth.config().name.clone();
            match berth.look(now).await {
                None => {}
                Some(Change::Joined) => {
                    tracing::info!(name, "in");
                    if let Some(bot) = berth.bot().filter(|bot| bot.config().receive == Receive::Decode) {
                        let ages = read_ages(bot.frames(), self.room.subscribe(), Arc::clone(&self.ages));
                        self.watches.retain(|watch| !watch.is_finished());
                        self.watches.push(tokio::spawn(ages));
                    }
                }
                Some(Change::Lost) => tracing::warn!(name, "lost its connection; it joins again"),
                Some(Change::Failed(error)) => {
                    // That the next attempts fail, too, is no news.
                    if berth.is_first_failure() {
                        tracing::warn!(name, %error, "did not get in; it tries again, ever more seldom");
                    }
                    why = Some(error);
                }
                Some(Change::Refused(error)) => {
                    tracing::warn!(name, %error, "is refused and does not try again");
                    why = Some(error);
                }
            }
        }
        why
    }

    /// Sends those again whose time has come. An error once the server will have none of them.
    async fn look_after(&mut self) -> Result<(), BotsError> {
        let now = Time::now();
        let why = self.see(now).await;
        if let Some(error) = why
            && self.berths.iter().all(Berth::is_refused)
        {
            return Err(BotsError::Refused(error));
        }
        let joining = self.berths.iter().filter(|berth| berth.is_joining()).count();
        let due = self.berths.iter_mut().filter(|berth| berth.is_due(now));
        due.take(AT_ONCE.saturating_sub(joining)).for_each(|berth| berth.join(&self.templates));
        Ok(())
    }

    /// Prints a line of the last second.
    #[expect(clippy::print_stdout, reason = "what this program is there to say")]
    async fn report(&mut self) {
        let (server, room, token) = (self.server.clone(), self.config.room.clone(), self.config.token.clone());
        match spawn_blocking(move || signalling::room(&server, &room, &token)).await {
            Ok(Ok(view)) => {
                if !std::mem::replace(&mut self.readable, true) {
                    tracing::info!("the room can be read again");
                }
                self.room.send_replace(Some(Arc::new(view)));
            }
            Ok(Err(error)) => {
                if std::mem::replace(&mut self.readable, false) {
                    tracing::warn!(%error, "the room cannot be read");
                }
            }
            Err(_) => {}
        }
        let up = self.berths.iter().filter(|berth| berth.bot().is_some()).count();
        let all = self.berths.iter_mut().map(Berth::traffic).fold(Traffic::default(), |sum, one| Traffic {
            frames: sum.frames + one.frames,
            down: sum.down + one.down,
            up: sum.up + one.up,
            lost: sum.lost + one.lost,
        });
        let frames = all.frames as f64 / up.max(1) as f64;
        let (down, sent, lost) = (all.down * 8 / 1000, all.up * 8 / 1000, all.lost);
        let mut ages = std::mem::take(&mut *self.ages.lock().unwrap_or_else(PoisonError::into_inner));
        let age = median(&mut ages).map_or("no age read".to_owned(), |age| format!("age {age:.0} ms"));
        println!(
            "{up} of {} bots: {frames:.1} frames each, {down} kbit/s down, {sent} kbit/s up, {lost} lost, {age}",
            self.berths.len()
        );
    }

    async fn leave(self) {
        self.watches.iter().for_each(JoinHandle::abort);
        let leaving = stream::iter(self.berths).map(|berth| async {
            match berth.into_bot().await {
                Some(bot) => bot.leave().await,
                None => Ok(()),
            }
        });
        let mut leaving = leaving.buffer_unordered(AT_ONCE);
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
