//! Media: the only place that knows GStreamer.
//!
//! `template` is the graph as text, `graph` the graph running, `clock` what all graphs of a room count time by. Inbound:
//! `transport` → `inbound` → `decoder` (behind a `door`) → `picture` → `video_mixer` (with `still`s, copied by `compose`).
//! At the door, `picture_limit` bounds what comes and `intake` says what is decoded, `kept` for later or dropped, by what
//! `coded_frame`, `coded_size` and `nal` read of it; `keyframe_requests` says when one is asked for. Outbound:
//! `video_mixer` → `rendition` → `sender` → `transport`. Voices: `inbound` → `audio_mixer` → `transport`. `connection` is
//! all of that for one peer, `stage` the canvas of a room. `insides` is what
//! webrtcbin has no properties for, `payload_type` and `parameter_sets` what payloaders and depayloaders have none for,
//! `certificate` what is shown in DTLS, `gate` what stands before the RTP session, `dtls` what of that may still come after
//! the handshake, `addresses` which of the machine's it uses, `receiver_reports` what peers say of their lines,
//! `sender_reports` what they say of the time of what they send, for which the voice or `held` pictures wait, `goodbye` a
//! connection's last word; `sdp` lets no text of a client near webrtcbin. `caller` is the other end of a call: what bots
//! and tests join rooms with.

mod addresses;
pub mod audio_mixer;
pub mod caller;
mod certificate;
mod clock;
mod coded_frame;
mod coded_size;
mod colour;
mod compose;
mod connection;
pub mod cost;
mod decoder;
mod door;
mod dtls;
mod gate;
mod goodbye;
mod graph;
mod guarded;
mod held;
mod inbound;
mod insides;
mod install;
mod intake;
mod kept;
mod keyframe_requests;
mod lettering;
mod nal;
mod parameter_sets;
mod payload_type;
mod picture;
mod picture_limit;
mod receiver_reports;
mod rendition;
pub mod sdp;
mod sender;
mod sender_reports;
mod stage;
mod still;
mod template;
mod transport;
mod video_mixer;
mod warm_up;

pub use audio_mixer::{AudioEvent, AudioMixer, AudioMixerError};
pub use certificate::{Certificate, CertificateError};
pub use clock::RoomClock;
pub use connection::{Connection, ConnectionError, ConnectionEvent, Plan};
pub use graph::{Graph, GraphError, GraphEvent};
pub use install::{MediaError, init};
pub use picture::{Frame, PictureSlot};
pub use rendition::{Rendition, RenditionCounts, RenditionKey};
pub use sender::{SenderEvent, VideoSender};
pub use stage::{Camera, Stage, StageTile};
pub use template::{Template, TemplateError, Templates};
pub use video_mixer::{Canvas, Composite, Placed, VideoMixerError};
pub use warm_up::warm_up;
