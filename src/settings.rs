//! Puts the configuration together: the defaults, over them a TOML file, over that the environment, over that the command
//! line. Each key of [`Config`] can be set in all of them, and each mistake is told with its key and where it was made.
//!
//! `video.fps` is `fps` in the file's `[video]`, `TESSERA_VIDEO_FPS` in the environment and `--set video.fps=…` on the
//! command line. There, lists are words with commas between them or TOML arrays.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::{Table, Value};

use crate::config::{Bots, Config, Ice, InvalidConfig, Secret, Server};

const PREFIX: &str = "TESSERA_";
/// Short names of keys.
const SHORT: [(&str, &str); 1] = [("TESSERA_LISTEN", "server.listen")];
/// Variables with the prefix that are no keys: the one that the command line reads itself, and what the scripts
/// and tests tell each other.
const OTHER: [&str; 3] = ["TESSERA_CONFIG", "TESSERA_BIN", "TESSERA_GATEWAY_PID"];
const OTHER_PREFIX: &str = "TESSERA_TEST_";

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    #[error("{} cannot be read", file.display())]
    Unreadable { file: PathBuf, source: std::io::Error },
    #[error("{}, line {line}: {message}", file.display())]
    NotToml { file: PathBuf, line: usize, message: String },
    #[error("{origin}: there is no key {key}")]
    UnknownKey { origin: String, key: String },
    #[error("{origin}: {key}: {problem}")]
    WrongValue { origin: String, key: String, problem: String },
    #[error(transparent)]
    Invalid(#[from] InvalidConfig),
}

/// One key's value and where it comes from.
struct Setting {
    origin: String,
    /// `section.key`, or a section that is a list (`renditions`).
    key: String,
    value: Value,
}

/// The checked configuration. `flags` are `(section.key, value)`.
pub fn load(
    file: Option<&Path>,
    environment: impl IntoIterator<Item = (String, String)>,
    flags: impl IntoIterator<Item = (String, String)>,
) -> Result<Config, SettingsError> {
    let Some(file) = file else { return combine(None, environment, flags) };
    let text =
        std::fs::read_to_string(file).map_err(|source| SettingsError::Unreadable { file: file.to_owned(), source })?;
    combine(Some((file, &text)), environment, flags)
}

/// [`load`] with the file's text.
fn combine(
    file: Option<(&Path, &str)>,
    environment: impl IntoIterator<Item = (String, String)>,
    flags: impl IntoIterator<Item = (String, String)>,
) -> Result<Config, SettingsError> {
    let shape = shape();
    let mut merged = Table::new();
    if let Some((file, text)) = file {
        for setting in of_file(&shape, file, text)? {
            merge(&shape, &mut merged, setting)?;
        }
    }
    // In an order, so that of a key's two names it is always the same that counts: the whole one, which is the later.
    let environment: BTreeMap<String, String> = environment.into_iter().collect();
    for (variable, text) in environment {
        if let Some(key) = key_of_variable(&shape, &variable)? {
            merge(&shape, &mut merged, of_text(&shape, variable, key, &text)?)?;
        }
    }
    for (key, text) in flags {
        merge(&shape, &mut merged, of_text(&shape, "the command line".to_owned(), key, &text)?)?;
    }
    let config = Config::deserialize(merged).map_err(|error| SettingsError::WrongValue {
        origin: "the configuration".to_owned(),
        key: "as a whole".to_owned(),
        problem: error.message().to_owned(),
    })?;
    config.check()?;
    Ok(config)
}

/// The variable that sets a key.
pub fn variable(key: &str) -> String {
    format!("{PREFIX}{}", key.replace('.', "_").to_uppercase())
}

/// A configuration in which every key has a value, as TOML: which keys there are, and of what kind each is.
fn shape() -> Table {
    let full = Config {
        server: Server { pipelines: Some(PathBuf::new()), ..Server::default() },
        ice: Ice {
            turn_secret: Some(Secret::default()),
            public_address: Some(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
            ..Ice::default()
        },
        bots: Bots { video: Some(PathBuf::new()), seconds: Some(0), ..Bots::default() },
        ..Config::default()
    };
    Table::try_from(full).expect("a configuration is made of tables, texts, numbers and lists")
}

/// The value of a key in a table, or the kind of it in the shape.
fn at<'a>(table: &'a Table, key: &str) -> Option<&'a Value> {
    match key.split_once('.') {
        Some((section, key)) => table.get(section)?.as_table()?.get(key),
        None => table.get(key).filter(|value| !value.is_table()),
    }
}

