//! The settings of the media's network: ports, addresses, and the address that clients are told.

use std::net::{IpAddr, SocketAddr};

use crate::OFFER;
use crate::server::Server;

/// Address and port of each candidate in an answer.
fn candidates(answer: &str) -> Vec<SocketAddr> {
    let candidate = |line: &str| {
        let fields: Vec<&str> = line.strip_prefix("a=candidate:")?.split(' ').collect();
        let address: IpAddr = fields.get(4)?.parse().expect("a literal address");
        Some(SocketAddr::new(address, fields.get(5)?.parse().unwrap()))
    };
    answer.lines().filter_map(candidate).collect()
}

/// The addresses that a server uses by itself.
fn own_addresses() -> Vec<IpAddr> {
    let server = Server::start(&[]);
    let answer = server.program.post_sdp("/whip/studio", OFFER);
    assert_eq!(answer.status, 201, "{answer:?}");
    let mut found: Vec<IpAddr> = candidates(answer.text()).iter().map(SocketAddr::ip).collect();
    found.sort();
    found.dedup();
    assert!(!found.is_empty(), "{}", answer.text());
    server.end();
    found
}

#[test]
fn media_stays_on_the_configured_ports_and_who_finds_none_is_refused() {
    let server = Server::start(&["ice.port_min=42000", "ice.port_max=42001"]);
    let mut answers: Vec<_> = (0..3).map(|_| server.program.post_sdp("/whip/studio", OFFER)).collect();
    let refused = answers.pop().unwrap();
    for answer in &answers {
        assert_eq!(answer.status, 201, "{answer:?}");
        let told = candidates(answer.text());
        assert!(!told.is_empty() && told.iter().all(|at| (42_000..=42_001).contains(&at.port())), "{told:?}");
    }
    refused.is_problem(503, "full");
    assert!(refused.text().contains("UDP port"), "it says what is lacking: {}", refused.text());
    // The next one gets the port of who leaves.
    let session = answers[0].header("location").unwrap();
    assert_eq!(server.program.ask("DELETE", session, &[], b"").status, 200);
    let again = crate::eventually::eventually(crate::program::PATIENCE, "a port is free", || {
        Some(server.program.post_sdp("/whip/studio", OFFER)).filter(|answer| answer.status == 201)
    });
    assert!(!candidates(again.text()).is_empty());
    for session in [&answers[1], &again].map(|answer| answer.header("location").unwrap()) {
        assert_eq!(server.program.ask("DELETE", session, &[], b"").status, 200);
    }
    server.is_empty_again();
}

#[test]
fn only_the_configured_addresses_are_used_and_the_excluded_ones_are_not() {
    let own = own_addresses();
    let only = Server::start(&[&format!("ice.addresses=[\"{}\"]", own[0])]);
    let answer = only.program.post_sdp("/whip/studio", OFFER);
    assert!(!candidates(answer.text()).is_empty());
    assert!(candidates(answer.text()).iter().all(|candidate| candidate.ip() == own[0]), "{}", answer.text());
    only.end();

    let without = Server::start(&[&format!("ice.exclude_addresses=[\"{}\"]", own[0])]);
    let answer = without.program.post_sdp("/whip/studio", OFFER);
    if own.len() == 1 {
        // There is no other: a call that cannot come about is not answered as if it could.
        answer.is_problem(503, "full");
    } else {
        assert!(!candidates(answer.text()).is_empty());
        assert!(candidates(answer.text()).iter().all(|candidate| candidate.ip() != own[0]), "{}", answer.text());
    }
    without.end();
}

#[test]
fn clients_are_told_the_public_address_and_connect_all_the_same() {
    let public: IpAddr = "192.0.2.77".parse().unwrap();
    let server = Server::start(&[&format!("ice.public_address={public}")]);
    let answer = server.program.post_sdp("/whip/other", OFFER);
    let told = candidates(answer.text());
    assert!(!told.is_empty() && told.iter().all(|candidate| candidate.ip() == public), "{}", answer.text());
    // Nothing forwards that address here. The server's own checks reach the bot, which answers where they came from.
    let bots: Vec<_> = (0..2).map(|index| server.join(server.small_bot(index))).collect();
    server.room_of(2);
    drop(bots);
    server.end();
}
