//! ICE candidates (RFC 8839, section 5.1), of peers and of our own.

use std::fmt;
use std::net::IpAddr;

use super::text::number;

/// Longest candidate that is read, in bytes. Browsers write less than 200.
const MAX_BYTES: usize = 1024;

/// One `candidate` attribute. What is not in here (network ids, generations) is not passed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IceCandidate {
    pub foundation: String,
    /// 1 is RTP, and RTCP where it is multiplexed.
    pub component: u16,
    pub transport: Transport,
    pub priority: u32,
    pub address: Address,
    pub port: u16,
    pub kind: CandidateKind,
    /// Where a reflexive or relayed candidate was found from.
    pub related: Option<(Address, u16)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    Udp,
    Tcp(TcpType),
}

/// Who opens the connection (RFC 6544).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TcpType {
    Active,
    Passive,
    SimultaneousOpen,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CandidateKind {
    Host,
    ServerReflexive,
    PeerReflexive,
    Relay,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    Ip(IpAddr),
    /// A name under `.local` that hides a browser's address (RFC 8828). Looking it up would be multicast on our side.
    Mdns(String),
    Name(String),
}

/// A text that is not a candidate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the candidate is not one by RFC 8839: {0}")]
pub struct InvalidCandidate(&'static str);

impl IceCandidate {
    /// Reads `candidate:…`, with or without `a=` before it.
    pub fn parse(text: &str) -> Result<Self, InvalidCandidate> {
        if text.len() > MAX_BYTES {
            return Err(InvalidCandidate("it is too long"));
        }
        let text = text.trim();
        let text = text.strip_prefix("a=").unwrap_or(text);
        let text = text.strip_prefix("candidate:").ok_or(InvalidCandidate("it does not begin with candidate:"))?;
        let mut words = text.split(' ').filter(|word| !word.is_empty());
        let mut next = |missing: &'static str| words.next().ok_or(InvalidCandidate(missing));

        let foundation = next("the foundation is missing")?;
        if !is_ice_text(foundation, 1, 32) {
            return Err(InvalidCandidate("the foundation is wrong"));
        }
        let component = number(next("the component is missing")?).filter(|id| (1..=256).contains(id));
        let component = component.ok_or(InvalidCandidate("the component is wrong"))?;
        let transport = next("the transport is missing")?;
        let priority = number(next("the priority is missing")?).ok_or(InvalidCandidate("the priority is wrong"))?;
        let address = Address::parse(next("the address is missing")?)?;
        let port = number(next("the port is missing")?).ok_or(InvalidCandidate("the port is wrong"))?;
        if next("the type is missing")? != "typ" {
            return Err(InvalidCandidate("the type is missing"));
        }
        let kind = match next("the type is missing")? {
            "host" => CandidateKind::Host,
            "srflx" => CandidateKind::ServerReflexive,
            "prflx" => CandidateKind::PeerReflexive,
            "relay" => CandidateKind::Relay,
            _ => return Err(InvalidCandidate("the type is not known")),
        };

        let (mut related_address, mut related_port, mut tcp_type) = (None, None, None);
        while let Some(name) = words.next() {
            let value = words.next().ok_or(InvalidCandidate("an extension has no value"))?;
            match name {
                "raddr" => related_address = Address::parse(value).ok(),
                "rport" => related_port = number(value),
                "tcptype" => tcp_type = Some(value),
                _ => {}
            }
        }
        let transport = match (transport.to_ascii_lowercase().as_str(), tcp_type) {
            ("udp", _) => Transport::Udp,
            ("tcp", Some("active")) => Transport::Tcp(TcpType::Active),
            // RFC 6544 has no default; those who name none listen.
            ("tcp", Some("passive") | None) => Transport::Tcp(TcpType::Passive),
            ("tcp", Some("so")) => Transport::Tcp(TcpType::SimultaneousOpen),
            _ => return Err(InvalidCandidate("the transport is not known")),
        };
        let related = related_address.zip(related_port);
        Ok(Self { foundation: foundation.to_owned(), component, transport, priority, address, port, kind, related })
    }

    /// Whether webrtcbin may be given it: a literal unicast address that UDP packets can be sent to, for the one
    /// component there is under rtcp-mux. Names are left out since looking them up blocks, and crashes GStreamer 1.22.
    pub fn usable(&self) -> bool {
        self.component == 1
            && self.port != 0
            && self.transport == Transport::Udp
            && self.ip().is_some_and(|ip| {
                let broadcast = matches!(ip, IpAddr::V4(ip) if ip.is_broadcast());
                !ip.is_unspecified() && !ip.is_multicast() && !broadcast
            })
    }

    /// The address, where it is a literal one.
    pub fn ip(&self) -> Option<IpAddr> {
        match self.address {
            Address::Ip(ip) => Some(ip),
            Address::Mdns(_) | Address::Name(_) => None,
        }
    }
}

impl Address {
    fn parse(text: &str) -> Result<Self, InvalidCandidate> {
        if let Ok(ip) = text.parse() {
            return Ok(Self::Ip(ip));
        }
        let host = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
        if !(1..=253).contains(&text.len()) || !text.bytes().all(host) {
            return Err(InvalidCandidate("the address is wrong"));
        }
        let name = text.to_ascii_lowercase();
        let mdns = name.strip_suffix('.').unwrap_or(&name).ends_with(".local");
        Ok(if mdns { Self::Mdns(name) } else { Self::Name(name) })
    }
}

/// The canonical `candidate:…`, without `a=`.
impl fmt::Display for IceCandidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { foundation, component, transport, priority, address, port, kind, related } = self;
        let (protocol, tcp_type) = match transport {
            Transport::Udp => ("udp", None),
            Transport::Tcp(TcpType::Active) => ("tcp", Some("active")),
            Transport::Tcp(TcpType::Passive) => ("tcp", Some("passive")),
            Transport::Tcp(TcpType::SimultaneousOpen) => ("tcp", Some("so")),
        };
        let kind = match kind {
            CandidateKind::Host => "host",
            CandidateKind::ServerReflexive => "srflx",
            CandidateKind::PeerReflexive => "prflx",
            CandidateKind::Relay => "relay",
        };
        write!(f, "candidate:{foundation} {component} {protocol} {priority} {address} {port} typ {kind}")?;
        if let Some((address, port)) = related {
            write!(f, " raddr {address} rport {port}")?;
        }
        tcp_type.map_or(Ok(()), |tcp_type| write!(f, " tcptype {tcp_type}"))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(ip) => ip.fmt(f),
            Self::Mdns(name) | Self::Name(name) => f.write_str(name),
        }
    }
}

