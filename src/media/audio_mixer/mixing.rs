//! One room's mixing, tick by tick; time is a parameter. The thread around it is in `thread`.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use crate::config;
use crate::id::PeerId;
use crate::mix_minus::{Strip, Sum};
use crate::pcm::{FLOOR_DBFS, SILENCE, level_dbfs};
use crate::playout::{Playout, Pulled};
use crate::speech::SpeechDetector;

use super::codec::Decoder;
use super::encodes::{Encodes, Subscription};
use super::inbox::{Arrival, Closed, Inbox};
use super::{AudioEvent, AudioMixerView, OpusPacket, Sink, VoiceView};

/// A voice is live as long as a packet came within this time. More than the 400 ms between the packets of a sender that
/// is silent (DTX).
const LIVE: Duration = Duration::from_secs(1);

/// A room's voices, listeners and encodes.
pub(super) struct Mixing {
    gate_dbfs: f32,
    voices: Vec<VoiceStrip>,
    listeners: Vec<ListenerSlot>,
    muted: HashSet<PeerId>,
    sum: Sum<PeerId>,
    encodes: Encodes,
    speaking: Vec<PeerId>,
    ticks: u64,
    /// Emptied and handed back and forth with the inboxes.
    arrivals: VecDeque<Arrival>,
}

struct VoiceStrip {
    peer: PeerId,
    inbox: Arc<Inbox>,
    playout: Playout,
    decoder: Decoder,
    strip: Strip,
    speech: SpeechDetector,
    level_dbfs: f32,
    delay: Duration,
    last_packet: Option<Duration>,
    live: bool,
}

struct ListenerSlot {
    peer: PeerId,
    sink: Sink,
    closed: Closed,
    subscription: Subscription,
}

impl Mixing {
    pub(super) fn new(config: &config::Audio) -> Self {
        Self {
            gate_dbfs: config.gate_dbfs,
            voices: Vec::new(),
            listeners: Vec::new(),
            muted: HashSet::new(),
            sum: Sum::default(),
            encodes: Encodes::new(config.bitrate),
            speaking: Vec::new(),
            ticks: 0,
            arrivals: VecDeque::new(),
        }
    }

    /// A mixing for the same voices and listeners that begins anew, decoders and encoders included.
    pub(super) fn renewed(self) -> Self {
        let Self { gate_dbfs, voices, listeners, muted, sum: _, encodes, speaking, ticks, arrivals: _ } = self;
        let mut new = Self {
            gate_dbfs,
            voices: Vec::with_capacity(voices.len()),
            listeners: Vec::with_capacity(listeners.len()),
            muted,
            sum: Sum::default(),
            encodes: encodes.renewed(),
            speaking,
            ticks,
            arrivals: VecDeque::new(),
        };
        for VoiceStrip { peer, inbox, last_packet, live, .. } in voices {
            match new.voice(peer, inbox) {
                Ok(voice) => new.voices.push(VoiceStrip { last_packet, live, ..voice }),
                Err(error) => tracing::error!(participant = %peer, %error, "a voice is lost: it has no decoder"),
            }
        }
        for ListenerSlot { peer, sink, closed, .. } in listeners {
            new.add_listener(peer, sink, closed);
        }
        new
    }

    pub(super) fn add_voice(&mut self, peer: PeerId, inbox: Arc<Inbox>) -> Result<(), opus::Error> {
        let voice = self.voice(peer, inbox)?;
        self.voices.push(voice);
        Ok(())
    }

    fn voice(&self, peer: PeerId, inbox: Arc<Inbox>) -> Result<VoiceStrip, opus::Error> {
        let mut strip = Strip::new(self.gate_dbfs);
        strip.set_muted(self.muted.contains(&peer));
        Ok(VoiceStrip {
            peer,
            inbox,
            playout: Playout::new(),
            decoder: Decoder::new()?,
            strip,
            speech: SpeechDetector::default(),
            level_dbfs: FLOOR_DBFS,
            delay: Duration::ZERO,
            last_packet: None,
            live: false,
        })
    }

    pub(super) fn add_listener(&mut self, peer: PeerId, sink: Sink, closed: Closed) {
        self.listeners.push(ListenerSlot { peer, sink, closed, subscription: Subscription::default() });
    }

    pub(super) fn set_muted(&mut self, peer: PeerId, muted: bool) {
        if muted {
            self.muted.insert(peer);
        } else {
            self.muted.remove(&peer);
        }
        for voice in self.voices.iter_mut().filter(|voice| voice.peer == peer) {
            voice.strip.set_muted(muted);
        }
    }

