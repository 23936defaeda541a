//! One client's talk over its WebSocket, as `src/protocol.rs` specifies it: messages in, messages out, and the peer in
//! between. It ends with a reason; the transport is [`super::socket`]'s business.

use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use futures_util::{Stream, StreamExt};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::SendTimeoutError;
use tokio::time::{sleep_until, timeout_at};
use warp::ws::Message;

use super::app::App;
use super::metrics::Entrance;
use super::problem::{Kind, Problem};
use super::turn;
use crate::bucket::{Rate, TokenBucket};
use crate::control::{Candidate, CloseReason, Command, Event, Intent, Join, Wanted};
use crate::id::{PeerId, RoomId};
use crate::network::Network;
use crate::protocol::{
    CHANGES_BURST, CHANGES_PER_SECOND, ClientMessage, MESSAGES_PER_SECOND, PING_INTERVAL_MS, RenditionInfo,
    ServerMessage,
};
use crate::room::{Events, Joined};

/// Two pings may get lost, and the next one may be late.
const IDLE: Duration = Duration::from_millis(2 * PING_INTERVAL_MS as u64 + 2_000);
/// How long a client may stay without a peer, however often it tries.
const JOIN_DEADLINE: Duration = Duration::from_secs(30);
/// Messages of all kinds: a peer's candidates may come at once.
const MESSAGES: Rate = Rate::new(MESSAGES_PER_SECOND as f64, 4 * MESSAGES_PER_SECOND);
/// Those that change something for others or start an encoder.
const CHANGES: Rate = Rate::new(CHANGES_PER_SECOND as f64, CHANGES_BURST);
/// Candidates that may wait for the answer.
const MAX_EARLY: usize = 256;
/// How long the queue to a client may stay full: as long as one message may take.
const SLOW: Duration = Duration::from_secs(5);
/// Longest text of an error that quotes what the client sent, in characters.
const MAX_DETAIL: usize = 200;

/// Why a conversation is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The peer is gone, and the client has been told.
    Closed(CloseReason),
    /// Nothing came for too long.
    Idle,
    /// The client does not take what it is sent.
    Slow,
    /// It never joined.
    NotJoined,
    /// A message was over the limit.
    TooLarge,
    /// What came was no WebSocket frame, or not in its place.
    Invalid,
    /// A text was not UTF-8.
    NotText,
    /// The client closed, or its line broke.
    Gone,
}

impl End {
    /// What a failed read means.
    fn of(error: &warp::Error) -> Self {
        use tungstenite::error::{Error, ProtocolError};
        match std::error::Error::source(error).and_then(|source| source.downcast_ref()) {
            Some(Error::Capacity(_)) => Self::TooLarge,
            Some(Error::Utf8(_)) => Self::NotText,
            Some(Error::Protocol(ProtocolError::ResetWithoutClosingHandshake)) => Self::Gone,
            Some(Error::Protocol(_)) => Self::Invalid,
            _ => Self::Gone,
        }
    }

    /// Code and reason of the close frame (RFC 6455, section 7.4); none where nobody is there to read it.
    pub fn close_frame(self) -> Option<(u16, &'static str)> {
        match self {
            Self::Closed(CloseReason::ServerStopping) => Some((1001, "the server is stopping")),
            Self::Closed(_) => Some((1000, "the peer is gone")),
            Self::Idle => Some((1008, "nothing came for too long")),
            Self::Slow => Some((1008, "the line is too slow")),
            Self::NotJoined => Some((1008, "no offer was taken in time")),
            Self::TooLarge => Some((1009, "a message was too large")),
            Self::Invalid => Some((1002, "that was no WebSocket frame")),
            Self::NotText => Some((1007, "a text was not UTF-8")),
            Self::Gone => None,
        }
    }
}

