//! Stills of the composite, drawn from SVG: the slate of a participant without a picture, and the label with its name.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use gstreamer as gst;
use gstreamer_app as gst_app;
use gstreamer_video as gst_video;

use super::clock::RoomClock;
use super::graph::{Graph, GraphError};
use super::picture::Frame;
use super::template::Templates;
use crate::id::PeerId;

const SLATE: &str = include_str!("../../assets/slate.svg");
const LABEL: &str = include_str!("../../assets/label.svg");
const LABEL_MUTED: &str = include_str!("../../assets/label-muted.svg");

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

    fn svg(&self) -> String {
        match self {
            Self::Slate { width, height, peer, name } => fill(
                SLATE,
                &[
                    ("width", width.to_string()),
                    ("height", height.to_string()),
                    ("initials", initials(name)),
                    ("name", name.clone()),
                    ("colour", colour(*peer)),
                ],
            ),
            Self::Label { height, max_width, name, muted } => {
                let (width, text) = label_text(name, *height, *max_width, *muted);
                fill(
                    if *muted { LABEL_MUTED } else { LABEL },
                    &[("width", width.to_string()), ("height", height.to_string()), ("name", text)],
                )
            }
        }
    }
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
        let known = self.before.remove(still).map_or_else(|| draw(&self.templates, &still.svg()), Ok);
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
    source.push_buffer(composite.buffer.clone()).and_then(|_| source.end_of_stream()).ok()?;
    let sample = sink.try_pull_sample(DRAW_DEADLINE)?;
    let map = sample.buffer()?.map_readable().ok()?;
    Some(map.to_vec())
}

/// Puts values into an SVG's `${…}`. Texts are escaped: names are anybody's. XML has no control characters, and the
/// escaping ends the program at a NUL.
fn fill(svg: &str, values: &[(&str, String)]) -> String {
    let mut text = svg.to_owned();
    for (key, value) in values {
        let value: String = value.chars().filter(|c| !c.is_control()).collect();
        text = text.replace(&format!("${{{key}}}"), &gst::glib::markup_escape_text(&value));
    }
    text
}

/// One or two letters for a name: of its first and its last word.
fn initials(name: &str) -> String {
    let mut words = name.split_whitespace().filter_map(|word| word.chars().find(|c| c.is_alphanumeric()));
    let first = words.next();
    let letters: String = first.into_iter().chain(words.next_back()).flat_map(char::to_uppercase).collect();
    if letters.is_empty() { "?".to_owned() } else { letters }
}

/// A calm colour that is always the same for a participant. The web client's list of participants has the same ones
/// (`assets/web/participants.js`).
fn colour(peer: PeerId) -> String {
    const COLOURS: [&str; 10] =
        ["#3b6ea8", "#8a5a9e", "#2f8f7a", "#b0643c", "#6d7f2f", "#a84f6b", "#4f7f9f", "#7a6bb0", "#9a7b2e", "#3f8a52"];
    COLOURS[(peer.bits() % COLOURS.len() as u64) as usize].to_owned()
}

/// The label's width and its text, cut with an ellipsis where the tile is too narrow. Widths are estimated from the
/// letters' kinds, on the wide side: the label is opaque, so some slack is only margin.
fn label_text(name: &str, height: u32, max_width: u32, muted: bool) -> (u32, String) {
    let em = f64::from(height) * 0.6;
    let advance = |c: char| match c {
        'i' | 'j' | 'l' | 't' | 'f' | 'I' | '.' | ',' | '\'' | ' ' | '-' => 0.38,
        'm' | 'w' | 'M' | 'W' | '@' => 1.0,
        c if c.is_ascii_uppercase() => 0.74,
        c if c.is_ascii() => 0.64,
        // Wide scripts (CJK, emoji) take a whole em or a little more.
        c if u32::from(c) >= 0x1100 => 1.1,
        _ => 0.72,
    } * em;
    let margin = f64::from(height) * if muted { 1.7 } else { 0.8 };
    let room = f64::from(max_width) - margin;
    let whole: f64 = name.chars().map(advance).sum();
    let (text, width) = if whole <= room {
        (name.to_owned(), whole)
    } else {
        let mut used = advance('m');
        let kept: String = name
            .chars()
            .take_while(|c| {
                used += advance(*c);
                used <= room
            })
            .collect();
        (format!("{}…", kept.trim_end()), room)
    };
    // Whole and even, within 2^32 by the clamp.
    let width = (width + margin).ceil().clamp(2.0, f64::from(max_width.max(2))) as u32;
    ((width + 1) & !1, text)
}

/// How long somebody may wait for a still to be drawn.
pub(super) const SNAPSHOT_DEADLINE: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use gstreamer_video::prelude::*;

    use super::*;

    #[test]
    fn initials_are_of_the_first_and_the_last_word() {
        for (name, letters) in
            [("Ada Lovelace", "AL"), ("bob", "B"), ("Ann (x) de Vries", "AV"), ("—", "?"), ("", "?"), ("éa ß", "ÉSS")]
        {
            assert_eq!(initials(name), letters, "{name}");
        }
    }

    #[test]
    fn long_names_are_cut_to_the_tile() {
        let (width, text) = label_text(&"W".repeat(64), 20, 200, false);
        assert!(text.ends_with('…') && width <= 200, "{width} {text}");
        let (width, text) = label_text("Bob", 20, 200, true);
        assert!(text == "Bob" && width < 90, "{width}");
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
