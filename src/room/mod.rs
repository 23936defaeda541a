//! The rooms: a task per room, and the registry that finds them.
//!
//! `state` decides by pure functions, `task` carries out what it decided, `admission` says who may come in (of those that
//! are awaited already, `joining` keeps the list), `reception` lets peers in, `snapshots` has the room's pictures for whoever asks, `retries` when what failed is started again.

mod admission;
mod joining;
mod reception;
mod retries;
mod snapshots;
mod state;
mod task;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::Semaphore;

use crate::budget::{Amount, Permit};
use crate::config::Config;
use crate::control::{Command, Intent, Join, Refusal, Reply, RoomView, Wanted};
use crate::id::{PeerId, RoomId};
use crate::media::sdp::Offer;
use crate::media::{Certificate, CertificateError, Graph, TemplateError, Templates, cost};
use crate::network::Network;
pub use crate::peer::Events;
use crate::process::Capacity;
use admission::Admission;
use joining::Awaited;
use reception::Newcomer;
use task::{News, RoomHandle, RoomStopped};

/// How long a room may take for one command. A room that takes longer hangs.
const CALL_DEADLINE: Duration = Duration::from_secs(10);

/// How long a room may take to describe itself where all do; the others must not wait for one that hangs.
const VIEW_DEADLINE: Duration = Duration::from_secs(1);

/// How long a newcomer waits for what somebody had who makes way for it, how often it is looked at, and how many may wait.
const WAY_DEADLINE: Duration = Duration::from_secs(2);
const WAITING: usize = 8;
const WAY_LOOK: Duration = Duration::from_millis(50);

/// How long rooms, and then pipelines, may take to end; together well under the 5 s in which the process must be gone.
const STOP_DEADLINE: Duration = Duration::from_millis(1_500);

