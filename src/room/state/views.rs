//! The members, as others may see them.

use super::{Member, RoomState};
use crate::control::{ParticipantView, PictureView, TileView, TrackState, ViewerView, Wanted};
use crate::id::PeerId;

impl RoomState {
    /// The participants, as everybody may see them.
    pub(in crate::room) fn participants(&self) -> Vec<ParticipantView> {
        let tile_of = |peer: PeerId| self.effected.scene.iter().find(|(id, ..)| *id == peer).map(|(_, tile, ..)| *tile);
        let track = |sent, live| match (sent, live) {
            (false, _) => TrackState::None,
            (true, false) => TrackState::Silent,
            (true, true) => TrackState::Live,
        };
        self.members
            .iter()
            .filter(|(_, member)| member.participates() && member.connected)
            .map(|(peer, member)| ParticipantView {
                id: *peer,
                name: member.name.clone(),
                muted: member.muted,
                speaking: self.speaking.contains(peer),
                audio: track(member.sends_audio, member.audio_live),
                video: track(member.sends_video, member.video_live),
                picture: member.picture.zip(member.codec).map(|((width, height), codec)| PictureView {
                    codec,
                    width,
                    height,
                }),
                refused: member.refused.clone(),
                tile: tile_of(*peer).map(|tile| TileView {
                    x: tile.x,
                    y: tile.y,
                    width: tile.width,
                    height: tile.height,
                }),
                rendition: rendition_of(member).map(|(name, _)| name),
            })
            .collect()
    }

    /// The viewers.
    pub(in crate::room) fn viewers(&self) -> Vec<ViewerView> {
        self.members
            .iter()
            .filter(|(_, member)| !member.participates() && member.connected)
            .map(|(peer, member)| ViewerView {
                id: *peer,
                name: member.name.clone(),
                rendition: rendition_of(member).map(|(name, _)| name).unwrap_or_default(),
            })
            .collect()
    }
}

/// What a member gets by name, and whether the server chose it; nothing before it gets anything.
pub(super) fn rendition_of(member: &Member) -> Option<(String, bool)> {
    if !member.receives || !member.connected {
        return None;
    }
    let auto = member.wanted == Wanted::Auto;
    let nothing_fits = auto && member.rung.is_none();
    if member.wanted == Wanted::Audio || !member.receives_video || nothing_fits {
        return Some(("audio".to_owned(), auto));
    }
    member.current.as_ref().map(|key| (key.name.clone(), auto))
}
