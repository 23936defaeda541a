//! Which host a request is for (RFC 9112, section 3.2): said once, well formed, and one of this server's names where
//! `server.origins` tells them.
//!
//! Any site can have a name of its own point at this server (DNS rebinding), and a browser then takes its pages for this
//! server's; only the `Host` shows it. Without `server.origins` the server cannot know its names, since proxies pass on
//! whatever name is theirs, and believes every `Host`; addresses and `localhost` are always right, for nobody else's name
//! leads to a `Host` like that.

use std::net::{Ipv4Addr, Ipv6Addr};

use url::Url;
use warp::http::header::{HOST, HeaderValue};
use warp::http::{Request, Version};

use super::problem::{Kind, Problem};

/// Refuses a request whose host is missing, ambiguous, malformed or another's. After this its `Host` is what counts, also
/// where the target was a whole URL.
pub fn settle<B>(request: &mut Request<B>, origins: &[String]) -> Result<(), Problem> {
    let mut given = request.headers().get_all(HOST).iter();
    let host = match (given.next(), given.next()) {
        (Some(_), Some(_)) => return Err(invalid("the request has more than one Host")),
        (Some(host), None) => Some(host.clone()),
        (None, _) if request.version() < Version::HTTP_11 => None,
        (None, _) => return Err(invalid("the request has no Host")),
    };
    if host.as_ref().is_some_and(|host| name(host).is_none()) {
        return Err(invalid("the request's Host is not a host, perhaps with a port"));
    }
    // RFC 9112, section 3.2.2: the authority of an absolute target takes the place of the Host.
    let target = request.uri().authority().map(|authority| HeaderValue::try_from(authority.as_str()));
    let host = match target {
        Some(target) => Some(target.map_err(|_| invalid("the target's host is no host"))?),
        None => host,
    };
    let Some(host) = host else { return Ok(()) };
    let name = name(&host).ok_or_else(|| invalid("the target's host is no host"))?;
    if !origins.is_empty() && !is_own(name, origins) {
        return Err(Problem::new(Kind::Misdirected, format!("server.origins does not name the host {name}")));
    }
    request.headers_mut().insert(HOST, host);
    Ok(())
}

/// The host in `uri-host [ ":" port ]` (RFC 9110, section 7.2); a URI of `http` always has one (section 4.2.1).
fn name(host: &HeaderValue) -> Option<&str> {
    let host = host.to_str().ok()?;
    let end = if host.starts_with('[') { host.find(']')? + 1 } else { host.find(':').unwrap_or(host.len()) };
    let (name, port) = host.split_at(end);
    let is_port = match port.strip_prefix(':') {
        Some(port) => port.bytes().all(|b| b.is_ascii_digit()) && (port.is_empty() || port.parse::<u16>().is_ok()),
        None => port.is_empty(),
    };
    let is_host = match name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => is_registered_name(name),
    };
    (is_host && is_port).then_some(name)
}

/// RFC 3986, section 3.2.2, and not empty.
fn is_registered_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    while let Some(byte) = bytes.next() {
        let mut escaped = || bytes.by_ref().take(2).filter(u8::is_ascii_hexdigit).count() == 2;
        let plain = byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=".contains(&byte);
        if !(plain || byte == b'%' && escaped()) {
            return false;
        }
    }
    !name.is_empty()
}

/// An address, this machine, or the host of one of the origins. The port is the proxy's business.
fn is_own(name: &str, origins: &[String]) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    let named = |origin: &String| {
        Url::parse(origin).is_ok_and(|url| url.host_str().is_some_and(|host| host.eq_ignore_ascii_case(name)))
    };
    name.starts_with('[')
        || name.parse::<Ipv4Addr>().is_ok()
        || name.eq_ignore_ascii_case("localhost")
        || origins.iter().any(named)
}

