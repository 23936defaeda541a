//! Figure 3: how late a voice is heard, and how little of one's own.
//!
//! All participants speak at once, a burst each two seconds, so that each burst goes through the change from the shared
//! encode to the speaker's own. A burst is late by the time from its onset at the microphone (the middle of its rise) to the
//! instant when the same point of it, decoded, can be played at a receiver without a playout delay of its own.
//!
//! For one's own voice all speak without a pause, and several seconds are taken at once: what Opus adds around the others'
//! tones spreads with the length of the window, a voice that comes through does not.

use std::collections::BTreeMap;
use std::time::Duration;

use tessera::bots::{Bot, BotConfig, Receive};
use tessera::media::Templates;
use tessera::probe::onset::onsets;
use tessera::probe::statistics::median;
use tessera::probe::tone::{Speech, frequency, level_db};
use tokio::time::sleep;

use crate::crowd::{self, BURST_PERIOD};
use crate::failure::Failure;
use crate::report::{Goal, Row};
use crate::server::Server;

/// What bots keep of what they heard is 10 s: it is read more often than that.
pub const READ_EACH: Duration = Duration::from_secs(8);
const WINDOW: Duration = Duration::from_secs(10);

/// How long one's own voice is listened for.
const LISTEN: Duration = Duration::from_secs(8);

/// How late all receivers heard all others: by who heard whom at which burst (windows overlap), in ms.
#[derive(Debug, Default)]
pub struct Latencies(BTreeMap<(usize, usize, u64), f64>);

impl Latencies {
    /// Takes what the bot `listener` of `count` heard lately.
    pub fn read(&mut self, bot: &Bot, listener: usize, count: usize) {
        let heard = bot.heard(WINDOW);
        for speaker in (0..count).filter(|speaker| *speaker != listener) {
            for onset in onsets(&heard.samples, frequency(speaker)) {
                let Some(played) = heard.time_of(onset) else { continue };
                let period = BURST_PERIOD.as_nanos();
                let (burst, late) = (played.as_nanos() / period, played.as_nanos() % period);
                let Ok(burst) = u64::try_from(burst) else { continue };
                self.0.insert((listener, speaker, burst), late as f64 / 1e6);
            }
        }
    }

    pub fn row(&self) -> Row {
        let mut latencies: Vec<f64> = self.0.values().copied().collect();
        let median = median(&mut latencies).unwrap_or(f64::NAN);
        Row::new("voice, tone in to tone out, median", Goal::AtMost(90.0), median, "ms")
    }
}

/// Bots whose tones are at distances that differ from one another, so that what a limiter or an encoder makes of three
/// of them does not fall on the fourth.
const SPEAKERS: [usize; 4] = [0, 1, 4, 6];

/// By how much one's own voice is below the weakest other one, for whoever hears most of it.
pub async fn own(templates: &Templates) -> Result<Row, Failure> {
    let server = Server::start()?;
    let bot = |index| BotConfig { speech: Some(Speech::Always), ..crowd::participant(&server, index, Receive::Decode) };
    let bots = crowd::join(SPEAKERS.map(bot).into(), templates).await?;
    sleep(crowd::WARM_UP + LISTEN).await;
    let below = bots.iter().zip(SPEAKERS).map(|(bot, own)| {
        let heard = bot.heard(LISTEN).samples;
        let level = |speaker| level_db(&heard, frequency(speaker));
        let others = SPEAKERS.into_iter().filter(|speaker| *speaker != own).map(level).fold(f64::INFINITY, f64::min);
        others - level(own)
    });
    let least = below.fold(f64::INFINITY, f64::min);
    crowd::leave(bots).await?;
    Ok(Row::new("own voice below the others'", Goal::AtLeast(60.0), least, "dB"))
}
