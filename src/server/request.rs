//! A request as the handlers get it: read with a bound and a deadline, its parts decoded.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use futures_util::stream::{BoxStream, Stream, StreamExt};
use percent_encoding::percent_decode_str;
use serde::de::DeserializeOwned;
use warp::http::header::{ALLOW, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue};
use warp::http::{HeaderMap, Method, StatusCode};
use warp::reply::Response;
use warp::{Filter, Rejection};

use super::problem::{Kind, Problem};
use crate::control::Wanted;
use crate::id::{PeerId, RoomId};
use crate::network::Network;

/// How long a body may take to arrive.
const BODY_DEADLINE: Duration = Duration::from_secs(10);
/// Longest name of a participant, in characters.
const MAX_NAME: usize = 64;
/// What somebody without a name is called.
const NO_NAME: &str = "Guest";

/// For whom a request asks; the listener puts it in.
#[derive(Clone, Copy, Debug)]
pub struct Caller(pub Network);

/// Everything about a request but its path.
pub struct Request {
    /// For whom it asks.
    pub from: Network,
    pub method: Method,
    pub headers: HeaderMap,
    query: String,
    body: BoxStream<'static, Result<Bytes, warp::Error>>,
}

/// Takes a request as it comes; methods and headers are the handlers' business, so that each refusal is a problem
/// document and not one of warp's rejections.
pub fn request() -> impl Filter<Extract = (Request,), Error = Rejection> + Clone {
    warp::method()
        .and(warp::header::headers_cloned())
        .and(query())
        .and(warp::ext::optional())
        .and(warp::body::stream())
        .map(|method, headers, query, caller: Option<Caller>, body| Request {
            // Only in tests nobody puts it in.
            from: caller.map_or_else(|| Network::of(IpAddr::V4(Ipv4Addr::UNSPECIFIED)), |Caller(from)| from),
            method,
            headers,
            query,
            body: whole_chunks(body),
        })
}

/// The query as it was sent; empty where there is none.
pub fn query() -> impl Filter<Extract = (String,), Error = Infallible> + Clone {
    warp::query::raw().or(warp::any().map(String::new)).unify()
}

fn whole_chunks<B: Buf>(
    body: impl Stream<Item = Result<B, warp::Error>> + Send + 'static,
) -> BoxStream<'static, Result<Bytes, warp::Error>> {
    body.map(|chunk| chunk.map(|mut chunk| chunk.copy_to_bytes(chunk.remaining()))).boxed()
}

impl Request {
    /// The whole body, if it has this media type (parameters and case do not matter) and at most `limit` bytes.
    pub async fn body(mut self, media_type: &str, limit: usize) -> Result<Bytes, Problem> {
        tokio::time::timeout(BODY_DEADLINE, self.read(media_type, limit)).await.unwrap_or_else(|_| {
            Err(Problem::new(Kind::BodyTimeout, format!("the body took more than {} s", BODY_DEADLINE.as_secs())))
        })
    }

    async fn read(&mut self, media_type: &str, limit: usize) -> Result<Bytes, Problem> {
        let given = self.headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
        let essence = given.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        if !essence.eq_ignore_ascii_case(media_type.as_bytes()) {
            return Err(Problem::new(Kind::UnsupportedMediaType, format!("the body has to be {media_type}")));
        }
        let too_large = || Problem::new(Kind::TooLarge, format!("at most {limit} bytes are accepted"));
        let announced = self.header(&CONTENT_LENGTH).and_then(|length| length.parse::<usize>().ok());
        if announced.is_some_and(|length| length > limit) {
            return Err(too_large());
        }
        let mut whole = BytesMut::new();
        while let Some(chunk) = self.body.next().await {
            let chunk = chunk.map_err(|_| Problem::new(Kind::MalformedBody, "the body broke off"))?;
            if whole.len() + chunk.len() > limit {
                return Err(too_large());
            }
            whole.extend_from_slice(&chunk);
        }
        Ok(whole.freeze())
    }

    /// A JSON body.
    pub async fn json<T: DeserializeOwned>(self, limit: usize) -> Result<T, Problem> {
        let body = self.body("application/json", limit).await?;
        serde_json::from_slice(&body).map_err(|error| Problem::new(Kind::MalformedBody, error.to_string()))
    }

    /// A header as text; one that is not visible ASCII counts as absent.
    pub fn header(&self, name: &HeaderName) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// A header that is a list, which may be spread over several lines (RFC 9110, section 5.3).
    pub fn list(&self, name: &HeaderName) -> Option<String> {
        let lines: Vec<&str> = self.headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect();
        (!lines.is_empty()).then(|| lines.join(","))
    }

