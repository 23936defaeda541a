//! Lossy lines: pictures recover by retransmission and keyframes, voices go on, and who watches `auto` is sent less.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tessera::bots::{Bot, BotConfig, Frame, Role, host_time};
use tessera::control::Wanted;
use tessera::probe::freshness::Freshness;
use tessera::probe::statistics::median;
use tessera::probe::tone::{frequency, level_db};
use tokio::runtime::Runtime;

use crate::bystanders::{Bystanders, tile_of};
use crate::line::{Line, Weather};
use crate::server::Server;

const BAD: Weather = Weather { loss: 0.05, reordering: 0.05 };
const TERRIBLE: Weather = Weather { loss: 0.2, reordering: 0.0 };

/// The other participant's tone is at -12 dB; concealed, it is a bit lower.
const HEARD_DB: f64 = -24.0;

/// Follows what `bot` sees in tile `index` of three, and hears of that bot, for a while.
fn follow(runtime: &Runtime, bot: &Bot, index: usize, time: Duration) -> (Freshness, f64) {
    let mut frames = bot.frames();
    let mut freshness = Freshness::default();
    let (mut pieces, mut heard) = (0, 0);
    let end = Instant::now() + time;
    let mut listen = Instant::now();
    while Instant::now() < end {
        let frame: Option<Arc<Frame>> = runtime
            .block_on(async { tokio::time::timeout(Duration::from_millis(100), frames.recv()).await.ok()?.ok() });
        if let Some(frame) = frame {
            let reading = tile_of(&frame, index, 3);
            let timecode = reading.timecode.filter(|_| reading.bot == Some(index));
            freshness.frame(timecode, u64::try_from(frame.arrived.as_millis()).unwrap());
        }
        if listen.elapsed() > Duration::from_millis(300) {
            listen = Instant::now();
            pieces += 1;
            let samples = bot.heard(Duration::from_millis(200)).samples;
            heard += usize::from(level_db(&samples, frequency(index)) > HEARD_DB);
        }
    }
    (freshness, heard as f64 / f64::from(pieces.max(1)))
}

#[track_caller]
fn goes_on(what: &str, (freshness, heard): (Freshness, f64)) {
    println!("{what}: {} frames, {} unreadable", freshness.ages_ms().len(), freshness.unreadable());
    let gap = freshness.longest_gap_ms(u64::try_from(host_time().as_millis()).unwrap()).unwrap_or(f64::INFINITY);
    let age = median(&mut freshness.ages_ms().to_vec()).unwrap_or(f64::INFINITY);
    println!("{what}: longest gap {gap} ms, median age {age} ms, heard {:.0} %", heard * 100.0);
    assert!(gap < 3_000.0, "{what}: nothing new for {gap} ms");
    assert!(age < 1_000.0, "{what}: {age} ms old");
    assert!(heard > 0.8, "{what}: heard in {heard} of the pieces");
}

#[test]
fn pictures_recover_and_voices_go_on_over_a_lossy_line() {
    let server = Server::start(&[]);
    let mut bystanders = Bystanders::join(&server);
    let line = Line::new(&server);
    let bot = server.join(line.carries(server.small_bot(2)));
    server.room_of(3);
    line.set(BAD);
    let (runtime, watcher) = (&server.runtime, bystanders.bot(0));
    let (there, back) = std::thread::scope(|scope| {
        let seen_there = scope.spawn(|| follow(runtime, watcher, 2, Duration::from_secs(10)));
        let seen_back = follow(runtime, &bot, 0, Duration::from_secs(10));
        (seen_there.join().unwrap(), seen_back)
    });
    println!("{} datagrams were lost; the bot: {:?}", line.lost(), bot.counts());
    assert!(line.lost() > 50, "the line was lossy");
    goes_on("what comes over the line", there);
    goes_on("what goes over the line", back);
    bystanders.are_undisturbed("a lossy line");
    drop((bot, bystanders));
    server.end();
}

#[test]
fn auto_steps_down_under_loss_and_climbs_back() {
    let server = Server::start(&[]);
    let mut bystanders = Bystanders::join(&server);
    let line = Line::new(&server);
    let role = Role::Watch { rendition: Wanted::Auto };
    let viewer = server.join(line.carries(BotConfig { role, ..server.small_bot(2) }));
    let gets = |wanted: &[&str], patience: u64| {
        let start = Instant::now();
        server.room_within(Duration::from_secs(patience), &format!("the viewer gets one of {wanted:?}"), |room| {
            room.viewers.iter().all(|viewer| wanted.contains(&viewer.rendition.as_str()))
        });
        println!("{wanted:?} after {:?}", start.elapsed());
    };
    gets(&["high"], 20);
    line.set_to_bot(TERRIBLE);
    gets(&["medium", "low"], 15);
    line.set_to_bot(Weather::default());
    // Up again only after a while without loss: twice, if it went down twice.
    gets(&["high"], 60);
    bystanders.are_undisturbed("somebody else's ladder");
    drop((viewer, bystanders));
    server.end();
}