fn of_file(shape: &Table, file: &Path, text: &str) -> Result<Vec<Setting>, SettingsError> {
    let table: Table = text.parse().map_err(|error: toml::de::Error| {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        SettingsError::NotToml { file: file.to_owned(), line, message: error.message().to_owned() }
    })?;
    let origin = file.display().to_string();
    let mut settings = Vec::new();
    for (section, value) in table {
        match value {
            // Without keys it sets nothing, but its name may be wrong as well.
            Value::Table(keys) if keys.is_empty() && shape.get(&section).is_some_and(Value::is_table) => {}
            Value::Table(keys) if !keys.is_empty() => settings.extend(keys.into_iter().map(|(key, value)| Setting {
                origin: origin.clone(),
                key: format!("{section}.{key}"),
                value,
            })),
            value => settings.push(Setting { origin: origin.clone(), key: section, value }),
        }
    }
    Ok(settings)
}

/// The key that a variable of the environment sets; `None` for those that are none of our business.
fn key_of_variable(shape: &Table, name: &str) -> Result<Option<String>, SettingsError> {
    let other = OTHER.contains(&name) || name.starts_with(OTHER_PREFIX);
    if !name.starts_with(PREFIX) || other {
        return Ok(None);
    }
    let short = SHORT.iter().find(|(short, _)| *short == name).map(|(_, key)| (*key).to_owned());
    let key = short.or_else(|| keys(shape).find(|key| variable(key) == name));
    key.map(Some)
        .ok_or_else(|| SettingsError::UnknownKey { origin: "the environment".to_owned(), key: name.to_owned() })
}

/// Every key of a table with sections.
fn keys(table: &Table) -> impl Iterator<Item = String> {
    table.iter().flat_map(|(section, value)| match value {
        Value::Table(keys) => keys.keys().map(|key| format!("{section}.{key}")).collect(),
        _ => vec![section.clone()],
    })
}

/// A text as the kind of value that its key has.
fn of_text(shape: &Table, origin: String, key: String, text: &str) -> Result<Setting, SettingsError> {
    let Some(kind) = at(shape, &key) else { return Err(SettingsError::UnknownKey { origin, key }) };
    let value = match kind {
        Value::Integer(_) => text.trim().parse().map(Value::Integer).map_err(|error| error.to_string()),
        Value::Float(_) => text.trim().parse().map(Value::Float).map_err(|error| error.to_string()),
        Value::Boolean(_) => text.trim().parse().map(Value::Boolean).map_err(|error| error.to_string()),
        Value::Array(_) => list(text),
        _ => Ok(Value::String(text.to_owned())),
    };
    match value {
        Ok(value) => Ok(Setting { origin, key, value }),
        Err(problem) => Err(SettingsError::WrongValue { origin, key, problem }),
    }
}

fn list(text: &str) -> Result<Value, String> {
    if !text.trim_start().starts_with('[') {
        let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
        return Ok(Value::Array(words.map(|word| Value::String(word.to_owned())).collect()));
    }
    let mut table: Table =
        format!("list = {text}").parse().map_err(|error: toml::de::Error| error.message().to_owned())?;
    table.remove("list").ok_or_else(|| "is not a list".to_owned())
}

/// Puts a setting over those before it, if its key exists and takes its value.
fn merge(shape: &Table, into: &mut Table, setting: Setting) -> Result<(), SettingsError> {
    let Setting { origin, key, value } = setting;
    if at(shape, &key).is_none() {
        return Err(SettingsError::UnknownKey { origin, key });
    }
    // Alone with its value, a key's mistake is its own.
    let mut alone = Table::new();
    insert(&mut alone, &key, value.clone());
    if let Err(error) = Config::deserialize(alone) {
        return Err(SettingsError::WrongValue { origin, key, problem: error.message().trim().to_owned() });
    }
    insert(into, &key, value);
    Ok(())
}

