//! The server under test: the release binary in a process of its own, so that its CPU time and memory are its alone.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use tessera::control::RoomView;
use tessera::id::RoomId;
use ureq::Agent;
use url::Url;

use crate::failure::Failure;
use crate::process::Process;

const START_DEADLINE: Duration = Duration::from_secs(10);

/// A running `tessera serve` with its default configuration; it ends with this.
#[derive(Debug)]
pub struct Server {
    child: Child,
    url: Url,
}

impl Server {
    pub fn start() -> Result<Self, Failure> {
        // As the browser tests have it: to measure another build by the same measure.
        let program = std::env::var_os("TESSERA_BIN").unwrap_or_else(|| env!("CARGO_BIN_EXE_tessera").into());
        let mut command = Command::new(program);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("TESSERA_") {
                command.env_remove(name);
            }
        }
        command.args(["serve", "--listen", "127.0.0.1:0"]).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        let (tell, told) = mpsc::sync_channel(1);
        let lines = child.stderr.take().map(|pipe| BufReader::new(pipe).lines());
        // Reads to the end, so that the server never waits for its log to be taken.
        std::thread::spawn(move || {
            for line in lines.into_iter().flatten().map_while(Result::ok) {
                if let Some((_, address)) = line.split_once("listening on ") {
                    let _ = tell.try_send(address.trim().to_owned());
                } else if line.contains("WARN") || line.contains("ERROR") {
                    eprintln!("server: {line}");
                }
            }
        });
        let address = told.recv_timeout(START_DEADLINE);
        let url = address.ok().and_then(|address| address.parse().ok());
        match url {
            Some(url) => Ok(Self { child, url }),
            None => {
                let _ = child.kill();
                Err(Failure::Late("the server's start"))
            }
        }
    }

    pub fn url(&self) -> &Url {
        &self.url
    }

    pub fn process(&self) -> Process {
        Process(self.child.id())
    }

    /// The room, as the API shows it. Blocks.
    pub fn room(&self, room: &RoomId) -> Result<RoomView, Failure> {
        let agent: Agent = Agent::config_builder().timeout_global(Some(Duration::from_secs(10))).build().into();
        let mut response = agent.get(format!("{}api/rooms/{room}", self.url)).call().map_err(Box::new)?;
        Ok(serde_json::from_str(&response.body_mut().read_to_string().map_err(Box::new)?)?)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
