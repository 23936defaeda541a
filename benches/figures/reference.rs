//! The reference work: one encode of 720p30, standing alone, again and again in the same run. CPU figures are told in units
//! of it, too: they say the same on a machine that is twice as slow, and goals for CPU are set in them.

use std::time::Duration;

use tessera::media::Templates;

use crate::failure::Failure;
use crate::parts::{self, Part};
use tessera::probe::estimate::Estimate;

/// What an encode took of a core where the goals were set (two cores of an AMD EPYC), in %.
pub const WHERE_GOALS_WERE_SET: f64 = 14.9;

/// The machine's pace may differ by so much within a run.
const MOST_DRIFT: f64 = 1.25;

/// How much of a core the encode took each time.
#[derive(Debug, Default)]
pub struct Reference {
    taken: Vec<Estimate>,
    doubt: Option<String>,
}

impl Reference {
    /// Measures it once more.
    pub async fn take(&mut self, templates: &Templates, length: Duration) -> Result<(), Failure> {
        let alone = parts::measure(Part::Encode, 4, templates, length).await?;
        println!("  (the reference: one encode takes {:.1} % of a core)", alone.percent().value);
        self.doubt = self.doubt.take().or(alone.doubt());
        self.taken.push(alone.percent());
        Ok(())
    }

    /// One encode, in % of a core; nothing where it was never measured.
    pub fn encode(&self) -> Option<Estimate> {
        let values: Vec<f64> = self.taken.iter().map(|taken| taken.value).collect();
        (!values.is_empty()).then(|| Estimate::of(&values))
    }

    /// Why nothing can be said in units of it, if so.
    pub fn doubt(&self) -> Option<String> {
        let values = self.taken.iter().map(|taken| taken.value);
        let (least, most) = (values.clone().fold(f64::INFINITY, f64::min), values.fold(0.0, f64::max));
        let drift = (most > least * MOST_DRIFT)
            .then(|| format!("the machine's pace changed: an encode took {least:.1} to {most:.1} % of a core"));
        self.doubt.clone().or(drift)
    }
}
