//! The web client, embedded in the binary: the three pages and what they load.

use percent_encoding::percent_decode_str;
use rust_embed::{EmbeddedFile, RustEmbed};
use warp::Filter;
use warp::filters::BoxedFilter;
use warp::http::header::{
    CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderName, HeaderValue, IF_NONE_MATCH, X_CONTENT_TYPE_OPTIONS,
};
use warp::http::{Method, StatusCode};
use warp::reply::Response;

use super::observe;
use super::problem::{Kind, Problem};
use super::request::{Request, empty, request, room};

#[derive(RustEmbed)]
#[folder = "assets/web"]
struct Assets;

pub fn routes() -> BoxedFilter<(Response,)> {
    let lobby = warp::path::end().map(|| Ok("index.html".to_owned()));
    let in_room = |segment: String, page: &str| {
        observe::room(&room(&segment)?);
        Ok(page.to_owned())
    };
    let join = warp::path!("r" / String).map(move |segment| in_room(segment, "room.html"));
    let watch = warp::path!("watch" / String).map(move |segment| in_room(segment, "watch.html"));
    let asset = warp::path("assets")
        .and(warp::path::tail())
        .map(|tail: warp::path::Tail| Ok(percent_decode_str(tail.as_str()).decode_utf8_lossy().into_owned()));
    let file = lobby.or(join).unify().or(watch).unify().or(asset).unify();
    file.and(request()).map(|path, request| page(path, &request).unwrap_or_else(Problem::into_response)).boxed()
}

fn page(path: Result<String, Problem>, request: &Request) -> Result<Response, Problem> {
    let path = path?;
    if !matches!(request.method, Method::GET | Method::HEAD) {
        return request.other_method("GET, HEAD, OPTIONS");
    }
    let file = Assets::get(&path).ok_or_else(|| Problem::new(Kind::NotFound, "the web client has no such file"))?;
    let tag = entity_tag(&file);
    let known = request.header(&IF_NONE_MATCH).is_some_and(|tags| matches_any(tags, &tag));
    let mut response = if known { empty(StatusCode::NOT_MODIFIED) } else { content(file) };
    let headers = response.headers_mut();
    headers.insert(ETAG, HeaderValue::try_from(tag).expect("hexadecimal digits in quotes are a header's value"));
    // Browsers keep the files but ask each time, so that page and scripts are of one version.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(HeaderName::from_static("referrer-policy"), HeaderValue::from_static("no-referrer"));
    Ok(response)
}

fn content(file: EmbeddedFile) -> Response {
    let mut media_type = file.metadata.mimetype().to_owned();
    if media_type.starts_with("text/") {
        media_type += "; charset=utf-8";
    }
    let mut response = Response::new(bytes::Bytes::from(file.data.into_owned()).into());
    if let Ok(media_type) = HeaderValue::try_from(media_type) {
        response.headers_mut().insert(CONTENT_TYPE, media_type);
    }
    response
}

/// A strong validator: the beginning of the content's SHA-256.
fn entity_tag(file: &EmbeddedFile) -> String {
    let hash: String = file.metadata.sha256_hash().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    format!("\"{hash}\"")
}

/// RFC 9110, section 13.1.2, weak comparison.
fn matches_any(tags: &str, own: &str) -> bool {
    tags.split(',').map(str::trim).any(|tag| tag == "*" || tag.trim_start_matches("W/") == own)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_content_is_recognised() {
        assert!(matches_any("\"a\", W/\"b\"", "\"b\""));
        assert!(matches_any("*", "\"b\""));
        assert!(!matches_any("\"a\"", "\"b\""));
    }
}
