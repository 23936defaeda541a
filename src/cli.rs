//! The command line. Flags are only names for keys of the configuration: [`Overrides`] hands them on as texts, and
//! [`crate::settings`] understands them.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::bots::BotsArgs;
use crate::config::Config;
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
    Bots(BotsArgs),
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

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
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
