//! What stands between a peer's packets and webrtcbin's RTP session: whatever a peer sends on an m-line becomes one
//! continuous stream of one SSRC of ours, and what is said of it in RTCP is translated, both ways.
//!
//! webrtcbin makes a jitterbuffer with two threads for each SSRC that it meets, keeps them all, and lets each of them wait
//! for what the numbers of its packets promise. Peers do change their SSRC in a call, send several at once, begin anew with
//! other numbers; and hostile ones do so a thousand times a second. Here a source is chosen (`choice`), its numbers go on
//! where the last one's ended (`continuity`), its frames are bounded (`frame`), RTCP is narrowed to what is of use
//! (`rtcp`), and what is not even let in to SRTP is kept out (`admission`). `lines` has the m-lines with their state.

mod admission;
mod choice;
mod continuity;
mod frame;
mod lines;
mod rtcp;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gstreamer as gst;
use gstreamer::prelude::*;

use self::admission::{Admission, Entry};
pub(super) use self::lines::ssrc;
use self::lines::{COUNTED, Lines, Way};
use self::rtcp::Allowance;
use super::clock::RoomClock;
use super::guarded;
use super::transport::{Kind, Track};

/// Beginnings that may be on their way through a jitterbuffer.
const FRESH: usize = 8;

/// Shortest RTP and RTCP that has an SSRC in its place.
const RTP_HEADER: usize = 12;
const RTCP_HEADER: usize = 8;

/// The gate of one peer. Streaming threads of its pipeline use it, one after another.
#[derive(Debug)]
pub(super) struct Gate {
    clock: RoomClock,
    /// A std mutex: held while one packet's header is looked at.
    state: Mutex<State>,
    refused: AtomicU64,
}

#[derive(Debug)]
struct State {
    admission: Admission,
    lines: Lines,
    allowance: Allowance,
    /// Numbers with which something begins that does not go on where the last one ended.
    fresh: VecDeque<(Kind, u16)>,
}

