//! The ICE servers that clients are told of, TURN ones with credentials that expire.
//!
//! The credentials are those of coturn's `use-auth-secret` (draft-uberti-behave-turn-rest): the user name is the second
//! since the Unix epoch at which it expires, a colon and a random part; the password is the base64 of an HMAC-SHA1 of the
//! user name under the secret that both servers know.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use sha1::Sha1;
use warp::http::HeaderValue;

use crate::config::Ice;
use crate::protocol::IceServer;

/// The servers of the configuration, with fresh TURN credentials.
pub fn ice_servers(ice: &Ice, now: SystemTime) -> Vec<IceServer> {
    let mut servers = Vec::new();
    if !ice.stun.is_empty() {
        servers.push(IceServer { urls: ice.stun.clone(), username: None, credential: None });
    }
    if let (false, Some(secret)) = (ice.turn.is_empty(), &ice.turn_secret) {
        let expiry = now + Duration::from_secs(u64::from(ice.turn_ttl));
        let seconds = expiry.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let username = format!("{seconds}:{:016x}", rand::random::<u64>());
        let credential = credential(secret.reveal(), &username);
        servers.push(IceServer { urls: ice.turn.clone(), username: Some(username), credential: Some(credential) });
    }
    servers
}

/// One `Link` header for each URL (RFC 9725, section 4.6).
pub fn links(servers: &[IceServer]) -> Vec<HeaderValue> {
    let link = |server: &IceServer, url: &String| {
        let mut text = format!("<{url}>; rel=\"ice-server\"");
        if let (Some(username), Some(credential)) = (&server.username, &server.credential) {
            text += &format!("; username=\"{username}\"; credential=\"{credential}\"; credential-type=\"password\"");
        }
        // The configuration refuses URLs that cannot stand in a header.
        let mut value = HeaderValue::try_from(text).ok()?;
        value.set_sensitive(true);
        Some(value)
    };
    servers.iter().flat_map(|server| server.urls.iter().filter_map(move |url| link(server, url))).collect()
}

fn credential(secret: &str, username: &str) -> String {
    let mut mac = Hmac::<Sha1>::new_from_slice(secret.as_bytes()).expect("HMAC takes a key of any length");
    mac.update(username.as_bytes());
    STANDARD.encode(mac.finalize().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ice() -> Ice {
        Ice {
            stun: vec!["stun:stun.example.net".into()],
            turn: vec!["turn:turn.example.net?transport=udp".into(), "turns:turn.example.net".into()],
            turn_secret: Some("north".into()),
            turn_ttl: 600,
            ..Ice::default()
        }
    }

    #[test]
    fn the_credential_is_what_another_implementation_computes() {
        // printf 1893456000:5f0c2a | openssl dgst -sha1 -hmac north -binary | base64
        assert_eq!(credential("north", "1893456000:5f0c2a"), "JJIoE7OKg3pebfQBnVz6qpB630U=");
    }

    #[test]
    fn a_username_expires_and_is_never_the_same() {
        let now = UNIX_EPOCH + Duration::from_secs(1_000_000);
        let name = || ice_servers(&ice(), now)[1].username.clone().unwrap();
        let (first, second) = (name(), name());
        assert!(first.starts_with("1000600:"), "{first}");
        assert_ne!(first, second);
    }

    #[test]
    fn every_url_has_its_link() {
        let links = links(&ice_servers(&ice(), SystemTime::now()));
        let texts: Vec<_> = links.iter().map(|link| link.to_str().unwrap()).collect();
        assert_eq!(texts.len(), 3);
        assert_eq!(texts[0], "<stun:stun.example.net>; rel=\"ice-server\"");
        assert!(texts[1].starts_with("<turn:turn.example.net?transport=udp>; rel=\"ice-server\"; username=\""));
        assert!(texts[2].ends_with("; credential-type=\"password\""));
        assert!(links.iter().all(HeaderValue::is_sensitive));
    }

    #[test]
    fn without_servers_there_is_nothing_to_tell() {
        assert!(ice_servers(&Ice::default(), SystemTime::now()).is_empty());
    }
}