/// Whether the client has a peer.
enum Seat {
    Outside,
    /// The offer is on its way; candidates that come meanwhile wait here.
    Entering {
        result: Pin<Box<dyn Future<Output = Result<Joined, Problem>> + Send>>,
        early: Vec<Candidate>,
    },
    Inside {
        peer: PeerId,
        events: Events,
    },
}

/// What comes from the rooms' side.
enum News {
    Entered(Result<Joined, Problem>),
    Event(Option<Event>),
}

impl Seat {
    async fn news(&mut self) -> News {
        match self {
            Self::Outside => std::future::pending().await,
            Self::Entering { result, .. } => News::Entered(result.await),
            Self::Inside { events, .. } => News::Event(events.recv().await),
        }
    }

    fn is_inside(&self) -> bool {
        matches!(self, Self::Inside { .. })
    }
}

pub struct Conversation {
    app: Arc<App>,
    room: RoomId,
    name: String,
    from: Network,
    queue: mpsc::Sender<Message>,
    seat: Seat,
    opened: Instant,
    /// When the client was last heard.
    heard: Instant,
    /// The next message is not read before this; who sends too fast is slowed down and loses nothing.
    read_from: Instant,
    pace: TokenBucket,
    /// Mutes and renditions, each.
    mutes: TokenBucket,
    renditions: TokenBucket,
}

impl Conversation {
    pub fn new(app: Arc<App>, room: RoomId, name: String, from: Network, queue: mpsc::Sender<Message>) -> Self {
        let (opened, now) = (Instant::now(), app.now());
        let (pace, changes) = (TokenBucket::of(MESSAGES, now), TokenBucket::of(CHANGES, now));
        Self {
            app,
            room,
            name,
            from,
            queue,
            seat: Seat::Outside,
            opened,
            heard: opened,
            read_from: opened,
            pace,
            mutes: changes.clone(),
            renditions: changes,
        }
    }

    /// Talks until it is over. Safe to drop at any await.
    pub async fn run(&mut self, incoming: &mut (impl Stream<Item = Result<Message, warp::Error>> + Unpin)) -> End {
        match self.talk(incoming).await {
            Ok(never) => match never {},
            Err(end) => end,
        }
    }

    /// Takes the peer out, unless it is out.
    pub async fn leave(&mut self, end: &End) {
        let seat = std::mem::replace(&mut self.seat, Seat::Outside);
        if let (Seat::Inside { peer, .. }, false) = (seat, matches!(end, End::Closed(_))) {
            // A refusal would mean that it is gone already.
            let _ = self.app.call(Command::Leave { room: self.room.clone(), peer }).await;
        }
    }

    async fn talk(
        &mut self,
        incoming: &mut (impl Stream<Item = Result<Message, warp::Error>> + Unpin),
    ) -> Result<std::convert::Infallible, End> {
        let welcome = self.welcome();
        self.say(&welcome).await?;
        let app = Arc::clone(&self.app);
        loop {
            let (read_from, deadline) = (self.read_from.into(), (self.heard.max(self.read_from) + IDLE).into());
            let next = async {
                sleep_until(read_from).await;
                timeout_at(deadline, incoming.next()).await
            };
            let (inside, outside) = (self.seat.is_inside(), matches!(self.seat, Seat::Outside));
            let too_late = (self.opened + JOIN_DEADLINE).into();
            tokio::select! {
                // The room's news first: a client that talks a lot must not keep its own events waiting.
                biased;
                news = self.seat.news() => self.hear(news).await?,
                () = app.stopping(), if !inside => return Err(self.closed(CloseReason::ServerStopping).await?),
                () = sleep_until(too_late), if outside => {
                    self.closed(CloseReason::NotConnected).await?;
                    return Err(End::NotJoined);
                }
                message = next => match message {
                    Ok(Some(Ok(message))) => self.read(message).await?,
                    Ok(Some(Err(error))) => return Err(End::of(&error)),
                    Ok(None) => return Err(End::Gone),
                    Err(_) => {
                        self.closed(CloseReason::Vanished).await?;
                        return Err(End::Idle);
                    }
                },
            }
        }
    }

