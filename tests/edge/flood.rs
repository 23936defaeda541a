//! Garbage on the ports of the media: from strangers' sockets, and from the very address that a peer negotiated.

use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use crate::bystanders::{Bystanders, shows};
use crate::eventually::eventually;
use crate::line::Line;
use crate::program::PATIENCE;
use crate::server::Server;

/// How long, and how fast: a datagram each time, over all kinds.
const FLOOD: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_micros(500);

/// A datagram that begins like something that is known on this port (RFC 7983), and is not that.
fn garbage(number: usize) -> Vec<u8> {
    let length = [0, 1, 3, 11, 12, 13, 20, 40, 200, 1_200][number % 10];
    let mut datagram: Vec<u8> = (0..length.max(20)).map(|_| rand::random()).collect();
    let start: &[u8] = match number / 10 % 10 {
        // STUN: a binding request with a length that is not there, a success response, an indication.
        0 => &[0x00, 0x01, 0x00, 0x64, 0x21, 0x12, 0xa4, 0x42],
        1 => &[0x01, 0x01, 0x00, 0x00, 0x21, 0x12, 0xa4, 0x42],
        2 => &[0x00, 0x11, 0xff, 0xff, 0x21, 0x12, 0xa4, 0x42],
        // DTLS: handshake, alert (fatal, close), application data; the length says more or less than there is.
        3 => &[22, 254, 253, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, 0xff, 1],
        4 => &[21, 254, 253, 0, 0, 0, 0, 0, 0, 0, 2, 0, 2, 2, 0],
        5 => &[23, 254, 253, 0, 1, 0, 0, 0, 0, 0, 9, 0, 3],
        // RTP of the payload types that were negotiated, with CSRCs and an extension that are not there.
        6 => &[0x9f, 0xe0, 0, 1],
        7 => &[0x80, 0x6f, 0, 1],
        // RTCP: a BYE for everybody, transport-wide feedback.
        8 => &[0x9f, 203, 0, 2],
        _ => &[0x8f, 205, 0xff, 0xff],
    };
    datagram[..start.len()].copy_from_slice(start);
    datagram.truncate(length);
    datagram
}

/// Sends garbage by `send` for a while.
fn flood(mut send: impl FnMut(&[u8])) -> usize {
    let start = Instant::now();
    let mut number = 0;
    while start.elapsed() < FLOOD {
        send(&garbage(number));
        number += 1;
        std::thread::park_timeout(PAUSE);
    }
    number
}

#[test]
fn garbage_from_strangers_and_from_a_peer_s_own_address_disturbs_nobody() {
    let server = Server::start(&[]);
    let mut bystanders = Bystanders::join(&server);
    let line = Line::new(&server);
    let bot = server.join(line.carries(server.small_bot(2)));
    server.room_of(3);
    let all = |bystanders: &Bystanders| {
        let see = |index: usize| bystanders.bot(index).last_frame().is_some_and(|frame| shows(&frame, &[0, 1, 2]));
        eventually(PATIENCE, "all three are seen", || (see(0) && see(1)).then_some(()));
    };
    all(&bystanders);

    let ports: Vec<SocketAddr> =
        server.process().udp_sockets().into_iter().filter(|address| !address.ip().is_loopback()).collect();
    assert!(ports.len() >= 3, "a port for each peer: {ports:?}");
    let strangers: Vec<UdpSocket> = (0..4).map(|_| UdpSocket::bind((ports[0].ip(), 0)).unwrap()).collect();
    let mut next = 0;
    let sent = flood(|datagram| {
        next += 1;
        // A full buffer is the flooder's own trouble.
        let _ = strangers[next % strangers.len()].send_to(datagram, ports[next % ports.len()]);
    });
    bystanders.are_undisturbed(&format!("{sent} datagrams of strangers"));
    all(&bystanders);

    let sent = flood(|datagram| line.inject(datagram));
    bystanders.are_undisturbed(&format!("{sent} datagrams of a peer's own address"));
    // What is not authentic does not end the peer in whose name it comes, either.
    all(&bystanders);
    server.room_of(3);
    assert!(!bot.ended());
    drop((bot, bystanders));
    server.end();
}
