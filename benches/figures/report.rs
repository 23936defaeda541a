//! The table of figures: for the terminal, for a file, and for the README between its markers.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use crate::failure::Failure;
use tessera::probe::estimate::{Estimate, Side};

const BEGIN: &str = "<!-- figures: written by `make bench ARGS=--write-readme` -->";
const END: &str = "<!-- /figures -->";

/// What a figure has to reach.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Goal {
    AtLeast(f64),
    AtMost(f64),
    /// Told for comparison.
    None,
}

/// A measured figure.
#[derive(Clone, Debug)]
pub struct Row {
    what: String,
    goal: Goal,
    value: Estimate,
    unit: &'static str,
    /// Whether it is CPU time, in % of a core.
    is_cpu: bool,
    /// Why the machine that measured it is not to be believed, if so.
    doubt: Option<String>,
}

/// What is said of a figure with a goal.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    None,
    Reached,
    Missed,
    /// With the reason.
    NotJudged(String),
}

impl Row {
    /// A figure that is known as it is.
    pub fn new(what: impl Into<String>, goal: Goal, value: f64, unit: &'static str) -> Self {
        Self::of(what, goal, Estimate::exact(value), unit)
    }

    /// A figure that is known so well.
    pub fn of(what: impl Into<String>, goal: Goal, value: Estimate, unit: &'static str) -> Self {
        Self { what: what.into(), goal, value, unit, is_cpu: false, doubt: None }
    }

    /// CPU time, in % of a core.
    pub fn cpu(what: impl Into<String>, value: Estimate) -> Self {
        Self { is_cpu: true, ..Self::of(what, Goal::None, value, "%") }
    }

    /// The same figure, if there was a reason not to believe it.
    pub fn doubted(self, doubt: Option<String>) -> Self {
        Self { doubt: self.doubt.or(doubt), ..self }
    }

    pub fn verdict(&self) -> Verdict {
        let (bound, good) = match self.goal {
            Goal::AtLeast(goal) => (goal, Side::Above),
            Goal::AtMost(goal) => (goal, Side::Below),
            Goal::None => return Verdict::None,
        };
        if let Some(doubt) = &self.doubt {
            return Verdict::NotJudged(doubt.clone());
        }
        // What cannot be less than nothing, and is, was never measured; neither was what is as small as its error.
        let nothing = self.value.value <= 2.0 * self.value.error || !self.value.value.is_finite();
        if nothing && self.value.error > 0.0 || self.value.value.is_nan() {
            return Verdict::NotJudged("the difference is within the noise".to_owned());
        }
        match self.value.side(bound) {
            Side::Undecided => Verdict::NotJudged("it is nearer to the goal than it is known".to_owned()),
            // A bound that is met exactly is met on either side.
            side if side == good || self.value.value == bound => Verdict::Reached,
            _ => Verdict::Missed,
        }
    }

    fn cells(&self, encode: Option<Estimate>) -> [String; 5] {
        let goal = match self.goal {
            Goal::AtLeast(goal) => format!("≥ {} {}", number(goal), self.unit),
            Goal::AtMost(goal) => format!("≤ {} {}", number(goal), self.unit),
            Goal::None => String::new(),
        };
        let mut measured = number(self.value.value);
        if self.value.error > 0.0 {
            measured += &format!(" ± {}", number(2.0 * self.value.error));
        }
        let measured = format!("{measured} {}", self.unit);
        let encodes = encode.filter(|_| self.is_cpu).map(|encode| number(self.value.value / encode.value));
        let verdict = match self.verdict() {
            Verdict::None => String::new(),
            Verdict::Reached => "reached".to_owned(),
            Verdict::Missed => "**missed**".to_owned(),
            Verdict::NotJudged(why) => format!("not judged: {why}"),
        };
        [
            self.what.clone(),
            goal.trim_end().to_owned(),
            measured.trim_end().to_owned(),
            encodes.unwrap_or_default(),
            verdict,
        ]
    }
}

