//! Stills of the composite, drawn from SVG: the slate of a participant without a picture, and the label with its name.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use gstreamer as gst;
use gstreamer_app as gst_app;
use gstreamer_video as gst_video;
use gstreamer_video::prelude::*;

use super::clock::RoomClock;
use super::colour::{Colours, Conversion, canvas_info};
use super::compose;
use super::graph::{Graph, GraphError};
use super::lettering;
use super::picture::Frame;
use super::template::Templates;
use crate::id::PeerId;

const SLATE: &str = include_str!("../../assets/slate.svg");
const LABEL: &str = include_str!("../../assets/label.svg");
const LABEL_MUTED: &str = include_str!("../../assets/label-muted.svg");

/// How far a label's letters differ from its ground, in luma, at the least.
const INK: u8 = 16;

/// How long the drawing of one still may take.
const DRAW_DEADLINE: gst::ClockTime = gst::ClockTime::from_seconds(2);

/// Why a still could not be drawn.
#[derive(Debug, thiserror::Error)]
pub(super) enum StillError {
    #[error(transparent)]
    Graph(#[from] GraphError),
    #[error("the drawing did not become a picture")]
    NotDrawn,
}

/// What a still shows.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Still {
    Slate { width: u32, height: u32, peer: PeerId, name: String },
    Label { height: u32, max_width: u32, name: String, muted: bool },
}

impl Still {
    /// The slate of a participant in a tile of this size.
    pub(super) fn slate(width: u32, height: u32, peer: PeerId, name: &str) -> Self {
        Self::Slate { width, height, peer, name: name.to_owned() }
    }

    /// The label that fits into a tile of this size.
    pub(super) fn label(width: u32, height: u32, name: &str, muted: bool) -> Self {
        let label = (height / 11).clamp(14, 30) & !1;
        Self::Label { height: label, max_width: width & !1, name: name.to_owned(), muted }
    }

    fn draw(&self, templates: &Templates) -> Result<Frame, StillError> {
        match self {
            Self::Slate { width, height, peer, name } => {
                let values = [
                    ("width", width.to_string()),
                    ("height", height.to_string()),
                    ("side", width.min(height).to_string()),
                    ("initials", lettering::initials(name)),
                    ("colour", colour(*peer)),
                ];
                draw(templates, &fill(SLATE, &values))
            }
            Self::Label { height, max_width, name, muted } => {
                let svg = if *muted { LABEL_MUTED } else { LABEL };
                // Wider than it may become, so that a name that is too long shows, whatever gaps it has.
                let wide = max_width + 4 * height;
                let size = [("width", wide.to_string()), ("height", height.to_string())];
                let strip = |name: &str| {
                    let [width, height] = size.clone();
                    draw(templates, &fill(svg, &[width, height, ("name", lettering::drawable(name))]))
                };
                label(name, *max_width, height / 3, strip)
            }
        }
    }
}

/// The label that fits: the drawing of the name, or of as much of it as there is room for, cut to its width. The drawing
/// is the ruler: what a name's width is, only the fonts know.
fn label(
    name: &str,
    max_width: u32,
    margin: u32,
    strip: impl Fn(&str) -> Result<Frame, StillError>,
) -> Result<Frame, StillError> {
    let room = max_width.saturating_sub(margin);
    let whole = strip(name)?;
    let width = inked(&whole);
    if width <= room {
        return cut(&whole, width + margin);
    }
    // The longest beginning that fits is between these numbers of characters.
    let (mut fits, mut too_long) = (0, lettering::length(name));
    let mut best = None;
    while fits + 1 < too_long {
        let middle = fits.midpoint(too_long);
        let drawn = strip(&lettering::shortened(name, middle))?;
        let width = inked(&drawn);
        if width <= room {
            (fits, best) = (middle, Some((drawn, width)));
        } else {
            too_long = middle;
        }
    }
    match best {
        Some((drawn, width)) => cut(&drawn, width + margin),
        None => cut(&strip("…")?, max_width),
    }
}

