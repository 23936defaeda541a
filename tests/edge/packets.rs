//! Peers that are who they say and whose packets are genuine, but whose sources, numbers, times and requests are not what
//! anybody would send who means well, or whose encoder changes its mind. They cost themselves their picture, and nobody
//! else anything.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tessera::bots::{Bot, BotConfig, Mischief, Outgoing};
use tessera::media::Templates;

use crate::bystanders::{Bystanders, shows};
use crate::eventually::eventually;
use crate::program::PATIENCE;
use crate::server::Server;

const ATTACK: Duration = Duration::from_secs(4);

/// Threads that come and go by themselves (the runtime's, GStreamer's pools).
const SOME_THREADS: usize = 12;
/// What a frame may hold before it is cut off, several times; an attack sends ten times that.
const SOME_MEMORY_KB: u64 = 24 << 10;
/// What is sent to three small bots in the time of an attack, with room for all retransmissions that are granted.
const SOME_TRAFFIC: u64 = 6 << 20;

/// As bots offer them.
const VP8: u8 = 96;
const OPUS: u8 = 111;

/// A packet's header (RFC 3550, section 5.1), to be changed.
struct Rtp(Vec<u8>);

impl Rtp {
    fn is_video(&self) -> bool {
        self.0[1] & 0x7f == VP8
    }

    fn is_media(&self) -> bool {
        matches!(self.0[1] & 0x7f, VP8 | OPUS)
    }

    fn number(&self) -> u16 {
        u16::from_be_bytes([self.0[2], self.0[3]])
    }

    fn sequence(&mut self, number: u32) {
        self.0[2..4].copy_from_slice(&((number & 0xffff) as u16).to_be_bytes());
    }

    fn timestamp(&mut self, timestamp: u32) {
        self.0[4..8].copy_from_slice(&timestamp.to_be_bytes());
    }

    fn add_to_source(&mut self, more: u32) {
        let source = u32::from_be_bytes(*self.0[8..12].first_chunk().unwrap());
        self.0[8..12].copy_from_slice(&source.wrapping_add(more).to_be_bytes());
    }

    /// Where the payload begins.
    fn header(&self) -> usize {
        let extension = if self.0[0] & 0x10 == 0 { 0 } else { 4 + 4 * usize::from(self.0[15]) };
        12 + extension
    }
}

/// While `on`, what `make` makes of each RTP packet.
fn rtp(on: &Arc<AtomicBool>, make: impl Fn(Rtp) -> Vec<Rtp> + Send + Sync + 'static) -> Mischief {
    let on = on.clone();
    Mischief::new(move |packet| match packet {
        Outgoing::Rtp(packet) if on.load(Ordering::Relaxed) => {
            make(Rtp(packet.to_vec())).into_iter().map(|packet| packet.0).collect()
        }
        Outgoing::Rtp(packet) | Outgoing::Rtcp(packet) => vec![packet.to_vec()],
    })
}

fn sources(on: &Arc<AtomicBool>) -> Mischief {
    rtp(on, |packet| {
        let copies = (0..20).map(|_| {
            let mut copy = Rtp(packet.0.clone());
            copy.add_to_source(rand::random());
            copy
        });
        copies.collect()
    })
}

/// Sequence numbers of a sender whose packets are not all its own: they go on from what was sent before, as SRTP needs it.
#[derive(Default)]
struct Numbers(Mutex<HashMap<u8, (u16, u32)>>);

impl Numbers {
    /// Gives the packet the number that is so far after the last one.
    fn put(&self, packet: &mut Rtp, step: u32) {
        let (kind, theirs) = (packet.0[1] & 0x7f, packet.number());
        let mut sent = self.0.lock().unwrap();
        let (_, ours) = sent.entry(kind).or_insert((theirs, theirs.into()));
        *ours += step;
        packet.sequence(*ours);
    }

    /// Gives the packet the number that its own sender means.
    fn follow(&self, packet: &mut Rtp) {
        let (kind, theirs) = (packet.0[1] & 0x7f, packet.number());
        let step = {
            let mut sent = self.0.lock().unwrap();
            let (before, _) = sent.entry(kind).or_insert((theirs.wrapping_sub(1), theirs.wrapping_sub(1).into()));
            theirs.wrapping_sub(std::mem::replace(before, theirs))
        };
        self.put(packet, step.into());
    }
}

