//! The web client over HTTP: the three pages and what they load.

use std::sync::Arc;

use percent_encoding::percent_decode_str;
use warp::Filter;
use warp::filters::BoxedFilter;
use warp::http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, HeaderName, HeaderValue, IF_NONE_MATCH, VARY,
    X_CONTENT_TYPE_OPTIONS,
};
use warp::http::{Method, StatusCode};
use warp::reply::Response;

use super::assets::{Assets, File, Form, Lifetime};
use super::coding::Coding;
use super::observe;
use super::problem::{Kind, Problem};
use super::request::{Request, empty, request, room};

pub fn routes() -> BoxedFilter<(Response,)> {
    let assets = Arc::new(Assets::load());
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
    let path = lobby.or(join).unify().or(watch).unify().or(asset).unify();
    path.and(request())
        .map(move |path, request| page(&assets, path, &request).unwrap_or_else(Problem::into_response))
        .boxed()
}

fn page(assets: &Assets, path: Result<String, Problem>, request: &Request) -> Result<Response, Problem> {
    let path = path?;
    if !matches!(request.method, Method::GET | Method::HEAD) {
        return request.other_method("GET, HEAD, OPTIONS");
    }
    let found = assets.find(&path);
    let (file, lifetime) = found.ok_or_else(|| Problem::new(Kind::NotFound, "the web client has no such file"))?;
    let mut response = match file.form(request.list(&ACCEPT_ENCODING).as_deref()) {
        Some(form) => represent(file, form, lifetime, request.list(&IF_NONE_MATCH).as_deref()),
        None => Problem::new(Kind::NotAcceptable, "the file is there plain, or by gzip").into_response(),
    };
    response.headers_mut().insert(VARY, HeaderValue::from_static("Accept-Encoding"));
    Ok(response)
}

/// A file's form, unless its tag is among the `known` ones.
fn represent(file: &File, form: &Form, lifetime: Lifetime, known: Option<&str>) -> Response {
    let mut response = if known.is_some_and(|tags| matches_any(tags, &form.tag)) {
        empty(StatusCode::NOT_MODIFIED)
    } else {
        content(file, form)
    };
    let headers = response.headers_mut();
    headers.insert(ETAG, form.tag.clone());
    headers.insert(
        CACHE_CONTROL,
        HeaderValue::from_static(match lifetime {
            Lifetime::Forever => "public, max-age=31536000, immutable",
            // Browsers keep it but ask each time.
            Lifetime::Now => "no-cache",
        }),
    );
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(HeaderName::from_static("referrer-policy"), HeaderValue::from_static("no-referrer"));
    response
}

fn content(file: &File, form: &Form) -> Response {
    let mut response = Response::new(form.content.clone().into());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, file.media_type.clone());
    if form.coding == Coding::Gzip {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}

/// RFC 9110, section 13.1.2, weak comparison.
fn matches_any(tags: &str, own: &HeaderValue) -> bool {
    tags.split(',').map(str::trim).any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == own)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_content_is_recognised() {
        let own = HeaderValue::from_static("\"b\"");
        assert!(matches_any("\"a\", W/\"b\"", &own));
        assert!(matches_any("*", &own));
        assert!(!matches_any("\"a\"", &own));
    }
}
