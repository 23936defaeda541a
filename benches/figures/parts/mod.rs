//! The parts of a room standing alone: each runs by itself in a child process of this program, in real time, on the same
//! material as in a room, and its CPU time is what the kernel counts of that process.

mod composite;
mod decode;
mod material;
mod pace;
mod transport;
mod voices;

use std::io::{BufRead, BufReader, Lines, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use tessera::media::Templates;
use tokio::task::spawn_blocking;

use crate::cost::Interval;
use crate::crowd;
use crate::failure::Failure;
use crate::process::Process;

/// What a room is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Part {
    /// A decoder for each participant's picture, with the scaling to its tile.
    Decode,
    /// One composite.
    Composite,
    /// One encode of it.
    Encode,
    /// A webrtcbin for each participant, with all that it receives and is sent.
    Transport,
    /// The mix of the voices, with a decode and an encode for each.
    Voices,
}

impl Part {
    pub const ALL: [Self; 5] = [Self::Decode, Self::Composite, Self::Encode, Self::Transport, Self::Voices];
}

impl std::fmt::Display for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Decode => "four decodes and their scaling",
            Self::Composite => "one composite",
            Self::Encode => "one encode",
            Self::Transport => "four webrtcbins",
            Self::Voices => "the voices: four decodes, mix-minus, four encodes",
        })
    }
}

/// What the child process does: the part `part` of a room of so many, until its input ends.
pub fn run(part: Part, participants: usize) -> Result<(), Failure> {
    tessera::media::init()?;
    let templates = Templates::load(None)?;
    match part {
        Part::Decode => decode::run(participants, &templates),
        Part::Composite => composite::run(participants, &templates),
        Part::Encode => composite::encode(participants, &templates),
        Part::Transport => transport::run(participants, &templates),
        Part::Voices => voices::run(participants),
    }
}

/// Tells the parent that the part runs, and waits until it has seen enough.
fn ready() -> Result<(), Failure> {
    println!("ready");
    for line in std::io::stdin().lines() {
        line?;
    }
    Ok(())
}

/// A part's process, seen from outside.
struct Alone {
    child: Child,
    input: Option<ChildStdin>,
    output: Lines<BufReader<ChildStdout>>,
}

impl Alone {
    fn start(part: Part, participants: usize) -> Result<Self, Failure> {
        use clap::ValueEnum;
        let value = part.to_possible_value().ok_or(Failure::Missing("the part's name"))?;
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["--part", value.get_name(), "--participants", &participants.to_string()]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let input = child.stdin.take();
        let output = child.stdout.take().ok_or(Failure::Missing("a part's output"))?;
        Ok(Self { child, input, output: BufReader::new(output).lines() })
    }

    fn say(&mut self, line: &str) -> Result<(), Failure> {
        let input = self.input.as_mut().ok_or(Failure::Missing("a part's input"))?;
        writeln!(input, "{line}")?;
        Ok(input.flush()?)
    }

    fn hear(&mut self) -> Result<String, Failure> {
        Ok(self.output.next().ok_or(Failure::Missing("what a part says"))??)
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        // It ends with its input.
        self.input = None;
        let _ = self.child.wait();
    }
}

/// The CPU time of a part standing alone.
pub async fn measure(
    part: Part,
    participants: usize,
    templates: &Templates,
    length: Duration,
) -> Result<Interval, Failure> {
    let templates = templates.clone();
    let started = spawn_blocking(move || -> Result<_, Failure> {
        let mut alone = Alone::start(part, participants)?;
        let calls = if part == Part::Transport {
            transport::call(participants, &templates, |offer| {
                alone.say(&serde_json::to_string(offer)?)?;
                Ok(serde_json::from_str(&alone.hear()?)?)
            })?
        } else {
            Vec::new()
        };
        match alone.hear()?.as_str() {
            "ready" => Ok((alone, calls)),
            _ => Err(Failure::Missing("a part that is ready")),
        }
    });
    let (alone, calls) = started.await.map_err(|_| Failure::Missing("a part"))??;
    tokio::time::sleep(crowd::WARM_UP).await;
    let interval = Interval::measure(Process(alone.child.id()), length).await?;
    drop(calls);
    Ok(interval)
}
