//! The command line. Flags are only names for keys of the configuration: [`Overrides`] hands them on as texts, and
//! [`crate::settings`] understands them.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::config::{Config, Secret};
use crate::pipelines::{PipelinesAction, pair};
use crate::settings::{self, SettingsError};

/// An MCU mixing server for WebRTC: everyone sends one stream and gets one stream back.
#[derive(Debug, Parser)]
#[command(version, about, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    pub task: Task,
}

#[derive(Debug, Subcommand)]
pub enum Task {
    /// Run the server.
    Serve(ServeFlags),
    /// Join a room with real WebRTC participants, for demonstrations and load.
    Bots(Box<BotsFlags>),
    /// Show or check the media graph as it would be run.
    Pipelines(PipelinesFlags),
}

/// Where the configuration comes from, for every task.
#[derive(Debug, Args)]
pub struct Overrides {
    /// Configuration file (TOML; assets/tessera.toml has every key).
    #[arg(long, value_name = "FILE", env = "TESSERA_CONFIG", global = true)]
    config: Option<PathBuf>,
    /// Set any key of the configuration, as in `--set video.fps=25`; may be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = pair, global = true)]
    set: Vec<(String, String)>,
    /// What is logged, such as `info` or `tessera=debug` [key: server.log, env: TESSERA_SERVER_LOG]
    #[arg(long, value_name = "FILTER", global = true)]
    log: Option<String>,
    /// `text` or `json` [key: server.log_format, env: TESSERA_SERVER_LOG_FORMAT]
    #[arg(long, value_name = "FORMAT", global = true)]
    log_format: Option<String>,
    /// Directory whose pipelines take the place of the built-in ones [key: server.pipelines, env:
    /// TESSERA_SERVER_PIPELINES]
    #[arg(long, value_name = "DIR", global = true)]
    pipelines: Option<String>,
}

#[derive(Debug, Args)]
pub struct ServeFlags {
    /// Address and port of HTTP [default: 127.0.0.1:8080] [key: server.listen, env: TESSERA_LISTEN]
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    /// The server's address behind 1:1 NAT [key: ice.public_address, env: TESSERA_ICE_PUBLIC_ADDRESS]
    #[arg(long, value_name = "IP")]
    public_address: Option<String>,
    #[command(flatten)]
    overrides: Overrides,
}

#[derive(Debug, Args)]
pub struct BotsFlags {
    /// Address of the server [default: http://127.0.0.1:8080] [key: bots.server, env: TESSERA_BOTS_SERVER]
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    /// The server's token; in the environment it is hidden from who lists processes [key: bots.token, env:
    /// TESSERA_BOTS_TOKEN]
    #[arg(long, value_name = "TOKEN")]
    token: Option<Secret>,
    /// Room to join [default: demo] [key: bots.room, env: TESSERA_BOTS_ROOM]
    #[arg(long, value_name = "NAME")]
    room: Option<String>,
    /// How many participants [default: 4] [key: bots.count, env: TESSERA_BOTS_COUNT]
    #[arg(long, value_name = "N")]
    count: Option<String>,
    /// How many viewers beside them, who only watch [default: 0] [key: bots.viewers, env: TESSERA_BOTS_VIEWERS]
    #[arg(long, value_name = "N")]
    viewers: Option<String>,
    /// A film to play, over and over, instead of colours and tones [key: bots.video, env: TESSERA_BOTS_VIDEO]
    #[arg(long, value_name = "FILE")]
    video: Option<String>,
    /// Leave after this many seconds; by default stay until stopped [key: bots.seconds, env: TESSERA_BOTS_SECONDS]
    #[arg(long, value_name = "N")]
    seconds: Option<String>,
    /// Their names, before a number [default: Bot] [key: bots.name_prefix, env: TESSERA_BOTS_NAME_PREFIX]
    #[arg(long, value_name = "TEXT")]
    name_prefix: Option<String>,
    /// VP8 or H264 [default: VP8] [key: bots.codec, env: TESSERA_BOTS_CODEC]
    #[arg(long, value_name = "NAME")]
    codec: Option<String>,
    /// Width and height of the pictures sent [default: 640x360] [key: bots.size, env: TESSERA_BOTS_SIZE]
    #[arg(long, value_name = "WxH")]
    size: Option<String>,
    /// Frames per second of the pictures sent [default: 30] [key: bots.fps, env: TESSERA_BOTS_FPS]
    #[arg(long, value_name = "N")]
    fps: Option<String>,
    /// Bit/s of each picture sent [default: 600000] [key: bots.bitrate, env: TESSERA_BOTS_BITRATE]
    #[arg(long, value_name = "N")]
    bitrate: Option<String>,
    /// When they speak: `always`, `never`, or `bursts` (a third of a second, one after the other) [default: always]
    /// [key: bots.speech, env: TESSERA_BOTS_SPEECH]
    #[arg(long, value_name = "WHEN")]
    speech: Option<String>,
    /// What they watch: `auto`, `audio`, or the name of a rendition [default: auto] [key: bots.rendition, env:
    /// TESSERA_BOTS_RENDITION]
    #[arg(long, value_name = "NAME")]
    rendition: Option<String>,
    /// How many of them decode what they get; the others only count it, which costs next to nothing [default: 1] [key:
    /// bots.decode, env: TESSERA_BOTS_DECODE]
    #[arg(long, value_name = "N")]
    decode: Option<String>,
    #[command(flatten)]
    overrides: Overrides,
}

