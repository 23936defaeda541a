//! A peer: one task that owns a participant's or viewer's connection, from its offer to its end.
//!
//! The room that made it speaks to it through [`Peer`] and hears of it by [`PeerNotice`]s; what the peer's own client
//! should know goes out as [`Event`]s.

mod happening;
mod line;
mod loss;
mod merge;
pub mod newest;
mod task;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::task::JoinHandle;

use crate::control::{CloseReason, Event, RefusedPicture};
use crate::media::{Connection, ConnectionError, ConnectionEvent, PictureSlot, Plan, RenditionKey, VideoSender};
use happening::Happening;

/// How long the making of a connection may take.
const START_DEADLINE: Duration = Duration::from_secs(8);

/// An answer that has to hold all candidates waits this long for them; libnice does not always say that it is done.
const GATHERING_DEADLINE: Duration = Duration::from_secs(1);

/// What a peer tells its room.
#[derive(Clone, Debug, PartialEq)]
pub enum PeerNotice {
    /// Its media flows.
    Connected,
    /// Whether anything was heard of it lately.
    Heard(bool),
    /// The size of the picture that it sends.
    Picture { width: u32, height: u32 },
    /// Its picture is not decoded for this reason, or for none any more.
    Refused(Option<RefusedPicture>),
    /// Whether pictures come.
    VideoLive(bool),
    /// What it gets is this from now on.
    Switched(RenditionKey),
    /// It needs a keyframe of this.
    WantsKeyframe(RenditionKey),
    /// Its line carries the rendition of this rung of the ladder.
    Rung(usize),
    /// Whether its line loses so many packets that sound sent to it needs FEC.
    Lossy(bool),
    /// It is gone. The last notice.
    Gone(CloseReason),
}

/// What a room tells a peer.
#[derive(Debug)]
enum PeerCommand {
    Candidates(Vec<String>),
    Tile { width: u32, height: u32 },
    Close(CloseReason),
}

/// What a peer's client is told: of candidates all, of what changes the newest, the end last.
pub type Events = newest::Receiver<Event>;

/// Why a peer could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(transparent)]
    Connection(#[from] ConnectionError),
    #[error("the connection was not made in time")]
    Late,
    #[error("the connection's making ended in a panic")]
    Panicked,
}

/// A running peer, in its room's hands. The peer ends when this is dropped.
#[must_use = "the peer leaves when its handle is dropped"]
#[derive(Debug)]
pub struct Peer {
    orders: newest::Sender<PeerCommand>,
    client: newest::Sender<Event>,
    picture: Arc<PictureSlot>,
    video: Option<Arc<VideoSender>>,
    task: JoinHandle<()>,
    pulse: Arc<Pulse>,
}

/// When a peer's task last did its round, in running time.
#[derive(Debug, Default)]
struct Pulse(AtomicU64);

impl Pulse {
    fn beat(&self, now: Duration) {
        self.0.store(u64::try_from(now.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    fn last(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::Relaxed))
    }
}

/// A peer that was opened, with what its client is owed.
#[derive(Debug)]
pub struct Opened {
    pub peer: Peer,
    pub answer: String,
    pub events: Events,
}

/// How to open a peer.
#[derive(Debug)]
pub struct Opening<N> {
    pub plan: Plan,
    /// Whether the client takes candidates as events; if not, the answer waits for them.
    pub trickle: bool,
    /// Rungs of the ladder.
    pub rungs: usize,
    /// The best of them that the peer may get.
    pub best_rung: usize,
    /// Takes the peer's notices; must not block.
    pub notices: N,
}

impl Peer {
    /// Makes the connection, answers the offer and sets the peer's task going.
    ///
    /// `make` makes the connection of a plan; it runs on a thread that may block.
    pub async fn open<N, M>(opening: Opening<N>, make: M) -> Result<Opened, OpenError>
    where
        N: Fn(PeerNotice) + Send + 'static,
        M: FnOnce(Plan, Box<dyn Fn(ConnectionEvent) + Send + Sync>) -> Result<Connection, ConnectionError>
            + Send
            + 'static,
    {
        let (happened, happening) = newest::channel();
        let (peer, clock) = (opening.plan.peer, opening.plan.clock);
        let report = Box::new(move |event| {
            // Nobody hears it where the peer's task is over.
            happened.send(event);
        });
        let (plan, span) = (opening.plan, tracing::Span::current());
        let made = tokio::task::spawn_blocking(move || span.in_scope(|| make(plan, report)));
        let made = tokio::time::timeout(START_DEADLINE, made).await.map_err(|_| OpenError::Late)?;
        let connection = Arc::new(made.map_err(|_| OpenError::Panicked)??);

        let mut happening = Happening::new(happening);
        let answer = if opening.trickle {
            connection.answer(None)?
        } else {
            let candidates = happening.candidates(tokio::time::Instant::now() + GATHERING_DEADLINE).await;
            connection.answer(Some(&candidates))?
        };
        let ((orders, ordered), (client, events)) = (newest::channel(), newest::channel());
        let (picture, video, pulse) = (connection.picture(), connection.video_sender(), Arc::<Pulse>::default());
        pulse.beat(clock.now());
        let task = task::PeerTask {
            peer,
            clock,
            connection,
            line: line::Line::new(opening.rungs, opening.best_rung),
            trickle: opening.trickle,
            client: client.clone(),
            pulse: pulse.clone(),
            ended: CloseReason::MediaError,
            notices: opening.notices,
        };
        let task = tokio::spawn(tracing::Instrument::in_current_span(task.run(ordered, happening)));
        Ok(Opened { peer: Self { orders, client, picture, video, task, pulse }, answer, events })
    }

    /// Candidates of the client's own.
    pub fn add_candidates(&self, candidates: Vec<String>) {
        self.orders.send(PeerCommand::Candidates(candidates));
    }

    /// The size of its tile.
    pub fn set_tile(&self, width: u32, height: u32) {
        self.orders.send(PeerCommand::Tile { width, height });
    }

    /// Tells its client.
    pub fn tell(&self, event: Event) {
        self.client.send(event);
    }

    /// Ends it, soon.
    pub fn close(&self, reason: CloseReason) {
        self.orders.send(PeerCommand::Close(reason));
    }

    /// Ends it at once, in the middle of whatever it does.
    pub fn abort(&self, reason: CloseReason) {
        self.client.send(Event::Closed { reason });
        self.task.abort();
    }

    /// Waits until it has ended.
    pub async fn ended(&mut self) {
        // A panic is an end, too.
        let _ = (&mut self.task).await;
    }

    /// When it last showed that it is not stuck, in running time.
    pub fn last_pulse(&self) -> Duration {
        self.pulse.last()
    }

    /// Where its pictures are.
    pub fn picture(&self) -> Arc<PictureSlot> {
        self.picture.clone()
    }

    /// What renditions send into.
    pub fn video(&self) -> Option<&Arc<VideoSender>> {
        self.video.as_ref()
    }
}

#[cfg(test)]
impl Peer {
    /// A peer whose task takes nothing and ends by nothing, and what its client is told. `held` goes with the task.
    pub(crate) fn hanging(held: impl Send + 'static) -> (Self, Events) {
        let ((orders, ordered), (client, events)) = (newest::channel(), newest::channel());
        let task = tokio::spawn(async move {
            let _held = (held, ordered);
            std::future::pending::<()>().await;
        });
        let (picture, pulse) = (Arc::default(), Arc::default());
        (Self { orders, client, picture, video: None, task, pulse }, events)
    }
}
