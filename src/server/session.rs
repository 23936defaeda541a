//! The session that a WHIP or WHEP POST made: trickle by PATCH, leave by DELETE (RFC 9725, sections 4.2 and 4.3).
//!
//! ICE cannot be restarted here, so there are no entity tags: a trickle needs no `If-Match`, a fragment of another ICE
//! session gets 422 and changes nothing, and an entity tag (which can only be another server's) gets 412.

use std::sync::Arc;

use warp::Filter;
use warp::filters::BoxedFilter;
use warp::http::header::{HeaderValue, IF_MATCH};
use warp::http::{Method, StatusCode};
use warp::reply::Response;

use super::app::{App, with};
use super::cors;
use super::limit::retry_after;
use super::observe;
use super::origin;
use super::problem::{Kind, Problem};
use super::request::{Request, empty, request};
use super::sdpfrag::{Belonging, Fragment};
use super::sessions::{Owned, SessionId};
use crate::control::{Candidate, Command};

/// What a PATCH carries (RFC 8840).
pub const FRAGMENT_TYPE: &str = "application/trickle-ice-sdpfrag";
/// Longest fragment, in bytes.
const MAX_FRAGMENT: usize = 32 * 1024;
const ALLOW: &str = "DELETE, GET, HEAD, OPTIONS, PATCH";

pub fn routes(app: &Arc<App>) -> BoxedFilter<(Response,)> {
    warp::path!("session" / String).and(with(app)).and(request()).then(answer).boxed()
}

async fn answer(segment: String, app: Arc<App>, request: Request) -> Response {
    let id = SessionId::from_url(&segment);
    let mut response = handle(&id, &app, request).await.unwrap_or_else(Problem::into_response);
    if matches!(response.status(), StatusCode::OK | StatusCode::UNSUPPORTED_MEDIA_TYPE) {
        response.headers_mut().insert(cors::ACCEPT_PATCH, HeaderValue::from_static(FRAGMENT_TYPE));
    }
    response
}

async fn handle(id: &SessionId, app: &App, request: Request) -> Result<Response, Problem> {
    // A preflight must not tell whether there is a session.
    if request.method == Method::OPTIONS {
        return Ok(cors::options(ALLOW));
    }
    origin::check_if_named(&request.headers, &app.config.server.origins)?;
    match request.method {
        Method::PATCH => patch(id, app, request).await,
        Method::DELETE => delete(id, app).await,
        Method::GET | Method::HEAD => find(id, app).map(|_| empty(StatusCode::NO_CONTENT)),
        _ => Err(Problem::method_not_allowed(&request.method, ALLOW)),
    }
}

async fn patch(id: &SessionId, app: &App, request: Request) -> Result<Response, Problem> {
    let owned = find(id, app)?;
    app.sessions
        .take_patch(id, app.now())
        .map_err(|wait| Problem::rate_limited("too many changes of this session at the moment", retry_after(wait)))?;
    let condition = request.header(&IF_MATCH).map(str::to_owned);
    let body = request.body(FRAGMENT_TYPE, MAX_FRAGMENT).await?;
    let fragment = Fragment::parse(&body).map_err(|error| Problem::new(Kind::MalformedFragment, error.to_string()))?;
    // RFC 9110, section 13.2.1: a precondition only counts where the request would have succeeded without it.
    match fragment.belongs_to(&owned.ice) {
        Belonging::This => {}
        Belonging::Another => {
            let detail = "the fragment is of another ICE session, and ICE restarts are not supported";
            return Err(Problem::new(Kind::RestartUnsupported, detail));
        }
        Belonging::Neither => {
            let detail = "the fragment has the ice-ufrag of this session with another ice-pwd; a restart changes both";
            return Err(Problem::new(Kind::ForeignCredentials, detail));
        }
    }
    if condition.is_some_and(|condition| condition.trim() != "*") {
        return Err(Problem::new(Kind::PreconditionFailed, "this session has no entity tag"));
    }
    let candidates = candidates(fragment);
    app.call(Command::Trickle { room: owned.room, peer: owned.peer, candidates }).await.map_err(gone)?;
    Ok(empty(StatusCode::NO_CONTENT))
}

/// Ends the peer; `If-Match` does not matter.
async fn delete(id: &SessionId, app: &App) -> Result<Response, Problem> {
    let owned = find(id, app)?;
    let left = app.call(Command::Leave { room: owned.room, peer: owned.peer }).await;
    // Where the room failed the peer is still there, and its owner may ask again.
    if left.as_ref().err().is_none_or(is_gone) {
        app.sessions.remove(id);
    }
    left.map_err(gone)?;
    Ok(empty(StatusCode::OK))
}

fn find(id: &SessionId, app: &App) -> Result<Owned, Problem> {
    let owned = app.sessions.get(id).ok_or_else(no_session)?;
    observe::room(&owned.room);
    observe::participant(owned.peer);
    Ok(owned)
}

/// With max-bundle there is one transport, that of the first m-line.
fn candidates(fragment: Fragment) -> Vec<Candidate> {
    let end = fragment.end_of_candidates.then(String::new);
    fragment.candidates.into_iter().chain(end).map(|candidate| Candidate { candidate, mline: 0 }).collect()
}

/// The peer ended a moment before its session did.
fn gone(problem: Problem) -> Problem {
    if is_gone(&problem) { no_session() } else { problem }
}

fn is_gone(problem: &Problem) -> bool {
    matches!(problem.kind(), Kind::NoPeer | Kind::NoRoom)
}

fn no_session() -> Problem {
    Problem::new(Kind::NoSession, "there is no such session, or it has ended")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::PeerId;
    use crate::room::Rooms;

    #[tokio::test]
    async fn who_could_not_leave_may_try_again() {
        let app = App::new(Arc::default(), Rooms::new(Arc::default()).unwrap(), 100);
        app.rooms.add_hanging("hangs".parse().unwrap());
        for (room, problem, stays) in [("hangs", Kind::Failed, true), ("over", Kind::NoSession, false)] {
            let owned = Owned { room: room.parse().unwrap(), peer: PeerId::from_bits(7), ice: Vec::new() };
            let id = app.sessions.add(owned, app.now());
            assert_eq!(delete(&id, &app).await.unwrap_err().kind(), problem);
            assert_eq!(app.sessions.get(&id).is_some(), stays, "{room}");
        }
    }
}
