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
use crate::process::{Process, Reading};
use crate::report::{Goal, Row, Size};
use crate::server::Server;
use crate::sight;

const PARTICIPANTS: usize = 4;
/// The other rooms that the peers to beat were measured with.
const OTHERS: [usize; 2] = [9, 16];

type Threads = BTreeMap<String, (usize, Duration)>;

/// What a process used in some time.
#[derive(Clone, Debug)]
pub struct Interval {
    from: Reading,
    to: Reading,
    length: Duration,
    threads: Threads,
}

impl Interval {
    pub async fn measure(process: Process, length: Duration) -> Result<Self, Failure> {
        let (before, from) = (process.threads()?, process.cpu()?);
        sleep(length).await;
        let (to, mut threads) = (process.cpu()?, process.threads()?);
        for (name, (_, cpu)) in &mut threads {
            *cpu = cpu.saturating_sub(before.get(name).map_or(Duration::ZERO, |(_, cpu)| *cpu));
        }
        Ok(Self { from, to, length, threads })
    }

    /// Of one core.
    pub fn percent(&self) -> f64 {
        self.to.percent_since(self.from)
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
pub async fn measure(templates: &Templates, length: Duration, threads: bool) -> Result<(Vec<Row>, Vec<Size>), Failure> {
    let four = room(templates, PARTICIPANTS, length, threads).await?;
    let mut rows = vec![Row::new("server CPU for the room, of a core", Goal::None, four.cpu, "%")];
    let (mut video, mut audio) = (0.0, 0.0);
    for part in Part::ALL {
        let percent = parts::measure(part, PARTICIPANTS, templates, length).await?;
        *if part == Part::Voices { &mut audio } else { &mut video } += percent;
        rows.push(Row::new(format!("… alone: {part}"), Goal::None, percent, "%"));
    }
    // Once more, as the machine's pace may have changed meanwhile.
    let again = room(templates, PARTICIPANTS, length, false).await?;
    let cpu = four.cpu.midpoint(again.cpu);
    rows[0].value = cpu;
    rows.push(Row::new("server CPU over the sum of its parts", Goal::AtMost(1.4), cpu / video, "times"));
    rows.push(Row::new("… with the voices among the parts", Goal::None, cpu / (video + audio), "times"));
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
        age: median(&mut ages).unwrap_or(f64::NAN),
        age_p95: percentile(&mut ages, 95.0).unwrap_or(f64::NAN),
    };
    println!("  {participants}: {:.1} % of a core, {:.1} fps, {:.0} ms", size.cpu, sight.fresh_rate(), size.age);
    Ok(size)
}
