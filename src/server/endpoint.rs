//! The WHIP endpoint (RFC 9725) and the WHEP endpoint (draft-ietf-wish-whep): an offer comes in, a peer is made, its
//! answer goes out with the URL of its session. A `sendrecv` offer to the WHIP endpoint joins: the mix comes back.

use std::sync::Arc;
use std::time::SystemTime;

use tracing::Instrument;
use warp::Filter;
use warp::filters::BoxedFilter;
use warp::http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, LINK, LOCATION};
use warp::http::{Method, StatusCode};
use warp::reply::Response;

use super::app::{App, with};
use super::bearer;
use super::cors;
use super::metrics::Entrance;
use super::observe;
use super::origin;
use super::problem::{Kind, Problem};
use super::request::{Request, empty, request, room};
use super::sdpfrag::Credentials;
use super::session::FRAGMENT_TYPE;
use super::sessions::{Owned, SessionId};
use super::turn;
use crate::control::{CloseReason, Event, Intent, Join};
use crate::id::RoomId;
use crate::room::Events;

const SDP_TYPE: &str = "application/sdp";
const ALLOW: &str = "GET, HEAD, OPTIONS, POST";

pub fn routes(app: &Arc<App>) -> BoxedFilter<(Response,)> {
    let whip = warp::path!("whip" / String).map(|room| (Entrance::Whip, room));
    let whep = warp::path!("whep" / String).map(|room| (Entrance::Whep, room));
    let endpoint = whip.or(whep).unify().untuple_one();
    endpoint.and(with(app)).and(request()).then(answer).boxed()
}

async fn answer(entrance: Entrance, room: String, app: Arc<App>, request: Request) -> Response {
    let mut response = handle(entrance, &room, &app, request).await.unwrap_or_else(Problem::into_response);
    if matches!(response.status(), StatusCode::OK | StatusCode::UNSUPPORTED_MEDIA_TYPE) {
        response.headers_mut().insert(cors::ACCEPT_POST, HeaderValue::from_static(SDP_TYPE));
    }
    response
}

async fn handle(entrance: Entrance, segment: &str, app: &Arc<App>, request: Request) -> Result<Response, Problem> {
    // A preflight only asks what may be asked; what is wrong with the request itself is told to the page.
    if cors::is_preflight(&request) {
        return Ok(cors::options(ALLOW));
    }
    let room = room(segment)?;
    observe::room(&room);
    origin::check_if_named(&request.headers, &app.config.server.origins)?;
    match request.method {
        Method::POST => post(entrance, room, app, request).await,
        Method::OPTIONS => Ok(options(app, &request)),
        Method::GET | Method::HEAD => Ok(nothing_to_show(entrance)),
        _ => Err(Problem::method_not_allowed(&request.method, ALLOW)),
    }
}

/// RFC 9725, section 4.6: clients may ask for the ICE servers before they make their offer. Credentials are only for those
/// who could have them with a POST.
fn options(app: &App, request: &Request) -> Response {
    let mut response = cors::options(ALLOW);
    if bearer::is_entitled(&app.config.server.token, &request.headers) {
        add_ice_servers(app, &mut response);
    }
    response
}

/// RFC 9725, section 4.1: there is nothing to represent, but it is no error. By the type a player finds out that this is
/// WHEP.
fn nothing_to_show(entrance: Entrance) -> Response {
    if entrance == Entrance::Whip {
        return empty(StatusCode::NO_CONTENT);
    }
    let mut response = empty(StatusCode::OK);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(SDP_TYPE));
    // To HEAD, hyper would not say it of an empty body, and to GET it does.
    headers.insert(CONTENT_LENGTH, HeaderValue::from(0));
    response
}

async fn post(entrance: Entrance, room: RoomId, app: &Arc<App>, request: Request) -> Result<Response, Problem> {
    let (from, name, rendition) = (request.from, request.name(), request.rendition());
    let body = request.body(SDP_TYPE, app.config.limits.sdp_bytes).await?;
    let offer =
        String::from_utf8(body.into()).map_err(|_| Problem::new(Kind::MalformedSdp, "the body is not UTF-8 text"))?;
    let ice = Credentials::of(&offer);
    let intent = if entrance == Entrance::Whip { Intent::Participate } else { Intent::View };
    let join = Join { room: room.clone(), name, intent, offer, rendition, trickle: false, from };
    let joined = app.enter(entrance, join).await?;
    let id = app.sessions.add(Owned { room, peer: joined.peer, ice }, app.now());
    let mut response = created(&id, joined.answer);
    add_ice_servers(app, &mut response);
    tokio::spawn(follow(Arc::clone(app), id, joined.events).instrument(tracing::Span::current()));
    Ok(response)
}

/// 201. Without an `ETag`: that would promise that ICE can be restarted (RFC 9725, section 4.3.1).
fn created(id: &SessionId, answer: String) -> Response {
    let mut response = Response::new(answer.into());
    *response.status_mut() = StatusCode::CREATED;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(SDP_TYPE));
    headers.insert(cors::ACCEPT_PATCH, HeaderValue::from_static(FRAGMENT_TYPE));
    let location = HeaderValue::try_from(id.path()).expect("a path of letters and digits is a header's value");
    headers.insert(LOCATION, location);
    response
}

/// `Link`s with fresh credentials, which are for nobody else.
fn add_ice_servers(app: &App, response: &mut Response) {
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    for link in turn::links(&turn::ice_servers(&app.config.ice, SystemTime::now())) {
        headers.append(LINK, link);
    }
}

/// HTTP has no way to tell the peer of events; its session only has to end with it.
async fn follow(app: Arc<App>, id: SessionId, mut events: Events) {
    let reason = loop {
        match events.recv().await {
            Some(Event::Closed { reason }) => break reason,
            Some(_) => {}
            None => break CloseReason::MediaError,
        }
    };
    app.sessions.remove(&id);
    tracing::info!(?reason, "session ended");
}
