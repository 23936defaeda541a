//! The peer's task: it waits for messages and for what happens to the connection, and decides nothing of the room.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::happening::Happening;
use super::line::{Finding, Line, Sight};
use super::newest;
use super::{PeerCommand, PeerNotice, Pulse};
use crate::control::{Candidate, CloseReason, Event};
use crate::id::PeerId;
use crate::media::{Connection, ConnectionEvent, RoomClock};
use crate::recent::Recent;

/// How often the line is looked at.
const LOOK: Duration = Duration::from_millis(500);

/// Decoders that a peer may wear out within a minute; then its picture is given up until it joins anew.
const MAX_DECODERS: usize = 5;
const LATELY: Duration = Duration::from_secs(60);
/// The wait before the next one, so that a stream of garbage costs little.
const DECODER_PAUSE: Duration = Duration::from_secs(1);

/// Candidates that a client may send over the whole time; more is a flood.
pub(super) const MAX_CANDIDATES: usize = 128;

/// The task's own. Where it is dropped before its end (a panic, which is a bug, or for it hangs), the room hears that, too.
pub(super) struct PeerTask<N: Fn(PeerNotice)> {
    pub(super) peer: PeerId,
    pub(super) clock: RoomClock,
    pub(super) connection: Arc<Connection>,
    pub(super) line: Line,
    pub(super) trickle: bool,
    pub(super) client: newest::Sender<Event>,
    pub(super) pulse: Arc<Pulse>,
    /// Why it is over, if it is now.
    pub(super) ended: CloseReason,
    pub(super) notices: N,
}

/// What work off the task brought.
enum Done {
    Verified(bool),
    DecoderRestarted,
}

