//! Bearer tokens (RFC 6750): the one place that decides who may ask at all, before a handler or the body is looked at.
//!
//! Open to everybody are only the pages with what they load, the probes of whoever runs the server, and `OPTIONS`: it says
//! which methods there are (and more to who has the token), and a preflight can bring no token. Whatever else comes to be needs the token by itself.

use std::net::SocketAddr;

use sha2::{Digest, Sha256};
use warp::Filter;
use warp::filters::BoxedFilter;
use warp::http::header::AUTHORIZATION;
use warp::http::{HeaderMap, Method};
use warp::path::FullPath;
use warp::reply::Response;

use super::problem::Problem;
use super::request::{first_segment, parameter, query};
use crate::config::Secret;

/// A SHA-256.
type Hash = [u8; 32];

/// RFC 6750, section 3: what a request without a token is told, and one with a wrong token.
const CHALLENGE: &str = "Bearer realm=\"tessera\"";
const CHALLENGE_INVALID: &str = "Bearer realm=\"tessera\", error=\"invalid_token\"";

/// Says so in the log if everybody who reaches the server may use it, and not only this machine does.
pub fn warn_if_open(address: SocketAddr, token: &Secret) {
    if token.is_empty() && !address.ip().to_canonical().is_loopback() {
        tracing::warn!(
            %address,
            "server.token is not set: whoever reaches this address may join, and put people out; and pages of any site may \
             through the browser of such a person, unless server.origins names the sites"
        );
    }
}

/// Answers the requests that must not go on, and passes over all others; without a token over all.
pub fn refusals(token: &Secret) -> BoxedFilter<(Response,)> {
    let expected = (!token.is_empty()).then(|| digest(token.reveal()));
    warp::method()
        .and(warp::path::full())
        .and(warp::header::headers_cloned())
        .and(query())
        .and_then(move |method: Method, path: FullPath, headers: HeaderMap, query: String| {
            let path = path.as_str();
            let refusal = expected.and_then(|expected| refusal(&expected, &method, path, &headers, &query));
            std::future::ready(refusal.map(Problem::into_response).ok_or_else(warp::reject::not_found))
        })
        .boxed()
}

/// Whether a request that is answered without a token, too, has brought it, or none is asked for.
pub fn is_entitled(token: &Secret, headers: &HeaderMap) -> bool {
    token.is_empty() || given("", headers, "").is_some_and(|given| digest(given) == digest(token.reveal()))
}

/// Why this request must not go on, if so. `expected` is the token's digest.
fn refusal(expected: &Hash, method: &Method, path: &str, headers: &HeaderMap, query: &str) -> Option<Problem> {
    let segment = first_segment(path);
    if *method == Method::OPTIONS || is_open(segment) {
        return None;
    }
    match given(segment, headers, query) {
        None => Some(Problem::unauthorized("this server asks for a bearer token", CHALLENGE)),
        // How long it takes to compare digests tells nothing of the token.
        Some(token) if digest(&token) == *expected => None,
        Some(_) => Some(Problem::unauthorized("this is not the server's token", CHALLENGE_INVALID)),
    }
}

fn is_open(segment: &str) -> bool {
    matches!(segment, "" | "r" | "watch" | "assets" | "healthz" | "readyz")
}

/// The token of a request. A browser can give a WebSocket no header, so there it may stand in the URL (section 2.3);
/// elsewhere URLs are kept and shown too often.
fn given(segment: &str, headers: &HeaderMap, query: &str) -> Option<Vec<u8>> {
    let Some(credentials) = headers.get(AUTHORIZATION) else {
        let in_url = (segment == "ws").then(|| parameter(query, "access_token")).flatten();
        return in_url.map(String::into_bytes);
    };
    // The scheme's case does not matter (RFC 9110, section 11.1).
    let (scheme, token) = credentials.as_bytes().split_at_checked("Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then(|| token.trim_ascii().to_vec())
}

fn digest(token: impl AsRef<[u8]>) -> Hash {
    Sha256::digest(token).into()
}

#[cfg(test)]
mod tests {
    use warp::http::HeaderValue;

    use super::*;

    fn refused(token: &str, method: Method, url: &str, authorization: Option<&str>) -> bool {
        let (path, query) = url.split_once('?').unwrap_or((url, ""));
        let value = authorization.map(|value| (AUTHORIZATION, HeaderValue::try_from(value).unwrap()));
        refusal(&digest(token), &method, path, &value.into_iter().collect(), query).is_some()
    }

    #[test]
    fn only_pages_and_probes_are_open() {
        for path in ["/", "/r/demo", "/watch/demo", "/assets/base.css", "/healthz", "/readyz"] {
            assert!(!refused("north", Method::GET, path, None), "{path}");
        }
        for path in
            ["/whip/demo", "/whep/demo", "/session/0", "/ws/demo", "/api/rooms", "/metrics", "/readyz2", "/%61pi"]
        {
            assert!(refused("north", Method::GET, path, None), "{path}");
            assert!(!refused("north", Method::OPTIONS, path, None), "{path}");
        }
    }

    #[test]
    fn a_token_is_right_as_a_whole_or_wrong() {
        for right in ["Bearer north", "bearer north", "BEARER  north "] {
            assert!(!refused("north", Method::GET, "/api/rooms", Some(right)), "{right}");
        }
        for wrong in ["", "north", "Bearer", "Bearer ", "Bearer nort", "Bearer northh", "Bearer NORTH", "Basic north"] {
            assert!(refused("north", Method::GET, "/api/rooms", Some(wrong)), "{wrong}");
        }
    }

    #[test]
    fn who_brings_the_token_unasked_is_entitled() {
        let entitled = |token: &str, given: Option<&str>| {
            let header = given.map(|given| (AUTHORIZATION, HeaderValue::try_from(given).unwrap()));
            is_entitled(&token.into(), &header.into_iter().collect())
        };
        assert!(entitled("north", Some("Bearer north")) && entitled("", None) && entitled("", Some("Bearer x")));
        assert!(!entitled("north", None) && !entitled("north", Some("Bearer south")));
    }

    #[test]
    fn only_a_websocket_has_its_token_in_the_url() {
        assert!(!refused("n+/=", Method::GET, "/ws/demo?name=Ada&access_token=n%2B%2F%3D", None));
        assert!(refused("n+/=", Method::GET, "/ws/demo?access_token=n", None));
        assert!(refused("n+/=", Method::GET, "/ws/demo?access_token=n%2B%2F%3D", Some("Bearer south")));
        assert!(refused("n+/=", Method::GET, "/api/rooms?access_token=n%2B%2F%3D", None));
    }
}