/// How far a strip's drawing reaches to the right, in pixels.
fn inked(strip: &Frame) -> u32 {
    let (Ok(luma), Some(stride)) = (strip.plane_data(0), stride(strip)) else { return 0 };
    let ground = luma.first().copied().unwrap_or_default();
    let width = strip.width() as usize;
    let last = |row: &[u8]| row.iter().take(width).rposition(|luma| luma.abs_diff(ground) > INK).map_or(0, |x| x + 1);
    let right = luma.chunks(stride).take(strip.height() as usize).map(last).max().unwrap_or_default();
    u32::try_from(right).unwrap_or(u32::MAX)
}

fn stride(frame: &Frame) -> Option<usize> {
    usize::try_from(frame.plane_stride()[0]).ok().filter(|stride| *stride > 0)
}

/// The left part of a strip, as wide as that up to the even pixel.
fn cut(strip: &Frame, width: u32) -> Result<Frame, StillError> {
    let info = canvas_info((width + 1) & !1, strip.height()).ok_or(StillError::NotDrawn)?;
    let mut buffer = gst::Buffer::with_size(info.size()).map_err(|_| StillError::NotDrawn)?;
    {
        let buffer = buffer.get_mut().ok_or(StillError::NotDrawn)?;
        let mut label =
            gst_video::VideoFrameRef::from_buffer_ref_writable(buffer, &info).map_err(|_| StillError::NotDrawn)?;
        compose::copy(&mut label, strip, (0, 0));
    }
    gst_video::VideoFrame::from_buffer_readable(buffer, &info).map(Arc::new).map_err(|_| StillError::NotDrawn)
}

/// Draws stills, and keeps those of the scene that it is at and of the one before. One thread at a time uses it.
#[derive(Debug)]
pub(super) struct Easel {
    templates: Arc<Templates>,
    kept: HashMap<Still, Frame>,
    before: HashMap<Still, Frame>,
}

impl Easel {
    pub(super) fn new(templates: Arc<Templates>) -> Self {
        Self { templates, kept: HashMap::new(), before: HashMap::new() }
    }

    /// What is asked for from now on belongs to another scene.
    pub(super) fn begin_scene(&mut self) {
        self.before = std::mem::take(&mut self.kept);
    }

    /// The still as a frame; drawn unless it was drawn before. Blocks for some milliseconds.
    pub(super) fn frame(&mut self, still: &Still) -> Option<Frame> {
        if let Some(frame) = self.kept.get(still) {
            return Some(frame.clone());
        }
        let known = self.before.remove(still).map_or_else(|| still.draw(&self.templates), Ok);
        let frame = known.inspect_err(|error| tracing::error!(%error, "a still could not be drawn")).ok()?;
        self.kept.insert(still.clone(), frame.clone());
        Some(frame)
    }
}

fn draw(templates: &Templates, svg: &str) -> Result<Frame, StillError> {
    let graph = Graph::new(templates, "still", &[], RoomClock::start(), |_| {})?;
    let source: gst_app::AppSrc = graph.element("svg-in")?;
    let sink: gst_app::AppSink = graph.element("picture-out")?;
    graph.begin()?;
    let buffer = gst::Buffer::from_slice(svg.to_owned().into_bytes());
    source.push_buffer(buffer).and_then(|_| source.end_of_stream()).map_err(|_| StillError::NotDrawn)?;
    let sample = sink.try_pull_sample(DRAW_DEADLINE).ok_or(StillError::NotDrawn)?;
    let info = sample.caps().and_then(|caps| gst_video::VideoInfo::from_caps(caps).ok()).ok_or(StillError::NotDrawn)?;
    let buffer = sample.buffer_owned().ok_or(StillError::NotDrawn)?;
    gst_video::VideoFrame::from_buffer_readable(buffer, &info).map(Arc::new).map_err(|_| StillError::NotDrawn)
}

