//! Media: the only place that knows GStreamer.
//!
//! `template` is the graph as text, `graph` the graph running, `clock` what all graphs of a room count time by. Inbound:
//! `transport` → `decoder` → `picture` → `video_mixer` (with `still`s, copied by `compose`). Outbound: `video_mixer` →
//! `rendition` → `sender` → `transport`. `sdp` lets no text of a client near webrtcbin.
//! `caller` is the other end of a call: what bots and tests join rooms with.

pub mod caller;
mod clock;
mod compose;
mod decoder;
mod graph;
mod picture;
mod rendition;
mod sender;
mod still;
mod template;
mod transport;
mod video_mixer;

pub use clock::RoomClock;
pub use graph::{Graph, GraphError, GraphEvent};
pub use picture::PictureSlot;
pub use rendition::{Rendition, RenditionCounts, RenditionKey};
pub use sender::{SenderEvent, VideoSender};
pub use template::{Template, TemplateError, Templates};
pub use transport::{AudioSender, Kind, PacketSink, Track, Transport, TransportError, TransportEvent};
pub use video_mixer::{FREEZE_AFTER, VideoMixer, VideoMixerError};
