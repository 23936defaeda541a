//! The figures of the README, measured on this machine: `make bench`.
//!
//! The server is the release binary in a process of its own, the bots are in this one and use its public endpoints alone.
//! `TESSERA_BIN` names another build of it. Each figure has a file here, which says how it is defined. Run it in a network
//! of its own (`scripts/in-netns.sh`), on a machine that has nothing else to do.

mod arrival;
mod audience;
mod cost;
mod crowd;
mod failure;
mod memory;
mod parts;
mod process;
mod reference;
mod report;
mod server;
mod sight;
mod strain;
mod voice;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use tessera::bots::{BotConfig, Receive};
use tessera::media::Templates;
use tokio::time::{Instant, sleep_until};

use failure::Failure;
use parts::Part;
use reference::Reference;
use report::{Report, Row};
use server::Server;
use strain::Counts;
use voice::Latencies;

#[derive(Debug, Parser)]
struct Arguments {
    /// Only these figures, by their number (1 to 7); all without it.
    #[arg(long = "figure", value_name = "N", value_delimiter = ',', value_parser = clap::value_parser!(u8).range(1..=7))]
    figures: Vec<u8>,
    /// How long pictures and voices are watched for figures 1 to 3; CPU time is measured for a quarter of it.
    #[arg(long, value_name = "N", default_value_t = 60)]
    seconds: u64,
    /// Print where the server's CPU time goes, by threads.
    #[arg(long)]
    threads: bool,
    /// Put the tables into README.md, between their markers.
    #[arg(long)]
    write_readme: bool,
    /// Be one part of a room, standing alone.
    #[arg(long, hide = true)]
    part: Option<Part>,
    #[arg(long, hide = true, default_value_t = 4)]
    participants: usize,
    /// `cargo bench` says so.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = match arguments.part {
        Some(part) => parts::run(part, arguments.participants).map(|()| Outcome::Reached),
        None => tokio::runtime::Runtime::new()
            .map_err(Failure::from)
            .and_then(|runtime| runtime.block_on(measure(&arguments))),
    };
    match result {
        Ok(outcome) => ExitCode::from(outcome as u8),
        Err(failure) => {
            eprintln!("figures: {failure}");
            ExitCode::FAILURE
        }
    }
}

/// How it ended, as the program's exit code; 1 is a failure, 2 a wrong command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Reached = 0,
    /// The machine was too busy for some of the figures to mean anything, or they were too near to call.
    NotJudged = 3,
    Missed = 4,
}

async fn measure(arguments: &Arguments) -> Result<Outcome, Failure> {
    tessera::media::init()?;
    let templates = Templates::load(None)?;
    let wanted = |figure| arguments.figures.is_empty() || arguments.figures.contains(&figure);
    let watched = Duration::from_secs(arguments.seconds.max(4));
    let counted = watched / 4;
    let (mut report, mut reference) = (Report::default(), Reference::default());
    println!("Load before: {:.2}", report::load());
    if wanted(1) || wanted(2) || wanted(3) {
        println!("1 to 3: pictures and voices in a room of four, {} s", watched.as_secs());
        report.extend(room_of_four(&templates, watched).await?);
        report.extend(vec![voice::own(&templates).await?]);
    }
    if wanted(4) {
        println!("4: newcomers");
        report.extend(arrival::measure(&templates).await?);
    }
    if wanted(5) {
        println!("5: a room and its parts");
        let (rows, sizes) = cost::measure(&templates, counted, arguments.threads, &mut reference).await?;
        report.extend(rows);
        report.sizes(sizes);
    }
    if wanted(6) {
        println!("6: viewers");
        report.extend(audience::measure(&templates, counted, arguments.threads, &mut reference).await?);
    }
    if wanted(7) {
        println!("7: memory");
        report.extend(memory::measure(&templates).await?);
    }
    report.reference(reference.encode());
    println!("Load after: {:.2}\n\n{}", report::load(), report.markdown());
    let (missed, not_judged) = (report.missed(), report.not_judged());
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    // A README says what was measured where it could be.
    let readme = arguments.write_readme.then(|| root.join("README.md")).filter(|_| not_judged == 0);
    report.write(&root.join("target/figures.md"), readme.as_deref())?;
    if not_judged > 0 {
        println!("{not_judged} not judged. Run it again when the machine has nothing else to do.");
    }
    if missed > 0 {
        println!("{missed} missed.");
    }
    Ok(match (missed, not_judged) {
        (0, 0) => Outcome::Reached,
        (0, _) => Outcome::NotJudged,
        _ => Outcome::Missed,
    })
}

/// Figures 1 to 3, of the same room at the same time.
async fn room_of_four(templates: &Templates, length: Duration) -> Result<Vec<Row>, Failure> {
    const COUNT: usize = 4;
    let server = Server::start()?;
    let bot = |index| {
        let bot = crowd::participant(&server, index, Receive::Decode);
        BotConfig { speech: crowd::bursts(), ..bot }
    };
    let bots = crowd::join((0..COUNT).map(bot).collect(), templates).await?;
    tokio::time::sleep(crowd::WARM_UP).await;
    let view = server.room(&crowd::room())?;
    let (end, counts) = (Instant::now() + length, Counts::read(&[server.process()])?);
    let watching: Vec<_> = bots.iter().map(|bot| tokio::spawn(sight::watch(bot, view.clone(), length))).collect();
    let mut latencies = Latencies::default();
    while Instant::now() < end {
        sleep_until(end.min(Instant::now() + voice::READ_EACH)).await;
        // Takes long enough for frames to go by unread.
        tokio::task::block_in_place(|| {
            for (index, bot) in bots.iter().enumerate() {
                latencies.read(bot, index, COUNT);
            }
        });
    }
    let mut sights = Vec::new();
    for sight in watching {
        sights.push(sight.await.map_err(|_| Failure::Missing("what a receiver saw"))?);
    }
    let doubt = Counts::read(&[server.process()])?.since(counts).doubt();
    crowd::leave(bots).await?;
    let mut rows = sight::rows(&sights);
    rows.push(latencies.row());
    Ok(rows.into_iter().map(|row| row.doubted(doubt.clone())).collect())
}
