//! The audio mixer's thread: sound goes through it in real time, it rests when nobody is there, and it ends.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use tessera::config;
use tessera::id::{PeerId, RoomId};
use tessera::media::audio_mixer::OpusPacket;
use tessera::media::{AudioEvent, AudioMixer};

const PATIENCE: Duration = Duration::from_secs(10);
/// More than a test lasts.
const BOUND: usize = 1000;
const SPEAKER: PeerId = PeerId::from_bits(1);
const LISTENER: PeerId = PeerId::from_bits(2);

fn start() -> (AudioMixer, mpsc::Receiver<AudioEvent>) {
    let room: RoomId = "thread".parse().expect("a valid name");
    let (events, told) = mpsc::sync_channel(BOUND);
    let start = Instant::now();
    let clock = move || start.elapsed();
    let mixer = AudioMixer::start(&room, &config::Audio::default(), clock, move |event| drop(events.send(event)));
    (mixer.expect("threads can be had"), told)
}

fn listen(mixer: &AudioMixer, peer: PeerId) -> (impl Sized + use<>, mpsc::Receiver<OpusPacket>) {
    let (sink, heard) = mpsc::sync_channel(BOUND);
    (mixer.add_listener(peer, move |packet| drop(sink.send(packet))), heard)
}

#[test]
fn a_voice_is_heard_by_the_other_and_told_of() {
    let (mixer, told) = start();
    let (_listener, heard) = listen(&mixer, LISTENER);
    let voice = mixer.add_voice(SPEAKER);

    let mut encoder = opus::Encoder::new(48_000, opus::Channels::Mono, opus::Application::Voip).expect("valid");
    let mut decoder = opus::Decoder::new(48_000, opus::Channels::Mono).expect("valid");
    let mut last = None;
    let mut loudest = 0.0f32;
    let deadline = Instant::now() + PATIENCE;
    // The mixer's own packets are the clock: one goes in for each that comes out.
    for seq in 0..u16::MAX {
        let start = f32::from(seq) * 960.0;
        let tone: Vec<f32> = (0..960u16).map(|n| 0.3 * ((start + f32::from(n)) * 440.0 * 0.000_130_9).sin()).collect();
        let packet = encoder.encode_vec_float(&tone, 1275).expect("a valid frame");
        voice.push(seq, u32::from(seq) * 960, &packet);

        let packet = heard.recv_timeout(PATIENCE).expect("a packet each 20 ms");
        assert_eq!(packet.pts.as_nanos() % 20_000_000, 0);
        assert!(last < Some(packet.pts));
        last = Some(packet.pts);
        let mut out = [0.0; 960];
        assert_eq!(decoder.decode_float(&packet.data, &mut out, false).expect("Opus"), 960);
        loudest = out.iter().fold(loudest, |loudest, x| loudest.max(x.abs()));
        if loudest > 0.2 && mixer.view().speaking == [SPEAKER] {
            break;
        }
        assert!(Instant::now() < deadline, "only {loudest} was heard, {:?}", mixer.view());
    }
    assert_eq!(told.recv_timeout(PATIENCE), Ok(AudioEvent::VoiceLive(SPEAKER, true)));
    assert_eq!(told.recv_timeout(PATIENCE), Ok(AudioEvent::Speaking(vec![SPEAKER])));

    drop(voice);
    assert_eq!(told.recv_timeout(PATIENCE), Ok(AudioEvent::VoiceLive(SPEAKER, false)));
    assert_eq!(told.recv_timeout(PATIENCE), Ok(AudioEvent::Speaking(vec![])));
}

#[test]
fn an_empty_room_does_not_tick() {
    let (mixer, told) = start();
    let (listener, heard) = listen(&mixer, LISTENER);
    heard.recv_timeout(PATIENCE).expect("silence is sent, too");
    drop(listener);
    // The sink is dropped with the listener, in the mixer's last tick.
    while heard.recv_timeout(PATIENCE).is_ok() {}
    let ticks = mixer.view().ticks;
    assert!(told.recv_timeout(Duration::from_millis(200)).is_err());
    assert!(mixer.view().ticks <= ticks + 1, "it ticked on");
    assert_eq!(mixer.view().encoders, 0);

    let (_listener, heard) = listen(&mixer, LISTENER);
    heard.recv_timeout(PATIENCE).expect("it wakes up");
}

#[test]
fn the_thread_ends_with_the_last_handle() {
    let (mixer, told) = start();
    let (_listener, heard) = listen(&mixer, LISTENER);
    heard.recv_timeout(PATIENCE).expect("it runs");
    let other = mixer.clone();
    drop(mixer);
    while heard.try_recv().is_ok() {}
    heard.recv_timeout(PATIENCE).expect("one handle is left");
    drop(other);
    assert_eq!(told.recv_timeout(PATIENCE), Err(mpsc::RecvTimeoutError::Disconnected));
}

#[test]
fn a_failure_is_over_with_its_tick() {
    let (mixer, told) = start();
    let _voice = mixer.add_voice(SPEAKER);
    let (_before, heard_before) = listen(&mixer, LISTENER);
    heard_before.recv_timeout(PATIENCE).expect("it runs");
    let mut packets = 0;
    let _failing = mixer.add_listener(SPEAKER, move |_| {
        packets += 1;
        assert_ne!(packets, 2, "this one fails once");
    });
    let (_after, heard_after) = listen(&mixer, PeerId::from_bits(3));
    for _ in 0..50 {
        heard_before.recv_timeout(PATIENCE).expect("who is before it hears on");
        heard_after.recv_timeout(PATIENCE).expect("who is after it hears on");
    }
    assert_eq!(mixer.view().listeners, 3);
    assert_eq!(told.try_iter().filter(|event| *event == AudioEvent::Failed).count(), 0);
}

#[test]
fn what_fails_all_the_time_is_given_up_and_told_of() {
    let (mixer, told) = start();
    let _failing = mixer.add_listener(LISTENER, |_| panic!("this one always fails"));
    assert_eq!(told.recv_timeout(PATIENCE), Ok(AudioEvent::Failed));
    assert_eq!(told.recv_timeout(PATIENCE), Err(mpsc::RecvTimeoutError::Disconnected), "the thread is over");
}

#[test]
fn protection_reaches_the_packets() {
    /// Configurations from here on are of CELT alone, which has no FEC (RFC 6716, section 3.1).
    const FIRST_CELT_CONFIG: u8 = 16;
    let (mixer, _told) = start();
    let (_listener, heard) = listen(&mixer, LISTENER);
    for lossy in [false, true, false] {
        mixer.protect(lossy);
        let deadline = Instant::now() + PATIENCE;
        while (heard.recv_timeout(PATIENCE).expect("a packet each 20 ms").data[0] >> 3 < FIRST_CELT_CONFIG) != lossy {
            assert!(Instant::now() < deadline, "still not {lossy}");
        }
    }
}