    async fn hear(&mut self, news: News) -> Result<(), End> {
        match news {
            News::Entered(Ok(joined)) => self.sit_down(joined).await,
            News::Entered(Err(problem)) => {
                self.seat = Seat::Outside;
                self.complain(&problem).await
            }
            News::Event(None) => Err(self.closed(CloseReason::MediaError).await?),
            News::Event(Some(Event::Closed { reason })) => Err(self.closed(reason).await?),
            News::Event(Some(event)) => self.say(&event.into()).await,
        }
    }

    async fn sit_down(&mut self, joined: Joined) -> Result<(), End> {
        let Joined { peer, answer, events } = joined;
        let before = std::mem::replace(&mut self.seat, Seat::Inside { peer, events });
        self.say(&ServerMessage::Answer { peer, sdp: answer }).await?;
        match before {
            Seat::Entering { early, .. } if !early.is_empty() => self.trickle(peer, early).await,
            _ => Ok(()),
        }
    }

    async fn read(&mut self, message: Message) -> Result<(), End> {
        let now = Instant::now();
        self.heard = now;
        self.read_from = now + self.pace.take_in_advance(self.app.now());
        if message.is_close() {
            return Err(End::Gone);
        }
        if message.is_ping() || message.is_pong() {
            return Ok(());
        }
        let Ok(text) = message.to_str() else {
            return self.complain(&Problem::new(Kind::InvalidMessage, "messages are text")).await;
        };
        match serde_json::from_str(text) {
            Ok(message) => self.obey(message).await,
            Err(error) => {
                let detail: String = error.to_string().chars().take(MAX_DETAIL).collect();
                self.complain(&Problem::new(Kind::InvalidMessage, detail)).await
            }
        }
    }

    async fn obey(&mut self, message: ClientMessage) -> Result<(), End> {
        match message {
            ClientMessage::Ping => self.say(&ServerMessage::Pong).await,
            ClientMessage::Join { sdp, rendition } => self.offer(Intent::Participate, sdp, rendition).await,
            ClientMessage::Watch { sdp, rendition } => self.offer(Intent::View, sdp, rendition).await,
            ClientMessage::Candidate(candidate) => match &mut self.seat {
                Seat::Entering { early, .. } if early.len() < MAX_EARLY => {
                    early.push(candidate);
                    Ok(())
                }
                Seat::Entering { .. } => self.complain(&Problem::new(Kind::TooLarge, "too many candidates")).await,
                Seat::Outside => self.complain(&not_joined()).await,
                Seat::Inside { peer, .. } => {
                    let peer = *peer;
                    self.trickle(peer, vec![candidate]).await
                }
            },
            ClientMessage::Mute { participant, muted } => {
                let wait = self.mutes.take_in_advance(self.app.now());
                self.slow_down(wait);
                self.ask(|room, own| Command::Mute { room, participant: participant.unwrap_or(own), muted }).await
            }
            ClientMessage::Camera { on } => self.ask(|room, peer| Command::Camera { room, peer, on }).await,
            ClientMessage::Rendition { name } => {
                let wait = self.renditions.take_in_advance(self.app.now());
                self.slow_down(wait);
                self.ask(|room, peer| Command::Watch { room, peer, rendition: name }).await
            }
            // The room answers with the last event.
            ClientMessage::Leave if self.seat.is_inside() => self.ask(|room, peer| Command::Leave { room, peer }).await,
            ClientMessage::Leave => Err(self.closed(CloseReason::Left).await?),
        }
    }

    /// The next message is read only after this.
    fn slow_down(&mut self, wait: Duration) {
        self.read_from = self.read_from.max(Instant::now() + wait);
    }

