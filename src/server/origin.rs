//! Which pages may use this server. Browsers let any page open a WebSocket to any server that they reach, also to one that
//! only listens on their own machine, and ask for no leave; the server has to look at the `Origin` itself (RFC 6455,
//! section 10.2). Programs that are no browsers send none.
//!
//! WHIP and WHEP are for pages of any site, which RFC 9725 is made for: that a foreign page may publish through its
//! visitor's browser is the choice of who runs a server without a token. Whoever names `server.origins` makes another one,
//! and then the pages are bounded there, too.

use url::Url;
use warp::http::HeaderMap;
use warp::http::header::{HOST, HeaderValue, ORIGIN};
use warp::http::uri::Authority;

use super::problem::{Kind, Problem};

/// Refuses a request from a page that is neither this server's nor of one of `further` (`server.origins`).
pub fn check(headers: &HeaderMap, further: &[String]) -> Result<(), Problem> {
    let Some(origin) = headers.get(ORIGIN) else { return Ok(()) };
    // What is no URL (`null`, for a page that may not say where it is from) is a foreign page.
    let origin = text(origin).and_then(|origin| Url::parse(origin).ok());
    let own = |origin: &Url| headers.get(HOST).and_then(text).is_some_and(|host| is_at(origin, host));
    let named =
        |origin: &Url| further.iter().any(|url| Url::parse(url).is_ok_and(|url| url.origin() == origin.origin()));
    if origin.is_some_and(|origin| own(&origin) || named(&origin)) {
        return Ok(());
    }
    Err(Problem::new(Kind::ForeignOrigin, "the page is of another site, and server.origins does not name that"))
}

/// The same for WHIP and WHEP: any page, until origins are named.
pub fn check_if_named(headers: &HeaderMap, further: &[String]) -> Result<(), Problem> {
    if further.is_empty() { Ok(()) } else { check(headers, further) }
}

/// Whether a page of this origin came from the `Host`. The scheme is not the server's to know: a proxy may have taken the
/// TLS off.
fn is_at(origin: &Url, host: &str) -> bool {
    let Ok(host) = host.parse::<Authority>() else { return false };
    let default = if origin.scheme() == "https" { 443 } else { 80 };
    let same_name = origin.host_str().is_some_and(|name| name.eq_ignore_ascii_case(host.host()));
    same_name && origin.port_or_known_default().unwrap_or(default) == host.port_u16().unwrap_or(default)
}

fn text(value: &HeaderValue) -> Option<&str> {
    value.to_str().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(host: &str, origin: &str) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::try_from(host).unwrap());
        headers.insert(ORIGIN, HeaderValue::try_from(origin).unwrap());
        check(&headers, &["https://meet.example.org".to_owned(), "http://[::1]:3000".to_owned()]).is_ok()
    }

    #[test]
    fn a_page_is_of_its_host_and_port() {
        for (host, origin) in [
            ("127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("[::1]:8080", "http://[::1]:8080"),
            ("Tessera.example", "https://tessera.example"),
            ("tessera.example:443", "https://tessera.example"),
            ("tessera.example", "http://tessera.example:80"),
        ] {
            assert!(allowed(host, origin), "{origin} at {host}");
        }
        for (host, origin) in [
            ("127.0.0.1:8080", "http://127.0.0.1:8081"),
            ("127.0.0.1:8080", "http://localhost:8080"),
            ("127.0.0.1:8080", "https://127.0.0.1"),
            ("tessera.example", "http://tessera.example.evil.example"),
            ("tessera.example:80", "https://tessera.example"),
            ("127.0.0.1:8080", "null"),
            ("127.0.0.1:8080", ""),
            ("", "http://"),
        ] {
            assert!(!allowed(host, origin), "{origin} at {host}");
        }
    }

    #[test]
    fn further_origins_can_be_named() {
        assert!(allowed("127.0.0.1:8080", "https://MEET.example.org:443"));
        assert!(allowed("127.0.0.1:8080", "http://[::1]:3000"));
        assert!(!allowed("127.0.0.1:8080", "http://meet.example.org"));
    }

    #[test]
    fn without_names_any_page_may_publish_and_watch() {
        let page: HeaderMap = [(HOST, "127.0.0.1:8080"), (ORIGIN, "https://player.example")]
            .map(|(name, value)| (name, HeaderValue::from_static(value)))
            .into_iter()
            .collect();
        assert!(check_if_named(&page, &[]).is_ok());
        assert!(check_if_named(&page, &["https://player.example".to_owned()]).is_ok());
        assert!(check_if_named(&page, &["https://meet.example.org".to_owned()]).is_err());
    }

    #[test]
    fn who_is_no_page_may_come() {
        assert!(check(&HeaderMap::new(), &[]).is_ok());
    }
}
