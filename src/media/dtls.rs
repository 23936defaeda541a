//! Which DTLS (RFC 6347) still may come once the handshake is over. Pure; times are running times.
//!
//! A connection carries no data but SRTP, so little may: the goodbye, and the end of the handshake once more where our own
//! end of it was lost. What else comes is forged, or asks for a new handshake, which webrtcbin does not do and complains of
//! in the log, for each record of it.

use std::time::Duration;

use crate::bucket::TokenBucket;

/// Bytes of a record's header, and the fewest of an encrypted one (8 of nonce, 16 of tag).
const HEADER: usize = 13;
const SHORTEST: usize = 8 + 16;

/// Content types (RFC 6347, section 4.1).
const CHANGE_CIPHER_SPEC: u8 = 20;
const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;

/// Datagrams of a handshake that may come at once, and a second. A flight is sent again after a second, then two, and so on
/// (section 4.2.4.1).
const REPEATS_BURST: f64 = 6.0;
const REPEATS_RATE: f64 = 0.2;

/// Whether this datagram is DTLS, by RFC 7983.
pub(super) fn is_dtls(datagram: &[u8]) -> bool {
    matches!(datagram.first(), Some(20..64))
}

/// What the records of a datagram are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Records {
    Goodbye,
    Handshake,
    /// The peer did not make them, or has no reason to.
    Useless,
}

/// Of a record of epoch 0, or one too short to be encrypted, the peer cannot be the author: anybody could have made it, and
/// OpenSSL answers some of them with a fatal alert, at which the real peer ends the call. A handshake that the peer repeats
/// because our end of it was lost is answered by its last record, which is of epoch 1.
fn records(mut datagram: &[u8]) -> Records {
    let mut found = Records::Goodbye;
    loop {
        let Some(header) = datagram.first_chunk::<HEADER>() else { return Records::Useless };
        let length = usize::from(u16::from_be_bytes([header[11], header[12]]));
        if header[3..5] == [0, 0] || length < SHORTEST {
            return Records::Useless;
        }
        match header[0] {
            ALERT => {}
            HANDSHAKE | CHANGE_CIPHER_SPEC => found = Records::Handshake,
            _ => return Records::Useless,
        }
        match datagram.get(HEADER + length..) {
            None => return Records::Useless,
            Some([]) => return found,
            Some(rest) => datagram = rest,
        }
    }
}

/// Lets the little through that still may come.
#[derive(Debug)]
pub(super) struct AfterHandshake {
    repeats: TokenBucket,
}

impl Default for AfterHandshake {
    fn default() -> Self {
        Self { repeats: TokenBucket::new(REPEATS_RATE, REPEATS_BURST, Duration::ZERO) }
    }
}

impl AfterHandshake {
    /// Whether this DTLS datagram is let through.
    pub(super) fn passes(&mut self, datagram: &[u8], now: Duration) -> bool {
        match records(datagram) {
            Records::Goodbye => true,
            Records::Handshake => self.repeats.take(now).is_ok(),
            Records::Useless => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(kind: u8, epoch: u8, length: u8) -> Vec<u8> {
        let mut record = vec![kind, 254, 253, 0, epoch, 0, 0, 0, 0, 0, 9, 0, length];
        record.extend(vec![0; length.into()]);
        record
    }

    #[test]
    fn a_goodbye_passes_and_what_anybody_could_have_made_does_not() {
        let mut after = AfterHandshake::default();
        let mut passes = |datagram: &[u8]| after.passes(datagram, Duration::ZERO);
        assert!(passes(&record(ALERT, 1, 26)));
        assert!(!passes(&record(ALERT, 0, 26)) && !passes(&record(ALERT, 1, 2)), "forged");
        assert!(!passes(&record(23, 1, 100)) && !passes(&record(24, 1, 100)), "of no use");
        assert!(!passes(&[record(ALERT, 1, 26), record(ALERT, 0, 26)].concat()), "forged behind a genuine one");
        for broken in [&[][..], &[21], &record(ALERT, 1, 26)[..30]] {
            assert!(!passes(broken), "{broken:?}");
        }
    }

    #[test]
    fn the_end_of_a_handshake_may_be_repeated_and_no_new_one_made() {
        let mut after = AfterHandshake::default();
        // Again and again after 1, 2, 4, 8 … s.
        for at in [1, 3, 7, 15, 31, 63, 123] {
            assert!(after.passes(&record(HANDSHAKE, 1, 40), Duration::from_secs(at)));
        }
        let flood = (0..10_000).filter(|n| after.passes(&record(HANDSHAKE, 1, 60), Duration::from_millis(123_000 + n)));
        assert!(flood.count() <= 6 + 2);
    }
}
