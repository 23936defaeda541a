//! Errors as problem documents (RFC 9457): every refusal of the server has one kind, with a `type` that stays the same
//! over versions, whatever its `detail` says. `detail` is for people; it never holds a session id or a credential.

use serde::Serialize;
use warp::http::header::{
    ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderValue, RETRY_AFTER, SEC_WEBSOCKET_VERSION, UPGRADE,
    WWW_AUTHENTICATE,
};
use warp::http::{Method, StatusCode};
use warp::reply::Response;

use crate::control::Refusal;

/// Seconds after which a viewer may ask again for a room that is not live.
const RETRY_NOTHING_LIVE: u32 = 2;
/// Seconds after which a full or stopping server may be asked again.
const RETRY_UNAVAILABLE: u32 = 5;

/// What kind of problem it is; each has its own `type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    NotFound,
    NoRoom,
    NoPeer,
    NoRendition,
    NoSession,
    InvalidHost,
    InvalidRoomName,
    MalformedSdp,
    MalformedFragment,
    MalformedBody,
    InvalidMessage,
    NotJoined,
    AlreadyJoined,
    Unauthorized,
    ForeignOrigin,
    MethodNotAllowed,
    NotAcceptable,
    BodyTimeout,
    NothingLive,
    PreconditionFailed,
    Misdirected,
    TooLarge,
    UnsupportedMediaType,
    UnsupportedSdp,
    RestartUnsupported,
    ForeignCredentials,
    UpgradeRequired,
    RateLimited,
    Full,
    Stopping,
    Failed,
}

impl Kind {
    /// The end of the `type` URI, the status and the title.
    const fn row(self) -> (&'static str, StatusCode, &'static str) {
        match self {
            Self::NotFound => ("not-found", StatusCode::NOT_FOUND, "There is nothing here"),
            Self::NoRoom => ("no-room", StatusCode::NOT_FOUND, "There is no such room"),
            Self::NoPeer => ("no-peer", StatusCode::NOT_FOUND, "There is no such participant or viewer"),
            Self::NoRendition => ("no-rendition", StatusCode::NOT_FOUND, "There is no such rendition"),
            Self::NoSession => ("no-session", StatusCode::NOT_FOUND, "There is no such session, or it has ended"),
            Self::InvalidHost => {
                ("invalid-host", StatusCode::BAD_REQUEST, "The request does not say for which host it is")
            }
            Self::InvalidRoomName => ("invalid-room-name", StatusCode::BAD_REQUEST, "That cannot be a room's name"),
            Self::MalformedSdp => ("malformed-sdp", StatusCode::BAD_REQUEST, "The offer is not a session description"),
            Self::MalformedFragment => {
                ("malformed-fragment", StatusCode::BAD_REQUEST, "The body is not an SDP fragment")
            }
            Self::MalformedBody => ("malformed-body", StatusCode::BAD_REQUEST, "The body cannot be understood"),
            Self::InvalidMessage => ("invalid-message", StatusCode::BAD_REQUEST, "The message cannot be understood"),
            Self::NotJoined => ("not-joined", StatusCode::CONFLICT, "An offer has to come first"),
            Self::AlreadyJoined => ("already-joined", StatusCode::CONFLICT, "An offer was made already"),
            Self::Unauthorized => ("unauthorized", StatusCode::UNAUTHORIZED, "Not without the server's token"),
            Self::ForeignOrigin => ("foreign-origin", StatusCode::FORBIDDEN, "Not for pages of other sites"),
            Self::MethodNotAllowed => ("method-not-allowed", StatusCode::METHOD_NOT_ALLOWED, "Not with this method"),
            Self::NotAcceptable => {
                ("not-acceptable", StatusCode::NOT_ACCEPTABLE, "There is no form of it that is accepted")
            }
            Self::BodyTimeout => ("body-timeout", StatusCode::REQUEST_TIMEOUT, "The body did not come in time"),
            Self::NothingLive => ("nothing-live", StatusCode::CONFLICT, "Nothing is live in the room"),
            Self::PreconditionFailed => {
                ("precondition-failed", StatusCode::PRECONDITION_FAILED, "No such ICE session any more")
            }
            Self::Misdirected => ("misdirected", StatusCode::MISDIRECTED_REQUEST, "Not a host of this server"),
            Self::TooLarge => ("too-large", StatusCode::PAYLOAD_TOO_LARGE, "More bytes than are accepted"),
            Self::UnsupportedMediaType => {
                ("unsupported-media-type", StatusCode::UNSUPPORTED_MEDIA_TYPE, "Not this type of content")
            }
            Self::UnsupportedSdp => ("unsupported-sdp", StatusCode::UNPROCESSABLE_ENTITY, "The offer cannot be served"),
            Self::RestartUnsupported => {
                ("ice-restart-unsupported", StatusCode::UNPROCESSABLE_ENTITY, "ICE cannot be restarted here")
            }
            Self::ForeignCredentials => {
                ("foreign-ice-credentials", StatusCode::UNPROCESSABLE_ENTITY, "Not this session's ICE credentials")
            }
            Self::UpgradeRequired => ("upgrade-required", StatusCode::UPGRADE_REQUIRED, "This is a WebSocket"),
            Self::RateLimited => ("rate-limited", StatusCode::TOO_MANY_REQUESTS, "Too many in a short time"),
            Self::Full => ("full", StatusCode::SERVICE_UNAVAILABLE, "There is no more place"),
            Self::Stopping => ("stopping", StatusCode::SERVICE_UNAVAILABLE, "The server is stopping"),
            Self::Failed => ("failed", StatusCode::INTERNAL_SERVER_ERROR, "The server failed"),
        }
    }
}