fn insert(table: &mut Table, key: &str, value: Value) {
    match key.split_once('.') {
        Some((section, key)) => {
            let section = table.entry(section).or_insert_with(|| Value::Table(Table::new()));
            if let Value::Table(section) = section {
                section.insert(key.to_owned(), value);
            }
        }
        None => {
            table.insert(key.to_owned(), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Size;

    const DOCUMENTED: &str = include_str!("../assets/tessera.toml");

    fn load_text(text: &str, environment: &[(&str, &str)], flags: &[(&str, &str)]) -> Result<Config, SettingsError> {
        let owned = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect::<Vec<_>>()
        };
        combine(Some((Path::new("test.toml"), text)), owned(environment), owned(flags))
    }

    #[test]
    fn the_documented_file_is_the_defaults() {
        let table: Table = DOCUMENTED.parse().unwrap();
        assert_eq!(Config::deserialize(table).unwrap(), Config::default());
        assert_eq!(load_text(DOCUMENTED, &[], &[]).unwrap(), Config::default());
    }

    #[test]
    fn the_documented_file_has_every_key() {
        // Keys without a default stand there as `# key = …`.
        let commented = |line: &str| line.strip_prefix("# ").filter(|rest| rest.contains(" = ")).map(str::to_owned);
        let text: Vec<String> =
            DOCUMENTED.lines().map(|line| commented(line).unwrap_or_else(|| line.to_owned())).collect();
        let documented: Table = text.join("\n").parse().unwrap();
        assert!(Config::deserialize(documented.clone()).is_ok());
        let mut documented: Vec<_> = keys(&documented).collect();
        let mut all: Vec<_> = keys(&shape()).collect();
        documented.sort();
        all.sort();
        assert_eq!(documented, all);
    }

    #[test]
    fn every_field_is_in_the_shape() {
        // serde itself knows all fields: it lists them when it meets one that it does not know.
        let sections = shape();
        for (section, known) in sections.iter().filter_map(|(name, value)| Some((name, value.as_table()?))) {
            let error = format!("[{section}]\nno_such_key = 1").parse::<Table>().map(Config::deserialize);
            let message = error.unwrap().unwrap_err().message().to_owned();
            let expected = message.split("expected").nth(1).unwrap();
            let fields: Vec<_> = expected.split('`').skip(1).step_by(2).collect();
            assert_eq!(fields.len(), known.len(), "{message}");
            assert!(fields.iter().all(|field| known.contains_key(*field)), "{message}");
        }
    }

    #[test]
    fn later_sources_win() {
        let text = "[video]\nfps = 20\nwidth = 640\nheight = 360";
        let environment = [("TESSERA_VIDEO_FPS", "25"), ("TESSERA_VIDEO_WIDTH", "800"), ("PATH", "/bin")];
        let config = load_text(text, &environment, &[("video.fps", "50")]).unwrap();
        assert_eq!((config.video.height, config.video.width, config.video.fps), (360, 800, 50));
    }

    #[test]
    fn the_short_name_of_a_variable_is_a_variable() {
        let (short, whole) = (("TESSERA_LISTEN", "127.0.0.1:1"), ("TESSERA_SERVER_LISTEN", "127.0.0.1:2"));
        let port = |text: &str, environment: &[(&str, &str)], flags: &[(&str, &str)]| {
            load_text(text, environment, flags).unwrap().server.listen.port()
        };
        assert_eq!(port("[server]\nlisten = \"127.0.0.1:3\"", &[short], &[]), 1);
        assert_eq!(port("", &[short], &[("server.listen", "127.0.0.1:4")]), 4);
        assert_eq!((port("", &[short, whole], &[]), port("", &[whole, short], &[])), (2, 2));
        let error = load_text("", &[("TESSERA_LISTEN", "here")], &[]).unwrap_err().to_string();
        assert!(error.starts_with("TESSERA_LISTEN: server.listen: "), "{error}");
    }

    #[test]
    fn every_kind_of_value_can_be_set_by_text() {
        let environment = [
            ("TESSERA_SERVER_LISTEN", "[::1]:9000"),
            ("TESSERA_ICE_STUN", "stun:a.example:3478, stun:b.example"),
            ("TESSERA_ICE_TURN", "[\"turn:c.example?transport=udp\"]"),
            ("TESSERA_ICE_TURN_SECRET", "north"),
            ("TESSERA_SERVER_TOKEN", "12"),
            ("TESSERA_BOTS_TOKEN", "34"),
            ("TESSERA_AUDIO_GATE_DBFS", "-50.5"),
            ("TESSERA_VIDEO_FIT", "fit"),
            ("TESSERA_RENDITIONS", "[{ name = \"only\", width = 640, height = 360, fps = 25, bitrate = 400000 }]"),
            ("TESSERA_TEST_ANYTHING", "is the tests' own"),
            ("TESSERA_BOTS_SIZE", "320x180"),
            ("TESSERA_BOTS_SECONDS", "9"),
            ("TESSERA_CONFIG", "is read elsewhere"),
        ];
        let config = load_text("", &environment, &[]).unwrap();
        assert_eq!(config.server.listen.port(), 9000);
        assert_eq!(config.ice.stun, ["stun:a.example:3478", "stun:b.example"]);
        assert_eq!(config.ice.turn, ["turn:c.example?transport=udp"]);
        assert_eq!(config.ice.turn_secret, Some("north".into()));
        assert_eq!((config.server.token.reveal(), config.bots.token.reveal()), ("12", "34"));
        assert_eq!(config.renditions[0].name, "only");
        assert_eq!((config.bots.size, config.bots.seconds), (Size { width: 320, height: 180 }, Some(9)));
        assert_eq!(config.audio.gate_dbfs, -50.5);
    }

    #[test]
    fn mistakes_name_their_key_and_place() {
        let error = |text: &str, environment: &[(&str, &str)], flags: &[(&str, &str)]| {
            load_text(text, environment, flags).unwrap_err().to_string()
        };
        assert_eq!(error("[video]\ncolour = 1", &[], &[]), "test.toml: there is no key video.colour");
        assert_eq!(error("[vidoe]\nfps = 1", &[], &[]), "test.toml: there is no key vidoe.fps");
        assert_eq!(error("[vidoe]", &[], &[]), "test.toml: there is no key vidoe");
        assert!(error("[renditions]", &[], &[]).starts_with("test.toml: renditions: invalid type"));
        assert!(load_text("[video]", &[], &[]).is_ok());
        assert_eq!(error("[server]\ntoken = 1234", &[], &[]), "test.toml: server.token: is not a text");
        assert_eq!(error("fps = 1", &[], &[]), "test.toml: there is no key fps");
        assert_eq!(error("video = 1", &[], &[]), "test.toml: there is no key video");
        assert!(error("[video]\nfps = \"x\"", &[], &[]).starts_with("test.toml: video.fps: invalid type"));
        assert!(error("[video]\n\nfps = = 1", &[], &[]).starts_with("test.toml, line 3: "));
        assert_eq!(
            error("", &[("TESSERA_VIDEO_COLOR", "1")], &[]),
            "the environment: there is no key TESSERA_VIDEO_COLOR"
        );
        assert_eq!(
            error("", &[("TESSERA_BOTS_COLOUR", "1")], &[]),
            "the environment: there is no key TESSERA_BOTS_COLOUR"
        );
        assert!(
            error("", &[("TESSERA_VIDEO_FPS", "x")], &[]).starts_with("TESSERA_VIDEO_FPS: video.fps: invalid digit")
        );
        assert!(error("", &[], &[("server.listen", "here")]).starts_with("the command line: server.listen: "));
        assert_eq!(error("", &[], &[("a.b", "")]), "the command line: there is no key a.b");
        assert_eq!(error("[video]\nwidth = 33", &[], &[]), "video.width: is 33, which is odd");
        let rendition = "[[renditions]]\nname = \"x\"\nwidth = 64\nheight = 64\nfps = 5\nbitrate = 50000\ncolour = 1";
        assert!(error(rendition, &[], &[]).starts_with("test.toml: renditions: unknown field `colour`"));
    }
}
