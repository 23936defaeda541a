//! `GET /ws/{room}`: the WebSocket as a transport. One task each reads, writes and closes it; what is said is
//! [`super::conversation`]'s business.

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tracing::{Instrument, field};
use warp::Filter;
use warp::Reply;
use warp::filters::BoxedFilter;
use warp::http::Method;
use warp::reply::Response;
use warp::ws::{Message, WebSocket, Ws};

use super::app::{App, SocketPlace, with};
use super::conversation::{Conversation, End};
use super::observe;
use super::origin;
use super::problem::{Kind, Problem};
use super::request::{Request, request, room};
use crate::control::Refusal;
use crate::id::RoomId;
use crate::network::Network;

/// Messages that may wait for a client's line. Few: what waits here gets old, before it the newest state counts.
const QUEUE: usize = 16;
/// How long one message may take to be written.
const WRITE_DEADLINE: Duration = Duration::from_secs(5);
/// How long the last messages and the closing handshake may take.
const CLOSE_DEADLINE: Duration = Duration::from_millis(300);

pub fn routes(app: &Arc<App>) -> BoxedFilter<(Response,)> {
    // `Ws` has to be taken first: it carries the upgrade of this very request.
    let upgrade = warp::ws().map(Some).or(warp::any().map(|| None)).unify();
    warp::path!("ws" / String)
        .and(upgrade)
        .and(with(app))
        .and(request())
        .map(|room: String, ws, app, request| open(&room, ws, app, &request).unwrap_or_else(Problem::into_response))
        .boxed()
}

fn open(segment: &str, ws: Option<Ws>, app: Arc<App>, request: &Request) -> Result<Response, Problem> {
    let room = room(segment)?;
    observe::room(&room);
    let Some(ws) = ws else {
        return match request.method {
            Method::GET => {
                Err(Problem::new(Kind::UpgradeRequired, "only a WebSocket handshake of version 13 is answered here"))
            }
            _ => request.other_method("GET, OPTIONS"),
        };
    };
    origin::check(&request.headers, &app.config.server.origins)?;
    if app.is_stopping() {
        return Err(Refusal::Stopping.into());
    }
    let place = app.socket_place(request.from)?;
    let (from, name) = (request.from, request.name());
    let limit = app.config.limits.message_bytes;
    // The request is over when the socket begins: its span is no part of this one.
    let span = tracing::info_span!(parent: None, "socket", %room, participant = field::Empty);
    let ws = ws.max_message_size(limit).max_frame_size(limit);
    Ok(ws.on_upgrade(move |socket| serve(socket, app, room, name, from, place).instrument(span)).into_response())
}

async fn serve(socket: WebSocket, app: Arc<App>, room: RoomId, name: String, from: Network, place: SocketPlace) {
    app.metrics.socket_opened();
    let (sink, mut incoming) = socket.split();
    let (queue, waiting) = mpsc::channel(QUEUE);
    let mut writer = std::pin::pin!(write(sink, waiting));
    let end = {
        let mut conversation = Conversation::new(Arc::clone(&app), room, name, from, queue);
        let end = tokio::select! {
            end = conversation.run(&mut incoming) => end,
            _ = &mut writer => End::Gone,
        };
        conversation.leave(&end).await;
        end
        // With the conversation its end of the queue goes, and the writer comes to its own.
    };
    tracing::info!(?end, "WebSocket ended");
    if matches!(end, End::Slow) {
        app.metrics.socket_too_slow();
    }
    if let Some((code, reason)) = end.close_frame() {
        let _ = timeout(CLOSE_DEADLINE, async {
            if let Some(mut sink) = writer.await
                && sink.send(Message::close_with(code, reason)).await.is_ok()
            {
                drain(&mut incoming).await;
            }
        })
        .await;
    }
    app.metrics.socket_closed();
    drop(place);
}

/// Writes what is queued until nothing more can come, and gives the sink back; `None` if the line is broken.
async fn write(
    mut sink: SplitSink<WebSocket, Message>,
    mut waiting: mpsc::Receiver<Message>,
) -> Option<SplitSink<WebSocket, Message>> {
    while let Some(message) = waiting.recv().await {
        timeout(WRITE_DEADLINE, sink.send(message)).await.ok()?.ok()?;
    }
    Some(sink)
}

/// Reads to the client's own close frame: closing a TCP connection with unread bytes would reset it, and the client might
/// lose what it was told last.
async fn drain(incoming: &mut SplitStream<WebSocket>) {
    while let Some(Ok(_)) = incoming.next().await {}
}