/// A composite as a JPEG. Blocks for some milliseconds.
pub(super) fn jpeg(templates: &Templates, composite: &super::video_mixer::Composite) -> Option<Vec<u8>> {
    let graph = Graph::new(templates, "snapshot", &[], RoomClock::start(), |_| {}).ok()?;
    let source: gst_app::AppSrc = graph.element("raw-in").ok()?;
    let sink: gst_app::AppSink = graph.element("jpeg-out").ok()?;
    graph.begin().ok()?;
    source.set_caps(Some(&composite.caps));
    let recoloured = Conversion::between(Colours::CANVAS, Colours::JPEG).map(|jpeg| composite.recoloured(&jpeg));
    let buffer = recoloured.unwrap_or_else(|| Some(composite.buffer.clone()))?;
    source.push_buffer(buffer).and_then(|_| source.end_of_stream()).ok()?;
    let sample = sink.try_pull_sample(DRAW_DEADLINE)?;
    let map = sample.buffer()?.map_readable().ok()?;
    Some(map.to_vec())
}

/// Puts values into an SVG's `${…}`, escaped: names are anybody's.
fn fill(svg: &str, values: &[(&str, String)]) -> String {
    let mut text = svg.to_owned();
    for (key, value) in values {
        text = text.replace(&format!("${{{key}}}"), &gst::glib::markup_escape_text(value));
    }
    text
}

/// A calm colour that is always the same for a participant. The web client's list of participants has the same ones
/// (`assets/web/participants.js`).
fn colour(peer: PeerId) -> String {
    const COLOURS: [&str; 10] =
        ["#3b6ea8", "#8a5a9e", "#2f8f7a", "#b0643c", "#6d7f2f", "#a84f6b", "#4f7f9f", "#7a6bb0", "#9a7b2e", "#3f8a52"];
    COLOURS[(peer.bits() % COLOURS.len() as u64) as usize].to_owned()
}

