//! The system gives the process only so many descriptors and threads: it says 503 before they are spent, whoever asks and
//! however often, and lives on.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use ureq::http::StatusCode;

use crate::OFFER;
use crate::bystanders::Bystanders;
use crate::eventually::eventually;
use crate::program::PATIENCE;
use crate::server::Server;

/// Offers that nobody stands behind, from as many addresses, so that only the process bounds them.
const OFFERS: usize = 200;
const ATTACKERS: usize = 4;

/// Posts them, and answers the statuses: how many of 201, of 503 and of others.
fn attack(server: &Server) -> [usize; 3] {
    let (next, program) = (AtomicUsize::new(0), &server.program);
    let post = || {
        let mut statuses = [0; 3];
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= OFFERS {
                return statuses;
            }
            let from = format!("203.0.113.{number}");
            let headers = [("content-type", "application/sdp"), ("x-forwarded-for", from.as_str())];
            let room = format!("/whip/abandoned-{}", number % 12);
            let answer = program.ask("POST", &room, &headers, OFFER.as_bytes());
            let retry = answer.header("retry-after").is_some();
            match answer.status {
                StatusCode::CREATED => statuses[0] += 1,
                StatusCode::SERVICE_UNAVAILABLE if retry => statuses[1] += 1,
                _ => statuses[2] += 1,
            }
        }
    };
    std::thread::scope(|scope| {
        let attackers: Vec<_> = (0..ATTACKERS).map(|_| scope.spawn(post)).collect();
        let sum = |sum: [usize; 3], one: [usize; 3]| std::array::from_fn(|index| sum[index] + one[index]);
        attackers.into_iter().map(|attacker| attacker.join().unwrap()).fold([0; 3], sum)
    })
}

/// Attacks a server that may have so much, beside healthy peers.
fn is_survived(server: Server, descriptors: usize, threads: usize) {
    let mut bystanders = Bystanders::join(&server);
    let process = server.process();
    let most = std::sync::Mutex::new((0, 0));
    let (done, watched) = (std::sync::atomic::AtomicBool::new(false), &most);
    let statuses = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                let now = process.holdings();
                let mut most = watched.lock().unwrap();
                *most = (most.0.max(now.descriptors), most.1.max(now.threads));
                drop(most);
                std::thread::park_timeout(Duration::from_millis(20));
            }
        });
        let statuses = attack(&server);
        done.store(true, Ordering::Relaxed);
        statuses
    });
    let most = most.into_inner().unwrap();
    println!("[201, 503, others] {statuses:?}; most (descriptors, threads) {most:?}");
    assert_eq!(statuses[2], 0, "what cannot be had is 503 with Retry-After: {statuses:?}");
    assert!(statuses[0] >= 5 && statuses[1] > 0, "some get in, and not all: {statuses:?}");
    assert!(most.0 < descriptors && most.1 < threads, "nothing is spent: {most:?}");
    for resource in ["descriptors", "threads"] {
        let figure = |name: &str| server.metric(&format!("tessera_{resource}_{name}"));
        assert!(figure("used") <= figure("limit"), "{resource}: {} of {}", figure("used"), figure("limit"));
    }
    bystanders.are_undisturbed("offers that never connect");
    // Who is here keeps nobody out who comes.
    let asked = Instant::now();
    let newcomer = server.join(server.small_bot(2));
    println!("a newcomer is in after {:?}", asked.elapsed());
    server.room_of(3);
    bystanders.are_undisturbed("a newcomer");
    server.leave(newcomer);
    drop(bystanders);
    server.is_empty_again();
    server.end();
}

#[test]
fn offers_that_never_connect_do_not_use_up_the_descriptors() {
    let settings = ["limits.joins_per_second=1000"];
    is_survived(Server::start_by(&["prlimit", "--nofile=1024:1024"], &settings), 1024, usize::MAX);
}

#[test]
fn the_soft_limit_of_descriptors_is_raised() {
    let server = Server::start_by(&["prlimit", "--nofile=256:2048"], &[]);
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", server.program.pid())).unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    assert_eq!(line.split_whitespace().nth(3), Some("2048"), "{line}");
    server.end();
}

/// A control group with so many tasks, if the system lets these tests make one.
struct Group(PathBuf);

impl Group {
    fn with(tasks: usize) -> Option<Self> {
        let name = format!("tessera-test-{}", std::process::id());
        let root = ["/sys/fs/cgroup/pids", "/sys/fs/cgroup"].map(Path::new).into_iter().find(|root| root.exists())?;
        let group = Self(root.join(name));
        std::fs::create_dir(&group.0).ok()?;
        std::fs::write(group.0.join("pids.max"), tasks.to_string()).ok()?;
        Some(group)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let gone = || std::fs::remove_dir(&self.0).is_ok().then_some(());
        eventually(PATIENCE, "the control group is empty", gone);
    }
}

/// Tasks that the server may have, and those that it is bound to have for its bystanders.
const TASKS: usize = 400;

#[test]
fn offers_that_never_connect_do_not_use_up_the_threads() {
    let settings = ["limits.joins_per_second=1000"];
    if let Some(group) = Group::with(TASKS) {
        let enter = format!("echo $$ >{}/cgroup.procs; exec \"$@\"", group.0.display());
        is_survived(Server::start_by(&["sh", "-c", &enter, "sh"], &settings), usize::MAX, TASKS);
        return;
    }
    // The other limit is one of users, all of whose tasks count, and does not bind root.
    let own = "$(ps -L -u $(id -u) -o lwp= | wc -l)";
    let limited = format!("exec prlimit --nproc=$(({own} + {TASKS})) \"$@\"");
    let mut by = vec!["sh", "-c", &limited, "sh"];
    if rustix::process::geteuid().is_root() {
        by.splice(0..0, ["setpriv", "--reuid=60999", "--clear-groups"]);
    }
    is_survived(Server::start_by(&by, &settings), usize::MAX, TASKS);
}
