//! `/api`: what is going on in the rooms, as JSON, and what may be done about it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use warp::Filter;
use warp::filters::BoxedFilter;
use warp::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use warp::http::{Method, StatusCode};
use warp::reply::Response;

use super::app::{App, unexpected, with};
use super::limit::Asked;
use super::observe;
use super::problem::Problem;
use super::request::{Request, empty, peer, request, room};
use crate::control::{Command, Reply, RoomView, Wanted};
use crate::id::{PeerId, RoomId};

/// Longest JSON body, in bytes.
const MAX_BODY: usize = 4096;

/// `POST …/mute`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Mute {
    muted: bool,
}

/// `POST …/rendition`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Watch {
    rendition: Wanted,
}

/// `GET /api/rooms`
#[derive(Serialize)]
struct Rooms {
    rooms: Vec<RoomView>,
}

pub fn routes(app: &Arc<App>) -> BoxedFilter<(Response,)> {
    let shared = || with(app).and(request());
    let rooms = warp::path!("api" / "rooms").and(shared()).then(|app, request| respond(rooms(app, request)));
    let one = warp::path!("api" / "rooms" / String).and(shared());
    let one = one.then(|room, app, request| respond(one_room(room, app, request)));
    let snapshot = warp::path!("api" / "rooms" / String / "snapshot.jpg").and(shared());
    let snapshot = snapshot.then(|room, app, request| respond(snapshot_jpg(room, app, request)));
    let participant = warp::path!("api" / "rooms" / String / "participants" / String).and(shared());
    let participant = participant.then(|room, id, app, request| respond(remove(room, id, app, request)));
    let mute = warp::path!("api" / "rooms" / String / "participants" / String / "mute").and(shared());
    let mute = mute.then(|room, id, app, request| respond(set_muted(room, id, app, request)));
    let rendition = warp::path!("api" / "rooms" / String / "participants" / String / "rendition").and(shared());
    let rendition = rendition.then(|room, id, app, request| respond(set_rendition(room, id, app, request)));
    rooms.or(one).unify().or(snapshot).unify().or(participant).unify().or(mute).unify().or(rendition).unify().boxed()
}

async fn respond(handler: impl Future<Output = Result<Response, Problem>>) -> Response {
    handler.await.unwrap_or_else(Problem::into_response)
}

async fn rooms(app: Arc<App>, request: Request) -> Result<Response, Problem> {
    match request.method {
        Method::GET | Method::HEAD => {
            app.allow(request.from, Asked::View)?;
            Ok(json(&Rooms { rooms: all_rooms(&app).await? }))
        }
        _ => request.other_method("GET, HEAD, OPTIONS"),
    }
}

async fn one_room(segment: String, app: Arc<App>, request: Request) -> Result<Response, Problem> {
    if !matches!(request.method, Method::GET | Method::HEAD) {
        return request.other_method("GET, HEAD, OPTIONS");
    }
    let room = room(&segment)?;
    observe::room(&room);
    app.allow(request.from, Asked::View)?;
    match app.call(Command::Room { room }).await? {
        Reply::Room { room } => Ok(json(&room)),
        reply => Err(unexpected(&reply)),
    }
}

async fn snapshot_jpg(segment: String, app: Arc<App>, request: Request) -> Result<Response, Problem> {
    if !matches!(request.method, Method::GET | Method::HEAD) {
        return request.other_method("GET, HEAD, OPTIONS");
    }
    let room = room(&segment)?;
    observe::room(&room);
    app.allow(request.from, Asked::Snapshot)?;
    match app.call(Command::Snapshot { room }).await? {
        Reply::Snapshot { jpeg } => Ok(fresh("image/jpeg", jpeg)),
        reply => Err(unexpected(&reply)),
    }
}

async fn remove(segment: String, id: String, app: Arc<App>, request: Request) -> Result<Response, Problem> {
    if request.method != Method::DELETE {
        return request.other_method("DELETE, OPTIONS");
    }
    let (room, participant) = one_of(&segment, &id)?;
    app.allow(request.from, Asked::Change)?;
    done(app.call(Command::Remove { room, participant }).await?)
}

async fn set_muted(segment: String, id: String, app: Arc<App>, request: Request) -> Result<Response, Problem> {
    if request.method != Method::POST {
        return request.other_method("OPTIONS, POST");
    }
    let (room, participant) = one_of(&segment, &id)?;
    app.allow(request.from, Asked::Change)?;
    let Mute { muted } = request.json(MAX_BODY).await?;
    done(app.call(Command::Mute { room, participant, muted }).await?)
}

async fn set_rendition(segment: String, id: String, app: Arc<App>, request: Request) -> Result<Response, Problem> {
    if request.method != Method::POST {
        return request.other_method("OPTIONS, POST");
    }
    let (room, peer) = one_of(&segment, &id)?;
    app.allow(request.from, Asked::Change)?;
    let Watch { rendition } = request.json(MAX_BODY).await?;
    done(app.call(Command::Watch { room, peer, rendition }).await?)
}

/// All rooms, also for the metrics.
pub async fn all_rooms(app: &App) -> Result<Vec<RoomView>, Problem> {
    match app.call(Command::Rooms).await? {
        Reply::Rooms { rooms } => Ok(rooms),
        reply => Err(unexpected(&reply)),
    }
}

/// Room and peer out of a path, noted in the request's span.
fn one_of(segment: &str, id: &str) -> Result<(RoomId, PeerId), Problem> {
    let room = room(segment)?;
    observe::room(&room);
    let peer = peer(id)?;
    observe::participant(peer);
    Ok((room, peer))
}

fn done(reply: Reply) -> Result<Response, Problem> {
    match reply {
        Reply::Done => Ok(empty(StatusCode::NO_CONTENT)),
        reply => Err(unexpected(&reply)),
    }
}

fn json<T: Serialize>(value: &T) -> Response {
    match serde_json::to_vec(value) {
        Ok(text) => fresh("application/json", text),
        Err(error) => {
            let detail = format!("the answer could not be written: {error}");
            Problem::new(super::problem::Kind::Failed, detail).into_response()
        }
    }
}

/// An answer that is only right now.
pub fn fresh(media_type: &'static str, body: impl Into<bytes::Bytes>) -> Response {
    let body: bytes::Bytes = body.into();
    let mut response = Response::new(body.into());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
