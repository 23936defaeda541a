//! For whom a request asks. Behind a proxy all connections are the proxy's; who is behind it stands in a header, which
//! counts only where the proxy is known: anybody could write it.

use std::net::IpAddr;

use warp::http::HeaderMap;
use warp::http::header::{FORWARDED, HeaderName};

use crate::network::Subnet;

/// The most proxies a request may have come through, so that a header full of addresses costs nothing.
const MOST_HOPS: usize = 16;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The address of the client: that of the connection, or where that is a trusted proxy the last one that a trusted proxy
/// was asked by. `X-Forwarded-For` goes before `Forwarded` (RFC 7239): few proxies write that one, and the others hand on
/// what the client wrote there.
pub fn client(connection: IpAddr, headers: &HeaderMap, trusted: &[Subnet]) -> IpAddr {
    let is_trusted = |address: IpAddr| trusted.iter().any(|subnet| subnet.contains(address));
    if !is_trusted(connection) {
        return connection;
    }
    let all = |name| headers.get_all(name).iter().map(|value| value.to_str().unwrap_or_default());
    let hops: Vec<Option<IpAddr>> = if headers.contains_key(&X_FORWARDED_FOR) {
        all(X_FORWARDED_FOR).flat_map(|list| list.split(',')).map(|hop| node(hop.trim())).collect()
    } else {
        all(FORWARDED).flat_map(|list| list.split(',')).map(forwarded_for).collect()
    };
    let mut client = connection;
    for hop in hops.into_iter().rev().take(MOST_HOPS) {
        // An address that cannot be read is of somebody behind the last that could.
        let Some(hop) = hop else { return client };
        client = hop;
        if !is_trusted(hop) {
            break;
        }
    }
    client
}

/// The node of one element of `Forwarded` (RFC 7239, section 4).
fn forwarded_for(element: &str) -> Option<IpAddr> {
    let pairs = element.split(';').filter_map(|pair| pair.split_once('='));
    let value =
        pairs.map(|(name, value)| (name.trim(), value.trim())).find(|(name, _)| name.eq_ignore_ascii_case("for"));
    node(value?.1.trim_matches('"'))
}

/// An address, with or without a port, IPv6 in brackets or not.
fn node(text: &str) -> Option<IpAddr> {
    let bracketed = text.strip_prefix('[').and_then(|rest| rest.split_once(']')).map(|(address, _)| address);
    let without_port = || text.split_once(':').filter(|(_, rest)| !rest.contains(':')).map(|(address, _)| address);
    bracketed.or_else(without_port).unwrap_or(text).parse().ok()
}

#[cfg(test)]
mod tests {
    use warp::http::header::HeaderValue;

    use super::*;

    fn asked(connection: &str, headers: &[(&str, &str)]) -> String {
        let trusted: Vec<Subnet> = ["127.0.0.1", "::1", "10.0.0.0/8"].map(|text| text.parse().unwrap()).into();
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(HeaderName::try_from(*name).unwrap(), HeaderValue::try_from(*value).unwrap());
        }
        client(connection.parse().unwrap(), &map, &trusted).to_string()
    }

    #[test]
    fn only_a_trusted_proxy_says_for_whom_it_asks() {
        let forged = [("x-forwarded-for", "192.0.2.9"), ("forwarded", "for=192.0.2.8")];
        assert_eq!(asked("203.0.113.1", &forged), "203.0.113.1");
        assert_eq!(asked("127.0.0.1", &forged), "192.0.2.9");
        assert_eq!(asked("127.0.0.1", &forged[1..]), "192.0.2.8");
        assert_eq!(asked("127.0.0.1", &[]), "127.0.0.1");
    }

    #[test]
    fn what_the_client_wrote_before_the_proxy_does_not_count() {
        assert_eq!(asked("127.0.0.1", &[("x-forwarded-for", "198.51.100.1, 192.0.2.9")]), "192.0.2.9");
        assert_eq!(asked("127.0.0.1", &[("x-forwarded-for", "198.51.100.1, 192.0.2.9, 10.1.2.3")]), "192.0.2.9");
        let two = [("x-forwarded-for", "198.51.100.1"), ("x-forwarded-for", "192.0.2.9")];
        assert_eq!(asked("127.0.0.1", &two), "192.0.2.9");
        assert_eq!(asked("127.0.0.1", &[("x-forwarded-for", "10.0.0.1, 10.0.0.2")]), "10.0.0.1");
    }

    #[test]
    fn every_way_to_write_an_address_is_read() {
        for (element, address) in [
            ("for=192.0.2.43", "192.0.2.43"),
            ("For=\"[2001:db8:cafe::17]:4711\"", "2001:db8:cafe::17"),
            ("for=\"192.0.2.43:47011\";proto=http;by=203.0.113.43", "192.0.2.43"),
            ("by=203.0.113.43; for=192.0.2.43", "192.0.2.43"),
            ("for=198.51.100.1, for=unknown", "127.0.0.1"),
            ("for=_hidden", "127.0.0.1"),
            ("proto=https", "127.0.0.1"),
        ] {
            assert_eq!(asked("127.0.0.1", &[("forwarded", element)]), address, "{element}");
        }
        for (hop, address) in [("2001:db8::1", "2001:db8::1"), ("192.0.2.1:99", "192.0.2.1"), ("", "::1"), ("x", "::1")]
        {
            assert_eq!(asked("::1", &[("x-forwarded-for", hop)]), address, "{hop}");
        }
        let many = vec!["10.0.0.1"; 10_000].join(",");
        assert_eq!(asked("::1", &[("x-forwarded-for", &many)]), "10.0.0.1");
    }
}
