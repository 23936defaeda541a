//! Figure 4: how soon a newcomer to a running room sees it.

use std::time::Duration;

use tessera::bots::{Bot, Receive};
use tessera::media::Templates;
use tessera::probe::statistics::median;
use tokio::time::{Instant, sleep};

use crate::crowd;
use crate::failure::Failure;
use crate::report::{Goal, Row};
use crate::server::Server;
use crate::strain::Counts;

const JOINS: usize = 20;
const DEADLINE: Duration = Duration::from_secs(10);

/// One after the other becomes the fourth of the room and leaves again.
pub async fn measure(templates: &Templates) -> Result<Vec<Row>, Failure> {
    let server = Server::start()?;
    let stay = (0..3).map(|index| crowd::participant(&server, index, Receive::Count)).collect();
    let staying = crowd::join(stay, templates).await?;
    let (mut times, counts) = (Vec::new(), Counts::read(&[server.process()])?);
    for _ in 0..JOINS {
        let bot = Bot::join(crowd::participant(&server, 3, Receive::Decode), templates).await?;
        let deadline = Instant::now() + DEADLINE;
        let first = loop {
            match bot.first_frame_time() {
                Some(first) => break first,
                None if Instant::now() > deadline => return Err(Failure::Late("a newcomer's first frame")),
                None => sleep(Duration::from_millis(10)).await,
            }
        };
        times.push(first.as_secs_f64() * 1000.0);
        bot.leave().await?;
        // Out of step with the encoder's regular keyframes.
        sleep(Duration::from_millis(730)).await;
    }
    let doubt = Counts::read(&[server.process()])?.since(counts).doubt();
    crowd::leave(staying).await?;
    let worst = times.iter().copied().fold(0.0, f64::max);
    Ok(vec![
        Row::new(
            "POST to first decoded frame, median",
            Goal::AtMost(500.0),
            median(&mut times).unwrap_or(f64::NAN),
            "ms",
        )
        .doubted(doubt.clone()),
        Row::new(format!("POST to first decoded frame, worst of {JOINS}"), Goal::AtMost(1000.0), worst, "ms")
            .doubted(doubt),
    ])
}
