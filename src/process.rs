//! What the system lets this process have, and what it has: its limits of file descriptors and threads, those of its
//! control groups, how much of them is taken, and who may take more.

use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use rustix::process::{Resource, Rlimit, geteuid, getrlimit, setrlimit};

use crate::budget::{Amount, Budget, Permit, Short, Sight};

/// Threads for work that blocks; what more there is of it waits. Part of [`RESERVE`].
pub const BLOCKING_THREADS: usize = 32;

/// What is never granted. Threads: the pool for work that blocks, those that GStreamer keeps for its next tasks (8), and
/// those that take pipelines down for a moment. Descriptors: log, listening socket, connections that are on their way out,
/// what libraries open for a moment.
const RESERVE: Amount = Amount { descriptors: 64, threads: BLOCKING_THREADS + 16 };

/// Where control groups are mounted; with version 1 that of processes is in a folder of its own.
const CGROUPS: &str = "/sys/fs/cgroup";

/// Has the process use what it may: the soft limits become the hard ones. Programs are started with few descriptors for the
/// sake of those that use select(2), which this one does not.
pub fn raise_limits() {
    for resource in [Resource::Nofile, Resource::Nproc] {
        let limit = getrlimit(resource);
        if limit.current != limit.maximum
            && let Err(error) = setrlimit(resource, Rlimit { current: limit.maximum, maximum: limit.maximum })
        {
            tracing::warn!(?resource, %error, "a limit cannot be raised");
        }
    }
}

/// The process's budget, with an eye on the system. A cheap handle.
#[derive(Clone, Debug)]
pub struct Capacity {
    process: Arc<Process>,
    budget: Budget,
}

impl Capacity {
    /// What the process has by now it has anyway; from here on everything asks.
    pub fn measure() -> Self {
        let process = Process::find();
        let sight = process.look();
        tracing::debug!(?sight, "what the process may have, and has");
        Self { process: Arc::new(process), budget: Budget::new(sight.used, RESERVE) }
    }

    /// Grants something until the permit is dropped, or says what there is too little of.
    pub fn take(&self, cost: Amount) -> Result<Permit, Short> {
        self.budget.take(cost, self.process.look())
    }

    /// What is used (granted, or seen if that is more), and how much of it can be.
    pub fn figures(&self) -> (Amount, Amount) {
        self.budget.figures(self.process.look())
    }
}

/// The places where the system says what this process may have.
#[derive(Debug)]
pub struct Process {
    /// The control groups that it is in and that count their tasks, from the innermost to the outermost.
    groups: Vec<PathBuf>,
    /// Tasks of the same user's other processes, where its limit binds this one; counted once.
    others_of_user: Option<usize>,
}

impl Process {
    /// Finds them.
    pub fn find() -> Self {
        let groups = fs::read_to_string("/proc/self/cgroup").map(|text| groups(&text)).unwrap_or_default();
        // The kernel does not hold the limit of processes against root.
        let bound = !geteuid().is_root();
        Self { groups, others_of_user: bound.then(others_of_user) }
    }

    /// What the process may have, and has. Some small files of /proc and /sys are read for it; what cannot be read is no
    /// limit.
    pub fn look(&self) -> Sight {
        let used = Amount {
            descriptors: fs::read_dir("/proc/self/fd").map_or(0, Iterator::count),
            threads: status("/proc/self/status", "Threads:").unwrap_or(0),
        };
        let descriptors = getrlimit(Resource::Nofile).current.map_or(usize::MAX, in_usize);
        Sight { limit: Amount { descriptors, threads: self.threads(used.threads) }, used }
    }

    /// The tightest of the bounds on threads, each without what others have of it.
    fn threads(&self, own: usize) -> usize {
        let of_user = self.others_of_user.and_then(|others| {
            let limit = getrlimit(Resource::Nproc).current?;
            Some(in_usize(limit).saturating_sub(others))
        });
        let of_system = number(Path::new("/proc/sys/kernel/threads-max")).map(|limit| {
            let all = fs::read_to_string("/proc/loadavg").ok().and_then(|text| tasks(&text)).unwrap_or(own);
            limit.saturating_sub(all.saturating_sub(own))
        });
        let of_groups = self.groups.iter().filter_map(|group| {
            // `max` is no number and no limit.
            let limit = number(&group.join("pids.max"))?;
            let all = number(&group.join("pids.current")).unwrap_or(own);
            Some(limit.saturating_sub(all.saturating_sub(own)))
        });
        of_groups.chain(of_user).chain(of_system).min().unwrap_or(usize::MAX)
    }
}

/// The folders of the control groups that /proc/self/cgroup names, those around them too.
fn groups(text: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for line in text.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else { continue };
        let root = match controllers {
            "" => PathBuf::from(CGROUPS),
            "pids" => Path::new(CGROUPS).join("pids"),
            _ => continue,
        };
        let path = path.trim_matches('/');
        let inside = if path.is_empty() { root.clone() } else { root.join(path) };
        found.extend(inside.ancestors().take_while(|group| group.starts_with(&root)).map(Path::to_owned));
    }
    found
}

/// How many tasks there are in the system, of /proc/loadavg's fourth field.
fn tasks(text: &str) -> Option<usize> {
    text.split_whitespace().nth(3)?.split_once('/')?.1.parse().ok()
}

fn others_of_user() -> usize {
    let (own, user) = (std::process::id(), geteuid().as_raw());
    let processes = fs::read_dir("/proc").into_iter().flatten().filter_map(Result::ok);
    let others = processes.filter(|entry| {
        let pid = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok());
        pid.is_some_and(|pid| pid != own)
    });
    let tasks = others.filter_map(|entry| {
        let file = entry.path().join("status");
        (status::<u32>(&file, "Uid:")? == user).then(|| status::<usize>(&file, "Threads:")).flatten()
    });
    tasks.sum::<usize>()
}

/// The first number of a line of a status file.
fn status<T: FromStr>(file: impl AsRef<Path>, name: &str) -> Option<T> {
    let text = fs::read_to_string(file).ok()?;
    let value = text.lines().find_map(|line| line.strip_prefix(name))?;
    value.split_whitespace().next()?.parse().ok()
}

fn number(file: &Path) -> Option<usize> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}

fn in_usize(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_bound_by_those_around_it() {
        let paths = |text: &str| groups(text).iter().map(|path| path.display().to_string()).collect::<Vec<_>>();
        assert_eq!(
            paths("0::/system.slice/tessera.service\n"),
            ["/sys/fs/cgroup/system.slice/tessera.service", "/sys/fs/cgroup/system.slice", "/sys/fs/cgroup"]
        );
        let old = "9:name=systemd:/a\n8:pids:/docker/b\n4:memory:/c\n0::/\n";
        assert_eq!(
            paths(old),
            ["/sys/fs/cgroup/pids/docker/b", "/sys/fs/cgroup/pids/docker", "/sys/fs/cgroup/pids", "/sys/fs/cgroup"]
        );
        assert!(paths("no such file").is_empty());
    }

    #[test]
    fn the_tasks_of_the_system_are_counted() {
        assert_eq!(tasks("2.23 1.83 1.07 3/412 9931\n"), Some(412));
        assert_eq!(tasks(""), None);
    }

    #[test]
    fn this_process_has_something_and_may_have_more() {
        let sight = Process::find().look();
        assert!(sight.used.threads >= 1 && sight.used.descriptors >= 3, "{sight:?}");
        assert!(sight.limit.threads > sight.used.threads, "{sight:?}");
        assert!(sight.limit.descriptors > sight.used.descriptors, "{sight:?}");
    }
}