/// With as many digits as one cares for.
fn number(value: f64) -> String {
    let digits = match value.abs() {
        0.0 => 0,
        size if size < 0.2 => 3,
        size if size < 10.0 => 2,
        size if size < 100.0 => 1,
        _ => 0,
    };
    let text = format!("{value:.digits$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// A room of some size, beside FreeSWITCH's.
#[derive(Clone, Debug)]
pub struct Size {
    pub participants: usize,
    /// In % of a core.
    pub cpu: Estimate,
    /// Why the machine that measured it is not to be believed, if so.
    pub doubt: Option<String>,
    pub age: f64,
    pub age_p95: f64,
}

/// FreeSWITCH 1.11.2 in % of a core, with one encode for all and without encryption.
const FREESWITCH: [(usize, u32); 3] = [(4, 40), (9, 64), (16, 90)];

/// All that was measured.
#[derive(Debug, Default)]
pub struct Report {
    rows: Vec<Row>,
    sizes: Vec<Size>,
    /// One encode, in % of a core.
    encode: Option<Estimate>,
}

impl Report {
    pub fn extend(&mut self, rows: Vec<Row>) {
        for row in &rows {
            let [what, goal, measured, _, verdict] = row.cells(None);
            println!("  {what}: {measured}  {goal}  {verdict}");
        }
        self.rows.extend(rows);
    }

    pub fn sizes(&mut self, sizes: Vec<Size>) {
        self.sizes.extend(sizes);
    }

    /// What CPU figures are told in units of, from here on.
    pub fn reference(&mut self, encode: Option<Estimate>) {
        self.encode = encode;
    }

    pub fn missed(&self) -> usize {
        self.rows.iter().filter(|row| row.verdict() == Verdict::Missed).count()
    }

    pub fn not_judged(&self) -> usize {
        self.rows.iter().filter(|row| matches!(row.verdict(), Verdict::NotJudged(_))).count()
    }

    /// As Markdown, with what it was measured on.
    pub fn markdown(&self) -> String {
        let mut text = format!("Measured on {}", machine());
        if let Some(encode) = self.encode {
            let _ = write!(text, ", where one encode of 720p30 takes {} % of a core", number(encode.value));
        }
        text += ".\n\n";
        let cells: Vec<[String; 5]> = self.rows.iter().map(|row| row.cells(self.encode)).collect();
        text += &table(["what", "goal", "measured", "in encodes", ""].map(str::to_owned), &cells);
        if !self.sizes.is_empty() {
            let freeswitch = |participants| FREESWITCH.iter().find(|(count, _)| *count == participants);
            let cells: Vec<[String; 5]> = self
                .sizes
                .iter()
                .map(|size| {
                    let full = if size.doubt.is_some() { " (the machine was full)" } else { "" };
                    [
                        size.participants.to_string(),
                        format!("{:.0}", size.cpu.value),
                        self.encode.map(|encode| number(size.cpu.value / encode.value)).unwrap_or_default(),
                        format!("{:.0} / {:.0}{full}", size.age, size.age_p95),
                        freeswitch(size.participants).map(|(_, cpu)| cpu.to_string()).unwrap_or_default(),
                    ]
                })
                .collect();
            let head = [
                "participants",
                "server CPU, % of a core, encryption included",
                "in encodes",
                "capture to composite where one of them decodes it, ms, median / p95",
                "FreeSWITCH 1.11.2, one encode shared, no encryption (93 ms at the median), % of a core",
            ];
            text += "\n";
            text += &table(head.map(str::to_owned), &cells);
        }
        text
    }

    /// Writes it to `path`, and into the README if `readme` names one.
    pub fn write(&self, path: &Path, readme: Option<&Path>) -> Result<(), Failure> {
        let markdown = self.markdown();
        fs::write(path, &markdown)?;
        if let Some(readme) = readme {
            let text = fs::read_to_string(readme)?;
            fs::write(readme, between_markers(&text, &markdown).ok_or(Failure::Missing("the README's markers"))?)?;
        }
        Ok(())
    }
}

fn table<const COLUMNS: usize>(head: [String; COLUMNS], rows: &[[String; COLUMNS]]) -> String {
    let mut text = String::new();
    for (number, row) in std::iter::once(&head).chain(rows).enumerate() {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "| {} |", row.join(" | "));
        if number == 0 {
            let _ = writeln!(text, "|{}", "---|".repeat(COLUMNS));
        }
    }
    text
}

/// `text` with `content` in the place of what stands between the markers.
fn between_markers(text: &str, content: &str) -> Option<String> {
    let (before, rest) = text.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n{content}{END}{after}"))
}

fn machine() -> String {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model =
        cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ").map(|(_, name)| name));
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!("{cores} cores of {}, {}", model.unwrap_or("an unknown processor"), gstreamer::version_string())
}

/// How much else the machine had to do in the last minute, in runnable threads.
pub fn load() -> f64 {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split_whitespace().next().and_then(|first| first.parse().ok()).unwrap_or_default()
}
