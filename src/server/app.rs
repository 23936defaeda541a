//! What all handlers share: the configuration, the way to the rooms, the sessions, the counts.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};
use warp::Filter;

use super::limit::{TokenBucket, retry_after};
use super::metrics::{Entrance, Metrics};
use super::observe;
use super::problem::Problem;
use super::sessions::SessionTable;
use crate::config::Config;
use crate::control::{Command, Join, Refusal, Reply};
use crate::room::{Joined, Rooms};

/// How long a join may take, candidates gathered.
const JOIN_DEADLINE: Duration = Duration::from_secs(10);
/// How long any other command may take.
const CALL_DEADLINE: Duration = Duration::from_secs(5);
/// WebSockets at once.
const MAX_SOCKETS: u32 = 10_000;

pub struct App {
    pub config: Arc<Config>,
    pub rooms: Rooms,
    pub sessions: SessionTable,
    pub metrics: Metrics,
    /// A std mutex: held for one subtraction.
    joins: Mutex<TokenBucket>,
    stopping: watch::Sender<bool>,
    sockets: Arc<Semaphore>,
}

impl App {
    pub fn new(config: Arc<Config>, rooms: Rooms) -> Arc<Self> {
        let rate = config.limits.joins_per_second;
        Arc::new(Self {
            joins: Mutex::new(TokenBucket::new(rate, rate, Instant::now())),
            config,
            rooms,
            sessions: SessionTable::default(),
            metrics: Metrics::default(),
            stopping: watch::Sender::new(false),
            sockets: Arc::new(Semaphore::new(MAX_SOCKETS as usize)),
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
        let taken = self.joins.lock().unwrap_or_else(PoisonError::into_inner).take(Instant::now());
        if let Err(wait) = taken {
            return Err(Problem::rate_limited("too many joins at the moment", retry_after(wait)));
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
    pub fn socket_place(&self) -> Result<OwnedSemaphorePermit, Problem> {
        let place = Arc::clone(&self.sockets).try_acquire_owned();
        place.map_err(|_| Refusal::Full { detail: "too many WebSockets are open".to_owned() }.into())
    }

    /// Ready when no WebSocket is open any more; none can be opened then.
    pub async fn no_sockets(&self) {
        let _ = self.sockets.acquire_many(MAX_SOCKETS).await.map(tokio::sync::SemaphorePermit::forget);
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
