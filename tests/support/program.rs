//! Starts `tessera serve` and asks it things. What is started here ends with the test.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

use ureq::Agent;
use ureq::http::{HeaderMap, Request, StatusCode};

/// How long anything in these tests may take before it counts as hung.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Lines of the log that are kept for [`Program::log`]; no test comes near.
const LOG_LINES: usize = 1 << 16;

pub struct Program {
    child: Child,
    /// `127.0.0.1:…`
    pub address: String,
    /// A mutex, so that tests can ask from several threads.
    log: Mutex<mpsc::Receiver<String>>,
    agent: Agent,
}

/// What was answered.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub fn text(&self) -> &str {
        str::from_utf8(&self.body).unwrap()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Asserts that this is a problem document (RFC 9457) of this status and kind.
    #[track_caller]
    pub fn is_problem(&self, status: u16, name: &str) -> &Self {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.header("content-type"), Some("application/problem+json"));
        let document = self.json();
        assert_eq!(document["type"], format!("urn:tessera:problem:{name}"));
        assert_eq!(document["status"], status);
        assert!(document["title"].is_string() && document["detail"].is_string(), "{document}");
        self
    }
}

/// A command that does not see this process's own settings.
pub fn tessera(arguments: &[&str]) -> Command {
    let mut command = without_settings(Command::new(env!("CARGO_BIN_EXE_tessera")));
    command.args(arguments);
    command
}

fn without_settings(mut command: Command) -> Command {
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("TESSERA_") {
            command.env_remove(name);
        }
    }
    command
}

#[allow(dead_code, reason = "not every suite starts it in all of these ways")]
impl Program {
    /// Starts the server with these settings (`section.key=value`) and waits until it listens.
    pub fn start(settings: &[&str]) -> Self {
        Self::start_at("127.0.0.1:0", settings)
    }

    /// The same at this address, where another one was before, perhaps.
    pub fn start_at(address: &str, settings: &[&str]) -> Self {
        Self::run(&[], address, settings)
    }

    /// The same by a command that runs the rest of its arguments in its own place (`prlimit --nofile=1024`).
    pub fn start_by(by: &[&str], settings: &[&str]) -> Self {
        Self::run(by, "127.0.0.1:0", settings)
    }

    fn run(by: &[&str], address: &str, settings: &[&str]) -> Self {
        let serve = ["serve", "--listen", address];
        let mut command = match by {
            [] => tessera(&serve),
            [program, arguments @ ..] => {
                let mut command = without_settings(Command::new(program));
                command.args(arguments).arg(env!("CARGO_BIN_EXE_tessera")).args(serve);
                command
            }
        };
        for setting in settings {
            command.args(["--set", setting]);
        }
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let (tell, log) = mpsc::sync_channel(LOG_LINES);
        std::thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| tell.send(line)));
        let config = Agent::config_builder().http_status_as_error(false).timeout_global(Some(PATIENCE));
        let agent = config.max_redirects(0).build().into();
        // Owned from here on: whatever fails, it ends with the test.
        let mut program = Self { child, address: String::new(), log: Mutex::new(log), agent };
        program.address = program.listens_at();
        program
    }

    fn listens_at(&self) -> String {
        let log = self.log.lock().unwrap();
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = log.recv_timeout(left).expect("the server says where it listens");
            if let Some((_, address)) = line.split_once("listening on http://") {
                // In JSON more follows.
                return address.split('"').next().unwrap_or_default().to_owned();
            }
        }
    }

    pub fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let mut request = Request::builder().method(method).uri(format!("http://{}{path}", self.address));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut response = if body.is_empty() {
            self.agent.run(request.body(()).unwrap()).unwrap()
        } else {
            self.agent.run(request.body(body).unwrap()).unwrap()
        };
        let (status, headers) = (response.status(), response.headers().clone());
        Answer { status, headers, body: response.body_mut().read_to_vec().unwrap() }
    }

    pub fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &[], b"")
    }

    pub fn post_sdp(&self, path: &str, body: &str) -> Answer {
        self.ask("POST", path, &[("content-type", "application/sdp")], body.as_bytes())
    }

    /// Ends the session that this answer to an offer made.
    #[track_caller]
    pub fn end_session(&self, answer: &Answer) {
        let ended = self.ask("DELETE", answer.header("location").unwrap(), &[], &[]);
        assert_eq!(ended.status, 200, "{ended:?}");
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([format!("-{name}"), self.pid().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Waits for the end of the process, and how it ended.
    pub fn ended(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "the server does not end");
            std::thread::park_timeout(Duration::from_millis(10));
        }
    }

    /// Everything logged since it listened; only after its end.
    pub fn log(&self) -> String {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).iter().collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if std::thread::panicking()
            && let Ok(Some(status)) = self.child.try_wait()
        {
            eprintln!("the server had ended by itself, {status}: {}", self.log());
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
