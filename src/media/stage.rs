//! A room's canvas: the tiles that the room decides, with their labels and slates, as the video mixer shows them.

use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

use super::clock::RoomClock;
use super::picture::PictureSlot;
use super::rendition::Rendition;
use super::still::{Easel, SNAPSHOT_DEADLINE, Still, jpeg};
use super::template::Templates;
use super::video_mixer::{FREEZE_AFTER, Placed, VideoMixer, VideoMixerError};
use crate::config;
use crate::id::{PeerId, RoomId};
use crate::layout::Tile;

/// How long a snapshot waits for pictures that nobody looked at before.
const PICTURES_DEADLINE: Duration = Duration::from_secs(2);

/// One participant on the canvas.
#[derive(Clone, Debug)]
pub struct StageTile {
    pub peer: PeerId,
    pub tile: Tile,
    pub name: String,
    pub muted: bool,
    pub picture: Arc<PictureSlot>,
}

/// The canvas of a room. Dropping it ends the mixer.
///
/// Labels and slates take milliseconds to draw, so a thread of its own does that and hands finished scenes to the mixer;
/// of several scenes that wait, only the newest counts.
#[derive(Debug)]
pub struct Stage {
    mixer: Arc<VideoMixer>,
    templates: Arc<Templates>,
    waiting: Arc<Mutex<Option<Vec<StageTile>>>>,
    wake: mpsc::SyncSender<()>,
}

impl Stage {
    /// An empty canvas.
    pub fn start(
        room: &RoomId,
        config: &config::Video,
        templates: Arc<Templates>,
        clock: RoomClock,
    ) -> Result<Self, VideoMixerError> {
        let mixer = Arc::new(VideoMixer::start(room, config, clock)?);
        let waiting = Arc::new(Mutex::new(None));
        let (wake, woken) = mpsc::sync_channel(1);
        let (scenes, target, easel) = (waiting.clone(), Arc::downgrade(&mixer), Easel::new(templates.clone()));
        let span = tracing::info_span!("stage", %room);
        std::thread::Builder::new()
            .name("stage".to_owned())
            .spawn(move || {
                span.in_scope(|| {
                    let mut easel = easel;
                    while woken.recv().is_ok() {
                        let scene = scenes.lock().unwrap_or_else(PoisonError::into_inner).take();
                        let (Some(scene), Some(mixer)) = (scene, target.upgrade()) else { continue };
                        mount(&mut easel, &mixer, scene, clock);
                    }
                });
            })
            .map_err(VideoMixerError::Thread)?;
        Ok(Self { mixer, templates, waiting, wake })
    }

    /// What is on the canvas, as soon as its stills are drawn.
    pub fn show(&self, scene: Vec<StageTile>) {
        *self.waiting.lock().unwrap_or_else(PoisonError::into_inner) = Some(scene);
        // Full means that the thread will look anyway.
        let _ = self.wake.try_send(());
    }

    /// Feeds a rendition.
    pub fn feed(&self, rendition: Arc<Rendition>) {
        self.mixer.add_consumer(rendition);
    }

    /// Feeds it no more.
    pub fn starve(&self, rendition: &Arc<Rendition>) {
        self.mixer.remove_consumer(rendition);
    }

    /// What takes a picture of the canvas.
    pub fn camera(&self) -> Camera {
        Camera { mixer: self.mixer.clone(), templates: self.templates.clone() }
    }

    /// Frames composed, and frames left out because the machine was late.
    pub fn counts(&self) -> (u64, u64) {
        (self.mixer.frames(), self.mixer.skipped())
    }
}

/// Takes a picture of a canvas, on any thread.
#[derive(Debug)]
pub struct Camera {
    mixer: Arc<VideoMixer>,
    templates: Arc<Templates>,
}

impl Camera {
    /// The composite now, as a JPEG. Blocks for a frame and its encode, and in a room that nobody watches for the
    /// participants' next keyframes, too.
    pub fn snapshot(&self) -> Option<Vec<u8>> {
        let begun = Instant::now();
        let mut composite = self.mixer.next_composite(SNAPSHOT_DEADLINE)?;
        // That frame was the first look for a while, which has the pictures decoded again.
        while self.mixer.awaits_pictures(composite.pts) && begun.elapsed() < PICTURES_DEADLINE {
            composite = self.mixer.next_composite(SNAPSHOT_DEADLINE)?;
        }
        jpeg(&self.templates, &composite)
    }
}

/// Draws what the scene needs at once, shows it, then draws the slates that it may need later.
fn mount(easel: &mut Easel, mixer: &VideoMixer, scene: Vec<StageTile>, clock: RoomClock) {
    let now = clock.now();
    easel.begin_scene();
    let mut placed: Vec<Placed> = Vec::with_capacity(scene.len());
    for tile in &scene {
        let live = tile.picture.latest(now, FREEZE_AFTER).is_some();
        let (width, height) = (tile.tile.width, tile.tile.height);
        placed.push(Placed {
            tile: tile.tile,
            picture: Some(tile.picture.clone()),
            slate: (!live).then(|| easel.frame(&Still::slate(width, height, tile.peer, &tile.name))).flatten(),
            label: easel.frame(&Still::label(width, height, &tile.name, tile.muted)),
        });
    }
    mixer.set_scene(placed.clone());
    for (placed, tile) in placed.iter_mut().zip(&scene) {
        if placed.slate.is_none() {
            placed.slate = easel.frame(&Still::slate(tile.tile.width, tile.tile.height, tile.peer, &tile.name));
        }
    }
    mixer.set_scene(placed);
}
