//! `/metrics`, `/healthz` and `/readyz`. What happens in the server is counted as it happens; what is in the rooms is asked
//! of them at each scrape.

use std::sync::Arc;

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;
use warp::Filter;
use warp::filters::BoxedFilter;
use warp::http::Method;
use warp::reply::Response;

use super::api::{all_rooms, fresh};
use super::app::{App, unexpected, with};
use super::limit::Asked;
use super::problem::{Kind, Problem};
use super::request::{Request, request};
use crate::budget::Amount;
use crate::control::{Command, Refusal, Reply, RoomView};

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// By which door a peer came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entrance {
    Whip,
    Whep,
    Websocket,
}

impl Entrance {
    fn label(self) -> &'static str {
        match self {
            Self::Whip => "whip",
            Self::Whep => "whep",
            Self::Websocket => "websocket",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct JoinLabels {
    kind: &'static str,
    /// `ok` or the name of the problem.
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StatusLabels {
    status: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RoomLabels {
    room: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RenditionLabels {
    room: String,
    rendition: String,
    codec: String,
}

/// What is counted in the server; clones count together.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    requests: Family<StatusLabels, Counter>,
    joins: Family<JoinLabels, Counter>,
    sockets: Gauge,
    slow_sockets: Counter,
    refused_connections: Counter,
    ended_connections: Counter,
}

impl Metrics {
    pub fn request(&self, status: u16) {
        self.requests.get_or_create(&StatusLabels { status: u32::from(status) }).inc();
    }

    pub fn join(&self, kind: Entrance, result: &'static str) {
        self.joins.get_or_create(&JoinLabels { kind: kind.label(), result }).inc();
    }

    pub fn socket_opened(&self) {
        self.sockets.inc();
    }

    pub fn socket_closed(&self) {
        self.sockets.dec();
    }

    /// A WebSocket whose client did not take what it was sent.
    pub fn socket_too_slow(&self) {
        self.slow_sockets.inc();
    }

    /// A connection that was closed as there was no place for it.
    pub fn connection_refused(&self) {
        self.refused_connections.inc();
    }

    /// A connection that only waited and made way for another.
    pub fn connection_ended_for_another(&self) {
        self.ended_connections.inc();
    }

    /// The text of one scrape.
    fn render(&self, rooms: &[RoomView], pipelines: usize, own: &Own) -> Result<String, std::fmt::Error> {
        let mut registry = Registry::with_prefix("tessera");
        registry.register("build", "The program", Info::new([("version", env!("CARGO_PKG_VERSION"))]));
        registry.register("http_requests", "HTTP requests by status", self.requests.clone());
        registry.register("joins", "Offers by the door they came through and their result", self.joins.clone());
        registry.register("websockets", "Open WebSockets", self.sockets.clone());
        registry.register("websockets_too_slow", "WebSockets closed as too slow", self.slow_sockets.clone());
        let alive = Gauge::<i64>::default();
        alive.set(i64::try_from(pipelines).unwrap_or(i64::MAX));
        registry.register("pipelines", "Media pipelines that are not down", alive);
        let (refused, ended) = (self.refused_connections.clone(), self.ended_connections.clone());
        registry.register("connections_refused", "Connections closed for want of a place", refused);
        registry.register("connections_made_way", "Connections closed for another, while they only waited", ended);
        own.describe(&mut registry);
        describe(rooms, &mut registry);
        let mut page = String::new();
        text::encode(&mut page, &registry)?;
        Ok(page)
    }
}

/// What the process itself has and may have.
struct Own {
    used: Amount,
    limit: Amount,
    awaited: usize,
}

impl Own {
    fn describe(&self, registry: &mut Registry) {
        let gauge = |registry: &mut Registry, name: &str, help: &str, value: usize| {
            let gauge = Gauge::<i64>::default();
            gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
            registry.register(name, help, gauge);
        };
        let (used, limit) = (&self.used, &self.limit);
        gauge(registry, "descriptors_used", "File descriptors in use or granted", used.descriptors);
        gauge(registry, "descriptors_limit", "File descriptors up to which peers are let in", limit.descriptors);
        gauge(registry, "threads_used", "Threads in use or granted", used.threads);
        gauge(registry, "threads_limit", "Threads up to which peers are let in", limit.threads);
        gauge(registry, "peers_awaited", "Peers that were let in and are not connected yet", self.awaited);
    }
}

/// The rooms' own figures.
fn describe(rooms: &[RoomView], registry: &mut Registry) {
    let gauges = |registry: &mut Registry, name: &str, help: &str, value: fn(&RoomView) -> usize| {
        let family = Family::<RoomLabels, Gauge>::default();
        for room in rooms {
            family.get_or_create(&labels(room)).set(i64::try_from(value(room)).unwrap_or(i64::MAX));
        }
        registry.register(name, help, family);
    };
    let open = Gauge::<i64>::default();
    open.set(i64::try_from(rooms.len()).unwrap_or(i64::MAX));
    registry.register("rooms", "Rooms", open);
    gauges(registry, "participants", "Participants of a room", |room| room.participants.len());
    gauges(registry, "viewers", "Viewers of a room", |room| room.viewers.len());
    gauges(registry, "video_encoders", "Video encoders that run", |room| room.renditions.len());
    gauges(registry, "audio_encoders", "Opus encoders that run", |room| room.audio.encoders);

    let counters = |registry: &mut Registry, name: &str, help: &str, value: fn(&RoomView) -> u64| {
        let family = Family::<RoomLabels, Counter>::default();
        for room in rooms {
            family.get_or_create(&labels(room)).inc_by(value(room));
        }
        registry.register(name, help, family);
    };
    counters(registry, "composed_frames", "Frames composed", |room| room.canvas.frames);
    counters(registry, "skipped_frames", "Frames not composed, for the machine was late", |room| room.canvas.skipped);
    counters(registry, "skipped_sound", "20 ms of sound not mixed, for the machine was late", |room| {
        room.audio.skipped
    });
    counters(registry, "failed_sound", "20 ms of sound that could not be encoded", |room| room.audio.failed);

    let encoded = Family::<RenditionLabels, Counter>::default();
    let keyframes = Family::<RenditionLabels, Counter>::default();
    let dropped = Family::<RenditionLabels, Counter>::default();
    for room in rooms {
        for rendition in &room.renditions {
            let labels = RenditionLabels {
                room: room.id.to_string(),
                rendition: rendition.name.clone(),
                codec: rendition.codec.to_string(),
            };
            encoded.get_or_create(&labels).inc_by(rendition.frames);
            keyframes.get_or_create(&labels).inc_by(rendition.keyframes);
            dropped.get_or_create(&labels).inc_by(rendition.dropped);
        }
    }
    registry.register("encoded_frames", "Frames encoded", encoded);
    registry.register("keyframes", "Keyframes encoded", keyframes);
    registry.register("dropped_frames", "Frames that an encoder was too slow for", dropped);
}

fn labels(room: &RoomView) -> RoomLabels {
    RoomLabels { room: room.id.to_string() }
}

pub fn routes(app: &Arc<App>) -> BoxedFilter<(Response,)> {
    let shared = || with(app).and(request());
    let metrics = warp::path!("metrics").and(shared()).then(async |app: Arc<App>, request: Request| {
        scrape(&app, request).await.unwrap_or_else(Problem::into_response)
    });
    let alive = warp::path!("healthz").and(request()).map(|request: Request| probe(&request, true));
    let ready = warp::path!("readyz").and(shared());
    let ready = ready.map(|app: Arc<App>, request: Request| probe(&request, !app.is_stopping()));
    metrics.or(alive).unify().or(ready).unify().boxed()
}

async fn scrape(app: &App, request: Request) -> Result<Response, Problem> {
    if !matches!(request.method, Method::GET | Method::HEAD) {
        return request.other_method("GET, HEAD, OPTIONS");
    }
    app.allow(request.from, Asked::View)?;
    let pipelines = match app.call(Command::Pipelines).await? {
        Reply::Pipelines { alive } => alive,
        other => return Err(unexpected(&other)),
    };
    let (used, limit) = app.rooms.capacity().figures();
    let own = Own { used, limit, awaited: app.rooms.awaited() };
    let page = app.metrics.render(&all_rooms(app).await?, pipelines, &own);
    let page = page.map_err(|_| Problem::new(Kind::Failed, "the metrics could not be written"))?;
    Ok(fresh(OPENMETRICS, page))
}

fn probe(request: &Request, good: bool) -> Response {
    if !matches!(request.method, Method::GET | Method::HEAD) {
        return request.other_method("GET, HEAD, OPTIONS").unwrap_or_else(Problem::into_response);
    }
    if good { fresh("text/plain; charset=utf-8", "ok\n") } else { Problem::from(Refusal::Stopping).into_response() }
}
