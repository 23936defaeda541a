//! The bots of a measurement: the participants, and viewers.

use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, stream};
use tessera::bots::{Bot, BotConfig, Picture, Receive, Role};
use tessera::control::Wanted;
use tessera::id::RoomId;
use tessera::media::Templates;
use tessera::probe::tone::Speech;
use tokio::time::{Instant, sleep};

use crate::failure::Failure;
use crate::server::Server;

/// Bots that join or leave at the same time.
const AT_ONCE: usize = 4;

/// After joins, until the encoders and the jitter buffers run evenly.
pub const WARM_UP: Duration = Duration::from_secs(4);

/// How long all of a room's first frames may take.
const SETTLED: Duration = Duration::from_secs(30);

/// The room of every measurement.
pub fn room() -> RoomId {
    "figures".parse().expect("letters make a room's name")
}

/// A participant that takes all of its bitrate (640x360 at 30 in VP8, 600 kbit/s) and receives `high`.
pub fn participant(server: &Server, index: usize, receive: Receive) -> BotConfig {
    BotConfig {
        role: Role::Join { rendition: high() },
        picture: Picture::Grain,
        receive,
        ..BotConfig::new(server.url().clone(), room(), index)
    }
}

/// Somebody who only watches `high`, and counts what comes.
pub fn viewer(server: &Server, index: usize) -> BotConfig {
    BotConfig { role: Role::Watch { rendition: high() }, ..participant(server, index, Receive::Count) }
}

fn high() -> Wanted {
    Wanted::Named("high".to_owned())
}

/// When bots speak whose voices are measured: all in the same instant, at each multiple of the period.
pub fn bursts() -> Option<Speech> {
    Some(Speech::Bursts { period: BURST_PERIOD, length: BURST_LENGTH })
}

pub const BURST_PERIOD: Duration = Duration::from_secs(2);
pub const BURST_LENGTH: Duration = Duration::from_millis(900);

/// Lets all of them in, some at once, the first one alone (it makes the room), and waits until each gets pictures.
pub async fn join(bots: Vec<BotConfig>, templates: &Templates) -> Result<Vec<Bot>, Failure> {
    let mut bots = bots.into_iter();
    let mut joined = Vec::new();
    if let Some(first) = bots.next() {
        joined.push(Bot::join(first, templates).await?);
    }
    let others = stream::iter(bots).map(|bot| Bot::join(bot, templates)).buffered(AT_ONCE);
    joined.extend(others.try_collect::<Vec<_>>().await?);
    let deadline = Instant::now() + SETTLED;
    while joined.iter().any(|bot| bot.first_frame_time().is_none()) {
        if Instant::now() > deadline {
            return Err(Failure::Late("a bot's first frame"));
        }
        sleep(Duration::from_millis(20)).await;
    }
    Ok(joined)
}

/// All of them say goodbye.
pub async fn leave(bots: Vec<Bot>) -> Result<(), Failure> {
    stream::iter(bots).map(Bot::leave).buffer_unordered(AT_ONCE).try_collect::<()>().await?;
    Ok(())
}