/// One problem, ready to be told over HTTP or over a WebSocket.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Problem {
    kind: Kind,
    detail: String,
    retry_after: Option<u32>,
    allow: Option<&'static str>,
    challenge: Option<&'static str>,
}

/// RFC 9457, section 3.1.
#[derive(Serialize)]
struct Document<'a> {
    r#type: String,
    title: &'static str,
    status: u16,
    detail: &'a str,
}

impl Problem {
    pub fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into(), retry_after: None, allow: None, challenge: None }
    }

    /// 405: `allow` is what the resource takes, as in the header of that name.
    pub fn method_not_allowed(method: &Method, allow: &'static str) -> Self {
        let detail = format!("{method} is not possible here; {allow} are");
        Self { allow: Some(allow), ..Self::new(Kind::MethodNotAllowed, detail) }
    }

    /// 401: `challenge` is what has to be brought, as in `WWW-Authenticate`.
    pub fn unauthorized(detail: impl Into<String>, challenge: &'static str) -> Self {
        Self { challenge: Some(challenge), ..Self::new(Kind::Unauthorized, detail) }
    }

    /// 429: ask again after so many seconds.
    pub fn rate_limited(detail: impl Into<String>, retry_after: u32) -> Self {
        Self { retry_after: Some(retry_after), ..Self::new(Kind::RateLimited, detail) }
    }

    /// The `type` URI.
    pub fn uri(&self) -> String {
        format!("urn:tessera:problem:{}", self.kind.row().0)
    }

    /// The end of the `type` URI, short enough for a metric's label.
    pub fn name(&self) -> &'static str {
        self.kind.row().0
    }

    pub fn title(&self) -> &'static str {
        self.kind.row().2
    }

    pub fn kind(&self) -> Kind {
        self.kind
    }

    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// The HTTP answer.
    pub fn into_response(self) -> Response {
        let (_, status, title) = self.kind.row();
        let document = Document { r#type: self.uri(), title, status: status.as_u16(), detail: &self.detail };
        // Texts and a number always serialise.
        let mut response = Response::new(serde_json::to_string(&document).unwrap_or_default().into());
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(seconds) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(allow) = self.allow {
            headers.insert(ALLOW, HeaderValue::from_static(allow));
        }
        if let Some(challenge) = self.challenge {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        if self.kind == Kind::UpgradeRequired {
            headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
            headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
            // RFC 6455, section 4.4: the versions that there are.
            headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        }
        response
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let (kind, retry_after) = match &refusal {
            Refusal::NoRoom { .. } => (Kind::NoRoom, None),
            Refusal::NoPeer => (Kind::NoPeer, None),
            Refusal::NoRendition { .. } => (Kind::NoRendition, None),
            Refusal::MalformedSdp { .. } => (Kind::MalformedSdp, None),
            Refusal::UnsupportedSdp { .. } => (Kind::UnsupportedSdp, None),
            Refusal::NothingLive => (Kind::NothingLive, Some(RETRY_NOTHING_LIVE)),
            Refusal::TooMany { retry_after, .. } => (Kind::RateLimited, Some(*retry_after)),
            Refusal::Full { .. } => (Kind::Full, Some(RETRY_UNAVAILABLE)),
            Refusal::Stopping => (Kind::Stopping, Some(RETRY_UNAVAILABLE)),
            Refusal::Failed { .. } => (Kind::Failed, None),
        };
        Self { retry_after, ..Self::new(kind, refusal.to_string()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_keeps_its_status_and_its_retry() {
        let cases = [
            (Refusal::NoPeer, 404, None),
            (Refusal::MalformedSdp { detail: "x".into() }, 400, None),
            (Refusal::UnsupportedSdp { detail: "x".into() }, 422, None),
            (Refusal::NothingLive, 409, Some("2")),
            (Refusal::TooMany { detail: "x".into(), retry_after: 3 }, 429, Some("3")),
            (Refusal::Full { detail: "x".into() }, 503, Some("5")),
            (Refusal::Stopping, 503, Some("5")),
            (Refusal::Failed { detail: "x".into() }, 500, None),
        ];
        for (refusal, status, retry) in cases {
            let response = Problem::from(refusal).into_response();
            assert_eq!(response.status().as_u16(), status);
            assert_eq!(response.headers().get(RETRY_AFTER).map(|v| v.to_str().unwrap()), retry);
            assert_eq!(response.headers()[CONTENT_TYPE], "application/problem+json");
        }
    }

    #[test]
    fn a_wrong_method_names_the_right_ones() {
        let response = Problem::method_not_allowed(&Method::PUT, "GET, HEAD").into_response();
        assert_eq!(response.status(), 405);
        assert_eq!(response.headers()[ALLOW], "GET, HEAD");
    }
}
