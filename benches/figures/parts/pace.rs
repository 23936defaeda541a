//! Real time: a thread that does something at a steady pace.

use std::thread;
use std::time::{Duration, Instant};

/// Calls `tick` with 0, 1, 2, … at this distance, on a thread of its own, as long as the process lives.
pub fn every(period: Duration, mut tick: impl FnMut(u64) + Send + 'static) -> std::io::Result<()> {
    let run = move || {
        let begin = Instant::now();
        for number in 0u64.. {
            let due = begin + period.mul_f64(number as f64);
            #[expect(clippy::disallowed_methods, reason = "the thread's own pace; nobody waits for it")]
            thread::sleep(due.saturating_duration_since(Instant::now()));
            tick(number);
        }
    };
    thread::Builder::new().name("pace".to_owned()).spawn(run).map(drop)
}

/// The distance of frames at 30 per second.
pub const FRAME: Duration = Duration::from_nanos(1_000_000_000 / 30);
