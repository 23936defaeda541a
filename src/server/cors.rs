//! Cross-origin access (the Fetch standard) for the WHIP and WHEP resources, which players on other sites use. The rest of
//! the server stays same-origin: a foreign page must not be able to put somebody out of a room.

use warp::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, ALLOW, HeaderName,
    HeaderValue, ORIGIN,
};
use warp::http::{Method, StatusCode};
use warp::reply::Response;

use super::request::{Request, empty, first_segment};

/// RFC 5789 names it; the `http` crate does not.
pub const ACCEPT_PATCH: HeaderName = HeaderName::from_static("accept-patch");
/// The W3C's Linked Data Platform 1.0, section 7.1, as RFC 9725 wants it.
pub const ACCEPT_POST: HeaderName = HeaderName::from_static("accept-post");

/// `ETag` is what some clients send where RFC 9725 wants `If-Match`.
const ALLOWED_HEADERS: &str = "Authorization, Content-Type, ETag, If-Match, Link";
const EXPOSED_HEADERS: &str = "Accept-Patch, Accept-Post, Allow, ETag, Link, Location, Retry-After, WWW-Authenticate";
/// Seconds that a browser may remember a preflight's answer.
const MAX_AGE: &str = "86400";

/// Whether what is at this path is for pages of any site, even if it is nothing.
pub fn is_for_any_page(path: &str) -> bool {
    matches!(first_segment(path), "whip" | "whep" | "session")
}

/// Lets pages read the answer, where the path is for pages of any site.
pub fn expose(path: &str, mut response: Response) -> Response {
    if is_for_any_page(path) {
        let headers = response.headers_mut();
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED_HEADERS));
    }
    response
}

/// Whether a browser asks for leave, and no page yet.
pub fn is_preflight(request: &Request) -> bool {
    let has = |name| request.headers.contains_key(name);
    request.method == Method::OPTIONS && has(ORIGIN) && has(ACCESS_CONTROL_REQUEST_METHOD)
}

/// The answer to `OPTIONS`, preflight or not: what the resource takes, and no credentials of any kind.
pub fn options(allow: &'static str) -> Response {
    let mut response = empty(StatusCode::OK);
    let headers = response.headers_mut();
    headers.insert(ALLOW, HeaderValue::from_static(allow));
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(allow));
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(ALLOWED_HEADERS));
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(MAX_AGE));
    response
}
