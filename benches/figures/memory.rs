//! Figure 7: whether joins and leaves leave anything behind.

use std::time::Duration;

use tessera::bots::{Bot, Receive};
use tessera::media::Templates;
use tokio::time::{Instant, sleep};

use crate::crowd;
use crate::failure::Failure;
use crate::report::{Goal, Row};
use crate::server::Server;

/// Who is there all the time.
const STAYING: usize = 2;
/// Who come and go together.
const TOGETHER: usize = 5;
const STEP: usize = 50;
const ALL: usize = 200;

/// How long those that left may still be in the room.
const GONE: Duration = Duration::from_secs(10);
/// How long what they used may still be on its way down.
const DOWN: Duration = Duration::from_secs(2);

pub async fn measure(templates: &Templates) -> Result<Vec<Row>, Failure> {
    let server = Server::start()?;
    let stay = (0..STAYING).map(|index| crowd::participant(&server, index, Receive::Count)).collect();
    let staying = crowd::join(stay, templates).await?;
    let mut sizes = Vec::new();
    for times in 1..=ALL / STEP {
        come_and_go(&server, STEP, templates).await?;
        let size = server.process().resident()? as f64 / f64::from(1 << 20);
        println!("  ({size:.1} MiB after {})", times * STEP);
        sizes.push(size);
    }
    crowd::leave(staying).await?;
    let growth = sizes.last().zip(sizes.first()).map_or(f64::NAN, |(last, first)| last - first);
    let what = format!("memory after {ALL} joins and leaves, over that after {STEP}");
    Ok(vec![Row::new(what, Goal::AtMost(10.0), growth, "MiB")])
}

async fn come_and_go(server: &Server, count: usize, templates: &Templates) -> Result<(), Failure> {
    for _ in 0..count / TOGETHER {
        let come = (0..TOGETHER).map(|index| crowd::participant(server, STAYING + index, Receive::Count)).collect();
        let bots: Vec<Bot> = crowd::join(come, templates).await?;
        crowd::leave(bots).await?;
    }
    let deadline = Instant::now() + GONE;
    while server.room(&crowd::room())?.participants.len() > STAYING {
        if Instant::now() > deadline {
            return Err(Failure::Late("leaving"));
        }
        sleep(Duration::from_millis(100)).await;
    }
    sleep(DOWN).await;
    Ok(())
}
