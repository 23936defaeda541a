//! A bot's HTTP: WHIP (RFC 9725), WHEP and the room's JSON. Everything here blocks, for at most 10 s a request.

use std::time::Duration;

use ureq::http::Response;
use ureq::http::header::AUTHORIZATION;
use ureq::{Agent, Body, RequestBuilder};
use url::Url;

use super::{BotConfig, Role};
use crate::config::Secret;
use crate::control::{RoomView, Wanted};
use crate::id::RoomId;

const REQUEST_DEADLINE: Duration = Duration::from_secs(10);

/// Times that a POST follows a 307 to another server.
const MAX_REDIRECTS: usize = 3;

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub enum SignallingError {
    #[error("{0} cannot be a server's address")]
    Address(Url),
    #[error("no answer from the server: {0}")]
    Request(Box<ureq::Error>),
    #[error("the server refused with {status}: {detail}")]
    Refused { status: u16, detail: String },
    #[error("the server's answer lacks {0}")]
    Malformed(&'static str),
}

impl From<Box<ureq::Error>> for SignallingError {
    fn from(error: Box<ureq::Error>) -> Self {
        Self::Request(error)
    }
}

/// What a POST made on the server (RFC 9725's session resource).
#[derive(Debug)]
pub(super) struct Resource {
    url: Url,
    token: Secret,
}

impl Resource {
    pub(super) fn url(&self) -> &Url {
        &self.url
    }

    /// Ends the call on the server's side. One that the server ended already is no error.
    pub(super) fn delete(&self) -> Result<(), SignallingError> {
        let response = with_token(agent().delete(self.url.as_str()), &self.token).call().map_err(Box::new)?;
        match response.status().as_u16() {
            200..300 | 404 | 410 => Ok(()),
            _ => Err(refused(response)),
        }
    }
}

/// Posts the offer where the bot's role belongs. Answers the resource that was made, and the SDP answer.
pub(super) fn post(config: &BotConfig, offer: &str) -> Result<(Resource, String), SignallingError> {
    let mut url = match &config.role {
        Role::Join { .. } | Role::Publish => endpoint(&config.server, &["whip", config.room.as_str()])?,
        Role::Watch { .. } => endpoint(&config.server, &["whep", config.room.as_str()])?,
    };
    url.query_pairs_mut().append_pair("name", &config.name);
    if let Role::Join { rendition } | Role::Watch { rendition } = &config.role
        && *rendition != Wanted::Auto
    {
        url.query_pairs_mut().append_pair("rendition", &String::from(rendition.clone()));
    }
    for _ in 0..=MAX_REDIRECTS {
        let request = with_token(agent().post(url.as_str()), &config.token).header("Content-Type", "application/sdp");
        let mut response = request.send(offer).map_err(Box::new)?;
        match response.status().as_u16() {
            201 => {
                let answer = response.body_mut().read_to_string().map_err(Box::new)?;
                let resource = Resource { url: location(&url, &response)?, token: config.token.clone() };
                return Ok((resource, answer));
            }
            307 => url = location(&url, &response)?,
            _ => return Err(refused(response)),
        }
    }
    Err(SignallingError::Malformed("an end of its redirections"))
}

/// The room as the API shows it.
pub(super) fn room(server: &Url, room: &RoomId, token: &Secret) -> Result<RoomView, SignallingError> {
    let url = endpoint(server, &["api", "rooms", room.as_str()])?;
    let mut response = with_token(agent().get(url.as_str()), token).call().map_err(Box::new)?;
    if response.status().as_u16() != 200 {
        return Err(refused(response));
    }
    let text = response.body_mut().read_to_string().map_err(Box::new)?;
    serde_json::from_str(&text).map_err(|_| SignallingError::Malformed("a room"))
}

fn agent() -> Agent {
    Agent::config_builder()
        .timeout_global(Some(REQUEST_DEADLINE))
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .build()
        .into()
}

/// With the server's token (RFC 6750, section 2.1), if there is one. It also follows a redirection: who redirects knows it.
fn with_token<B>(request: RequestBuilder<B>, token: &Secret) -> RequestBuilder<B> {
    if token.is_empty() {
        return request;
    }
    request.header(AUTHORIZATION, format!("Bearer {}", token.reveal()))
}

/// A URL of the server's.
fn endpoint(server: &Url, path: &[&str]) -> Result<Url, SignallingError> {
    let mut url = server.clone();
    url.path_segments_mut().map_err(|()| SignallingError::Address(server.clone()))?.pop_if_empty().extend(path);
    Ok(url)
}

/// The response's `Location`, which may be relative to `base`.
fn location(base: &Url, response: &Response<Body>) -> Result<Url, SignallingError> {
    let location = response.headers().get("location").and_then(|location| location.to_str().ok());
    location.and_then(|location| base.join(location).ok()).ok_or(SignallingError::Malformed("a Location"))
}

/// The error that a response means, with the text of its problem document (RFC 9457).
fn refused(mut response: Response<Body>) -> SignallingError {
    let text = response.body_mut().read_to_string().unwrap_or_default();
    let problem: Option<serde_json::Value> = serde_json::from_str(&text).ok();
    let field = |name| Some(problem.as_ref()?.get(name)?.as_str()?.to_owned());
    let detail = field("detail").or_else(|| field("title")).unwrap_or_else(|| "no reason given".to_owned());
    SignallingError::Refused { status: response.status().as_u16(), detail }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_stand_below_the_server_s_path() {
        for (server, expected) in [
            ("http://192.0.2.7:8080", "http://192.0.2.7:8080/whip/demo"),
            ("https://example.net/mix/", "https://example.net/mix/whip/demo"),
        ] {
            assert_eq!(endpoint(&server.parse().unwrap(), &["whip", "demo"]).unwrap().as_str(), expected);
        }
        assert!(endpoint(&"mailto:a@example.net".parse().unwrap(), &["whip"]).is_err());
    }
}