/// How long somebody may wait for a still to be drawn.
pub(super) const SNAPSHOT_DEADLINE: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use gstreamer_video::prelude::*;

    use super::*;

    fn easel() -> Easel {
        gst::init().unwrap();
        Easel::new(Arc::new(Templates::load(None).unwrap()))
    }

    fn luma(frame: &Frame, x: u32, y: u32) -> u8 {
        frame.plane_data(0).unwrap()[y as usize * stride(frame).unwrap() + x as usize]
    }

    /// The left part of a label in which "Ann" stands.
    fn ann(label: &Frame) -> Vec<bool> {
        (0..label.height()).flat_map(|y| (0..46).map(move |x| (x, y))).map(|(x, y)| luma(label, x, y) > 128).collect()
    }

    #[test]
    fn a_character_of_any_kind_costs_at_most_itself() {
        let mut easel = easel();
        let mut label = |name| easel.frame(&Still::label(640, 360, name, false)).unwrap();
        let first = label("Ann");
        let (alone, short) = (ann(&first), first.width());
        let ink = alone.iter().filter(|ink| **ink).count();
        assert!(ink > 60, "{ink}");
        // The last ones are in no font.
        let marks = format!("Ann o{}", "\u{301}\u{327}".repeat(30));
        for name in [
            "Ann Łukasz",
            "Ann 王",
            "Ann محمد",
            "Ann 🎉",
            "Ann 김",
            "Ann हि",
            "Ann 🇰🇷",
            &marks,
            "Ann \u{18b00}",
            "Ann \u{10fffd}",
        ] {
            let label = label(name);
            let same = ann(&label).iter().zip(&alone).filter(|(is, was)| **was && **is).count();
            assert!(same * 100 >= ink * 90, "{name}: {same} of {ink} are where they belong");
            assert!(label.width() > short + 4, "{name}: something more is there");
        }
        for name in ["Ann\u{fffe}", "Ann\u{ffff}\u{1fffe}", "An\u{0}n", "Ann\u{2028}", "Ann\u{2029}"] {
            assert_eq!(ann(&label(name)), alone, "{name:?}");
        }
    }

    #[test]
    fn every_script_has_a_font() {
        let mut easel = easel();
        // A box with the number of the character, which is what is drawn for a missing one, is as wide as the next one's.
        for name in
            ["김민준", "王小明", "さくら", "אבגדה", "हिन्दी", "ไทย", "தமிழ்", "አማርኛ", "Հայերեն", "ქართული", "🔥🎉🚀"]
        {
            let label = easel.frame(&Still::label(640, 360, name, false)).unwrap();
            let boxes: String = name.chars().map(|_| '\u{18b00}').collect();
            let missing = easel.frame(&Still::label(640, 360, &boxes, false)).unwrap();
            let ink = |label: &Frame| {
                let at = (0..label.height()).flat_map(|y| (0..label.width()).map(move |x| (x, y)));
                at.filter(|(x, y)| luma(label, *x, *y) > 90).count()
            };
            assert!(ink(&label) > 60, "{name}");
            assert_ne!((label.width(), ink(&label)), (missing.width(), ink(&missing)), "{name}");
        }
    }

    #[test]
    fn long_names_are_cut_to_the_tile_and_short_ones_take_their_room() {
        let mut easel = easel();
        for (name, muted) in [("W".repeat(64), false), ("王".repeat(64), true), ("👩\u{200d}🚀".repeat(20), false)]
        {
            let label = easel.frame(&Still::label(200, 112, &name, muted)).unwrap();
            assert!((180..=200).contains(&label.width()), "{name}: {}", label.width());
            let edge =
                (0..label.height()).all(|y| luma(&label, label.width() - 2, y).abs_diff(luma(&label, 0, 0)) < INK);
            assert!(edge, "{name}: it ends before the edge");
        }
        let bob = easel.frame(&Still::label(200, 112, "Bob", true)).unwrap();
        assert!((20..60).contains(&bob.width()), "{}", bob.width());
        let tiny = easel.frame(&Still::label(16, 16, "Bob", true)).unwrap();
        assert!(tiny.width() <= 16, "{}", tiny.width());
    }

    #[test]
    fn a_still_has_the_same_colours_at_every_size() {
        let mut easel = easel();
        let mut slate = |width, height| {
            let frame = easel.frame(&Still::slate(width, height, PeerId::from_bits(3), "Ada")).unwrap();
            [0, 1, 2].map(|plane| frame.plane_data(plane).unwrap()[0])
        };
        let (small, large) = (slate(320, 180), slate(1280, 720));
        assert!(small.iter().zip(large).all(|(small, large)| small.abs_diff(large) <= 1), "{small:?} {large:?}");
    }

    #[test]
    fn stills_are_kept_for_a_scene_and_the_next_one() {
        gst::init().unwrap();
        let mut easel = Easel::new(Arc::new(Templates::load(None).unwrap()));
        let visitor = |number| Still::slate(320, 180, PeerId::from_bits(number), "Visitor");
        let resident = visitor(0);
        let first = easel.frame(&resident).unwrap();
        for number in 1..=10 {
            easel.begin_scene();
            easel.frame(&visitor(number)).unwrap();
            let again = easel.frame(&resident).unwrap();
            assert!(Arc::ptr_eq(&first, &again), "who stays is not drawn again");
            let kept = easel.kept.len() + easel.before.len();
            assert!(kept <= 3, "{kept} stills after {number} visits");
        }
    }

    #[test]
    fn a_hostile_name_is_only_text() {
        gst::init().unwrap();
        let mut easel = Easel::new(Arc::new(Templates::load(None).unwrap()));
        for name in ["</text><script>&\u{0}\"'", "\u{feff}\u{202e}\u{fffe}", "${width}${name}"] {
            // Drawn or not: nothing of it harms the next one.
            let _ = easel.frame(&Still::label(640, 360, name, false));
            let _ = easel.frame(&Still::slate(320, 180, PeerId::from_bits(1), name));
        }
        let frame = easel.frame(&Still::label(640, 360, "</text>&amp;<b>", false)).unwrap();
        assert_eq!(frame.height(), 30);
        let slate = easel.frame(&Still::slate(426, 240, PeerId::from_bits(3), "Ada Lovelace")).unwrap();
        assert_eq!((slate.width(), slate.height()), (426, 240));
    }
}
