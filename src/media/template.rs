//! The media graph as text: `pipelines/*.launch`, in `gst-launch-1.0` syntax with `${value}` placeholders.
//!
//! A template is text, a [`Graph`](super::graph::Graph) is that text running. The files are embedded in the binary; a
//! directory of the configuration overrides them file by file.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use gstreamer as gst;
use gstreamer::prelude::*;

/// Every pipeline that this server runs, by name.
const EMBEDDED: &[(&str, &str)] = &[
    ("peer", include_str!("../../pipelines/peer.launch")),
    ("send-opus", include_str!("../../pipelines/send-opus.launch")),
    ("send-vp8", include_str!("../../pipelines/send-vp8.launch")),
    ("send-h264", include_str!("../../pipelines/send-h264.launch")),
    ("decode-vp8", include_str!("../../pipelines/decode-vp8.launch")),
    ("decode-h264", include_str!("../../pipelines/decode-h264.launch")),
    ("encode-vp8", include_str!("../../pipelines/encode-vp8.launch")),
    ("encode-h264", include_str!("../../pipelines/encode-h264.launch")),
    ("still", include_str!("../../pipelines/still.launch")),
    ("snapshot", include_str!("../../pipelines/snapshot.launch")),
    ("bot", include_str!("../../pipelines/bot.launch")),
    ("bot-send-audio", include_str!("../../pipelines/bot-send-audio.launch")),
    ("bot-send-vp8", include_str!("../../pipelines/bot-send-vp8.launch")),
    ("bot-send-h264", include_str!("../../pipelines/bot-send-h264.launch")),
    ("bot-receive-audio", include_str!("../../pipelines/bot-receive-audio.launch")),
    ("bot-receive-vp8", include_str!("../../pipelines/bot-receive-vp8.launch")),
    ("bot-receive-h264", include_str!("../../pipelines/bot-receive-h264.launch")),
    ("bot-count", include_str!("../../pipelines/bot-count.launch")),
    ("bot-file", include_str!("../../pipelines/bot-file.launch")),
    ("bot-file-video", include_str!("../../pipelines/bot-file-video.launch")),
    ("bot-file-audio", include_str!("../../pipelines/bot-file-audio.launch")),
];

/// Why a template cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    #[error("there is no pipeline named {0:?}; `tessera pipelines list` names them all")]
    Unknown(String),
    #[error("pipeline {name}: line {line}: {detail}")]
    Malformed { name: String, line: usize, detail: String },
    #[error("pipeline {name} wants a value for ${{{key}}}")]
    MissingValue { name: String, key: String },
    #[error("pipeline {name} has no ${{{key}}}")]
    UnusedValue { name: String, key: String },
    #[error("pipeline {name}: the value of ${{{key}}} has characters that do not belong in a pipeline")]
    BadValue { name: String, key: String },
    #[error("pipeline {name}: {error}")]
    Refused { name: String, error: gst::glib::Error },
    #[error("pipeline {name}: {path}: {error}")]
    Unreadable { name: String, path: String, error: std::io::Error },
    #[error("{path} overrides no pipeline")]
    Stray { path: String },
}

/// One pipeline's text, parsed: comments taken out, placeholders found.
///
/// `# …` lines are comments; a `# default: key=value` line gives `${key}` a value where none is given.
#[derive(Clone, Debug)]
pub struct Template {
    name: String,
    pieces: Vec<Piece>,
    defaults: BTreeMap<String, String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Value(String),
}

impl Template {
    /// Parses `text`, whatever it holds.
    pub fn parse(name: &str, text: &str) -> Result<Self, TemplateError> {
        let mut pieces = Vec::new();
        let mut defaults = BTreeMap::new();
        for (index, line) in text.lines().enumerate() {
            let malformed = |detail: &str| TemplateError::Malformed {
                name: name.to_owned(),
                line: index + 1,
                detail: detail.to_owned(),
            };
            if let Some(comment) = line.trim_start().strip_prefix('#') {
                if let Some(default) = comment.trim().strip_prefix("default:") {
                    let (key, value) = default.split_once('=').ok_or_else(|| malformed("a default is key=value"))?;
                    defaults.insert(key.trim().to_owned(), value.trim().to_owned());
                }
                continue;
            }
            let mut rest = line;
            while let Some((before, after)) = rest.split_once("${") {
                let (key, tail) = after.split_once('}').ok_or_else(|| malformed("${ without }"))?;
                if key.is_empty() || !key.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-') {
                    return Err(malformed("a placeholder is ${lower-case-name}"));
                }
                pieces.push(Piece::Text(before.to_owned()));
                pieces.push(Piece::Value(key.to_owned()));
                rest = tail;
            }
            pieces.push(Piece::Text(format!("{rest}\n")));
        }
        Ok(Self { name: name.to_owned(), pieces, defaults })
    }

    /// The placeholders' names, each once.
    pub fn keys(&self) -> Vec<&str> {
        let mut keys: Vec<&str> = Vec::new();
        for piece in &self.pieces {
            if let Piece::Value(key) = piece
                && !keys.contains(&key.as_str())
            {
                keys.push(key);
            }
        }
        keys
    }

    /// The text with its values in place. Each placeholder wants a value (its default serves), each value a placeholder.
    pub fn render(&self, values: &[(&str, String)]) -> Result<String, TemplateError> {
        let keys = self.keys();
        for (key, value) in values {
            let (name, key) = (self.name.clone(), (*key).to_owned());
            if !keys.contains(&key.as_str()) {
                return Err(TemplateError::UnusedValue { name, key });
            }
            // Values are numbers, names and colours; what could end a property and begin an element stays out.
            if !value.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.,:/".contains(&b)) {
                return Err(TemplateError::BadValue { name, key });
            }
        }
        let mut text = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(fixed) => text.push_str(fixed),
                Piece::Value(key) => {
                    let given = values.iter().find(|(k, _)| k == key).map(|(_, value)| value);
                    let value = given
                        .or_else(|| self.defaults.get(key))
                        .ok_or_else(|| TemplateError::MissingValue { name: self.name.clone(), key: key.clone() })?;
                    text.push_str(value);
                }
            }
        }
        Ok(text.trim().to_owned())
    }
}

