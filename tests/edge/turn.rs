//! Behind a firewall: the TURN credentials that the server hands out are good at a real coturn, and who has no other way
//! joins through it.

use std::io::{BufRead, BufReader};
use std::net::{IpAddr, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use tessera::bots::{Bot, BotConfig, BotError, Relay};

use crate::OFFER;
use crate::bystanders::{Bystanders, shows, tile_of};
use crate::eventually::eventually;
use crate::program::PATIENCE;
use crate::server::Server;
use crate::socket::Socket;

const SECRET: &str = "north-and-south";

/// coturn on a free port of this address. Ends with the test.
struct Coturn {
    child: Child,
    log: mpsc::Receiver<String>,
    url: String,
}

impl Coturn {
    fn start(address: IpAddr) -> Self {
        let port = UdpSocket::bind((address, 0)).unwrap().local_addr().unwrap().port();
        let mut child = Command::new("turnserver")
            .args(["-n", "--no-cli", "--no-tls", "--no-dtls", "--no-tcp", "--verbose", "--log-file=stdout"])
            .args(["--fingerprint", "--use-auth-secret", "--realm=edge.example", "--pidfile=", "--no-stdout-log"])
            .arg(format!("--static-auth-secret={SECRET}"))
            .args([format!("--listening-ip={address}"), format!("--listening-port={port}")])
            .arg(format!("--relay-ip={address}"))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("coturn is installed: scripts/install-deps.sh");
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // What nobody reads any more is dropped: coturn must not wait.
        let (tell, log) = mpsc::sync_channel(10_000);
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(|line| drop(tell.try_send(line))));
        Self { child, log, url: format!("turn:{address}:{port}?transport=udp") }
    }

    /// Waits for a line of the log in which all of these are.
    #[track_caller]
    fn says(&self, words: &[&str]) {
        let end = Instant::now() + PATIENCE;
        loop {
            let line = self.log.recv_timeout(end.saturating_duration_since(Instant::now()));
            let line = line.unwrap_or_else(|_| panic!("coturn says {words:?}"));
            if words.iter().all(|word| line.contains(word)) {
                return;
            }
        }
    }
}

impl Drop for Coturn {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The value of a parameter of a `Link` header.
fn parameter(link: &str, name: &str) -> String {
    let (_, rest) = link.split_once(&format!("{name}=\"")).unwrap_or_else(|| panic!("{name} in {link}"));
    rest.split_once('"').unwrap().0.to_owned()
}

fn from_whip(server: &Server) -> Relay {
    let answer = server.program.post_sdp("/whip/elsewhere", OFFER);
    let link = answer.header("link").expect("a Link to the TURN server");
    let url = link.trim_start_matches('<').split_once('>').unwrap().0.to_owned();
    Relay { url, username: parameter(link, "username"), credential: parameter(link, "credential") }
}

fn from_websocket(server: &Server) -> Relay {
    let (_, welcome) = server.runtime.block_on(Socket::open(server, "/ws/elsewhere"));
    let server = &welcome["iceServers"][0];
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    Relay {
        url: text(&server["urls"][0]),
        username: text(&server["username"]),
        credential: text(&server["credential"]),
    }
}

/// An address of this machine that is not loopback: coturn relays nothing to that.
fn address() -> IpAddr {
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    // Nothing is sent by this.
    socket.connect("198.51.100.1:9").unwrap();
    socket.local_addr().unwrap().ip()
}

#[test]
fn who_can_only_use_the_relay_joins_by_the_credentials_that_are_handed_out() {
    let coturn = Coturn::start(address());
    let server = Server::start(&[&format!("ice.turn=[\"{}\"]", coturn.url), &format!("ice.turn_secret={SECRET}")]);
    let mut bystanders = Bystanders::join(&server);
    let relayed = |index, relay: Relay| {
        let gathering = Duration::from_secs(3);
        server.try_join(BotConfig { relay: Some(relay), gathering, ..server.small_bot(index) })
    };

    for relay in [from_whip(&server), from_websocket(&server)] {
        assert_eq!(relay.url, coturn.url);
        let username = relay.username.clone();
        let bot: Bot = relayed(2, relay).expect("the bot joins through the relay");
        // It was let in by name, and its media is what the relay carries: the bot has no other candidates.
        coturn.says(&[&username, "ALLOCATE processed, success"]);
        coturn.says(&[&username, "CREATE_PERMISSION processed, success"]);
        server.room_of(3);
        eventually(PATIENCE, "it is seen", || bystanders.bot(0).last_frame().filter(|frame| shows(frame, &[0, 1, 2])));
        eventually(PATIENCE, "it sees", || {
            bot.last_frame().filter(|frame| shows(frame, &[0, 1, 2]) && tile_of(frame, 0, 3).timecode.is_some())
        });
        let others = [0, 1].map(tessera::probe::tone::frequency);
        eventually(PATIENCE, "it hears", || {
            let heard = bot.heard(Duration::from_millis(300)).samples;
            others.iter().all(|tone| tessera::probe::tone::level_db(&heard, *tone) > -24.0).then_some(())
        });
        server.leave(bot);
        server.room_where("it has left", |room| room.participants.len() == 2);
    }

    // The relay is what lets them in: without its leave there is no way.
    let mut forged = from_whip(&server);
    forged.credential = "AAAAAAAAAAAAAAAAAAAAAAAAAAA=".to_owned();
    let refused = relayed(2, forged);
    assert!(matches!(refused, Err(BotError::Call(_))), "{refused:?}");
    bystanders.are_undisturbed("relayed peers");
    drop(bystanders);
    server.end();
}
