//! What the API shows of a room, put together from the decisions and from what runs.

use std::sync::Arc;

use super::RoomTask;
use crate::control::{AudioView, CanvasView, RenditionView, RoomView};
use crate::media::{Rendition, RenditionKey};

impl RoomTask {
    /// What the API shows of the room.
    pub(super) fn view(&self) -> RoomView {
        let video = &self.config.video;
        let rendition = |(key, running): (&RenditionKey, &Arc<Rendition>)| {
            let config = self.config.rendition(&key.name)?;
            let counts = running.counts();
            Some(RenditionView {
                name: key.name.clone(),
                codec: key.codec,
                width: config.width,
                height: config.height,
                fps: config.fps.min(video.fps),
                bitrate: config.bitrate,
                watchers: running.watchers(),
                frames: counts.frames,
                keyframes: counts.keyframes,
                dropped: counts.dropped,
            })
        };
        // One that rests makes nothing for anybody.
        let running = self.renditions.iter().filter(|(key, _)| self.state.needs(key));
        let mut renditions: Vec<RenditionView> = running.filter_map(rendition).collect();
        renditions.sort_by_key(|view| (std::cmp::Reverse(view.bitrate), view.codec));
        let ((frames, skipped), audio) = (self.stage.counts(), self.audio.view());
        RoomView {
            id: self.id.clone(),
            created: self.created,
            canvas: CanvasView { width: video.width, height: video.height, fps: video.fps, frames, skipped },
            participants: self.state.participants(),
            viewers: self.state.viewers(),
            renditions,
            audio: AudioView {
                encoders: audio.encoders,
                speaking: self.state.speaking().to_vec(),
                skipped: audio.skipped_ticks,
                failed: audio.failed_encodes,
            },
        }
    }
}
