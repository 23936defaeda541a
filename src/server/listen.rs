//! The listening socket: connections are accepted up to a bound ([`super::places`] says who makes way there), everything
//! that a client may take its time for has a deadline, and at the end those that are open get a moment to finish.
//! (`warp::serve` has neither bound nor deadlines.) It is HTTP/1 that is served, and WebSockets that begin as such; other
//! protocols are closed.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, oneshot, watch};
use warp::Filter;
use warp::filters::BoxedFilter;
use warp::http::StatusCode;
use warp::reply::Response;

use super::cors;
use super::forwarded;
use super::held::{Held, Watched};
use super::host;
use super::metrics::Metrics;
use super::observe;
use super::places::{Phase, PlaceId, Places};
use super::request::Caller;
use super::unread;
use crate::config::Config;
use crate::network::Network;

/// How long a request's head may take: from the accept, or from the answer before it.
const HEADER_DEADLINE: Duration = Duration::from_secs(10);
/// How long connections get to finish when the server stops.
const DRAIN_DEADLINE: Duration = Duration::from_millis(500);
/// How long sent bytes may wait to be taken: who asks and never reads would keep its place for good.
const STALL_DEADLINE: Duration = Duration::from_secs(10);
/// The pause after a failed accept.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);
/// Connections that lost their place and are not closed yet. More are not accepted before some of them are.
pub const CLOSING: usize = 32;

type RequestBody = unread::Shared<Watched<Incoming, Arc<Place>>>;

/// A connection's place, as long as its socket is open. Whoever is asked to make way has the other end of the channel.
#[derive(Debug)]
pub struct Place {
    places: Arc<Mutex<Places<oneshot::Sender<()>>>>,
    id: PlaceId,
}

impl Place {
    /// What the connection is doing from now on.
    pub fn set(&self, phase: Phase) {
        lock(&self.places).set(self.id, phase);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        lock(&self.places).leave(self.id);
    }
}

fn lock<T>(places: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing in there panics half-way.
    places.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Serves `connections` at once, WebSockets among them, until `until` is ready; then lets open requests finish, but not for
/// long.
pub async fn serve(
    listener: TcpListener,
    connections: usize,
    routes: BoxedFilter<(Response,)>,
    metrics: Metrics,
    config: Arc<Config>,
    until: impl Future<Output = ()>,
) {
    let (routes, hosts) = (TowerToHyperService::new(warp::service(routes.boxed())), Arc::clone(&config));
    let service = service_fn(move |mut request: hyper::Request<RequestBody>| {
        let (routes, hosts) = (routes.clone(), Arc::clone(&hosts));
        async move {
            match host::settle(&mut request, &hosts.server.origins) {
                Ok(()) => routes.call(request).await,
                Err(problem) => Ok(cors::expose(request.uri().path(), problem.into_response())),
            }
        }
    });
    let places = Arc::new(Mutex::new(Places::new(connections)));
    let open = Arc::new(Semaphore::new(connections + CLOSING));
    let stopping = watch::Sender::new(());
    let accept = async {
        loop {
            let Ok(permit) = Arc::clone(&open).acquire_owned().await else { return };
            let (stream, address) = match listener.accept().await {
                Ok((stream, address)) => (stream, address.ip().to_canonical()),
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let is_proxy = config.server.trusted_proxies.iter().any(|proxy| proxy.contains(address));
            let (end, ended) = oneshot::channel();
            let entered = lock(&places).enter((!is_proxy).then(|| Network::of(address)), end);
            let Ok((id, makes_way)) = entered else {
                metrics.connection_refused();
                continue;
            };
            if let Some(makes_way) = makes_way {
                metrics.connection_ended_for_another();
                // It may have ended by itself meanwhile.
                let _ = makes_way.send(());
            }
            let place = Arc::new(Place { places: Arc::clone(&places), id });
            set_up(&stream);
            let stream = Held::new(stream, (Arc::clone(&place), permit));
            let connection = Connection {
                address,
                place,
                service: service.clone(),
                config: Arc::clone(&config),
                metrics: metrics.clone(),
            };
            tokio::spawn(connection.serve(stream, ended, stopping.subscribe()));
        }
    };
    tokio::select! {
        () = accept => {}
        () = until => {}
    }
    drop(listener);
    // Whoever subscribed is told, and has ended when it is gone.
    stopping.send_replace(());
    if tokio::time::timeout(DRAIN_DEADLINE, stopping.closed()).await.is_err() {
        tracing::warn!("requests were cut off");
    }
}

fn set_up(stream: &TcpStream) {
    // Signalling is small messages that somebody waits for.
    let _ = stream.set_nodelay(true);
    // RFC 5482. Linux also counts a client that acknowledges but takes nothing (its window is zero).
    let _ = socket2::SockRef::from(stream).set_tcp_user_timeout(Some(STALL_DEADLINE));
}

/// What serves one connection.
struct Connection<S> {
    address: IpAddr,
    place: Arc<Place>,
    service: S,
    config: Arc<Config>,
    metrics: Metrics,
}

impl<S, B> Connection<S>
where
    S: Service<hyper::Request<RequestBody>, Response = hyper::Response<B>, Error = std::convert::Infallible>
        + Clone
        + Send
        + Sync
        + 'static,
    S::Future: Send,
    B: hyper::body::Body<Data = bytes::Bytes> + Unpin + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    /// Until it ends, is to make way, or has finished after the server stops.
    async fn serve<T: Send + Unpin + 'static>(
        self,
        stream: Held<TcpStream, T>,
        makes_way: oneshot::Receiver<()>,
        mut stopping: watch::Receiver<()>,
    ) {
        let answer = service_fn(|request| self.answer(request));
        let mut builder = http1::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(HEADER_DEADLINE);
        let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), answer).with_upgrades());
        let served = async {
            tokio::select! {
                result = connection.as_mut() => result,
                _ = stopping.changed() => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            }
        };
        tokio::select! {
            result = served => if let Err(error) = result {
                tracing::debug!(%error, "a connection broke");
            },
            // An error means that it left its place by itself: then it ends by itself, too.
            Ok(()) = makes_way => tracing::debug!("a connection makes way for another"),
        }
    }

    async fn answer(
        &self,
        mut request: hyper::Request<Incoming>,
    ) -> Result<hyper::Response<Watched<B, Arc<Place>>>, std::convert::Infallible> {
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let client = forwarded::client(self.address, request.headers(), &self.config.server.trusted_proxies);
        request.extensions_mut().insert(Caller(Network::of(client)));
        let place = Arc::clone(&self.place);
        place.set(Phase::Exchanging);
        let request = request.map(|body| Watched::new(body, Arc::clone(&place), |place| place.set(Phase::Working)));
        let answer = unread::settled(request, |request| self.service.call(request));
        let response = observe::observed(self.metrics.clone(), method, &path, answer).await?;
        let upgraded = response.status() == StatusCode::SWITCHING_PROTOCOLS;
        place.set(if upgraded { Phase::Upgraded } else { Phase::Exchanging });
        let over = if upgraded { |_: &Arc<Place>| () } else { |place: &Arc<Place>| place.set(Phase::Idle) };
        Ok(response.map(|body| Watched::new(body, place, over)))
    }
}