/// Between `min` and `max` of RFC 8839's ice-char, and of three characters more that some clients use and that can break
/// nothing.
pub(super) fn is_ice_text(text: &str, min: usize, max: usize) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'-' | b'_' | b'=');
    (min..=max).contains(&text.len()) && text.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn real_candidates_are_read_and_written_canonically() {
        for (text, canonical, usable) in [
            (
                "a=candidate:1082788288 1 UDP 2113942271 192.0.2.7 38824 typ host generation 0 ufrag x network-cost 999\r\n",
                "candidate:1082788288 1 udp 2113942271 192.0.2.7 38824 typ host",
                true,
            ),
            (
                "candidate:2 1 udp 1677729535 2001:DB8::1 4000 typ srflx raddr 0.0.0.0 rport 0 generation 0",
                "candidate:2 1 udp 1677729535 2001:db8::1 4000 typ srflx raddr 0.0.0.0 rport 0",
                true,
            ),
            (
                "candidate:3 1 UDP 1 198.51.100.2 4000 typ relay raddr host.local rport 9",
                "candidate:3 1 udp 1 198.51.100.2 4000 typ relay raddr host.local rport 9",
                true,
            ),
            (
                "candidate:4 1 udp 2113937151 8f3f033a-3b65.LOCAL 36551 typ host",
                "candidate:4 1 udp 2113937151 8f3f033a-3b65.local 36551 typ host",
                false,
            ),
            ("candidate:5 1 udp 1 turn.example 5 typ host", "candidate:5 1 udp 1 turn.example 5 typ host", false),
            (
                "candidate:6 1 TCP 1 192.0.2.7 9 typ host tcptype active",
                "candidate:6 1 tcp 1 192.0.2.7 9 typ host tcptype active",
                false,
            ),
            ("candidate:7 2 udp 1 192.0.2.7 5 typ host", "candidate:7 2 udp 1 192.0.2.7 5 typ host", false),
            ("candidate:8 1 udp 1 192.0.2.7 0 typ host", "candidate:8 1 udp 1 192.0.2.7 0 typ host", false),
            ("candidate:9 1 udp 1 224.0.0.251 5 typ host", "candidate:9 1 udp 1 224.0.0.251 5 typ host", false),
            ("candidate:9 1 udp 1 0.0.0.0 5 typ prflx", "candidate:9 1 udp 1 0.0.0.0 5 typ prflx", false),
        ] {
            let candidate = IceCandidate::parse(text).unwrap();
            assert_eq!(candidate.to_string(), canonical);
            assert_eq!(candidate.usable(), usable, "{text}");
            assert_eq!(IceCandidate::parse(canonical), Ok(candidate));
        }
    }

    #[test]
    fn what_is_no_candidate_is_refused() {
        let long = format!("candidate:1 1 udp 1 192.0.2.7 5 typ host x {}", "y".repeat(MAX_BYTES));
        for bad in [
            "",
            "candidate:",
            "1 1 udp 1 192.0.2.7 5 typ host",
            "candidate:1 1 udp 1 192.0.2.7 5",
            "candidate:1 1 udp 1 192.0.2.7 5 typ",
            "candidate:1 1 udp 1 192.0.2.7 5 typ other",
            "candidate:1 1 sctp 1 192.0.2.7 5 typ host",
            "candidate:1 1 udp 1 192.0.2.7 70000 typ host",
            "candidate:1 1 udp 4294967296 192.0.2.7 5 typ host",
            "candidate:1 0 udp 1 192.0.2.7 5 typ host",
            "candidate:1 -1 udp 1 192.0.2.7 5 typ host",
            "candidate:1 1 udp 1 fe80::1%eth0 5 typ host",
            "candidate:1\n 1 udp 1 192.0.2.7 5 typ host",
            "candidate:1 1 udp 1 192.0.2.7 5 typ host raddr",
            "candidate:1 1 tcp 1 192.0.2.7 5 typ host tcptype x",
            &long,
        ] {
            assert!(IceCandidate::parse(bad).is_err(), "{bad:?}");
        }
    }
}