    pub(super) fn protect(&mut self, lossy: bool) {
        self.encodes.protect(lossy);
    }

    /// Nobody is here to mix for or to be heard.
    pub(super) fn is_idle(&self) -> bool {
        self.voices.is_empty() && self.listeners.is_empty()
    }

    /// Mixes the 20 ms that begin at `now` and hands them out; `on_event` is told what changed.
    pub(super) fn tick(&mut self, now: Duration, mut on_event: impl FnMut(AudioEvent)) {
        self.ticks += 1;
        self.forget_those_gone(&mut on_event);

        self.sum.clear();
        for voice in &mut self.voices {
            voice.take_arrivals(&mut self.arrivals);
            let mut frame = SILENCE;
            let pulled = voice.playout.pull(now, &mut voice.decoder, &mut frame);
            let hold = voice.inbox.lips().voice(now, voice.playout.reached());
            voice.playout.set_hold(hold);
            voice.delay = voice.playout.delay(now);
            voice.level_dbfs = if pulled == Pulled::Idle { FLOOR_DBFS } else { level_dbfs(&frame) };
            voice.speech.update(if voice.strip.is_muted() { FLOOR_DBFS } else { voice.level_dbfs });
            if voice.strip.process(&mut frame) {
                self.sum.add(voice.peer, &frame);
            }
            let live = voice.last_packet.is_some_and(|at| now.saturating_sub(at) < LIVE);
            if live != voice.live {
                voice.live = live;
                on_event(AudioEvent::VoiceLive(voice.peer, live));
            }
        }
        self.tell_who_speaks(&mut on_event);

        let (listeners, encodes) = (&mut self.listeners, &mut self.encodes);
        let (mut sinks, subscriptions): (Vec<_>, Vec<_>) =
            listeners.iter_mut().map(|slot| (&mut slot.sink, (slot.peer, &mut slot.subscription))).unzip();
        encodes.tick(&self.sum, subscriptions, |place, data| sinks[place](OpusPacket { pts: now, data }));
    }

    pub(super) fn view(&self) -> AudioMixerView {
        AudioMixerView {
            encoders: self.encodes.running(),
            speaking: self.speaking.clone(),
            listeners: self.listeners.len(),
            ticks: self.ticks,
            skipped_ticks: 0,
            failed_encodes: self.encodes.failed(),
            voices: self.voices.iter().map(VoiceStrip::view).collect(),
        }
    }

    fn forget_those_gone(&mut self, on_event: &mut impl FnMut(AudioEvent)) {
        let mut gone = Vec::new();
        self.listeners.retain(|listener| {
            let stays = !listener.closed.is_set();
            gone.extend((!stays).then_some(listener.peer));
            stays
        });
        self.voices.retain(|voice| {
            let stays = !voice.inbox.closed.is_set();
            if !stays && voice.live {
                on_event(AudioEvent::VoiceLive(voice.peer, false));
            }
            gone.extend((!stays).then_some(voice.peer));
            stays
        });
        for peer in gone {
            let is_here =
                self.voices.iter().any(|voice| voice.peer == peer) || self.listeners.iter().any(|it| it.peer == peer);
            if !is_here {
                self.muted.remove(&peer);
            }
        }
    }

    fn tell_who_speaks(&mut self, on_event: &mut impl FnMut(AudioEvent)) {
        let mut speaking: Vec<PeerId> =
            self.voices.iter().filter(|voice| voice.speech.is_speaking()).map(|voice| voice.peer).collect();
        speaking.sort_unstable();
        speaking.dedup();
        if speaking != self.speaking {
            self.speaking.clone_from(&speaking);
            on_event(AudioEvent::Speaking(speaking));
        }
    }
}

impl VoiceStrip {
    fn take_arrivals(&mut self, arrivals: &mut VecDeque<Arrival>) {
        *arrivals = self.inbox.take(std::mem::take(arrivals));
        for arrival in arrivals.drain(..) {
            self.last_packet = Some(arrival.at);
            self.playout.push(arrival.at, arrival.seq, arrival.timestamp, arrival.payload);
        }
    }

    fn view(&self) -> VoiceView {
        VoiceView {
            peer: self.peer,
            level_dbfs: self.level_dbfs,
            muted: self.strip.is_muted(),
            live: self.live,
            delay: self.delay,
            overflowed: self.inbox.overflowed(),
            playout: self.playout.counters(),
        }
    }
}
