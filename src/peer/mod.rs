//! A peer: one task that owns a participant's or viewer's connection, from its offer to its end.
//!
//! The room that made it speaks to it through [`Peer`] and hears of it by [`PeerNotice`]s; what the peer's own client
//! should know goes out as [`Event`]s.

mod happening;
mod line;
mod loss;
mod task;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use crate::control::{CloseReason, Event};
use crate::media::{Connection, ConnectionError, ConnectionEvent, PictureSlot, Plan, RenditionKey, VideoSender};
use happening::Happening;

/// Messages that may wait for a peer, and events that may wait for its client. A client that lets so many wait is gone.
const MAILBOX: usize = 256;

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
    Tell(Event),
    Close(CloseReason),
}

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
    mailbox: mpsc::Sender<PeerCommand>,
    picture: Arc<PictureSlot>,
    video: Option<Arc<VideoSender>>,
}

/// A peer that was opened, with what its client is owed.
#[derive(Debug)]
pub struct Opened {
    pub peer: Peer,
    pub answer: String,
    pub events: mpsc::Receiver<Event>,
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
        let (happened, happening) = mpsc::channel(MAILBOX * 4);
        let (peer, clock) = (opening.plan.peer, opening.plan.clock);
        let report = Box::new(move |event| {
            // Full means that the peer's task is stuck; it will be closed for silence.
            let _ = happened.try_send(event);
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
        let (mailbox, commands) = mpsc::channel(MAILBOX);
        let (client, events) = mpsc::channel(MAILBOX);
        let handle = Self { mailbox, picture: connection.picture(), video: connection.video_sender() };
        let task = task::PeerTask {
            peer,
            clock,
            connection,
            line: line::Line::new(opening.rungs, opening.best_rung),
            trickle: opening.trickle,
            client,
            notices: opening.notices,
        };
        tokio::spawn(tracing::Instrument::in_current_span(task.run(commands, happening)));
        Ok(Opened { peer: handle, answer, events })
    }

    /// Candidates of the client's own.
    pub fn add_candidates(&self, candidates: Vec<String>) {
        self.post(PeerCommand::Candidates(candidates));
    }

    /// The size of its tile.
    pub fn set_tile(&self, width: u32, height: u32) {
        self.post(PeerCommand::Tile { width, height });
    }

    /// Tells its client.
    pub fn tell(&self, event: Event) {
        self.post(PeerCommand::Tell(event));
    }

    /// Ends it.
    pub fn close(&self, reason: CloseReason) {
        self.post(PeerCommand::Close(reason));
    }

    /// Where its pictures are.
    pub fn picture(&self) -> Arc<PictureSlot> {
        self.picture.clone()
    }

    /// What renditions send into.
    pub fn video(&self) -> Option<&Arc<VideoSender>> {
        self.video.as_ref()
    }

    fn post(&self, command: PeerCommand) {
        // A mailbox that is full belongs to a task that hangs or is gone; its room hears of that by its silence.
        if self.mailbox.try_send(command).is_err() {
            tracing::debug!("a peer did not take a message");
        }
    }
}