#[derive(Debug, Args)]
pub struct PipelinesFlags {
    #[command(subcommand)]
    pub action: PipelinesAction,
    #[command(flatten)]
    overrides: Overrides,
}

impl ServeFlags {
    /// The configuration with these flags over it.
    pub fn load(self) -> Result<Config, SettingsError> {
        self.overrides.load([("server.listen", self.listen), ("ice.public_address", self.public_address)])
    }
}

impl BotsFlags {
    /// The configuration with these flags over it.
    pub fn load(self) -> Result<Config, SettingsError> {
        self.overrides.load([
            ("bots.server", self.server),
            ("bots.token", self.token.map(|token| token.reveal().to_owned())),
            ("bots.room", self.room),
            ("bots.count", self.count),
            ("bots.viewers", self.viewers),
            ("bots.video", self.video),
            ("bots.seconds", self.seconds),
            ("bots.name_prefix", self.name_prefix),
            ("bots.codec", self.codec),
            ("bots.size", self.size),
            ("bots.fps", self.fps),
            ("bots.bitrate", self.bitrate),
            ("bots.speech", self.speech),
            ("bots.rendition", self.rendition),
            ("bots.decode", self.decode),
        ])
    }
}

impl PipelinesFlags {
    /// The configuration with these flags over it.
    pub fn load(&self) -> Result<Config, SettingsError> {
        self.overrides.load([])
    }
}

impl Overrides {
    fn load<const N: usize>(&self, named: [(&str, Option<String>); N]) -> Result<Config, SettingsError> {
        let common = [
            ("server.log", self.log.clone()),
            ("server.log_format", self.log_format.clone()),
            ("server.pipelines", self.pipelines.clone()),
        ];
        let given = common.into_iter().chain(named).filter_map(|(key, value)| Some((key.to_owned(), value?)));
        // A flag with a name of its own says more than a general one.
        let flags = self.set.iter().cloned().chain(given);
        let text = |os: std::ffi::OsString| os.to_string_lossy().into_owned();
        let environment = std::env::vars_os().map(|(name, value)| (text(name), text(value)));
        settings::load(self.config.as_deref(), environment, flags)
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::config::{Bots, Size, When};
    use crate::control::{Codec, Wanted};

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_flag_names_its_key_and_variable() {
        let command = Cli::command();
        let flags = command.get_subcommands().flat_map(clap::Command::get_arguments);
        for flag in flags.filter(|flag| flag.get_long().is_some_and(|long| !matches!(long, "config" | "set"))) {
            let help = flag.get_help().map(ToString::to_string).unwrap_or_default().replace('\n', " ");
            let key = help.split_once("[key: ").and_then(|(_, rest)| rest.split_once(", env: ")).map(|(key, _)| key);
            let key = key.unwrap_or_else(|| panic!("--{} has no key: {help}", flag.get_id()));
            let variable = if key == "server.listen" { "TESSERA_LISTEN".to_owned() } else { settings::variable(key) };
            assert!(help.contains(&format!("env: {variable}]")), "{help}");
        }
    }

    #[test]
    fn flags_of_the_bots_become_settings() {
        let load = |line: &str| match Cli::parse_from(line.split(' ')).task {
            Task::Bots(flags) => flags.load(),
            other => panic!("{other:?}"),
        };
        let line = "tessera bots --server http://192.0.2.7:1 --room r --count 3 --viewers 2 --video a.mp4 --seconds 9 \
                    --name-prefix Ann --codec H264 --size 320x180 --fps 25 --bitrate 300000 --speech bursts \
                    --rendition low --decode 2 --token north --log warn";
        let config = load(line).unwrap();
        let expected = Bots {
            server: "http://192.0.2.7:1".to_owned(),
            token: "north".into(),
            room: "r".parse().unwrap(),
            count: 3,
            viewers: 2,
            video: Some("a.mp4".into()),
            seconds: Some(9),
            name_prefix: "Ann".to_owned(),
            codec: Codec::H264,
            size: Size { width: 320, height: 180 },
            fps: 25,
            bitrate: 300_000,
            speech: When::Bursts,
            rendition: Wanted::Named("low".to_owned()),
            decode: 2,
        };
        assert_eq!((config.bots, config.server.log.as_str()), (expected, "warn"));
        for wrong in ["size 320", "size 321x180", "codec av1", "room a/b", "fps 0", "server x", "speech no", "count x"]
        {
            let error = load(&format!("tessera bots --{wrong}")).unwrap_err().to_string();
            let (flag, _) = wrong.split_once(' ').unwrap();
            assert!(error.contains(&format!("bots.{flag}: ")), "{wrong}: {error}");
        }
    }

    #[test]
    fn flags_become_settings() {
        #[derive(Parser)]
        struct Serve {
            #[command(flatten)]
            flags: ServeFlags,
        }
        let given = ["serve", "--listen", "0.0.0.0:80", "--set", "video.fps=25", "--log", "warn"];
        let config = Serve::parse_from(given).flags.load().unwrap();
        assert_eq!((config.server.listen.port(), config.video.fps, config.server.log.as_str()), (80, 25, "warn"));
    }
}
