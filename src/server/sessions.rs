//! Which peer a session URL controls. The id in the URL is all that is needed to end the peer, so it is random, told only
//! to its owner, and never logged; the public [`PeerId`] grants nothing.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::sdpfrag::Credentials;
use crate::bucket::{Rate, TokenBucket};
use crate::id::{PeerId, RoomId};

/// PATCHes of one session a second, and at once: a peer trickles a handful of candidates, then none.
const PATCHES: Rate = Rate::new(10.0, 50);

/// 128 random bits as 32 hexadecimal digits.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct SessionId(String);

impl SessionId {
    /// From the thread's cryptographic generator.
    pub fn random() -> Self {
        Self(format!("{:032x}", rand::random::<u128>()))
    }

    /// The id in a URL; any text will do, as it is only ever looked up.
    pub fn from_url(segment: &str) -> Self {
        Self(segment.to_owned())
    }

    /// Where the session is (`Location`).
    pub fn path(&self) -> String {
        format!("/session/{}", self.0)
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionId(…)")
    }
}

/// What a session URL stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owned {
    pub room: RoomId,
    pub peer: PeerId,
    /// The ICE credentials of its offer: a fragment with others asks for an ICE restart.
    pub ice: Vec<Credentials>,
}

#[derive(Debug)]
struct Entry {
    owned: Owned,
    patches: TokenBucket,
}

/// All sessions that WHIP and WHEP made. A std mutex: held for a look-up, never over an await.
#[derive(Debug, Default)]
pub struct SessionTable {
    entries: Mutex<HashMap<SessionId, Entry>>,
}

impl SessionTable {
    pub fn add(&self, owned: Owned, now: Duration) -> SessionId {
        let id = SessionId::random();
        let patches = TokenBucket::of(PATCHES, now);
        self.lock().insert(id.clone(), Entry { owned, patches });
        id
    }

    pub fn get(&self, id: &SessionId) -> Option<Owned> {
        self.lock().get(id).map(|entry| entry.owned.clone())
    }

    /// Whether one more PATCH is in order now; if not, when.
    pub fn take_patch(&self, id: &SessionId, now: Duration) -> Result<(), Duration> {
        self.lock().get_mut(id).map_or(Ok(()), |entry| entry.patches.take(now))
    }

    /// Its peer is gone, or is to go. Who asks first gets what it was.
    pub fn remove(&self, id: &SessionId) -> Option<Owned> {
        self.lock().remove(id).map(|entry| entry.owned)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SessionId, Entry>> {
        // Nothing panics under the lock; a map is whole between any two calls.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owned() -> Owned {
        Owned { room: "demo".parse().unwrap(), peer: PeerId::from_bits(7), ice: Vec::new() }
    }

    #[test]
    fn a_session_is_found_until_it_ends() {
        let table = SessionTable::default();
        let id = table.add(owned(), Duration::ZERO);
        let url = SessionId::from_url(id.path().strip_prefix("/session/").unwrap());
        assert_eq!(table.get(&url), Some(owned()));
        assert_eq!(table.remove(&url), Some(owned()));
        assert_eq!((table.get(&url), table.remove(&url)), (None, None));
    }

    #[test]
    fn ids_are_long_different_and_not_printed() {
        let (first, second) = (SessionId::random(), SessionId::random());
        assert_ne!(first, second);
        assert_eq!(first.0.len(), 32);
        assert!(!format!("{first:?}").contains(&first.0));
    }

    #[test]
    fn patches_are_limited() {
        let table = SessionTable::default();
        let id = table.add(owned(), Duration::ZERO);
        let passed = (0..100).filter(|_| table.take_patch(&id, Duration::ZERO).is_ok()).count();
        assert_eq!(passed, 50);
    }
}
