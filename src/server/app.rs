//! What all handlers share: the configuration, the way to the rooms, the sessions, the counts.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};
use warp::Filter;

use super::limit::{Asked, Callers};
use super::metrics::{Entrance, Metrics};
use super::observe;
use super::problem::Problem;
use super::sessions::SessionTable;
use crate::config::Config;
use crate::control::{Command, Join, Refusal, Reply};
use crate::network::Network;
use crate::room::{Joined, Rooms};

/// How long a join may take, candidates gathered.
const JOIN_DEADLINE: Duration = Duration::from_secs(10);
/// How long any other command may take.
const CALL_DEADLINE: Duration = Duration::from_secs(5);
/// The parts of all connections that may be WebSockets, and of those that may be of one network.
const SOCKETS_PART: (usize, usize) = (3, 4);
const SOCKETS_OF_NETWORK_PART: usize = 2;

#[derive(Debug)]
pub struct App {
    pub config: Arc<Config>,
    pub rooms: Rooms,
    pub sessions: SessionTable,
    pub metrics: Metrics,
    started: Instant,
    /// A std mutex: held for some arithmetic.
    callers: Mutex<Callers>,
    stopping: watch::Sender<bool>,
    /// WebSockets at once.
    most_sockets: u32,
    sockets: Arc<Semaphore>,
}

impl App {
    /// `connections` is how many the server may have at once.
    pub fn new(config: Arc<Config>, rooms: Rooms, connections: usize) -> Arc<Self> {
        let sockets = (connections * SOCKETS_PART.0 / SOCKETS_PART.1).max(1);
        Arc::new(Self {
            started: Instant::now(),
            callers: Mutex::new(Callers::new(sockets.div_ceil(SOCKETS_OF_NETWORK_PART))),
            config,
            rooms,
            sessions: SessionTable::default(),
            metrics: Metrics::default(),
            stopping: watch::Sender::new(false),
            most_sockets: u32::try_from(sockets).unwrap_or(u32::MAX),
            sockets: Arc::new(Semaphore::new(sockets)),
        })
    }

    /// Brings a peer into a room; the current span knows the room already and learns the peer. Should the caller go away meanwhile (its connection broke), the peer leaves again.
    pub async fn enter(&self, entrance: Entrance, join: Join) -> Result<Joined, Problem> {
        let result = self.admit(join).await;
        self.metrics.join(entrance, result.as_ref().map_or_else(Problem::name, |_| "ok"));
        match &result {
            Ok(joined) => observe::participant(joined.peer),
            Err(problem) => tracing::info!(problem = problem.name(), detail = problem.detail(), "join refused"),
        }
        result
    }

    async fn admit(&self, join: Join) -> Result<Joined, Problem> {
        if self.is_stopping() {
            return Err(Refusal::Stopping.into());
        }
        let (rooms, room) = (self.rooms.clone(), join.room.clone());
        let (tell, told) = oneshot::channel();
        tokio::spawn(async move {
            let result = rooms.join(join).await;
            if let Err(Ok(joined)) = tell.send(result) {
                // A refusal would mean that the peer is gone already.
                let _ = rooms.call(Command::Leave { room, peer: joined.peer }).await;
            }
        });
        match tokio::time::timeout(JOIN_DEADLINE, told).await {
            Ok(Ok(result)) => Ok(result?),
            Ok(Err(_)) | Err(_) => Err(failed("the join did not come to an end").into()),
        }
    }

    /// Everything else that is asked of the rooms.
    pub async fn call(&self, command: Command) -> Result<Reply, Problem> {
        match tokio::time::timeout(CALL_DEADLINE, self.rooms.call(command)).await {
            Ok(result) => Ok(result?),
            Err(_) => Err(failed("the room did not answer in time").into()),
        }
    }

    /// From now on nobody gets in, and WebSockets without a peer end.
    pub fn stop(&self) {
        self.stopping.send_replace(true);
    }

    pub fn is_stopping(&self) -> bool {
        *self.stopping.borrow()
    }

    /// Ready when the server is stopping.
    pub async fn stopping(&self) {
        // The sender lives in `self`, so this does not fail.
        let _ = self.stopping.subscribe().wait_for(|stopping| *stopping).await;
    }

    /// A place for one more WebSocket, held as long as it is open.
    pub fn socket_place(self: &Arc<Self>, from: Network) -> Result<SocketPlace, Problem> {
        let full = |detail: &str| Problem::from(Refusal::Full { detail: detail.to_owned() });
        let place = Arc::clone(&self.sockets).try_acquire_owned();
        let place = place.map_err(|_| full("too many WebSockets are open"))?;
        if !self.callers().open_socket(from) {
            return Err(full("too many WebSockets of this address are open"));
        }
        Ok(SocketPlace { app: Arc::clone(self), from, _place: place })
    }

    /// The time that limits count by.
    pub fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// What each caller may still ask for.
    pub fn callers(&self) -> MutexGuard<'_, Callers> {
        // Nothing in there panics half-way.
        self.callers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a caller may ask for one more of these now.
    pub fn allow(&self, from: Network, what: Asked) -> Result<(), Problem> {
        self.callers().take(from, what, self.now())
    }

    /// Ready when no WebSocket is open any more; none can be opened then.
    pub async fn no_sockets(&self) {
        let _ = self.sockets.acquire_many(self.most_sockets).await.map(tokio::sync::SemaphorePermit::forget);
    }
}

/// An open WebSocket's place.
#[derive(Debug)]
pub struct SocketPlace {
    app: Arc<App>,
    from: Network,
    _place: OwnedSemaphorePermit,
}

impl Drop for SocketPlace {
    fn drop(&mut self) {
        self.app.callers().close_socket(self.from);
    }
}

/// Hands the shared state to a handler.
pub fn with(app: &Arc<App>) -> impl Filter<Extract = (Arc<App>,), Error = Infallible> + Clone + use<> {
    let app = Arc::clone(app);
    warp::any().map(move || Arc::clone(&app))
}

fn failed(detail: &str) -> Refusal {
    Refusal::Failed { detail: detail.to_owned() }
}

/// A reply that does not belong to its command.
pub fn unexpected(reply: &Reply) -> Problem {
    tracing::error!(?reply, "a reply does not fit its command");
    failed("the room's answer cannot be understood").into()
}
