//! The listening socket: connections are accepted up to a bound, their headers have a deadline, and at the end those that
//! are open get a moment to finish. (`warp::serve` has neither the bound nor the deadlines.)

use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use warp::Filter;
use warp::filters::BoxedFilter;
use warp::reply::Response;

use super::cors;
use super::host;
use super::metrics::Metrics;
use super::observe;
use super::unread;
use crate::config::Config;

/// Connections at once; further ones wait in the kernel's queue. WebSockets are counted on their own.
const MAX_CONNECTIONS: usize = 4096;
/// How long a request's head may take, also the first one of a connection.
const HEADER_DEADLINE: Duration = Duration::from_secs(10);
/// How long connections get to finish when the server stops.
const DRAIN_DEADLINE: Duration = Duration::from_millis(500);
/// How long sent bytes may wait to be taken: who asks and never reads would keep its place for good.
const STALL_DEADLINE: Duration = Duration::from_secs(10);
/// The pause after a failed accept, most likely for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Serves until `until` is ready, then lets open requests finish, but not for long.
pub async fn serve(
    listener: TcpListener,
    routes: BoxedFilter<(Response,)>,
    metrics: Metrics,
    config: Arc<Config>,
    until: impl Future<Output = ()>,
) {
    let service = TowerToHyperService::new(warp::service(routes.boxed()));
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let open = GracefulShutdown::new();
    let accept = async {
        loop {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
            let stream = match listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            // Signalling is small messages that somebody waits for.
            let _ = stream.set_nodelay(true);
            // RFC 5482. Linux also counts a client that acknowledges but takes nothing (its window is zero).
            let _ = socket2::SockRef::from(&stream).set_tcp_user_timeout(Some(STALL_DEADLINE));
            let (service, metrics, config) = (service.clone(), metrics.clone(), Arc::clone(&config));
            let handle = service_fn(move |request: hyper::Request<Incoming>| {
                let (service, metrics, config) = (service.clone(), metrics.clone(), Arc::clone(&config));
                let (method, path) = (request.method().clone(), request.uri().path().to_owned());
                async move {
                    let answer = unread::settled(request, async |mut request| {
                        match host::settle(&mut request, &config.server.origins) {
                            Ok(()) => service.call(request).await,
                            Err(problem) => Ok(cors::expose(request.uri().path(), problem.into_response())),
                        }
                    });
                    observe::observed(metrics, method, &path, answer).await
                }
            });
            let mut builder = auto::Builder::new(TokioExecutor::new()).http1_only();
            builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADER_DEADLINE);
            let connection =
                open.watch(builder.serve_connection_with_upgrades(TokioIo::new(stream), handle).into_owned());
            tokio::spawn(async move {
                if let Err(error) = connection.await {
                    tracing::debug!(error = %error, "a connection broke");
                }
                drop(place);
            });
        }
    };
    tokio::select! {
        () = accept => {}
        () = until => {}
    }
    drop(listener);
    if tokio::time::timeout(DRAIN_DEADLINE, open.shutdown()).await.is_err() {
        tracing::warn!("requests were cut off");
    }
}
