//! The HTTP side: routes, WHIP, WHEP, the WebSocket, the API, the pages and the metrics. It knows no media; what it wants
//! of the rooms goes through [`crate::control`].

mod api;
mod app;
mod assets;
mod bearer;
mod coding;
mod conversation;
mod cors;
mod endpoint;
mod forwarded;
mod held;
mod host;
mod limit;
mod listen;
mod metrics;
mod observe;
mod origin;
mod pages;
mod places;
mod problem;
mod request;
pub mod sdpfrag;
mod session;
mod sessions;
mod socket;
mod turn;
mod unread;

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use warp::Filter;
use warp::filters::BoxedFilter;
use warp::http::Method;
use warp::path::FullPath;
use warp::reply::Response;

use crate::budget::{Amount, Permit};
use crate::config::Config;
use crate::process::Capacity;
use crate::room::Rooms;
use app::App;
use listen::CLOSING;
use problem::{Kind, Problem};
use request::{Request, request};

/// How long the rooms get to tell their peers and to end. With [`SOCKETS_DEADLINE`] and the listener's own it stays under
/// the 5 s in which the process is to end.
const ROOMS_DEADLINE: Duration = Duration::from_millis(3_900);
/// How long WebSockets get to send their last message.
const SOCKETS_DEADLINE: Duration = Duration::from_millis(400);

/// The part of the process's descriptors that connections may take, and the least of them: a page with all it loads, some
/// who join, and the probes.
const DESCRIPTORS_PART: usize = 8;
const LEAST_CONNECTIONS: usize = 64;

/// Serves until `shutdown` is ready; then refuses newcomers, ends the rooms, and returns within 5 s.
pub async fn run(listener: TcpListener, config: Arc<Config>, rooms: Rooms, shutdown: impl Future<Output = ()>) {
    if let Ok(address) = listener.local_addr() {
        bearer::warn_if_open(address, &config.server.token);
    }
    let (connections, _permit) = connections(&config, rooms.capacity());
    let app = App::new(config, rooms, connections);
    let stopped = async {
        shutdown.await;
        tracing::info!("stopping");
        app.stop();
        if tokio::time::timeout(ROOMS_DEADLINE, app.rooms.stop()).await.is_err() {
            tracing::warn!("the rooms did not end in time");
        }
        if tokio::time::timeout(SOCKETS_DEADLINE, app.no_sockets()).await.is_err() {
            tracing::warn!("WebSockets were cut off");
        }
    };
    let (metrics, config) = (app.metrics.clone(), Arc::clone(&app.config));
    listen::serve(listener, connections, routes(&app), metrics, config, stopped).await;
}

/// How many connections there may be at once, and the process's grant for them.
fn connections(config: &Config, capacity: &Capacity) -> (usize, Option<Permit>) {
    let (used, limit) = capacity.figures();
    let part = limit.descriptors.saturating_sub(used.descriptors) / DESCRIPTORS_PART;
    let connections = config.limits.connections.min(part.max(LEAST_CONNECTIONS));
    let permit = capacity.take(Amount { descriptors: connections + CLOSING, threads: 0 });
    let permit = permit.inspect_err(|short| tracing::error!(%short, "too little is left of the system's limits"));
    (connections, permit.ok())
}

/// Everything that the server answers to. Filters only look at the path; methods are the handlers' business.
fn routes(app: &Arc<App>) -> BoxedFilter<(Response,)> {
    let nothing = warp::path::full().and(request()).map(|path: FullPath, request| nothing(path.as_str(), &request));
    let answer = bearer::refusals(&app.config.server.token)
        .or(endpoint::routes(app))
        .unify()
        .or(session::routes(app))
        .unify()
        .or(socket::routes(app))
        .unify()
        .or(api::routes(app))
        .unify()
        .or(metrics::routes(app))
        .unify()
        .or(pages::routes())
        .unify()
        .or(nothing)
        .unify();
    warp::path::full().and(answer).map(|path: FullPath, response| cors::expose(path.as_str(), response)).boxed()
}

/// Where nothing is. A preflight is told that it may look: only then can a page read that there is nothing.
fn nothing(path: &str, request: &Request) -> Response {
    // RFC 9110, section 9.3.7: the server as a whole.
    let is_server = path == "*" && request.method == Method::OPTIONS;
    if is_server || cors::is_for_any_page(path) && cors::is_preflight(request) {
        return cors::options("DELETE, GET, HEAD, OPTIONS, PATCH, POST");
    }
    Problem::new(Kind::NotFound, format!("nothing is at {path}")).into_response()
}
