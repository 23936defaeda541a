//! The line between one bot and the server, made as bad as a test wants: a proxy for the bot's WHIP that puts addresses of
//! its own in the place of both sides' candidates, and carries the datagrams between them.

use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tessera::bots::BotConfig;
use ureq::Agent;
use warp::Filter;
use warp::http::{Method, Request, Response};

use crate::program::PATIENCE;
use crate::server::Server;

/// What happens to datagrams.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Weather {
    /// The part that is lost, 0 to 1.
    pub loss: f64,
    /// The part that arrives behind the next one, 0 to 1.
    pub reordering: f64,
}

/// Everything is lost.
pub const BLACKOUT: Weather = Weather { loss: 1.0, reordering: 0.0 };

#[derive(Debug, Default)]
struct Shared {
    /// To the bot and to the server.
    weather: [Mutex<Weather>; 2],
    lost: AtomicU64,
    ended: Arc<AtomicBool>,
    call: Mutex<Option<Call>>,
}

/// Two sockets: the server takes the one for the bot, the bot takes the other for the server.
#[derive(Debug)]
struct Call {
    bot: SocketAddr,
    server: Option<SocketAddr>,
    /// Faces the server.
    as_bot: UdpSocket,
    /// Faces the bot.
    as_server: UdpSocket,
}

pub struct Line {
    address: SocketAddr,
    shared: Arc<Shared>,
    proxy: tokio::task::JoinHandle<()>,
}

impl Line {
    pub fn new(server: &Server) -> Self {
        let shared = Arc::<Shared>::default();
        let (upstream, through) = (server.program.address.clone(), Arc::clone(&shared));
        let query = warp::query::raw().or(warp::any().map(String::new)).unify();
        let content_type = warp::header::optional::<String>("content-type");
        let route = warp::method().and(warp::path::full()).and(query).and(content_type).and(warp::body::bytes());
        let route =
            route.then(move |method: Method, path: warp::path::FullPath, query: String, kind, body: bytes::Bytes| {
                let url = format!("http://{upstream}{}?{query}", path.as_str());
                let shared = Arc::clone(&through);
                async move {
                    let forward = move || shared.forward(method, url, kind, &body);
                    tokio::task::spawn_blocking(forward).await.unwrap()
                }
            });
        let listener = server.runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let proxy = server.runtime.spawn(warp::serve(route).incoming(listener).run());
        Self { address, shared, proxy }
    }

    /// The bot, joining over this line.
    pub fn carries(&self, bot: BotConfig) -> BotConfig {
        BotConfig { server: format!("http://{}", self.address).parse().unwrap(), ..bot }
    }

    /// Both ways from now on.
    pub fn set(&self, weather: Weather) {
        self.set_to_bot(weather);
        *self.shared.weather[1].lock().unwrap() = weather;
    }

    /// From the server to the bot from now on.
    pub fn set_to_bot(&self, weather: Weather) {
        *self.shared.weather[0].lock().unwrap() = weather;
    }

    /// Datagrams that were lost so far.
    pub fn lost(&self) -> u64 {
        self.shared.lost.load(Relaxed)
    }

    /// Sends this to the server as if the bot had sent it.
    pub fn inject(&self, datagram: &[u8]) {
        let call = self.shared.call.lock().unwrap();
        let call = call.as_ref().expect("the bot has joined");
        call.as_bot.send_to(datagram, call.server.expect("it was answered")).unwrap();
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.shared.ended.store(true, Relaxed);
        self.proxy.abort();
    }
}