impl Gate {
    /// Of a peer with these m-lines.
    pub(super) fn new(clock: RoomClock, tracks: &[Track]) -> Arc<Self> {
        let state = State {
            admission: Admission::default(),
            lines: Lines::new(tracks),
            allowance: Allowance::default(),
            fresh: VecDeque::new(),
        };
        Arc::new(Self { clock, state: Mutex::new(state), refused: AtomicU64::new(0) })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Packets and requests of the peer's that were not let through.
    pub(super) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed) + self.lock().allowance.refused()
    }

    /// Whether the peer said that its source of this kind ended (RTCP BYE), and sent nothing of it since.
    pub(super) fn has_ended(&self, kind: Kind) -> bool {
        self.lock().lines.has_ended(kind)
    }

    /// Whether the packet of this number is the first of something: a decoder cannot go on with it from those before.
    pub(super) fn is_fresh(&self, kind: Kind, sequence: u16) -> bool {
        let mut state = self.lock();
        let Some(at) = state.fresh.iter().position(|fresh| *fresh == (kind, sequence)) else { return false };
        state.fresh.remove(at);
        true
    }

    /// Stands guard in an element that webrtcbin makes inside itself, if it is one of those.
    pub(super) fn guard(self: &Arc<Self>, element: &gst::Element) {
        match element.factory().map(|factory| factory.name()).as_deref() {
            Some("srtpdec") => {
                for name in ["rtp_sink", "rtcp_sink"] {
                    if let Some(pad) = element.static_pad(name) {
                        self.guard_srtp(&pad);
                    }
                }
            }
            Some("rtpsession") => {
                let gate = self.clone();
                element.connect_pad_added(move |_, pad| gate.guard_session(pad));
            }
            _ => {}
        }
    }

    fn guard_srtp(self: &Arc<Self>, pad: &gst::Pad) {
        let gate = self.clone();
        guarded::probe(pad, gst::PadProbeType::BUFFER, move |pad, info| {
            let Some(packet) = info.buffer() else { return gst::PadProbeReturn::Ok };
            let entry = encrypted_ssrc(packet).map(|ssrc| gate.lock().admission.packet(ssrc, gate.clock.now()));
            match entry {
                Some(Entry::Known | Entry::New { instead_of: None }) => return gst::PadProbeReturn::Ok,
                Some(Entry::New { instead_of: Some(other) }) => {
                    if let Some(srtp) = pad.parent_element() {
                        srtp.emit_by_name::<()>("remove-key", &[&other]);
                    }
                    return gst::PadProbeReturn::Ok;
                }
                Some(Entry::Refused) | None => {}
            }
            gate.refuse()
        });
    }

    fn guard_session(self: &Arc<Self>, pad: &gst::Pad) {
        let gate = self.clone();
        match pad.name().as_str() {
            "recv_rtp_sink" => {
                guarded::probe(pad, gst::PadProbeType::BUFFER, move |_, info| gate.receive(info));
            }
            "recv_rtp_src" => {
                guarded::probe(pad, gst::PadProbeType::BUFFER, move |_, info| {
                    let counted = info.buffer().is_some_and(|packet| ssrc_at(packet, 8) == Some(COUNTED));
                    if counted { gst::PadProbeReturn::Handled } else { gst::PadProbeReturn::Ok }
                });
            }
            "recv_rtcp_sink" => {
                guarded::probe(pad, gst::PadProbeType::BUFFER, move |_, info| {
                    gate.translate(info, |packet, gate| {
                        let (now, mut state) = (gate.clock.now(), gate.lock());
                        let State { admission, lines, allowance, .. } = &mut *state;
                        if let Some(ssrc) = packet.get(4..8).and_then(|ssrc| ssrc.first_chunk()) {
                            admission.prove(u32::from_be_bytes(*ssrc), now);
                        }
                        rtcp::incoming(packet, lines, allowance, now)
                    })
                });
            }
            "send_rtcp_src" => {
                guarded::probe(pad, gst::PadProbeType::BUFFER, move |_, info| {
                    gate.translate(info, |packet, gate| rtcp::outgoing(packet, &gate.lock().lines))
                });
            }
            _ => {}
        }
    }

    /// A genuine RTP packet.
    fn receive(&self, info: &mut gst::PadProbeInfo<'_>) -> gst::PadProbeReturn {
        let Some(packet) = info.buffer_mut() else { return gst::PadProbeReturn::Ok };
        // rtpsession of 1.22 keeps a source for each of them, without its lock (`g_hash_table_foreach` fails then).
        let bare = without_csrcs(packet);
        if let Some(bare) = bare {
            *packet = bare;
        }
        let way = {
            let Ok(mut bytes) = packet.make_mut().map_writable() else { return self.refuse() };
            let (now, mut state) = (self.clock.now(), self.lock());
            if let Some(ssrc) = bytes.get(8..12).and_then(|ssrc| ssrc.first_chunk()) {
                state.admission.prove(u32::from_be_bytes(*ssrc), now);
            }
            state.lines.packet(&mut bytes, now)
        };
        match way {
            Way::In { kind, fresh } => {
                if let Some(sequence) = fresh {
                    let mut state = self.lock();
                    state.fresh.push_back((kind, sequence));
                    if state.fresh.len() > FRESH {
                        state.fresh.pop_front();
                    }
                }
                gst::PadProbeReturn::Ok
            }
            Way::Counted => {
                self.refused.fetch_add(1, Ordering::Relaxed);
                gst::PadProbeReturn::Ok
            }
            Way::Refused => self.refuse(),
        }
    }

    /// Puts what `translation` makes of an RTCP packet in its place; nothing, where nothing is left.
    fn translate(
        &self,
        info: &mut gst::PadProbeInfo<'_>,
        translation: impl FnOnce(&[u8], &Self) -> Vec<u8>,
    ) -> gst::PadProbeReturn {
        let Some(packet) = info.buffer_mut() else { return gst::PadProbeReturn::Ok };
        let Ok(bytes) = packet.map_readable().map(|bytes| translation(&bytes, self)) else { return self.refuse() };
        if bytes.is_empty() {
            return gst::PadProbeReturn::Handled;
        }
        let mut translated = gst::Buffer::from_mut_slice(bytes);
        if let Some(translated) = translated.get_mut() {
            translated.set_pts(packet.pts());
            translated.set_dts(packet.dts());
        }
        *packet = translated;
        gst::PadProbeReturn::Ok
    }

    fn refuse(&self) -> gst::PadProbeReturn {
        self.refused.fetch_add(1, Ordering::Relaxed);
        gst::PadProbeReturn::Handled
    }
}

/// The SSRC of SRTP or SRTCP, which both leave in the clear; RFC 5761 (section 4) tells them apart.
fn encrypted_ssrc(packet: &gst::BufferRef) -> Option<u32> {
    let start: [u8; 2] = guarded::bytes(packet, 0)?;
    let (at, shortest) = if (192..=223).contains(&start[1]) { (4, RTCP_HEADER) } else { (8, RTP_HEADER) };
    ssrc_at(packet, at).filter(|_| packet.size() >= shortest)
}

fn ssrc_at(packet: &gst::BufferRef, at: usize) -> Option<u32> {
    guarded::bytes(packet, at).map(u32::from_be_bytes)
}

/// The RTP packet less its CSRCs, if it has any.
fn without_csrcs(packet: &gst::BufferRef) -> Option<gst::Buffer> {
    let [first] = guarded::bytes(packet, 0)?;
    let count = usize::from(first & 0x0f);
    if count == 0 {
        return None;
    }
    let bytes = packet.map_readable().ok()?;
    let mut bare = bytes.get(..RTP_HEADER)?.to_vec();
    bare[0] &= 0xf0;
    bare.extend(bytes.get(RTP_HEADER + 4 * count..)?);
    let mut bare = gst::Buffer::from_mut_slice(bare);
    let made = bare.get_mut()?;
    made.set_pts(packet.pts());
    made.set_dts(packet.dts());
    made.set_flags(packet.flags());
    Some(bare)
}
