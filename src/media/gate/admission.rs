//! Which SSRCs get as far as SRTP: libsrtp and srtpdec keep a state for each that they see, genuine or not, and search
//! through all of them for each packet. Pure; times are running times.

use std::time::Duration;

/// SSRCs of a peer at once, those of its RTCP and retransmissions among them; four are normal, twelve with three layers.
const MOST: usize = 32;

/// One of which no genuine packet came makes room for another after this long, one that was genuine but fell silent after
/// the longer time.
const UNPROVED_FOR: Duration = Duration::from_secs(2);
const SILENT_FOR: Duration = Duration::from_secs(10);

#[derive(Debug)]
struct Known {
    ssrc: u32,
    /// When it came first; of a genuine one, when it was last heard.
    heard: Duration,
    genuine: bool,
}

/// The SSRCs that are known.
#[derive(Debug, Default)]
pub(super) struct Admission {
    known: Vec<Known>,
}

/// What to do with a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    Known,
    /// It is known from now on; the state of the other one is to be given back.
    New {
        instead_of: Option<u32>,
    },
    Refused,
}

impl Admission {
    /// A packet of `ssrc` came, not decrypted yet.
    pub(super) fn packet(&mut self, ssrc: u32, now: Duration) -> Entry {
        if self.known.iter().any(|known| known.ssrc == ssrc) {
            return Entry::Known;
        }
        let new = Known { ssrc, heard: now, genuine: false };
        if self.known.len() < MOST {
            self.known.push(new);
            return Entry::New { instead_of: None };
        }
        let over = |known: &&mut Known| {
            now.saturating_sub(known.heard) >= if known.genuine { SILENT_FOR } else { UNPROVED_FOR }
        };
        match self.known.iter_mut().filter(over).min_by_key(|known| (known.genuine, known.heard)) {
            Some(place) => Entry::New { instead_of: Some(std::mem::replace(place, new).ssrc) },
            None => Entry::Refused,
        }
    }

    /// A packet of `ssrc` was genuine.
    pub(super) fn prove(&mut self, ssrc: u32, now: Duration) {
        if let Some(known) = self.known.iter_mut().find(|known| known.ssrc == ssrc) {
            (known.genuine, known.heard) = (true, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn a_flood_of_sources_leaves_those_that_are_there_alone() {
        let mut admission = Admission::default();
        for ssrc in [1, 2] {
            assert_eq!(admission.packet(ssrc, ms(0)), Entry::New { instead_of: None });
            admission.prove(ssrc, ms(0));
        }
        let mut let_in = 0;
        for n in 0..100_000u64 {
            let entry = admission.packet(1_000 + u32::try_from(n).unwrap(), ms(n / 10));
            assert_ne!(entry, Entry::New { instead_of: Some(1) });
            let_in += u64::from(entry != Entry::Refused);
            assert_eq!(admission.packet(1, ms(n / 10)), Entry::Known);
            admission.prove(1, ms(n / 10));
            admission.prove(2, ms(n / 10));
            assert!(admission.known.len() <= MOST);
        }
        // 30 at once, and 30 more each two seconds of ten.
        assert_eq!(let_in, 30 * 5);
    }

    #[test]
    fn who_changes_its_source_all_day_is_always_let_in() {
        let mut admission = Admission::default();
        for n in 0..1_000u32 {
            let entry = admission.packet(n, ms(u64::from(n) * 2_000));
            assert!(matches!(entry, Entry::New { .. }), "{n}: {entry:?}");
            admission.prove(n, ms(u64::from(n) * 2_000));
        }
    }
}
