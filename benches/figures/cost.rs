//! Figure 5: the server's CPU time for a room, against that of its parts standing alone; and rooms of other sizes.

use std::collections::BTreeMap;
use std::time::Duration;

use tessera::bots::Receive;
use tessera::media::Templates;
use tessera::probe::statistics::{median, percentile};
use tokio::time::sleep;

use crate::crowd;
use crate::failure::Failure;
use crate::parts::{self, Part};
use crate::process::Process;
use crate::reference::Reference;
use crate::report::{Goal, Row, Size};
use crate::server::Server;
use crate::sight;
use crate::strain::{Counts, Strain};
use tessera::probe::estimate::Estimate;

const PARTICIPANTS: usize = 4;
/// The other rooms that the peers to beat were measured with.
const OTHERS: [usize; 2] = [9, 16];

type Threads = BTreeMap<String, (usize, Duration)>;

/// What a process used in some time.
#[derive(Clone, Debug)]
pub struct Interval {
    percent: Estimate,
    strain: Strain,
    length: Duration,
    threads: Threads,
}

impl Interval {
    /// In pieces, whose differences tell how well it is known.
    const PIECES: u32 = 6;

    pub async fn measure(process: Process, length: Duration) -> Result<Self, Failure> {
        let (before, counts) = (process.threads()?, Counts::read(&[process])?);
        let (mut from, mut pieces) = (process.cpu()?, Vec::new());
        for _ in 0..Self::PIECES {
            sleep(length / Self::PIECES).await;
            let to = process.cpu()?;
            pieces.push(to.percent_since(from));
            from = to;
        }
        let (strain, mut threads) = (Counts::read(&[process])?.since(counts), process.threads()?);
        for (name, (_, cpu)) in &mut threads {
            *cpu = cpu.saturating_sub(before.get(name).map_or(Duration::ZERO, |(_, cpu)| *cpu));
        }
        Ok(Self { percent: Estimate::of(&pieces), strain, length, threads })
    }

    /// Of one core.
    pub fn percent(&self) -> Estimate {
        self.percent
    }

    /// Why it is no figure, if so.
    pub fn doubt(&self) -> Option<String> {
        self.strain.doubt()
    }

    pub fn seconds(&self) -> f64 {
        self.length.as_secs_f64()
    }

    /// Threads and their time by name, in % of a core, without those of `other`.
    pub fn less(&self, other: &Self) -> Self {
        let mut less = self.clone();
        for (name, (count, cpu)) in &mut less.threads {
            if let Some((others, time)) = other.threads.get(name) {
                *count = count.saturating_sub(*others);
                *cpu = cpu.saturating_sub(time.mul_f64(self.seconds() / other.seconds()));
            }
        }
        less
    }
}

/// Prints where the time went, by threads.
pub fn profile(title: &str, interval: &Interval, share: f64) {
    println!("  {title}, by threads:");
    let mut threads: Vec<_> = interval.threads.iter().collect();
    threads.sort_by_key(|(_, (_, cpu))| std::cmp::Reverse(*cpu));
    for (name, (count, cpu)) in threads {
        let percent = 100.0 * cpu.as_secs_f64() / interval.seconds() / share;
        println!("    {percent:7.3} %  {:6.2} × {name}", *count as f64 / share);
    }
}

/// The room of four and its parts, then the other rooms.
pub async fn measure(
    templates: &Templates,
    length: Duration,
    threads: bool,
    reference: &mut Reference,
) -> Result<(Vec<Row>, Vec<Size>), Failure> {
    reference.take(templates, length).await?;
    let four = room(templates, PARTICIPANTS, length, threads).await?;
    let (mut video, mut audio) = (Estimate::exact(0.0), Estimate::exact(0.0));
    let (mut rows, mut doubt) = (Vec::new(), four.doubt.clone());
    for part in Part::ALL {
        let alone = parts::measure(part, PARTICIPANTS, templates, length).await?;
        let sum = if part == Part::Voices { &mut audio } else { &mut video };
        *sum = *sum + alone.percent();
        doubt = doubt.or(alone.doubt());
        rows.push(Row::cpu(format!("… alone: {part}"), alone.percent()).doubted(alone.doubt()));
    }
    // Once more, as the machine's pace may have changed meanwhile.
    let again = room(templates, PARTICIPANTS, length, false).await?;
    reference.take(templates, length).await?;
    let doubt = doubt.or(again.doubt).or(reference.doubt());
    // Both rooms ran for the whole length: what is not known of them is at least how they differ.
    let cpu = Estimate::of(&[four.cpu.value, again.cpu.value]);
    let cpu = Estimate { error: cpu.error.max((four.cpu + again.cpu).scaled(0.5).error), ..cpu };
    rows.insert(0, Row::cpu("server CPU for the room, of a core", cpu).doubted(doubt.clone()));
    rows.push(
        Row::of("server CPU over the sum of its parts", Goal::AtMost(1.4), cpu / video, "times").doubted(doubt.clone()),
    );
    rows.push(Row::of("… with the voices among the parts", Goal::None, cpu / (video + audio), "times").doubted(doubt));
    let mut sizes = vec![Size { cpu, ..four }];
    for participants in OTHERS {
        sizes.push(room(templates, participants, length, threads).await?);
    }
    Ok((rows, sizes))
}

/// A room of this many, all of whom speak; one of them decodes what it gets.
async fn room(templates: &Templates, participants: usize, length: Duration, threads: bool) -> Result<Size, Failure> {
    let server = Server::start()?;
    let receive = |index| if index == 0 { Receive::Decode } else { Receive::Count };
    let bots = (0..participants).map(|index| crowd::participant(&server, index, receive(index))).collect();
    let bots = crowd::join(bots, templates).await?;
    sleep(crowd::WARM_UP).await;
    let view = server.room(&crowd::room())?;
    let sight = tokio::spawn(sight::watch(&bots[0], view, length));
    let interval = Interval::measure(server.process(), length).await?;
    let sight = sight.await.map_err(|_| Failure::Missing("what the receiver saw"))?;
    crowd::leave(bots).await?;
    if threads {
        profile(&format!("a room of {participants}"), &interval, 1.0);
    }
    let mut ages = sight.ages();
    let size = Size {
        participants,
        cpu: interval.percent(),
        doubt: interval.doubt(),
        age: median(&mut ages).unwrap_or(f64::NAN),
        age_p95: percentile(&mut ages, 95.0).unwrap_or(f64::NAN),
    };
    println!("  {participants}: {:.1} % of a core, {:.1} fps, {:.0} ms", size.cpu.value, sight.fresh_rate(), size.age);
    if let Some(doubt) = &size.doubt {
        println!("  ({doubt})");
    }
    Ok(size)
}