/// Why the rooms could not be opened at all.
#[derive(Debug, thiserror::Error)]
pub enum RoomsError {
    #[error("GStreamer cannot be used")]
    Media(#[from] crate::media::MediaError),
    #[error(transparent)]
    Templates(#[from] TemplateError),
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    #[error(transparent)]
    WarmUp(#[from] crate::media::GraphError),
}

/// A peer that was let in.
#[derive(Debug)]
pub struct Joined {
    pub peer: PeerId,
    /// SDP.
    pub answer: String,
    /// What the peer's client is told, [`Event::Closed`](crate::control::Event::Closed) last.
    pub events: Events,
}

/// All rooms of the process. A cheap handle.
#[derive(Clone, Debug)]
pub struct Rooms {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    config: Arc<Config>,
    templates: Arc<Templates>,
    /// What all peers are shown in DTLS.
    certificate: Certificate,
    admission: Arc<Admission>,
    /// Places to wait in for somebody who makes way.
    waiting: Semaphore,
    /// A std mutex: held while a handle is looked up or put in, never across an await.
    registry: Mutex<Registry>,
}

#[derive(Debug, Default)]
struct Registry {
    rooms: HashMap<RoomId, RoomHandle>,
    stopping: bool,
}

impl Rooms {
    /// Prepares media and templates, which takes some tenths of a second; rooms come with their first publishers.
    pub fn new(config: Arc<Config>) -> Result<Self, RoomsError> {
        crate::media::init()?;
        let templates = Arc::new(Templates::load(config.server.pipelines.as_deref())?);
        let certificate = Certificate::make()?;
        crate::media::warm_up(&templates)?;
        // What was only for the warming up must not count as what is always there.
        Graph::wait_all_down(STOP_DEADLINE);
        let largest = cost::of_largest_peer(&config.ice);
        let admission = Arc::new(Admission::new(&config.limits, Capacity::measure(), largest));
        let (waiting, registry) = (Semaphore::new(WAITING), Mutex::default());
        Ok(Self { shared: Arc::new(Shared { config, templates, certificate, admission, waiting, registry }) })
    }

    fn registry(&self) -> MutexGuard<'_, Registry> {
        self.shared.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets a peer in. The room is made by its first participant.
    pub async fn join(&self, join: Join) -> Result<Joined, Refusal> {
        let Shared { config, admission, .. } = &*self.shared;
        let offer = self.read(&join).map_err(|refusal| admission.junk(join.from, refusal))?;
        admission.offer(join.from)?;
        // Nobody has to make way for who cannot come in anyway.
        self.known(&join)?;
        let peer = PeerId::from_bits(rand::random());
        let (expected, makes_way) = admission.expect(peer, &join.room, join.from)?;
        if let Some(first) = makes_way {
            self.give_up(&first).await;
        }
        let permit = Arc::new(self.afford(cost::of_peer(&offer, &config.ice), join.from).await?);
        let newcomer = Newcomer { peer, permit, expected: Arc::new(expected) };
        // A room may end between its finding and its answer; then a new one is made, and that one has just begun.
        for _ in 0..2 {
            let room = match self.known(&join)? {
                Some(room) => room,
                None => self.make(&join, self.afford(cost::of_room(config), join.from).await?)?,
            };
            let newcomer = newcomer.clone();
            match reception::receive(&room, &join, newcomer, offer.clone(), &self.shared).await {
                Err(reception::NotReceived::RoomStopped) => self.forget(&join.room, &room),
                Err(reception::NotReceived::Refused(refusal)) => return Err(refusal),
                Ok(joined) => return Ok(joined),
            }
        }
        Err(Refusal::Failed { detail: "the room ended while it was joined".to_owned() })
    }

    /// A part of the process. Where there is none left, somebody who is still awaited makes way, and what it had is waited
    /// for.
    async fn afford(&self, cost: Amount, from: Network) -> Result<Permit, Refusal> {
        let admission = &self.shared.admission;
        let refusal = match admission.resources(cost) {
            Ok(permit) => return Ok(permit),
            Err(refusal) => refusal,
        };
        let Ok(_waiting) = self.shared.waiting.try_acquire() else { return Err(refusal) };
        let Some(first) = admission.makes_way(from, |_| true) else { return Err(refusal) };
        self.give_up(&first).await;
        let mut looks = tokio::time::interval(WAY_LOOK);
        let deadline = tokio::time::Instant::now() + WAY_DEADLINE;
        while looks.tick().await < deadline {
            if let Ok(permit) = admission.resources(cost) {
                return Ok(permit);
            }
        }
        Err(refusal)
    }

    fn read(&self, join: &Join) -> Result<Offer, Refusal> {
        let offer = reception::read_offer(join)?;
        match &join.rendition {
            Wanted::Named(name) if self.shared.config.rendition(name).is_none() => {
                Err(Refusal::NoRendition { name: name.clone() })
            }
            _ => Ok(offer),
        }
    }

    /// Somebody who was awaited makes way.
    async fn give_up(&self, awaited: &Awaited) {
        let room = self.registry().rooms.get(&awaited.room).cloned();
        if let Some(room) = room {
            room.give_up(awaited.peer).await;
        }
    }

    /// What the process can have, for what else there is of it.
    pub fn capacity(&self) -> &Capacity {
        self.shared.admission.capacity()
    }

    /// How many peers were let in and are not connected yet.
    pub fn awaited(&self) -> usize {
        self.shared.admission.awaited()
    }

    /// Everything else.
    pub async fn call(&self, command: Command) -> Result<Reply, Refusal> {
        let room = match &command {
            Command::Rooms => return Ok(Reply::Rooms { rooms: self.views().await }),
            Command::Pipelines => return Ok(Reply::Pipelines { alive: Graph::alive() }),
            Command::Trickle { room, .. }
            | Command::Leave { room, .. }
            | Command::Remove { room, .. }
            | Command::Mute { room, .. }
            | Command::Camera { room, .. }
            | Command::Watch { room, .. }
            | Command::Room { room }
            | Command::Snapshot { room } => room.clone(),
        };
        let handle = self.registry().rooms.get(&room).cloned();
        let handle = handle.ok_or_else(|| Refusal::NoRoom { room: room.clone() })?;
        self.ask(&room, &handle, command, CALL_DEADLINE).await
    }

    /// One command to a room that was found; should it have ended meanwhile, it is forgotten.
    async fn ask(
        &self,
        id: &RoomId,
        room: &RoomHandle,
        command: Command,
        deadline: Duration,
    ) -> Result<Reply, Refusal> {
        match tokio::time::timeout(deadline, room.call(command)).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(RoomStopped)) => {
                self.forget(id, room);
                Err(Refusal::NoRoom { room: id.clone() })
            }
            Err(_) => Err(Refusal::Failed { detail: "the room did not answer".to_owned() }),
        }
    }

    /// All rooms that answer in time. A room is there once its first peer is connected; before, it is but asked for.
    async fn views(&self) -> Vec<RoomView> {
        let mut rooms: Vec<(RoomId, RoomHandle)> =
            self.registry().rooms.iter().map(|(id, room)| (id.clone(), room.clone())).collect();
        rooms.retain(|(_, room)| room.is_established());
        rooms.sort_by(|(one, _), (other, _)| one.cmp(other));
        let view = |(id, room): (RoomId, RoomHandle)| async move {
            match self.ask(&id, &room, Command::Room { room: id.clone() }, VIEW_DEADLINE).await {
                Ok(Reply::Room { room }) => Some(*room),
                Err(Refusal::Failed { .. }) => {
                    tracing::warn!(room = %id, "the room does not answer and is left out of the list");
                    None
                }
                // It ended meanwhile.
                _ => None,
            }
        };
        join_all(rooms.into_iter().map(view)).await.into_iter().flatten().collect()
    }

    /// Tells everybody, ends all rooms and waits for their pipelines. At most 3 s.
    pub async fn stop(&self) {
        let rooms: Vec<RoomHandle> = {
            let mut registry = self.registry();
            registry.stopping = true;
            registry.rooms.drain().map(|(_, room)| room).collect()
        };
        let ended = tokio::time::timeout(STOP_DEADLINE, join_all(rooms.iter().map(RoomHandle::stop)));
        if ended.await.is_err() {
            tracing::warn!("some rooms did not end in time");
        }
        let down = tokio::task::spawn_blocking(|| Graph::wait_all_down(STOP_DEADLINE)).await;
        if !matches!(down, Ok(true)) {
            tracing::warn!(alive = Graph::alive(), "some pipelines did not go down in time");
        }
    }

    /// The room that a peer asks for, if there is one; nothing if it may be made.
    fn known(&self, join: &Join) -> Result<Option<RoomHandle>, Refusal> {
        let mut registry = self.registry();
        if registry.stopping {
            return Err(Refusal::Stopping);
        }
        registry.rooms.retain(|_, room| !room.has_ended());
        match registry.rooms.get(&join.room) {
            None if join.intent == Intent::View => Err(Refusal::NothingLive),
            room => Ok(room.cloned()),
        }
    }

    /// Makes the room that a peer asks for, unless somebody else just did.
    fn make(&self, join: &Join, permit: Permit) -> Result<RoomHandle, Refusal> {
        let mut registry = self.registry();
        if registry.stopping {
            return Err(Refusal::Stopping);
        }
        if let Some(room) = registry.rooms.get(&join.room).filter(|room| !room.has_ended()) {
            return Ok(room.clone());
        }
        let Shared { config, templates, admission, .. } = &*self.shared;
        let limit = config.limits.rooms;
        if registry.rooms.len() >= limit {
            let only_wished = |id: &RoomId| registry.rooms.get(id).is_some_and(|room| !room.is_established());
            let first = admission.makes_way(join.from, |one| only_wished(&one.room));
            let first = first.ok_or_else(|| Refusal::Full { detail: format!("there are {limit} rooms already") })?;
            if let Some(room) = registry.rooms.remove(&first.room) {
                room.tell(News::Abandon);
            }
        }
        let room = RoomHandle::open(join.room.clone(), config.clone(), templates.clone(), permit)
            .map_err(|error| Refusal::Failed { detail: error.to_string() })?;
        registry.rooms.insert(join.room.clone(), room.clone());
        Ok(room)
    }

    fn forget(&self, id: &RoomId, room: &RoomHandle) {
        let mut registry = self.registry();
        if registry.rooms.get(id).is_some_and(|known| known.is_same(room)) {
            registry.rooms.remove(id);
        }
    }
}

#[cfg(test)]
impl Rooms {
    /// Puts a room that hangs among the others.
    pub(crate) fn add_hanging(&self, id: RoomId) {
        self.registry().rooms.insert(id, RoomHandle::hanging());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn rooms_that_hang_do_not_hide_the_others() {
        let rooms = Rooms::new(Arc::default()).unwrap();
        let (config, templates) = (rooms.shared.config.clone(), rooms.shared.templates.clone());
        let id: RoomId = "n".parse().unwrap();
        let permit = rooms.shared.admission.resources(cost::of_room(&config)).unwrap();
        let room = RoomHandle::open(id.clone(), config, templates, permit).unwrap().established();
        rooms.registry().rooms.insert(id, room);
        for hanging in ["a", "b", "c", "x", "y", "z"] {
            rooms.add_hanging(hanging.parse().unwrap());
        }
        let asked = rooms.call(Command::Rooms);
        let answer = tokio::time::timeout(4 * VIEW_DEADLINE, asked).await.expect("they are asked all at once");
        let Ok(Reply::Rooms { rooms: views }) = answer else { panic!("{answer:?}") };
        assert_eq!(views.iter().map(|view| view.id.as_str()).collect::<Vec<_>>(), ["n"]);
        // It alone has pipelines to end, and is told to, whatever the others do.
        let room = rooms.registry().rooms.get(&views[0].id).cloned().unwrap();
        rooms.stop().await;
        assert!(room.has_ended());
    }
}
