//! What the kernel counts of a process: its CPU time, by threads too, and its memory (proc(5)).

use std::collections::BTreeMap;
use std::fs;
use std::io::{Error, ErrorKind, Result};
use std::time::{Duration, Instant};

/// Linux counts CPU time for user space in hundredths of a second, whatever its own timer does.
const TICK: Duration = Duration::from_millis(10);

/// A process, by its id.
#[derive(Clone, Copy, Debug)]
pub struct Process(pub u32);

/// The CPU time of a process at some instant.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    cpu: Duration,
    at: Instant,
}

impl Reading {
    /// The CPU time since `earlier`, in percent of one core.
    pub fn percent_since(self, earlier: Self) -> f64 {
        let (cpu, time) = (self.cpu.saturating_sub(earlier.cpu), self.at.saturating_duration_since(earlier.at));
        100.0 * cpu.as_secs_f64() / time.as_secs_f64().max(1e-9)
    }
}

impl Process {
    /// User and system time of all its threads, those that ended too.
    pub fn time(self) -> Result<Duration> {
        cpu_time(&fs::read_to_string(format!("/proc/{}/stat", self.0))?)
    }

    /// The same, and when it was read.
    pub fn cpu(self) -> Result<Reading> {
        Ok(Reading { cpu: self.time()?, at: Instant::now() })
    }

    /// Memory that it holds, in bytes (resident set size).
    pub fn resident(self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0))?;
        let kib = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next()?.parse().ok());
        kib.map(|kib: u64| kib * 1024).ok_or_else(|| malformed("status"))
    }

    /// How many of its threads have this name, and the CPU time of them all. Names end in numbers and colons that
    /// tell the members of a group from each other; those are cut off.
    pub fn threads(self) -> Result<BTreeMap<String, (usize, Duration)>> {
        let mut groups: BTreeMap<String, (usize, Duration)> = BTreeMap::new();
        for task in fs::read_dir(format!("/proc/{}/task", self.0))? {
            // A thread may end between the listing and the reading.
            let Ok(stat) = fs::read_to_string(task?.path().join("stat")) else { continue };
            let name = stat.split_once('(').and_then(|(_, rest)| Some(rest.rsplit_once(')')?.0)).unwrap_or_default();
            let group: String = name.chars().map(|letter| if letter.is_ascii_digit() { '#' } else { letter }).collect();
            let entry = groups.entry(group).or_default();
            entry.0 += 1;
            entry.1 += cpu_time(&stat)?;
        }
        Ok(groups)
    }
}

/// Fields 14 and 15 of `stat`; the second one, the name, may hold blanks and parentheses.
fn cpu_time(stat: &str) -> Result<Duration> {
    let fields = stat.rsplit_once(')').map(|(_, rest)| rest.split_whitespace()).ok_or_else(|| malformed("stat"))?;
    let ticks: Vec<u32> = fields.skip(11).take(2).filter_map(|field| field.parse().ok()).collect();
    if ticks.len() == 2 { Ok(TICK * ticks.iter().sum()) } else { Err(malformed("stat")) }
}

fn malformed(what: &str) -> Error {
    Error::new(ErrorKind::InvalidData, format!("/proc/…/{what} is not as expected"))
}
