//! PLACEHOLDER: the shape that `server/` calls, to be replaced by the rooms.

use std::sync::{Arc, Mutex};

use tokio::sync::mpsc;

use crate::config::Config;
use crate::control::{CloseReason, Command, Event, Intent, Join, Refusal, Reply};
use crate::id::{PeerId, RoomId};

#[derive(Clone)]
pub struct Rooms {
    peers: Arc<Mutex<Vec<(RoomId, PeerId, mpsc::Sender<Event>)>>>,
}

pub struct Joined {
    pub peer: PeerId,
    pub answer: String,
    pub events: mpsc::Receiver<Event>,
}

impl Rooms {
    pub fn new(_config: Arc<Config>) -> Result<Self, Refusal> {
        Ok(Self { peers: Arc::default() })
    }

    pub async fn join(&self, join: Join) -> Result<Joined, Refusal> {
        if !join.offer.starts_with("v=0") {
            return Err(Refusal::MalformedSdp { detail: "no version".into() });
        }
        let mut peers = self.peers.lock().unwrap();
        if join.intent == Intent::View && !peers.iter().any(|(room, ..)| *room == join.room) {
            return Err(Refusal::NothingLive);
        }
        let peer = PeerId::from_bits(rand::random());
        let (send, events) = mpsc::channel(64);
        let _ = send.try_send(Event::Participants { participants: Vec::new(), viewers: 0 });
        peers.push((join.room, peer, send));
        Ok(Joined { peer, answer: join.offer, events })
    }

    pub async fn call(&self, command: Command) -> Result<Reply, Refusal> {
        let mut peers = self.peers.lock().unwrap();
        match command {
            Command::Rooms => Ok(Reply::Rooms { rooms: Vec::new() }),
            Command::Leave { peer, .. } => {
                let Some(at) = peers.iter().position(|(_, id, _)| *id == peer) else { return Err(Refusal::NoPeer) };
                let _ = peers.remove(at).2.try_send(Event::Closed { reason: CloseReason::Left });
                Ok(Reply::Done)
            }
            Command::Trickle { peer, .. } => {
                if peers.iter().any(|(_, id, _)| *id == peer) {
                    Ok(Reply::Done)
                } else {
                    Err(Refusal::NoPeer)
                }
            }
            Command::Room { room }
            | Command::Snapshot { room }
            | Command::Mute { room, .. }
            | Command::Watch { room, .. }
            | Command::Remove { room, .. } => Err(Refusal::NoRoom { room }),
        }
    }

    pub async fn stop(&self) {
        for (_, _, send) in self.peers.lock().unwrap().drain(..) {
            let _ = send.try_send(Event::Closed { reason: CloseReason::ServerStopping });
        }
    }
}
