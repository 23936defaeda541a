//! The certificate that this end shows in DTLS: ECDSA on P-256, which RFC 8827 (section 6.5) asks everybody to take.
//!
//! GStreamer before 1.28 makes an RSA one of its own, which those refuse who know nothing but ECDSA, as server and as
//! client. It is told of another one as PEM text, certificate and private key in one property of the element that has the
//! handshake, and then writes a fingerprint into its SDP that is wrong: it takes the hash of both. So what goes out is
//! corrected here.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use gstreamer as gst;
use gstreamer::prelude::*;
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, PKCS_ECDSA_P256_SHA256, SerialNumber};

use super::sdp::{Fingerprint, HashAlgorithm};

/// The element inside of webrtcbin that holds the certificate.
const HOLDER: &str = "dtlsdec";

/// As libwebrtc names its own: it says nothing of anybody. Who is meant is for the fingerprint to say (RFC 8827, 5.5).
const NAME: &str = "WebRTC";

/// What the clocks of others may be behind.
const CLOCK_DIFFERENCE: Duration = Duration::from_secs(24 * 60 * 60);

/// Longer than any process lives, and the key with it; nearly nobody looks at it.
const VALIDITY: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    #[error("a DTLS certificate cannot be made")]
    Make(#[from] rcgen::Error),
    #[error("a DTLS certificate cannot be made: {0}")]
    Gstreamer(&'static str),
}

/// A certificate with its private key, which is kept nowhere but in memory, and not printed. A cheap handle.
#[derive(Clone)]
pub struct Certificate {
    shared: Arc<Shared>,
}

struct Shared {
    /// The certificate and, after it, the private key.
    pem: String,
    fingerprint: Fingerprint,
    /// GStreamer keeps what it made of a certificate, OpenSSL's context, for as long as any element has it; this one does.
    _holder: gst::Element,
}

/// The private key stays out of logs.
impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate").field("fingerprint", &self.shared.fingerprint.to_string()).finish_non_exhaustive()
    }
}

impl Certificate {
    /// Makes a key and a certificate for it, signed by itself; a matter of microseconds. But the first call of a process
    /// takes 0.1 to 0.5 s, by luck, and many times that on a machine that has more to do than it can: GStreamer before 1.28
    /// makes its own RSA key with the first element that could need one, and that element is made here, where nobody waits
    /// for it yet. GStreamer must be initialised. Any thread.
    pub fn make() -> Result<Self, CertificateError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let certificate = params(SystemTime::now(), rand::random()).self_signed(&key)?.pem();
        let fingerprint = Fingerprint::of(HashAlgorithm::Sha256, &certificate)
            .ok_or(CertificateError::Gstreamer("its text is no PEM"))?;
        let pem = certificate + &key.serialize_pem();
        let holder = gst::ElementFactory::make(HOLDER)
            .property("pem", &pem)
            .build()
            .map_err(|_| CertificateError::Gstreamer("there is no dtlsdec"))?;
        Ok(Self { shared: Arc::new(Shared { pem, fingerprint, _holder: holder }) })
    }

    /// Has `webrtc` show this certificate. Before it is given or asked for any description.
    pub(super) fn show(&self, webrtc: &gst::Element) {
        let Some(bin) = webrtc.downcast_ref::<gst::Bin>() else { return };
        let shared = self.shared.clone();
        bin.connect_deep_element_added(move |_, _, element| {
            if element.factory().is_some_and(|factory| factory.name() == HOLDER) {
                // Nothing of the handshake has begun: it is made before the transport that it is part of is started.
                element.set_property("pem", &shared.pem);
            }
        });
    }

    /// Webrtcbin's SDP with the fingerprint (RFC 8122) of this certificate in the place of what it wrote.
    pub(super) fn announce(&self, sdp: &str) -> String {
        let own = |line: &str| match line.strip_prefix("a=fingerprint:") {
            Some(_) => format!("a=fingerprint:{}\r\n", self.shared.fingerprint),
            None => format!("{line}\r\n"),
        };
        sdp.lines().map(own).collect()
    }
}

/// A certificate for the process that starts `now`.
fn params(now: SystemTime, serial: [u8; 16]) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, NAME);
    params.not_before = (now - CLOCK_DIFFERENCE).into();
    params.not_after = (now + VALIDITY).into();
    params.serial_number = Some(SerialNumber::from_slice(&positive(serial)));
    params
}

/// A serial number must be a positive integer, of 20 bytes at most (RFC 5280, section 4.1.2.2).
fn positive(mut serial: [u8; 16]) -> [u8; 16] {
    serial[0] = serial[0] & 0x7f | 0x40;
    serial
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    /// Object identifiers as DER writes them: prime256v1, which is P-256, and ecdsa-with-SHA256 (RFC 5480, RFC 5758).
    const P256: &[u8] = &[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
    const ECDSA_WITH_SHA256: &[u8] = &[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];

    fn made() -> Certificate {
        crate::media::init().unwrap();
        Certificate::make().unwrap()
    }

    #[test]
    fn its_key_is_on_p256_and_its_name_says_nothing() {
        let Certificate { shared } = made();
        let (_, body) = shared.pem.split_once("-----BEGIN CERTIFICATE-----").unwrap();
        let (body, _) = body.split_once("-----END CERTIFICATE-----").unwrap();
        let der = STANDARD.decode(body.split_ascii_whitespace().collect::<String>()).unwrap();
        let count = |wanted: &[u8]| der.windows(wanted.len()).filter(|bytes| *bytes == wanted).count();
        assert_eq!((count(P256), count(ECDSA_WITH_SHA256)), (1, 2));
        assert_eq!(count(NAME.as_bytes()), 2, "as issuer and as subject");
        assert!(der.len() < 400, "{} bytes: there is more in it", der.len());
    }

    #[test]
    fn no_two_are_alike_and_none_shows_its_key() {
        let (one, other) = (made(), made());
        assert_ne!(one.shared.fingerprint, other.shared.fingerprint);
        let (printed, fingerprint) = (format!("{one:?}"), one.shared.fingerprint.to_string());
        assert_eq!(printed, format!("Certificate {{ fingerprint: \"{fingerprint}\", .. }}"));
    }

    #[test]
    fn serial_numbers_are_positive_and_of_one_length() {
        for byte in [0x00, 0x7f, 0x80, 0xff] {
            assert!((0x40..0x80).contains(&positive([byte; 16])[0]), "{byte:#x}");
        }
    }

    #[test]
    fn its_own_fingerprint_is_announced_in_every_m_line() {
        let certificate = made();
        let wrong =
            "v=0\r\nm=audio 9 x 0\r\na=fingerprint:sha-256 00:11\r\nm=video 9 x 0\r\na=fingerprint:sha-1 22\r\n";
        let own = format!("a=fingerprint:{}\r\n", certificate.shared.fingerprint);
        let wanted = format!("v=0\r\nm=audio 9 x 0\r\n{own}m=video 9 x 0\r\n{own}");
        assert_eq!(certificate.announce(wrong), wanted);
    }
}
