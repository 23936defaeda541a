//! Which of the machine's addresses media uses, where the configuration excludes some.
//!
//! libnice can only be told what to use, not what to leave out; it would gather the rest all the same and check from it.

use std::net::IpAddr;

use if_addrs::Interface;

/// Interfaces that lead to the machine's own containers and guests; libnice leaves them out, too.
const INTERNAL: [&str; 4] = ["veth", "docker", "virbr", "vnet"];

/// How many addresses of these interfaces libnice takes where it is told nothing: a socket each.
pub(super) fn taken(interfaces: &[Interface]) -> usize {
    interfaces.iter().filter(|interface| !interface.is_loopback() && !is_internal(interface)).count()
}

fn is_internal(interface: &Interface) -> bool {
    INTERNAL.iter().any(|name| interface.name.starts_with(name))
}

/// All addresses of these interfaces that can be told to peers, but for `excluded`.
pub(super) fn usable(interfaces: &[Interface], excluded: &[IpAddr]) -> Vec<IpAddr> {
    let usable = interfaces.iter().filter(|interface| {
        !interface.is_loopback()
            && !interface.is_link_local()
            && !is_internal(interface)
            && !excluded.contains(&interface.ip())
    });
    usable.map(Interface::ip).collect()
}

#[cfg(test)]
mod tests {
    use if_addrs::{IfAddr, IfOperStatus, Ifv4Addr, Ifv6Addr};

    use super::*;

    fn interface(name: &str, address: &str) -> Interface {
        let addr = match address.parse().unwrap() {
            IpAddr::V4(ip) => {
                IfAddr::V4(Ifv4Addr { ip, netmask: [255, 255, 255, 0].into(), prefixlen: 24, broadcast: None })
            }
            IpAddr::V6(ip) => IfAddr::V6(Ifv6Addr { ip, netmask: ip, prefixlen: 64, broadcast: None }),
        };
        Interface { name: name.to_owned(), addr, index: None, oper_status: IfOperStatus::Up, is_p2p: false }
    }

    #[test]
    fn what_is_excluded_internal_or_local_is_left_out() {
        let interfaces = [
            interface("lo", "127.0.0.1"),
            interface("eth0", "192.0.2.1"),
            interface("eth0", "2001:db8::1"),
            interface("eth0", "fe80::1"),
            interface("eth1", "198.51.100.1"),
            interface("docker0", "172.17.0.1"),
            interface("veth12ab", "172.18.0.1"),
        ];
        let excluded: Vec<IpAddr> = ["192.0.2.1", "203.0.113.1"].map(|address| address.parse().unwrap()).into();
        let left: Vec<String> = usable(&interfaces, &excluded).iter().map(ToString::to_string).collect();
        assert_eq!(left, ["2001:db8::1", "198.51.100.1"]);
        assert_eq!(taken(&interfaces), 4);
    }
}
