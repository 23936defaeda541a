//! What is seen of every request from outside: one log line in its own span, and a count.

use std::convert::Infallible;
use std::time::Instant;

use tracing::{Instrument, field};
use warp::http::Method;

use super::metrics::Metrics;
use crate::id::{PeerId, RoomId};

/// Runs a request; its log lines carry the room and the participant as soon as they are known ([`room`],
/// [`participant`]).
pub async fn observed<B>(
    metrics: Metrics,
    method: Method,
    path: &str,
    answer: impl Future<Output = Result<warp::http::Response<B>, Infallible>>,
) -> Result<warp::http::Response<B>, Infallible> {
    let span = tracing::info_span!("http", room = field::Empty, participant = field::Empty);
    let started = Instant::now();
    async {
        let response = answer.await?;
        let status = response.status().as_u16();
        let ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let path = redacted(path);
        metrics.request(status);
        // Pollers and page loads would drown the rest.
        if is_noise(path) && status < 400 {
            tracing::debug!(%method, path, status, ms, "request");
        } else {
            tracing::info!(%method, path, status, ms, "request");
        }
        Ok(response)
    }
    .instrument(span)
    .await
}

/// Notes in the current span which room the request is about. Once: a log line shows all that was noted.
pub fn room(room: &RoomId) {
    tracing::Span::current().record("room", field::display(room));
}

/// Notes which participant (or viewer) it is about. Once, too.
pub fn participant(participant: PeerId) {
    tracing::Span::current().record("participant", field::display(participant));
}

/// A path as it may be logged: who knows a session's id controls it.
fn redacted(path: &str) -> &str {
    if path.starts_with("/session/") { "/session/…" } else { path }
}

fn is_noise(path: &str) -> bool {
    matches!(path, "/metrics" | "/healthz" | "/readyz") || path.starts_with("/assets/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn session_ids_are_not_logged() {
        assert_eq!(redacted("/session/0123456789abcdef"), "/session/…");
        assert_eq!(redacted("/whip/demo"), "/whip/demo");
    }
}
