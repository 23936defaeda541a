//! The C library's allocator, set up for a process of many short-lived threads.
//!
//! Every peer brings a dozen threads and, with its decoder, some megabytes that are freed on other threads than they were
//! allocated on. glibc gives threads arenas of their own (eight for each core) and lets the size from which it maps
//! memory directly grow up to 32 MiB; both leave what peers had behind in arenas that nothing shrinks, several megabytes
//! for each join. It reads these settings from the environment only, before `main`, hence the start anew.
//! See mallopt(3), M_ARENA_MAX and M_MMAP_THRESHOLD.

use std::env;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// From this size on memory is mapped, and goes back to the system when it is freed: a picture, a decoder's state.
const MMAP_THRESHOLD: &str = "65536";
/// Free memory at an arena's end that is given back.
const TRIM_THRESHOLD: &str = "131072";
const ARENAS: &str = "MALLOC_ARENA_MAX";

/// Starts this program anew, in this process, with the settings; returns where they are made, by whomever, or where that
/// is impossible: then memory grows, and nothing else. To be called first in `main`, while there is one thread.
pub fn settle() {
    let tuned = env::var("GLIBC_TUNABLES").is_ok_and(|tunables| tunables.contains("glibc.malloc"));
    if tuned || env::var_os(ARENAS).is_some() {
        return;
    }
    let Ok(program) = env::current_exe() else { return };
    let cores = std::thread::available_parallelism().map_or(2, |cores| cores.get().max(2));
    let mut arguments = env::args_os();
    let mut again = Command::new(program);
    if let Some(name) = arguments.next() {
        again.arg0(name);
    }
    again
        .args(arguments)
        .env(ARENAS, cores.to_string())
        .env("MALLOC_MMAP_THRESHOLD_", MMAP_THRESHOLD)
        .env("MALLOC_TRIM_THRESHOLD_", TRIM_THRESHOLD);
    // It returns only if it fails.
    let _ = again.exec();
}
