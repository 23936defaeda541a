//! The composite, as the mixer makes it, and its encode.

use std::sync::Arc;

use tessera::media::{Composite, Rendition, RenditionKey, RoomClock, Templates};

use super::material::{self, SHORT, Scene};
use super::pace::{self, FRAME};
use crate::failure::Failure;

pub fn run(participants: usize, templates: &Templates) -> Result<(), Failure> {
    let mut scene = Scene::new(participants, templates)?;
    let clock = RoomClock::start();
    pace::every(FRAME, move |number| drop(scene.compose(number as usize, clock.now())))?;
    super::ready()
}

/// Composites of a room, one after the other.
pub fn composites(participants: usize, templates: &Templates) -> Result<Vec<Composite>, Failure> {
    let mut scene = Scene::new(participants, templates)?;
    let clock = RoomClock::start();
    (0..SHORT).map(|number| scene.compose(number, clock.now()).ok_or(Failure::Missing("a composite"))).collect()
}

pub fn encode(participants: usize, templates: &Templates) -> Result<(), Failure> {
    let composites = composites(participants, templates)?;
    let clock = RoomClock::start();
    let key = RenditionKey { codec: material::CODEC, name: "high".to_owned(), single_nal: false };
    let rendition = Rendition::start(templates, key, &material::high()?, 30, clock, |_| {})?;
    let rendition = Arc::new(rendition);
    pace::every(FRAME, move |number| {
        let Composite { buffer, caps, .. } = &composites[number as usize % composites.len()];
        let (mut buffer, pts) = (buffer.copy(), clock.now());
        buffer.make_mut().set_pts(pts.as_nanos().try_into().ok().map(gstreamer::ClockTime::from_nseconds));
        rendition.feed(&Composite { buffer, caps: caps.clone(), pts });
    })?;
    super::ready()
}