fn invalid(detail: &str) -> Problem {
    Problem::new(Kind::InvalidHost, detail)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const VALID: [&str; 12] = [
        "meet.example.org",
        "Meet.example.org:8080",
        "meet.example.org.",
        "meet.example.org:",
        "127.0.0.1:8080",
        "[::1]",
        "[2001:db8::7]:443",
        "[::ffff:192.0.2.1]:0",
        "under_score",
        "xn--mnchen-3ya.example:65535",
        "a%41",
        "!$&'()*+,;=~-",
    ];
    const INVALID: [&str; 25] = [
        "",
        ":",
        ":80",
        "a b",
        "a\tb",
        "a, b",
        "a/b",
        "a?b",
        "a#b",
        "a\\b",
        "me@meet.example.org",
        "http://meet.example.org",
        "a:b",
        "a:80:80",
        "a:65536",
        "a:-1",
        "a:+1",
        "::1",
        "[::1",
        "[::1]80",
        "[::1%25eth0]",
        "[]",
        "[meet.example.org]",
        "a%4",
        "a%zz",
    ];

    /// A request whose target is `uri`, with these `Host`s.
    fn request(version: Version, uri: &str, hosts: &[&[u8]]) -> Request<()> {
        let mut request = Request::builder().version(version).uri(uri).body(()).unwrap();
        for host in hosts {
            request.headers_mut().append(HOST, HeaderValue::from_bytes(host).unwrap());
        }
        request
    }

    /// What the request is refused as, or the `Host` that it has afterwards.
    fn settled(mut request: Request<()>, origins: &[&str]) -> Result<String, Kind> {
        let origins: Vec<String> = origins.iter().map(|origin| (*origin).to_owned()).collect();
        settle(&mut request, &origins).map_err(|problem| problem.kind())?;
        Ok(request.headers().get(HOST).map(|host| host.to_str().unwrap().to_owned()).unwrap_or_default())
    }

    #[test]
    fn a_host_is_said_once_and_well() {
        for version in [Version::HTTP_10, Version::HTTP_11] {
            for host in VALID {
                let answer = settled(request(version, "/", &[host.as_bytes()]), &[]);
                assert_eq!(answer, Ok(host.to_owned()), "{host:?} {version:?}");
            }
            for host in INVALID {
                let answer = settled(request(version, "/", &[host.as_bytes()]), &[]);
                assert_eq!(answer, Err(Kind::InvalidHost), "{host:?} {version:?}");
            }
            assert_eq!(settled(request(version, "/", &[b"m\xfcnchen.example"]), &[]), Err(Kind::InvalidHost));
            assert_eq!(settled(request(version, "/", &[b"a", b"a"]), &[]), Err(Kind::InvalidHost));
        }
        assert_eq!(settled(request(Version::HTTP_11, "/", &[]), &[]), Err(Kind::InvalidHost));
        assert_eq!(settled(request(Version::HTTP_10, "/", &[]), &[]), Ok(String::new()));
    }

    #[test]
    fn a_whole_url_says_the_host_itself() {
        let whole = |hosts: &[&[u8]]| settled(request(Version::HTTP_11, "http://meet.example.org:80/r/x", hosts), &[]);
        assert_eq!(whole(&[b"evil.example"]), Ok("meet.example.org:80".to_owned()));
        assert_eq!(whole(&[]), Err(Kind::InvalidHost), "it needs a Host all the same");
        assert_eq!(whole(&[b"a b"]), Err(Kind::InvalidHost));
        let named = request(Version::HTTP_11, "http://me@meet.example.org/", &[b"meet.example.org"]);
        assert_eq!(settled(named, &[]), Err(Kind::InvalidHost));
        let foreign = request(Version::HTTP_11, "http://evil.example/", &[b"meet.example.org"]);
        assert_eq!(settled(foreign, &["https://meet.example.org"]), Err(Kind::Misdirected));
    }

    #[test]
    fn origins_bound_the_names() {
        let origins = ["https://meet.example.org", "http://intern:8080"];
        let at = |host: &str| settled(request(Version::HTTP_11, "/", &[host.as_bytes()]), &origins);
        for own in
            ["meet.example.org", "MEET.example.org.:8443", "intern", "127.0.0.1:8080", "[::1]:8080", "localhost:80"]
        {
            assert_eq!(at(own), Ok(own.to_owned()));
        }
        for foreign in ["evil.example", "meet.example.org.evil.example", "xmeet.example.org", "127.0.0.1.evil.example"]
        {
            assert_eq!(at(foreign), Err(Kind::Misdirected), "{foreign}");
        }
        assert_eq!(settled(request(Version::HTTP_10, "/", &[]), &origins), Ok(String::new()));
    }

    proptest! {
        #[test]
        fn any_host_is_answered(host in "[ -~]{0,40}") {
            let answer = settled(request(Version::HTTP_11, "/", &[host.as_bytes()]), &[]);
            prop_assert!(answer.is_err() || answer == Ok(host));
        }
    }
}
