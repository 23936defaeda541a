//! A room's canvas: the tiles that the room decides, with their labels and slates, as the video mixer shows them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError, Weak, mpsc};
use std::time::{Duration, Instant};

use super::clock::RoomClock;
use super::picture::PictureSlot;
use super::rendition::Rendition;
use super::still::{Easel, SNAPSHOT_DEADLINE, Still, jpeg};
use super::template::Templates;
use super::video_mixer::{Placed, VideoMixer, VideoMixerError};
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

/// The scene that is to be shown next.
type Waiting = Mutex<Option<Vec<StageTile>>>;

/// The canvas of a room. Dropping it ends the mixer.
///
/// Labels and slates take milliseconds to draw, so a thread of its own does that and hands finished scenes to the mixer;
/// of several scenes that wait, only the newest counts.
#[derive(Debug)]
pub struct Stage {
    mixer: Arc<VideoMixer>,
    templates: Arc<Templates>,
    waiting: Arc<Waiting>,
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
        let (scenes, target, mut easel) = (waiting.clone(), Arc::downgrade(&mixer), Easel::new(templates.clone()));
        let mount = move |mixer: &VideoMixer, scene: &[StageTile]| mount(&mut easel, mixer, scene, clock);
        let span = tracing::info_span!("stage", %room);
        std::thread::Builder::new()
            .name("stage".to_owned())
            .spawn(move || span.in_scope(|| keep_mounting(&scenes, &woken, &target, mount)))
            .map_err(VideoMixerError::Thread)?;
        Ok(Self { mixer, templates, waiting, wake })
    }

    /// What is on the canvas, as soon as its stills are drawn.
    pub fn show(&self, scene: Vec<StageTile>) {
        *self.waiting.lock().unwrap_or_else(PoisonError::into_inner) = Some(scene);
        // Full means that the thread will look anyway. It is there for as long as this handle.
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

/// Mounts scenes until nobody can send any more. One that cannot be mounted, which is a bug, is shown without its stills.
fn keep_mounting(
    waiting: &Waiting,
    woken: &mpsc::Receiver<()>,
    mixer: &Weak<VideoMixer>,
    mut mount: impl FnMut(&VideoMixer, &[StageTile]),
) {
    while woken.recv().is_ok() {
        let scene = waiting.lock().unwrap_or_else(PoisonError::into_inner).take();
        let (Some(scene), Some(mixer)) = (scene, mixer.upgrade()) else { continue };
        // Whole after a panic is what goes on: an easel has nothing but what is drawn, and the mixer takes scenes as a
        // whole.
        if catch_unwind(AssertUnwindSafe(|| mount(&mixer, &scene))).is_err() {
            tracing::error!("a scene's stills could not be mounted; it is shown without");
            let bare = |it: StageTile| Placed { tile: it.tile, picture: Some(it.picture), slate: None, label: None };
            mixer.set_scene(scene.into_iter().map(bare).collect());
        }
    }
}

/// Draws what the scene needs at once, shows it, then draws the slates that it may need later.
fn mount(easel: &mut Easel, mixer: &VideoMixer, scene: &[StageTile], clock: RoomClock) {
    let now = clock.now();
    easel.begin_scene();
    let mut placed: Vec<Placed> = Vec::with_capacity(scene.len());
    for tile in scene {
        let live = tile.picture.latest(now).is_some();
        let (width, height) = (tile.tile.width, tile.tile.height);
        placed.push(Placed {
            tile: tile.tile,
            picture: Some(tile.picture.clone()),
            slate: (!live).then(|| easel.frame(&Still::slate(width, height, tile.peer, &tile.name))).flatten(),
            label: easel.frame(&Still::label(width, height, &tile.name, tile.muted)),
        });
    }
    mixer.set_scene(placed.clone());
    for (placed, tile) in placed.iter_mut().zip(scene) {
        if placed.slate.is_none() {
            placed.slate = easel.frame(&Still::slate(tile.tile.width, tile.tile.height, tile.peer, &tile.name));
        }
    }
    mixer.set_scene(placed);
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    #[test]
    fn a_scene_that_cannot_be_mounted_is_shown_bare_and_the_next_one_whole() {
        gstreamer::init().unwrap();
        let (room, clock) = ("stage".parse().unwrap(), RoomClock::start());
        let mixer = Arc::new(VideoMixer::start(&room, &config::Video::default(), clock).unwrap());
        let (waiting, target) = (Arc::new(Waiting::default()), Arc::downgrade(&mixer));
        let (wake, woken) = mpsc::sync_channel(1);
        let (tell, told) = mpsc::sync_channel(16);
        let scenes = waiting.clone();
        let mount = move |mixer: &VideoMixer, scene: &[StageTile]| {
            tell.send(mixer.tiles()).unwrap();
            assert!(scene.len() != 2, "this scene cannot be mounted");
            mixer.set_scene(Vec::new());
        };
        let thread = std::thread::spawn(move || keep_mounting(&scenes, &woken, &target, mount));
        let tile = |peer| StageTile {
            peer: PeerId::from_bits(peer),
            tile: Tile { x: 0, y: 0, width: 320, height: 180 },
            name: "Ada".to_owned(),
            muted: false,
            picture: Arc::default(),
        };
        // What each one finds there is of the one before.
        for (count, found) in [(1, 0), (2, 0), (3, 2), (1, 0)] {
            *waiting.lock().unwrap() = Some((0..count).map(tile).collect());
            wake.send(()).unwrap();
            assert_eq!(told.recv_timeout(PATIENCE), Ok(found));
        }
        drop(wake);
        thread.join().unwrap();
    }
}