/// `copies` of each packet, that `change` makes something else of. Retransmissions, which have other numbers, are left out.
fn renumbered(
    on: &Arc<AtomicBool>,
    copies: usize,
    change: impl Fn(&mut Rtp, &Numbers) + Send + Sync + 'static,
) -> Mischief {
    let (on, numbers) = (on.clone(), Numbers::default());
    Mischief::new(move |packet| {
        let packet = match packet {
            Outgoing::Rtcp(packet) => return vec![packet.to_vec()],
            Outgoing::Rtp(packet) => packet,
        };
        let mut own = Rtp(packet.to_vec());
        if !own.is_media() {
            return Vec::new();
        }
        let extra = if on.load(Ordering::Relaxed) { copies } else { 0 };
        numbers.follow(&mut own);
        let copies = (0..extra).map(|_| {
            let mut copy = Rtp(own.0.clone());
            change(&mut copy, &numbers);
            copy.0
        });
        let copies: Vec<Vec<u8>> = copies.collect();
        std::iter::once(own.0).chain(copies).collect()
    })
}

fn numbers(on: &Arc<AtomicBool>) -> Mischief {
    renumbered(on, 20, |packet, numbers| {
        numbers.put(packet, rand::random_range(1..30_000));
        packet.timestamp(rand::random());
    })
}

fn leaps(on: &Arc<AtomicBool>) -> Mischief {
    let time = AtomicU32::new(0);
    renumbered(on, 20, move |packet, numbers| {
        numbers.put(packet, 450);
        packet.timestamp(time.fetch_add(900_000, Ordering::Relaxed));
    })
}

fn endless_frame(on: &Arc<AtomicBool>) -> Mischief {
    renumbered(on, 300, |packet, numbers| {
        numbers.put(packet, 1);
        if packet.is_video() {
            let payload = packet.header();
            // The middle of a frame, by the descriptor of RFC 7741; the rest is any bytes.
            packet.0[1] &= 0x7f;
            packet.0[payload] &= 0xef;
            packet.0.resize(1_200, 0);
        }
    })
}

fn contributors(on: &Arc<AtomicBool>) -> Mischief {
    rtp(on, |mut packet| {
        packet.0[0] |= 15;
        let contributors: Vec<u8> = (0..60).map(|_| rand::random()).collect();
        packet.0.splice(12..12, contributors);
        vec![packet]
    })
}

/// Bytes of the requests that were sent.
static REQUESTED: AtomicU64 = AtomicU64::new(0);

/// Each RTCP packet, and with it twenty that ask for the last three hundred times seventeen packets of what comes.
fn requests(on: &Arc<AtomicBool>) -> Mischief {
    const NACKS: usize = 20;
    let (on, known) = (on.clone(), Mutex::new(BTreeMap::<u32, u16>::new()));
    Mischief::new(move |packet| match packet {
        Outgoing::Rtcp(packet) if on.load(Ordering::Relaxed) => {
            let mut known = known.lock().unwrap();
            // The sources that its reports are about, and the last numbers that came of them (RFC 3550, section 6.4).
            if let [first, kind @ (200 | 201), ..] = packet {
                let start = if *kind == 200 { 28 } else { 8 };
                let blocks = packet.get(start..).unwrap_or_default().chunks_exact(24).take(usize::from(first & 0x1f));
                known.extend(blocks.map(|block| {
                    let last = u16::from_be_bytes([block[10], block[11]]);
                    (u32::from_be_bytes(*block.first_chunk().unwrap()), last)
                }));
            }
            let nack = |(source, last): (&u32, &u16)| {
                let entries = (1..=300u16).flat_map(|n| [last.wrapping_sub(n * 17).to_be_bytes(), [0xff; 2]]);
                // A compound begins with a report (RFC 3550, section 6.1): alone it would not be taken.
                let mut nack = [packet, &[0x81, 205, 1, 46, 0, 0, 0, 1], &source.to_be_bytes()].concat();
                nack.extend(entries.flatten());
                // With what protects it, and the headers of UDP and IP.
                REQUESTED.fetch_add(nack.len() as u64 + 64, Ordering::Relaxed);
                nack
            };
            std::iter::once(packet.to_vec()).chain(known.iter().cycle().take(NACKS).map(nack)).collect()
        }
        Outgoing::Rtp(packet) | Outgoing::Rtcp(packet) => vec![packet.to_vec()],
    })
}

