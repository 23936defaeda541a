//! Why a figure could not be measured.

use tessera::bots::BotError;
use tessera::media::caller::CallError;
use tessera::media::{AudioMixerError, GraphError, MediaError, TemplateError, VideoMixerError};

#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error("a bot did not get in or out: {0}")]
    Bot(#[from] BotError),
    #[error("a call did not come about: {0}")]
    Call(#[from] CallError),
    #[error(transparent)]
    Media(#[from] MediaError),
    #[error(transparent)]
    Template(#[from] TemplateError),
    #[error(transparent)]
    Graph(#[from] GraphError),
    #[error(transparent)]
    Mixer(#[from] VideoMixerError),
    #[error(transparent)]
    Voices(#[from] AudioMixerError),
    #[error("no encoder for a voice: {0}")]
    Opus(#[from] opus::Error),
    #[error("the server's API: {0}")]
    Api(#[from] Box<ureq::Error>),
    #[error("what a process said is not understood: {0}")]
    Json(#[from] serde_json::Error),
    #[error("{0}")]
    Missing(&'static str),
    #[error("{0} took too long")]
    Late(&'static str),
}
