//! Keeps the server's memory from growing with joins and leaves.
//!
//! glibc's malloc gives threads arenas of their own, up to eight for each core, and returns little of them to the system.
//! A peer comes with ten threads and goes again, so all arenas fill up with what is left of peers that are gone. Two
//! arenas do not: of 200 joins and leaves, the last 150 took 4 MiB then, and 39 MiB without a limit.

use std::env;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// What glibc reads when a process begins (mallopt(3)).
const VARIABLE: &str = "MALLOC_ARENA_MAX";
const ARENAS: &str = "2";

/// Limits the arenas of this process, unless the environment does so already. The limit has to be there when the process
/// begins: it begins once more, as the same process with the same arguments. Call it before anything else. Where that
/// fails, or with another libc, nothing changes.
pub fn limit() {
    let tuned = env::var("GLIBC_TUNABLES").is_ok_and(|tunables| tunables.contains("glibc.malloc.arena_max"));
    if tuned || env::var_os(VARIABLE).is_some() {
        return;
    }
    let mut arguments = env::args_os();
    if let (Some(name), Ok(program)) = (arguments.next(), env::current_exe()) {
        // It only returns where it failed, and then the server goes on as it is.
        let _ = Command::new(program).arg0(name).args(arguments).env(VARIABLE, ARENAS).exec();
    }
}