    /// `?name=`, as others will see it.
    pub fn name(&self) -> String {
        clean_name(&self.parameter("name").unwrap_or_default())
    }

    /// `?rendition=`.
    pub fn rendition(&self) -> Wanted {
        self.parameter("rendition").filter(|name| !name.is_empty()).map(Wanted::from).unwrap_or_default()
    }

    fn parameter(&self, name: &str) -> Option<String> {
        parameter(&self.query, name)
    }

    /// What a resource answers to a method that it has no handler for: `OPTIONS` is told which there are.
    pub fn other_method(&self, allow: &'static str) -> Result<Response, Problem> {
        if self.method != Method::OPTIONS {
            return Err(Problem::method_not_allowed(&self.method, allow));
        }
        let mut response = empty(StatusCode::NO_CONTENT);
        response.headers_mut().insert(ALLOW, HeaderValue::from_static(allow));
        Ok(response)
    }
}

/// The first segment of a path. Compared as it was sent, as the routes do it: what is encoded needlessly is found by neither.
pub fn first_segment(path: &str) -> &str {
    path.split('/').nth(1).unwrap_or_default()
}

/// An answer without a body.
pub fn empty(status: StatusCode) -> Response {
    let mut response = Response::default();
    *response.status_mut() = status;
    response
}

/// One parameter of a query, percent-decoded; bytes that are no UTF-8 become U+FFFD.
pub fn parameter(query: &str, name: &str) -> Option<String> {
    url::form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

/// A room's name out of a path.
pub fn room(segment: &str) -> Result<RoomId, Problem> {
    let decoded = percent_decode_str(segment).decode_utf8_lossy();
    decoded.parse().map_err(|error: crate::id::InvalidRoomId| Problem::new(Kind::InvalidRoomName, error.to_string()))
}

/// A participant's or viewer's id out of a path.
pub fn peer(segment: &str) -> Result<PeerId, Problem> {
    segment.parse().map_err(|error: crate::id::InvalidPeerId| Problem::new(Kind::NoPeer, error.to_string()))
}

/// A name as everybody may see it: no control or direction characters, one line, bounded, never empty.
pub fn clean_name(raw: &str) -> String {
    // Bidirectional overrides would let one name garble the text around it.
    let hidden = |c: char| {
        c.is_control()
            // Noncharacters, which XML cannot hold, and separators of lines.
            || u32::from(c) & 0xfffe == 0xfffe
            || matches!(c, '\u{fdd0}'..='\u{fdef}' | '\u{2028}' | '\u{2029}' | '\u{61c}')
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
    };
    let visible: String = raw.chars().filter(|c| !hidden(*c)).collect();
    let name: String = visible.trim().chars().take(MAX_NAME).collect();
    let name = name.trim_end();
    if name.is_empty() { NO_NAME.to_owned() } else { name.to_owned() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_decoded_and_cleaned() {
        let name = |query: &str| clean_name(&parameter(query, "name").unwrap_or_default());
        assert_eq!(name("name=Ada+Lovelace&rendition=low"), "Ada Lovelace");
        assert_eq!(name("x=1&name=%C3%89mile%20%F0%9F%8E%A5"), "Émile 🎥");
        assert_eq!(name("name=%20%09a%00b%0A%20"), "ab");
        assert_eq!(name("name=%E2%80%AEabc"), "abc");
        assert_eq!(name("name=a%EF%BF%BEb%E2%80%A8c"), "abc");
        assert_eq!(name("name="), "Guest");
        assert_eq!(name("name=%20"), "Guest");
        assert_eq!(name(""), "Guest");
        assert_eq!(name("name=%ff"), "\u{fffd}");
        assert_eq!(clean_name(&"é".repeat(100)), "é".repeat(64));
    }

    #[test]
    fn rooms_in_paths_are_decoded_and_checked() {
        assert_eq!(room("%64emo").unwrap().as_str(), "demo");
        for bad in ["", "%2e%2e", "a%2Fb", "%ff", "a%00"] {
            assert_eq!(room(bad).unwrap_err().kind(), Kind::InvalidRoomName, "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn a_clean_name_is_short_visible_and_stays_as_it_is(raw in any::<String>()) {
            let name = clean_name(&raw);
            prop_assert!(!name.is_empty() && name.chars().count() <= MAX_NAME);
            prop_assert!(!name.chars().any(char::is_control));
            prop_assert_eq!(clean_name(&name), name);
        }
    }
}
