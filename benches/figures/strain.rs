//! What the machine had to do besides the measurement, and whether it had anything left (proc(5), `stat`). What a machine
//! measures that is busy with other work, or has more to do than it can, is no figure of the server's.

use std::fs;
use std::io::{Error, ErrorKind, Result};
use std::time::{Duration, Instant};

use crate::process::Process;

/// Linux counts in hundredths of a second, whatever its own timer does.
const TICK: Duration = Duration::from_millis(10);

/// So much of all cores has to be idle: what is measured must never have had to wait.
const LEAST_IDLE: f64 = 0.08;
/// So much of one core may go to others: their caches and their turns cost the measured ones some of theirs.
const MOST_OTHERS: f64 = 0.25;
/// So much of all cores may be taken by the host of a virtual machine.
const MOST_STOLEN: f64 = 0.03;

/// The counts of all cores, and the CPU time of the processes that belong to the measurement.
#[derive(Clone, Copy, Debug)]
pub struct Counts {
    idle: Duration,
    busy: Duration,
    stolen: Duration,
    ours: Duration,
    at: Instant,
}

impl Counts {
    /// Now. `ours` are this process and those that it measures.
    pub fn read(ours: &[Process]) -> Result<Self> {
        let stat = fs::read_to_string("/proc/stat")?;
        let malformed = || Error::new(ErrorKind::InvalidData, "/proc/stat is not as expected");
        let fields = stat.lines().next().and_then(|line| line.strip_prefix("cpu ")).ok_or_else(malformed)?;
        let ticks: Vec<u64> = fields.split_whitespace().filter_map(|field| field.parse().ok()).collect();
        let &[user, nice, system, idle, waiting, interrupts, soft, stolen, ..] = &ticks[..] else {
            return Err(malformed());
        };
        let time = |ticks: u64| TICK * u32::try_from(ticks).unwrap_or(u32::MAX);
        let own: Duration = ours.iter().filter_map(|process| process.time().ok()).sum();
        Ok(Self {
            idle: time(idle + waiting),
            busy: time(user + nice + system + interrupts + soft),
            stolen: time(stolen),
            ours: own + Process(std::process::id()).time()?,
            at: Instant::now(),
        })
    }

    /// What happened since `earlier`.
    pub fn since(self, earlier: Self) -> Strain {
        let share = |part: fn(&Self) -> Duration| part(&self).saturating_sub(part(&earlier)).as_secs_f64();
        let (idle, busy, stolen, ours) =
            (share(|it| it.idle), share(|it| it.busy), share(|it| it.stolen), share(|it| it.ours));
        let all = (idle + busy + stolen).max(1e-9);
        let seconds = self.at.saturating_duration_since(earlier.at).as_secs_f64().max(1e-9);
        Strain { idle: idle / all, stolen: stolen / all, others: (busy - ours).max(0.0) / seconds }
    }
}

/// How the machine was in some time.
#[derive(Clone, Copy, Debug)]
pub struct Strain {
    /// Of all cores.
    idle: f64,
    /// Of all cores.
    stolen: f64,
    /// Of one core.
    others: f64,
}

impl Strain {
    /// Why nothing can be said by what was measured, if so.
    pub fn doubt(self) -> Option<String> {
        let percent = |share: f64| 100.0 * share;
        if self.stolen > MOST_STOLEN {
            Some(format!("the machine's host took {:.0} % of it", percent(self.stolen)))
        } else if self.others > MOST_OTHERS {
            Some(format!("other work took {:.0} % of a core", percent(self.others)))
        } else if self.idle < LEAST_IDLE {
            Some(format!("the machine was full: {:.0} % of it idle", percent(self.idle)))
        } else {
            None
        }
    }
}