impl<N: Fn(PeerNotice) + Send + 'static> PeerTask<N> {
    pub(super) async fn run(mut self, mut orders: newest::Receiver<PeerCommand>, mut happening: Happening) {
        let (finished, mut finishing) = mpsc::channel(16);
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let (mut candidates, mut worn_out) = (0, Recent::new(LATELY));
        self.ended = loop {
            // None goes first: whatever floods one of them must not keep the others waiting.
            let ended = tokio::select! {
                command = orders.recv() => match command {
                    Some(PeerCommand::Candidates(list)) => {
                        candidates += list.len();
                        self.take_candidates(list, candidates);
                        None
                    }
                    Some(PeerCommand::Tile { width, height }) => {
                        self.connection.set_tile(width, height);
                        self.tell(Event::Tile { width, height, fit: self.connection.fit() })
                    }
                    Some(PeerCommand::Close(reason)) => Some(reason),
                    None => Some(CloseReason::Left),
                },
                Some(done) = finishing.recv() => match done {
                    Done::Verified(true) => {
                        self.line.set_connected();
                        tracing::info!("connected");
                        let gone = self.tell(Event::Connected);
                        (self.notices)(PeerNotice::Connected);
                        gone
                    }
                    Done::Verified(false) => Some(CloseReason::WrongFingerprint),
                    Done::DecoderRestarted => None,
                },
                Some(event) = happening.next() => self.happened(event, &mut worn_out, &finished),
                _ = look.tick() => self.look(),
            };
            if let Some(reason) = ended {
                break reason;
            }
        };
        tracing::info!(reason = ?self.ended, dropped = self.connection.dropped(), "peer ends");
    }

    /// Tells the client; where nobody takes it, the client is gone.
    fn tell(&self, event: Event) -> Option<CloseReason> {
        (!self.client.send(event)).then_some(CloseReason::Left)
    }

    fn take_candidates(&self, list: Vec<String>, so_far: usize) {
        if so_far > MAX_CANDIDATES {
            tracing::debug!(so_far, "too many candidates; dropped");
            return;
        }
        for candidate in list {
            if !self.connection.add_candidate(&candidate) {
                tracing::debug!("an unusable candidate was dropped");
            }
        }
    }

    fn happened(
        &mut self,
        event: ConnectionEvent,
        worn_out: &mut Recent,
        finished: &mpsc::Sender<Done>,
    ) -> Option<CloseReason> {
        match event {
            ConnectionEvent::Candidate { candidate, .. } => {
                let told = self.trickle.then(|| self.connection.advertised(&candidate)).flatten()?;
                self.tell(Event::Candidate(Candidate { candidate: told, mline: self.connection.mline() }))
            }
            ConnectionEvent::Gathered => self
                .trickle
                .then(|| Event::Candidate(Candidate { candidate: String::new(), mline: self.connection.mline() }))
                .and_then(|end| self.tell(end)),
            ConnectionEvent::Connected => {
                if !self.line.is_connected() {
                    let connection = self.connection.clone();
                    off_task(finished, move || Done::Verified(connection.verify()));
                }
                None
            }
            ConnectionEvent::Disconnected => {
                Some(if self.line.is_connected() { CloseReason::Vanished } else { CloseReason::NotConnected })
            }
            // Firefox says it when the connection is closed; Chromium goes without a word.
            ConnectionEvent::Goodbye => Some(CloseReason::Left),
            ConnectionEvent::Failed { detail } => {
                tracing::warn!(detail, "the transport failed");
                Some(CloseReason::MediaError)
            }
            ConnectionEvent::Picture { width, height } => {
                (self.notices)(PeerNotice::Picture { width, height });
                None
            }
            ConnectionEvent::Refused(refused) => {
                (self.notices)(PeerNotice::Refused(refused.clone()));
                self.tell(refused.map_or(Event::PictureAccepted, Event::PictureRefused))
            }
            ConnectionEvent::DecoderFailed { detail } => {
                let decoders = worn_out.note(self.clock.now());
                tracing::warn!(detail, decoders, "the decoder failed");
                self.renew_decoder(decoders, finished);
                None
            }
            ConnectionEvent::Switched(key) => {
                (self.notices)(PeerNotice::Switched(key));
                None
            }
            ConnectionEvent::WantsKeyframe(key) => {
                (self.notices)(PeerNotice::WantsKeyframe(key));
                None
            }
            ConnectionEvent::KeyframeRequested => {
                self.connection.keyframe_requested();
                None
            }
            ConnectionEvent::DecoderWantsKeyframe => {
                self.request_keyframe();
                None
            }
        }
    }

    fn renew_decoder(&self, worn_out: usize, finished: &mpsc::Sender<Done>) {
        self.connection.stop_decoder();
        if worn_out >= MAX_DECODERS {
            tracing::warn!("no decoder can stand this stream; the picture is given up");
            return;
        }
        let (connection, finished) = (self.connection.clone(), finished.clone());
        let restart = async move {
            tokio::time::sleep(DECODER_PAUSE).await;
            off_task(&finished, move || {
                if let Err(error) = connection.restart_decoder() {
                    tracing::error!(%error, "no new decoder");
                }
                connection.request_keyframe();
                Done::DecoderRestarted
            });
        };
        tokio::spawn(tracing::Instrument::in_current_span(restart));
    }

    fn look(&mut self) -> Option<CloseReason> {
        let now = self.clock.now();
        self.pulse.beat(now);
        if self.client.is_closed() {
            return Some(CloseReason::Left);
        }
        let picture = self.connection.picture();
        if self.connection.picture_has_ended() {
            picture.stop();
        }
        let sight = Sight {
            now,
            heard: self.connection.heard(),
            sent: self.connection.sent(),
            reported: self.connection.reported(),
            live: picture.is_live(),
            report: self.connection.line_report(),
        };
        for finding in self.line.look(sight) {
            match finding {
                Finding::Heard(heard) => (self.notices)(PeerNotice::Heard(heard)),
                Finding::VideoLive(live) => (self.notices)(PeerNotice::VideoLive(live)),
                Finding::Rung(rung) => (self.notices)(PeerNotice::Rung(rung)),
                Finding::Lossy(lossy) => (self.notices)(PeerNotice::Lossy(lossy)),
                Finding::Gone(reason) => return Some(reason),
            }
        }
        None
    }
}

impl<N: Fn(PeerNotice)> PeerTask<N> {
    fn request_keyframe(&self) {
        let connection = self.connection.clone();
        tokio::task::spawn_blocking(move || connection.request_keyframe());
    }
}

impl<N: Fn(PeerNotice)> Drop for PeerTask<N> {
    fn drop(&mut self) {
        // Nobody takes it where the client left first, or where the room told it so already.
        self.client.send(Event::Closed { reason: self.ended });
        (self.notices)(PeerNotice::Gone(self.ended));
        tracing::debug!(peer = %self.peer, "peer task ended");
    }
}

/// Runs what may block on a thread for that, and brings its outcome back.
fn off_task(finished: &mpsc::Sender<Done>, work: impl FnOnce() -> Done + Send + 'static) {
    let (finished, span) = (finished.clone(), tracing::Span::current());
    tokio::task::spawn_blocking(move || {
        let done = span.in_scope(work);
        // Waits for its turn, for as long as there is a task.
        let _ = finished.blocking_send(done);
    });
}