/// Bytes that went over this network so far. All of a test's traffic is local.
fn traffic() -> u64 {
    let table = std::fs::read_to_string("/proc/net/dev").unwrap();
    let row = table.lines().find_map(|line| line.trim().strip_prefix("lo:")).unwrap();
    row.split_whitespace().nth(8).unwrap().parse().unwrap()
}

#[track_caller]
fn disturbs_nobody(name: &str, mischief: fn(&Arc<AtomicBool>) -> Mischief) {
    let server = Server::start(&[]);
    let mut bystanders = Bystanders::join(&server);
    let on = Arc::new(AtomicBool::new(false));
    let bot = server.join(BotConfig { mischief: Some(mischief(&on)), ..server.small_bot(2) });
    let all = |bystanders: &Bystanders| {
        let see = |index: usize| bystanders.bot(index).last_frame().is_some_and(|frame| shows(&frame, &[0, 1, 2]));
        eventually(PATIENCE, "all three are seen", || (see(0) && see(1)).then_some(()));
    };
    all(&bystanders);
    let (before, sent) = (server.process().holdings(), traffic());
    let begin = Instant::now();
    on.store(true, Ordering::Relaxed);
    bystanders.watch_for(ATTACK);
    while begin.elapsed() < ATTACK {
        std::thread::park_timeout(ATTACK.saturating_sub(begin.elapsed()));
    }
    let (during, sent) = (server.process().holdings(), traffic() - sent);
    on.store(false, Ordering::Relaxed);
    bystanders.are_undisturbed_in_noise(name);
    assert!(during.threads <= before.threads + SOME_THREADS, "{name}: {before:?} {during:?}");
    assert!(during.descriptors <= before.descriptors + SOME_THREADS, "{name}: {before:?} {during:?}");
    assert!(during.resident_kb <= before.resident_kb + SOME_MEMORY_KB, "{name}: {before:?} {during:?}");
    let requested = REQUESTED.swap(0, Ordering::Relaxed);
    println!("{name}: {before:?} {during:?}, {sent} bytes on the network, {requested} of them requests");
    // Requests are answered; other attacks are answered with nothing.
    assert!(requested == 0 || sent - requested < SOME_TRAFFIC, "{name}: {sent} bytes for {requested}");
    // Who behaves again is seen again.
    all(&bystanders);
    assert!(!bot.ended());
    drop((bot, bystanders));
    server.end();
}

#[test]
fn a_source_for_each_packet_disturbs_nobody() {
    disturbs_nobody("a source for each packet", sources);
}

#[test]
fn numbers_and_times_at_random_disturb_nobody() {
    disturbs_nobody("numbers and times at random", numbers);
}

#[test]
fn numbers_and_times_that_leap_disturb_nobody() {
    disturbs_nobody("numbers and times that leap", leaps);
}

#[test]
fn a_frame_that_never_ends_disturbs_nobody() {
    disturbs_nobody("a frame that never ends", endless_frame);
}

#[test]
fn contributing_sources_at_random_disturb_nobody() {
    disturbs_nobody("contributing sources at random", contributors);
}

#[test]
fn more_retransmissions_than_there_are_packets_disturb_nobody() {
    disturbs_nobody("more retransmissions than there are packets", requests);
}

/// What bots send, with a keyframe each half second: a source that begins does so with one, and nobody can ask this one.
fn with_many_keyframes() -> Templates {
    let home = std::env::temp_dir().join(format!("tessera-edge-packets-{}", std::process::id()));
    std::fs::create_dir_all(&home).unwrap();
    let name = "bot-send-vp8.launch";
    let text = include_str!("../../pipelines/bot-send-vp8.launch");
    let more = text.replace("keyframe-max-dist=2000", "keyframe-max-dist=8");
    assert_ne!(text, more);
    std::fs::write(home.join(name), more).unwrap();
    let templates = Templates::load(Some(&home)).unwrap();
    std::fs::remove_dir_all(&home).unwrap();
    templates
}

