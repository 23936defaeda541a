//! Certificate fingerprints (RFC 8122): what ties the DTLS handshake to the signalling.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha1::Digest;

use super::text::is_token;
use super::{SdpError, malformed, quote};

/// The hash functions of RFC 8122 that are good enough for a certificate, the weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum HashAlgorithm {
    Sha1,
    Sha224,
    Sha256,
    Sha384,
    Sha512,
}

impl HashAlgorithm {
    fn name(self) -> &'static str {
        match self {
            Self::Sha1 => "sha-1",
            Self::Sha224 => "sha-224",
            Self::Sha256 => "sha-256",
            Self::Sha384 => "sha-384",
            Self::Sha512 => "sha-512",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        [Self::Sha1, Self::Sha224, Self::Sha256, Self::Sha384, Self::Sha512]
            .into_iter()
            .find(|algorithm| algorithm.name().eq_ignore_ascii_case(name))
    }

    fn digest(self, data: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha1 => sha1::Sha1::digest(data).to_vec(),
            Self::Sha224 => sha2::Sha224::digest(data).to_vec(),
            Self::Sha256 => sha2::Sha256::digest(data).to_vec(),
            Self::Sha384 => sha2::Sha384::digest(data).to_vec(),
            Self::Sha512 => sha2::Sha512::digest(data).to_vec(),
        }
    }

    fn length(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha224 => 28,
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }
}

/// The hash of a certificate. Its text form is the value of `a=fingerprint`, with upper-case digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fingerprint {
    algorithm: HashAlgorithm,
    bytes: Vec<u8>,
}

impl Fingerprint {
    /// Reads the value of `a=fingerprint`. None for a hash function that is not known here: by RFC 8122 an offer may hold
    /// more than one fingerprint, for peers of other abilities.
    pub fn parse(value: &str) -> Result<Option<Self>, SdpError> {
        let Some((name, digits)) = value.trim_end().split_once(' ') else {
            return malformed("a=fingerprint has no hash");
        };
        if !is_token(name, 32) {
            return malformed("a=fingerprint names no hash function");
        }
        let Some(algorithm) = HashAlgorithm::from_name(name) else { return Ok(None) };
        let byte = |text: &str| {
            let hexadecimal = text.len() == 2 && text.bytes().all(|b| b.is_ascii_hexdigit());
            hexadecimal.then(|| u8::from_str_radix(text, 16).ok()).flatten()
        };
        // One more than the longest hash is enough to see that it is too long.
        let bytes: Option<Vec<u8>> = digits.trim_start().split(':').take(65).map(byte).collect();
        match bytes {
            Some(bytes) if bytes.len() == algorithm.length() => Ok(Some(Self { algorithm, bytes })),
            _ => malformed(format!("a=fingerprint holds no {} hash", quote(name))),
        }
    }

    /// The fingerprint of a certificate; None where the text holds no certificate.
    pub fn of(algorithm: HashAlgorithm, certificate_pem: &str) -> Option<Self> {
        Some(Self { algorithm, bytes: algorithm.digest(&der(certificate_pem)?) })
    }

    /// Whether it is the fingerprint of this certificate (PEM). False for what is no certificate.
    pub fn matches(&self, certificate_pem: &str) -> bool {
        Self::of(self.algorithm, certificate_pem).is_some_and(|fingerprint| fingerprint == *self)
    }

    pub fn algorithm(&self) -> HashAlgorithm {
        self.algorithm
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.algorithm.name())?;
        let mut separator = ' ';
        for byte in &self.bytes {
            write!(f, "{separator}{byte:02X}")?;
            separator = ':';
        }
        Ok(())
    }
}

/// The certificate that a PEM text (RFC 7468) holds first.
fn der(pem: &str) -> Option<Vec<u8>> {
    let (_, rest) = pem.split_once("-----BEGIN CERTIFICATE-----")?;
    let (body, _) = rest.split_once("-----END CERTIFICATE-----")?;
    let digits: String = body.split_ascii_whitespace().collect();
    STANDARD.decode(digits).ok().filter(|der| !der.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Not a certificate, but PEM: the hash is of whatever is inside.
    const PEM: &str = "-----BEGIN CERTIFICATE-----\nYW\nJj\n-----END CERTIFICATE-----\n";

    // The examples of FIPS 180 for the message "abc".
    const SHA1: &str = "SHA-1 a9:99:3e:36:47:06:81:6a:ba:3e:25:71:78:50:c2:6c:9c:d0:d8:9d";
    const SHA256: &str =
        "sha-256 BA:78:16:BF:8F:01:CF:EA:41:41:40:DE:5D:AE:22:23:B0:03:61:A3:96:17:7A:9C:B4:10:FF:61:F2:00:15:AD";

    #[test]
    fn a_certificate_matches_its_own_fingerprint_only() {
        for text in [SHA1, SHA256] {
            let fingerprint = Fingerprint::parse(text).unwrap().unwrap();
            assert!(fingerprint.matches(PEM), "{text}");
            assert!(!fingerprint.matches(&PEM.replace("Jj", "Jk")), "{text}");
            for bad in ["", "abc", "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----", &PEM.replace("END", "")] {
                assert!(!fingerprint.matches(bad), "{bad:?}");
            }
        }
    }

    #[test]
    fn every_algorithm_has_the_length_that_it_says() {
        for name in ["sha-1", "sha-224", "sha-256", "sha-384", "sha-512"] {
            let algorithm = HashAlgorithm::from_name(name).unwrap();
            let fingerprint = Fingerprint::of(algorithm, PEM).unwrap();
            assert_eq!(fingerprint.bytes.len(), algorithm.length(), "{name}");
            assert_eq!(Fingerprint::parse(&fingerprint.to_string()), Ok(Some(fingerprint)), "{name}");
        }
    }

    #[test]
    fn the_text_form_is_upper_case() {
        let fingerprint = Fingerprint::parse(SHA1).unwrap().unwrap();
        assert_eq!(fingerprint.to_string(), format!("sha-1 {}", SHA1[6..].to_uppercase()));
    }

    #[test]
    fn what_is_no_fingerprint_is_malformed_and_unknown_hashes_are_left_out() {
        for bad in ["", "sha-256", "sha-256 ", "sha-256 AB", "sha-1 zz", &SHA1[..60], &SHA1.replace("SHA-1", "sha-256")]
        {
            assert!(matches!(Fingerprint::parse(bad), Err(SdpError::Malformed(_))), "{bad:?}");
        }
        assert_eq!(Fingerprint::parse("md5 00:11"), Ok(None));
    }
}
