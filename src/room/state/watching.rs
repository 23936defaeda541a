//! Who gets which rendition, and which encoders run for that.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{Effect, Member, RoomState};
use crate::control::{Codec, Wanted};
use crate::id::PeerId;
use crate::media::RenditionKey;

/// An encoder that nobody watches rests for this long before it is stopped: whoever comes back finds it running.
const REST: Duration = Duration::from_secs(3);

/// Nobody is looked after more often than this, whatever is left over from a division.
const SHORTEST_WAIT: Duration = Duration::from_millis(1);

impl RoomState {
    /// What a member should get.
    pub(super) fn wish(&self, member: &Member) -> Option<RenditionKey> {
        let codec = member.codec.filter(|_| member.connected && member.receives_video)?;
        let name = match &member.wanted {
            Wanted::Audio => return None,
            Wanted::Named(name) => name,
            Wanted::Auto => self.renditions.get(member.rung?.min(self.renditions.len().saturating_sub(1)))?,
        };
        Some(RenditionKey { codec, name: name.clone(), single_nal: member.single_nal && codec == Codec::H264 })
    }

    /// Whether somebody needs this rendition.
    pub(in crate::room) fn needs(&self, key: &RenditionKey) -> bool {
        self.effected.running.contains(key) && !self.effected.resting.contains_key(key)
    }

    /// Members get what they wish as far as their allowance goes; of wishes that have to wait, the newest counts. No
    /// video any more costs nobody anything and need not wait.
    pub(super) fn grant_wishes(&mut self, now: Duration) {
        let wishes: Vec<_> = self.members.iter().map(|(_, member)| self.wish(member)).collect();
        let mut due = None;
        for ((_, member), wish) in self.members.iter_mut().zip(wishes) {
            if wish == member.given {
                continue;
            }
            let granted = if wish.is_some() { member.switches.take(now) } else { Ok(()) };
            match granted {
                Ok(()) => member.given = wish,
                Err(wait) => {
                    let then = now + wait.max(SHORTEST_WAIT);
                    due = Some(due.map_or(then, |due: Duration| due.min(then)));
                }
            }
        }
        if let Some(due) = due {
            self.wait_until(due);
        }
    }

    pub(super) fn settle_renditions(&mut self, now: Duration, effects: &mut Vec<Effect>) {
        let desired: BTreeMap<PeerId, Option<RenditionKey>> = self
            .members
            .iter()
            .filter(|(_, member)| member.connected)
            .map(|(peer, member)| (*peer, member.given.clone()))
            .collect();
        // What is still sent until the keyframe of something else comes keeps its encoder, too.
        let current = self.members.iter().filter(|(peer, _)| desired.get(peer).is_some_and(Option::is_some));
        let current = current.filter_map(|(_, member)| member.current.clone());
        let needed: BTreeSet<RenditionKey> = desired.values().flatten().cloned().chain(current).collect();

        for key in &needed {
            if self.effected.running.insert(key.clone()) {
                effects.push(Effect::StartRendition(key.clone()));
            } else if self.effected.resting.remove(key).is_some() {
                effects.push(Effect::WakeRendition(key.clone()));
            }
        }
        for (peer, wish) in &desired {
            if self.effected.subscribed.get(peer) != Some(wish) {
                effects.push(Effect::Subscribe(*peer, wish.clone()));
            }
        }
        for (peer, member) in &mut self.members {
            let wish = desired.get(peer).cloned().flatten();
            let before = self.effected.subscribed.get(peer).cloned().flatten();
            // A wish that was given up before its keyframe came, and what was sent until the new one's did.
            for old in [before, member.current.clone()].into_iter().flatten() {
                let sent_meanwhile = wish.is_some() && member.current.as_ref() == Some(&old);
                if wish.as_ref() != Some(&old) && !sent_meanwhile {
                    effects.push(Effect::Unsubscribe(*peer, old));
                }
            }
            if wish.is_none() {
                member.current = None;
            }
        }
        self.effected.subscribed = desired;
        self.settle_rest(now, &needed, effects);
    }

    /// What nobody needs rests, and is stopped in the end.
    fn settle_rest(&mut self, now: Duration, needed: &BTreeSet<RenditionKey>, effects: &mut Vec<Effect>) {
        for key in self.effected.running.difference(needed).cloned().collect::<Vec<_>>() {
            let since = *self.effected.resting.entry(key.clone()).or_insert_with(|| {
                effects.push(Effect::RestRendition(key.clone()));
                now
            });
            if now.saturating_sub(since) >= REST {
                self.effected.resting.remove(&key);
                self.effected.running.remove(&key);
                effects.push(Effect::StopRendition(key));
            } else {
                self.wait_until(since + REST);
            }
        }
    }
}