#[test]
fn who_changes_its_source_again_and_again_is_seen_and_heard_all_the_time() {
    const CHANGES: u32 = 11;
    let server = Server::start(&[]);
    let mut bystanders = Bystanders::join(&server);
    let source = Arc::new(AtomicU32::new(0));
    let added = source.clone();
    let mischief = rtp(&Arc::new(AtomicBool::new(true)), move |mut packet| {
        let more = added.load(Ordering::Relaxed);
        packet.add_to_source(more.wrapping_mul(7_919));
        packet.sequence(u32::from(packet.number()) + more * 5_003);
        let timestamp = u32::from_be_bytes(*packet.0[4..8].first_chunk().unwrap());
        packet.timestamp(timestamp.wrapping_add(more.wrapping_mul(1 << 29)));
        vec![packet]
    });
    let config = BotConfig { mischief: Some(mischief), ..server.small_bot(2) };
    let bot = server.runtime.block_on(Bot::join(config, &with_many_keyframes())).unwrap();
    let sees = |bystanders: &Bystanders, since: Duration| {
        let fresh = |index: usize| {
            let frame = bystanders.bot(index).last_frame().filter(|frame| shows(frame, &[0, 1, 2]))?;
            let now = u64::try_from(tessera::bots::host_time().as_millis()).unwrap();
            let age = crate::bystanders::tile_of(&frame, 2, 3).timecode?.age_ms(now);
            (u128::from(age) < since.as_millis()).then_some(())
        };
        fresh(0).and(fresh(1))
    };
    eventually(PATIENCE, "all three are seen", || sees(&bystanders, Duration::from_secs(1)));
    let threads = server.process().holdings().threads;
    for change in 1..=CHANGES {
        let changed = Instant::now();
        source.store(change, Ordering::Relaxed);
        eventually(Duration::from_secs(5), &format!("it is seen after change {change}"), || {
            // What was captured after it.
            sees(&bystanders, changed.elapsed())
        });
        let heard = || {
            let heard = bystanders.bot(0).heard(Duration::from_millis(200)).samples;
            let level = tessera::probe::tone::level_db(&heard, tessera::probe::tone::frequency(2));
            (changed.elapsed() > Duration::from_millis(400) && level > -24.0).then_some(())
        };
        eventually(Duration::from_secs(5), &format!("it is heard after change {change}"), heard);
    }
    let now = server.process().holdings().threads;
    assert!(now <= threads + SOME_THREADS, "{threads} threads before, {now} after");
    bystanders.are_undisturbed("somebody whose source changes");
    drop((bot, bystanders));
    server.end();
}

#[test]
fn a_camera_that_stalls_loses_nothing_and_is_asked_for_no_keyframe() {
    const STALLS: u32 = 6;
    const EACH: Duration = Duration::from_millis(1_200);
    const STALL: Duration = Duration::from_millis(400);
    let server = Server::start(&[]);
    let bystanders = Bystanders::join(&server);
    let (held, began) = (Mutex::new(Vec::new()), Instant::now());
    let stalls = Arc::new(AtomicBool::new(false));
    let mischief = rtp(&stalls, move |packet| {
        if !packet.is_video() {
            return vec![packet];
        }
        let mut held = held.lock().unwrap();
        held.push(packet);
        let at = Duration::from_nanos((began.elapsed().as_nanos() % EACH.as_nanos()) as u64);
        if at < STALL { Vec::new() } else { std::mem::take(&mut *held) }
    });
    let bot = server.join(BotConfig { mischief: Some(mischief), ..server.small_bot(2) });
    let see = |index: usize| bystanders.bot(index).last_frame().is_some_and(|frame| shows(&frame, &[0, 1, 2]));
    eventually(PATIENCE, "all three are seen", || (see(0) && see(1)).then_some(()));
    let keyframes = bot.counts().sent_keyframes;
    stalls.store(true, Ordering::Relaxed);
    let end = Instant::now() + EACH * STALLS;
    while let Some(left) = end.checked_duration_since(Instant::now()) {
        std::thread::park_timeout(left);
    }
    let asked = bot.counts().sent_keyframes - keyframes;
    assert_eq!(asked, 0, "keyframes asked for in {STALLS} stalls");
    eventually(PATIENCE, "all three are seen", || (see(0) && see(1)).then_some(()));
    drop((bot, bystanders));
    server.end();
}
