//! str0m: WebRTC in Rust without sockets of its own, here in its RTP mode. Its DTLS knows nothing but ECDSA.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Instant;

use str0m::change::SdpAnswer;
use str0m::format::Codec;
use str0m::media::{Direction, MediaKind, Mid};
use str0m::net::{Protocol, Receive};
use str0m::rtp::RtpWrite;
use str0m::{Candidate, Event, Input, Output, Rtc};
use tessera_strangers::{Told, Wire, enough};

/// The length of an RTP header without anything optional (RFC 3550, section 5.1).
const HEADER: usize = 12;

enum Incoming {
    Network(Vec<u8>, SocketAddr),
    ToSend(MediaKind, Vec<u8>),
    Enough,
}

fn main() {
    let told = Told::read();
    str0m::crypto::from_feature_flags().install_process_default();
    let socket = Arc::new(UdpSocket::bind((own_address(), 0)).unwrap());
    let address = socket.local_addr().unwrap();
    let mut rtc = Rtc::builder().set_rtp_mode(true).build(Instant::now());
    rtc.add_local_candidate(Candidate::host(address, "udp").unwrap()).unwrap();

    let direction = match told.call.as_str() {
        "join" => Direction::SendRecv,
        "publish" => Direction::SendOnly,
        _ => Direction::RecvOnly,
    };
    let mut changes = rtc.sdp_api();
    let audio = changes.add_media(MediaKind::Audio, direction, None, None, None);
    let video = changes.add_media(MediaKind::Video, direction, None, None, None);
    let (offer, pending) = changes.apply().unwrap();
    let setup = "a=setup:actpass\r\n";
    let offer = offer.to_sdp_string().replace(setup, told.setup.as_deref().unwrap_or(setup));
    let mut response =
        ureq::post(&told.url).header("content-type", "application/sdp").send(offer).expect("the offer is taken");
    let location = response.headers()["location"].to_str().unwrap().to_owned();
    let answer = response.body_mut().read_to_string().unwrap();
    rtc.sdp_api().accept_answer(pending, SdpAnswer::from_sdp_string(&answer).unwrap()).unwrap();

    let (sender, incoming) = mpsc::channel();
    let (network, heard) = (sender.clone(), socket.clone());
    std::thread::spawn(move || {
        let mut datagram = [0; 2_000];
        while let Ok((length, source)) = heard.recv_from(&mut datagram) {
            let _ = network.send(Incoming::Network(datagram[..length].to_vec(), source));
        }
    });
    let wire = |port, kind| {
        let sender = sender.clone();
        Wire::new(port, move |packet| {
            let _ = sender.send(Incoming::ToSend(kind, packet.to_vec()));
        })
    };
    let (voice, picture) = (wire(told.audio, MediaKind::Audio), wire(told.video, MediaKind::Video));
    std::thread::spawn(move || {
        enough();
        let _ = sender.send(Incoming::Enough);
    });

    loop {
        let timeout = loop {
            match rtc.poll_output().unwrap() {
                Output::Timeout(at) => break at,
                Output::Transmit(datagram) => {
                    let _ = socket.send_to(&datagram.contents, datagram.destination);
                }
                Output::Event(Event::RtpPacket(packet)) if told.receives() => {
                    let header = &packet.header;
                    let mut bytes = Vec::with_capacity(HEADER + packet.payload.len());
                    bytes.extend([0x80, *header.payload_type | if header.marker { 0x80 } else { 0 }]);
                    bytes.extend(header.sequence_number.to_be_bytes());
                    bytes.extend(header.timestamp.to_be_bytes());
                    bytes.extend(header.ssrc.to_be_bytes());
                    bytes.extend(&packet.payload[..]);
                    let params = rtc.codec_config().find(|params| params.pt() == header.payload_type);
                    match params.map(|params| params.spec().codec) {
                        Some(Codec::Opus) => voice.give(&bytes),
                        Some(Codec::Vp8) => picture.give(&bytes),
                        other => panic!("{other:?} was not negotiated"),
                    }
                }
                Output::Event(_) => {}
            }
        };
        let input = match incoming.recv_timeout(timeout.saturating_duration_since(Instant::now())) {
            Ok(Incoming::Network(datagram, source)) => {
                let Ok(contents) = datagram.as_slice().try_into() else { continue };
                let receive = Receive { proto: Protocol::Udp, source, destination: address, contents };
                rtc.handle_input(Input::Receive(Instant::now(), receive))
            }
            Ok(Incoming::ToSend(kind, packet)) => {
                if told.sends() && rtc.is_connected() {
                    send(&mut rtc, if kind == MediaKind::Audio { audio } else { video }, kind, &packet);
                }
                rtc.handle_input(Input::Timeout(Instant::now()))
            }
            Ok(Incoming::Enough) => break,
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                rtc.handle_input(Input::Timeout(Instant::now()))
            }
        };
        input.unwrap();
    }
    let origin = told.url.split('/').take(3).collect::<Vec<_>>().join("/");
    ureq::delete(format!("{origin}{location}")).call().expect("the session ends");
}

/// Sends a packet of the test as one of this stream.
fn send(rtc: &mut Rtc, mid: Mid, kind: MediaKind, packet: &[u8]) {
    let Some((header, payload)) = packet.split_first_chunk::<HEADER>() else { return };
    let codec = if kind == MediaKind::Audio { Codec::Opus } else { Codec::Vp8 };
    // Numbered as in its own offer, which the answer repeats.
    let params = rtc.codec_config().params().iter().find(|params| params.spec().codec == codec);
    let pt = params.expect("the codec was negotiated").pt();
    let sequence = u64::from(u16::from_be_bytes([header[2], header[3]]));
    let time = u32::from_be_bytes([header[4], header[5], header[6], header[7]]);
    let rtp = RtpWrite::new(pt, sequence.into(), time, Instant::now(), payload)
        .marker(header[1] & 0x80 != 0)
        .nackable(kind == MediaKind::Video);
    let mut direct = rtc.direct_api();
    direct.stream_tx_by_mid(mid, None).expect("it sends").write_rtp(rtp);
}

/// The address that others reach this machine at.
fn own_address() -> IpAddr {
    let interfaces = if_addrs::get_if_addrs().unwrap();
    let address = interfaces.iter().map(if_addrs::Interface::ip).find(|ip| ip.is_ipv4() && !ip.is_loopback());
    address.expect("there is an address besides loopback")
}