/// All templates, as configured.
#[derive(Clone, Debug)]
pub struct Templates {
    by_name: BTreeMap<String, Template>,
}

impl Templates {
    /// The embedded templates, with those of `overrides` (a directory of `NAME.launch` files) in their place.
    pub fn load(overrides: Option<&Path>) -> Result<Self, TemplateError> {
        let mut by_name = BTreeMap::new();
        for (name, text) in EMBEDDED {
            by_name.insert((*name).to_owned(), Template::parse(name, text)?);
        }
        let Some(directory) = overrides else { return Ok(Self { by_name }) };
        let unreadable = |name: &str, path: &Path, error| TemplateError::Unreadable {
            name: name.to_owned(),
            path: path.display().to_string(),
            error,
        };
        let entries = std::fs::read_dir(directory).map_err(|e| unreadable("*", directory, e))?;
        for entry in entries {
            let path = entry.map_err(|e| unreadable("*", directory, e))?.path();
            if path.extension().is_none_or(|extension| extension != "launch") {
                continue;
            }
            let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
            if !by_name.contains_key(&name) {
                return Err(TemplateError::Stray { path: path.display().to_string() });
            }
            let text = std::fs::read_to_string(&path).map_err(|e| unreadable(&name, &path, e))?;
            by_name.insert(name.clone(), Template::parse(&name, &text)?);
        }
        Ok(Self { by_name })
    }

    /// All names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.by_name.keys().map(String::as_str)
    }

    /// The template of this name.
    pub fn get(&self, name: &str) -> Result<&Template, TemplateError> {
        self.by_name.get(name).ok_or_else(|| TemplateError::Unknown(name.to_owned()))
    }

    /// A pipeline made of the template's text, its elements directly in it.
    pub(super) fn pipeline(
        &self,
        name: &'static str,
        values: &[(&str, String)],
    ) -> Result<gst::Pipeline, TemplateError> {
        let text = self.get(name)?.render(values)?;
        let refused = |error| TemplateError::Refused { name: name.to_owned(), error };
        let parsed = gst::parse::launch_full(&text, None, gst::ParseFlags::FATAL_ERRORS).map_err(refused)?;
        // The text of a single element gives that element, not a pipeline.
        parsed.downcast::<gst::Pipeline>().or_else(|element| {
            let pipeline = gst::Pipeline::with_name(name);
            let unusable = |detail: String| TemplateError::Malformed { name: name.to_owned(), line: 1, detail };
            pipeline.add(&element).map_err(|error| unusable(error.to_string()))?;
            Ok(pipeline)
        })
    }

    /// A bin made of the template's text, its unlinked ends as ghost pads if `ghosts`.
    pub fn bin(&self, name: &str, values: &[(&str, String)], ghosts: bool) -> Result<gst::Bin, TemplateError> {
        let text = self.get(name)?.render(values)?;
        let refused = |error| TemplateError::Refused { name: name.to_owned(), error };
        gst::parse::bin_from_description_full(&text, ghosts, None, gst::ParseFlags::FATAL_ERRORS)
            .map_err(refused)?
            .downcast::<gst::Bin>()
            .map_err(|_| TemplateError::Malformed { name: name.to_owned(), line: 1, detail: "is not a bin".to_owned() })
    }

    /// Parses every template with its defaults into elements. Answers all that is wrong, a line each.
    pub fn check(&self) -> Result<(), String> {
        let mut wrong = String::new();
        for name in self.names() {
            // Writing to a String cannot fail.
            if let Err(error) = self.bin(name, &[], false) {
                let _ = writeln!(wrong, "{error}");
            }
        }
        if wrong.is_empty() { Ok(()) } else { Err(wrong) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_put_in_and_checked() {
        let template = Template::parse("t", "# default: b=2\na ! b x=${a} y=${b} ! ${a}").unwrap();
        assert_eq!(template.keys(), ["a", "b"]);
        assert_eq!(template.render(&[("a", "1".into())]).unwrap(), "a ! b x=1 y=2 ! 1");
        assert!(matches!(template.render(&[]), Err(TemplateError::MissingValue { .. })));
        assert!(matches!(template.render(&[("c", "1".into())]), Err(TemplateError::UnusedValue { .. })));
        assert!(matches!(template.render(&[("a", "1 ! fakesink".into())]), Err(TemplateError::BadValue { .. })));
    }

    #[test]
    fn malformed_text_is_refused_with_its_line() {
        for bad in ["a\n${x", "a\n${}", "a\n${A}"] {
            assert!(matches!(Template::parse("t", bad), Err(TemplateError::Malformed { line: 2, .. })), "{bad}");
        }
    }

    #[test]
    fn every_embedded_template_makes_elements() {
        gst::init().unwrap();
        Templates::load(None).unwrap().check().unwrap();
    }
}
