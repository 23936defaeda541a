//! The table of figures: for the terminal, for a file, and for the README between its markers.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use crate::failure::Failure;

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
    pub what: String,
    pub goal: Goal,
    pub value: f64,
    pub unit: &'static str,
}

impl Row {
    pub fn new(what: impl Into<String>, goal: Goal, value: f64, unit: &'static str) -> Self {
        Self { what: what.into(), goal, value, unit }
    }

    fn verdict(&self) -> &'static str {
        let reached = match self.goal {
            Goal::AtLeast(goal) => self.value >= goal,
            Goal::AtMost(goal) => self.value <= goal,
            Goal::None => return "",
        };
        if reached { "reached" } else { "**missed**" }
    }

    fn cells(&self) -> [String; 4] {
        let goal = match self.goal {
            Goal::AtLeast(goal) => format!("≥ {goal} {}", self.unit),
            Goal::AtMost(goal) => format!("≤ {goal} {}", self.unit),
            Goal::None => String::new(),
        };
        let digits = if self.value.abs() < 10.0 { 2 } else { usize::from(self.value.abs() < 100.0) };
        let measured = format!("{:.digits$} {}", self.value, self.unit);
        [self.what.clone(), goal.trim_end().to_owned(), measured.trim_end().to_owned(), self.verdict().to_owned()]
    }
}

/// A room of some size, beside FreeSWITCH's.
#[derive(Clone, Debug)]
pub struct Size {
    pub participants: usize,
    pub cpu: f64,
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
}

impl Report {
    pub fn extend(&mut self, rows: Vec<Row>) {
        for row in &rows {
            let [what, goal, measured, verdict] = row.cells();
            println!("  {what}: {measured}  {goal}  {verdict}");
        }
        self.rows.extend(rows);
    }

    pub fn sizes(&mut self, sizes: Vec<Size>) {
        self.sizes.extend(sizes);
    }

    pub fn missed(&self) -> usize {
        self.rows.iter().filter(|row| row.verdict().contains("missed")).count()
    }

    /// As Markdown, with what it was measured on.
    pub fn markdown(&self) -> String {
        let mut text = format!("Measured on {}.\n\n", machine());
        let cells: Vec<[String; 4]> = self.rows.iter().map(Row::cells).collect();
        text += &table(["what", "goal", "measured", ""].map(str::to_owned), &cells);
        if !self.sizes.is_empty() {
            let freeswitch = |participants| FREESWITCH.iter().find(|(count, _)| *count == participants);
            let cells: Vec<[String; 4]> = self
                .sizes
                .iter()
                .map(|size| {
                    [
                        size.participants.to_string(),
                        format!("{:.0}", size.cpu),
                        format!("{:.0} / {:.0}", size.age, size.age_p95),
                        freeswitch(size.participants).map(|(_, cpu)| cpu.to_string()).unwrap_or_default(),
                    ]
                })
                .collect();
            let head = [
                "participants",
                "server CPU, % of a core, encryption included",
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

fn table(head: [String; 4], rows: &[[String; 4]]) -> String {
    let mut text = String::new();
    for (number, row) in std::iter::once(&head).chain(rows).enumerate() {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "| {} |", row.join(" | "));
        if number == 0 {
            text += "|---|---|---|---|\n";
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
