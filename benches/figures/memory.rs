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
const FIRST: usize = 50;
const ALL: usize = 200;

/// How long those that left may still be in the room.
const GONE: Duration = Duration::from_secs(10);
/// How long what they used may still be on its way down.
const DOWN: Duration = Duration::from_secs(2);

pub async fn measure(templates: &Templates) -> Result<Vec<Row>, Failure> {
    let server = Server::start()?;
    let stay = (0..STAYING).map(|index| crowd::participant(&server, index, Receive::Count)).collect();
    let staying = crowd::join(stay, templates).await?;
    come_and_go(&server, FIRST, templates).await?;
    let first = server.process().resident()?;
    come_and_go(&server, ALL - FIRST, templates).await?;
    let last = server.process().resident()?;
    crowd::leave(staying).await?;
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    println!("  ({:.1} MiB after {FIRST}, {:.1} MiB after {ALL})", mib(first), mib(last));
    Ok(vec![Row::new(
        format!("memory after {ALL} joins and leaves, over that after {FIRST}"),
        Goal::AtMost(10.0),
        mib(last) - mib(first),
        "MiB",
    )])
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