    async fn offer(&mut self, intent: Intent, offer: String, rendition: Wanted) -> Result<(), End> {
        if !matches!(self.seat, Seat::Outside) {
            return self.complain(&Problem::new(Kind::AlreadyJoined, "one WebSocket is one peer")).await;
        }
        let limit = self.app.config.limits.sdp_bytes;
        if offer.len() > limit {
            return self.complain(&Problem::new(Kind::TooLarge, format!("an offer has at most {limit} bytes"))).await;
        }
        let (room, name, from) = (self.room.clone(), self.name.clone(), self.from);
        let join = Join { room, name, intent, offer, rendition, trickle: true, from };
        let app = Arc::clone(&self.app);
        let result = Box::pin(async move { app.enter(Entrance::Websocket, join).await });
        self.seat = Seat::Entering { result, early: Vec::new() };
        Ok(())
    }

    async fn trickle(&mut self, peer: PeerId, candidates: Vec<Candidate>) -> Result<(), End> {
        let command = Command::Trickle { room: self.room.clone(), peer, candidates };
        self.call(command).await
    }

    async fn ask(&mut self, command: impl FnOnce(RoomId, PeerId) -> Command) -> Result<(), End> {
        match self.seat {
            Seat::Inside { peer, .. } => self.call(command(self.room.clone(), peer)).await,
            _ => self.complain(&not_joined()).await,
        }
    }

    async fn call(&mut self, command: Command) -> Result<(), End> {
        match self.app.call(command).await {
            Ok(_) => Ok(()),
            Err(problem) => self.complain(&problem).await,
        }
    }

    /// The last message.
    async fn closed(&mut self, reason: CloseReason) -> Result<End, End> {
        self.say(&ServerMessage::Closed { reason }).await?;
        Ok(End::Closed(reason))
    }

    async fn complain(&mut self, problem: &Problem) -> Result<(), End> {
        self.say(&ServerMessage::Error {
            problem: problem.uri(),
            title: problem.title().to_owned(),
            detail: problem.detail().to_owned(),
        })
        .await
    }

    async fn say(&mut self, message: &ServerMessage) -> Result<(), End> {
        let text = serde_json::to_string(message).map_err(|error| {
            tracing::error!(%error, "a message could not be written");
            End::Gone
        })?;
        self.queue.send_timeout(Message::text(text), SLOW).await.map_err(|error| match error {
            SendTimeoutError::Timeout(_) => End::Slow,
            SendTimeoutError::Closed(_) => End::Gone,
        })
    }

    fn welcome(&self) -> ServerMessage {
        let config = &self.app.config;
        let info = |rendition: &crate::config::Rendition| RenditionInfo {
            name: rendition.name.clone(),
            width: rendition.width,
            height: rendition.height,
            fps: rendition.fps,
            bitrate: rendition.bitrate,
        };
        ServerMessage::Welcome {
            room: self.room.clone(),
            name: self.name.clone(),
            ice_servers: turn::ice_servers(&config.ice, SystemTime::now()),
            renditions: config.renditions.iter().map(info).collect(),
            ping_interval: PING_INTERVAL_MS,
        }
    }
}

fn not_joined() -> Problem {
    Problem::new(Kind::NotJoined, "join or watch first")
}

#[cfg(test)]
mod tests {
    use futures_util::stream;

    use super::*;
    use crate::config::Config;
    use crate::room::Rooms;

    #[tokio::test]
    async fn a_client_that_takes_nothing_is_given_up() {
        let config = Arc::new(Config::default());
        let rooms = Rooms::new(Arc::clone(&config)).unwrap();
        let app = App::new(config, rooms, 100);
        // Room for the welcome only, and nobody who takes it out.
        let (queue, _waiting) = mpsc::channel(1);
        let from = Network::of([127, 0, 0, 1].into());
        let mut conversation = Conversation::new(app, "demo".parse().unwrap(), "Ada".to_owned(), from, queue);
        let mut pings = stream::repeat_with(|| Ok(Message::text(r#"{"type":"ping"}"#)));
        assert_eq!(conversation.run(&mut pings).await, End::Slow);
    }
}