impl Shared {
    fn forward(self: &Arc<Self>, method: Method, url: String, kind: Option<String>, body: &[u8]) -> Response<Vec<u8>> {
        let is_call = method == Method::POST;
        let body = if is_call { self.take_offer(str::from_utf8(body).unwrap()).into_bytes() } else { body.to_vec() };
        let config = Agent::config_builder().http_status_as_error(false).timeout_global(Some(PATIENCE)).build();
        let mut request = Request::builder().method(method).uri(url);
        if let Some(kind) = kind {
            request = request.header("content-type", kind);
        }
        let agent = Agent::from(config);
        let mut answer = if body.is_empty() {
            agent.run(request.body(()).unwrap()).unwrap()
        } else {
            agent.run(request.body(&body[..]).unwrap()).unwrap()
        };
        let mut body = answer.body_mut().read_to_vec().unwrap();
        if is_call && answer.status() == 201 {
            body = self.take_answer(str::from_utf8(&body).unwrap()).into_bytes();
        }
        let mut response = Response::builder().status(answer.status());
        for (name, value) in answer.headers() {
            if !matches!(name.as_str(), "content-length" | "connection" | "transfer-encoding") {
                response = response.header(name, value);
            }
        }
        response.body(body).unwrap()
    }

    fn take_offer(&self, offer: &str) -> String {
        let bot = endpoint(offer);
        let socket = || {
            let socket = UdpSocket::bind((bot.ip(), 0)).unwrap();
            socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
            socket
        };
        let (as_bot, as_server) = (socket(), socket());
        let rewritten = reroute(offer, bot, as_bot.local_addr().unwrap());
        *self.call.lock().unwrap() = Some(Call { bot, server: None, as_bot, as_server });
        rewritten
    }

    fn take_answer(self: &Arc<Self>, answer: &str) -> String {
        let mut call = self.call.lock().unwrap();
        let call = call.as_mut().unwrap();
        let server = *call.server.insert(endpoint(answer));
        let ways = [(&call.as_bot, &call.as_server, call.bot), (&call.as_server, &call.as_bot, server)];
        for (way, (from, to, target)) in ways.into_iter().enumerate() {
            let (from, to, shared) = (from.try_clone().unwrap(), to.try_clone().unwrap(), Arc::clone(self));
            std::thread::spawn(move || shared.carry(way, &from, &to, target));
        }
        reroute(answer, server, call.as_server.local_addr().unwrap())
    }

    fn carry(&self, way: usize, from: &UdpSocket, to: &UdpSocket, target: SocketAddr) {
        let mut buffer = [0; 2048];
        let mut held: Option<Vec<u8>> = None;
        while !self.ended.load(Relaxed) {
            let Ok((size, _)) = from.recv_from(&mut buffer) else {
                // Nothing for a while: what was held back has no next one to wait for.
                held.take().into_iter().for_each(|late| drop(to.send_to(&late, target)));
                continue;
            };
            let weather = *self.weather[way].lock().unwrap();
            if rand::random::<f64>() < weather.loss {
                self.lost.fetch_add(1, Relaxed);
            } else if held.is_none() && rand::random::<f64>() < weather.reordering {
                held = Some(buffer[..size].to_vec());
            } else {
                // An error means that the other side is gone.
                let _ = to.send_to(&buffer[..size], target);
                held.take().into_iter().for_each(|late| drop(to.send_to(&late, target)));
            }
        }
    }
}

/// Address and port of a candidate line, if it is a host's UDP over IPv4.
fn host(line: &str) -> Option<SocketAddr> {
    let fields: Vec<&str> = line.strip_prefix("a=candidate:")?.split(' ').collect();
    let is_host = fields.get(7) == Some(&"host") && fields.get(2)?.eq_ignore_ascii_case("udp");
    let address: std::net::Ipv4Addr = fields.get(4)?.parse().ok()?;
    is_host.then_some(SocketAddr::from((address, fields.get(5)?.parse().ok()?)))
}

/// The first candidate that the line can carry.
fn endpoint(sdp: &str) -> SocketAddr {
    sdp.lines().find_map(host).unwrap_or_else(|| panic!("a candidate in {sdp}"))
}

/// The same description, in which `from` is at `to`, and which has no other candidates.
fn reroute(sdp: &str, from: SocketAddr, to: SocketAddr) -> String {
    let (old, new) = (format!(" {} {} ", from.ip(), from.port()), format!(" {} {} ", to.ip(), to.port()));
    let lines = sdp.lines().filter(|line| !line.starts_with("a=candidate:") || host(line) == Some(from));
    lines
        .map(|line| if host(line).is_some() { line.replacen(&old, &new, 1) } else { line.to_owned() } + "\r\n")
        .collect()
}
