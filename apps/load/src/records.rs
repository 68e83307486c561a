//! What is written down while a scenario runs: a histogram for each step and outcome, and how late the generator was.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Result;

use crate::failure::{Failure, OWN};
use crate::results::StepResult;
use crate::series::{Series, Summary};

/// The outcome of a step that did what it was asked to.
pub(crate) const OK: &str = "ok";

/// The books of one run. Many tasks write into them at the same time.
pub(crate) struct Records {
    empty: Series,
    steps: Mutex<BTreeMap<Key, Entry>>,
    lag: Mutex<Series>,
}

/// Step and outcome; the order is that in which steps are first seen, so that a report reads like the run.
type Key = (String, String);

struct Entry {
    order: usize,
    series: Series,
    first_message: Option<String>,
}

impl Records {
    pub(crate) fn new() -> Result<Self> {
        let empty = Series::new()?;
        Ok(Self { steps: Mutex::default(), lag: Mutex::new(empty.clone()), empty })
    }

    /// Writes down one step that took `took`, counted from when it was meant to begin.
    pub(crate) fn add(&self, step: &str, took: Duration, failure: Option<&Failure>) {
        let outcome = failure.map_or(OK, |failure| &failure.class);
        let mut steps = lock(&self.steps);
        let order = steps.len();
        let entry = steps.entry((step.to_owned(), outcome.to_owned())).or_insert_with(|| Entry {
            order,
            series: self.empty.clone(),
            first_message: failure.map(|failure| failure.message.clone()),
        });
        entry.series.add(took);
    }

    /// Takes over a series of successes that was measured elsewhere.
    pub(crate) fn add_series(&self, step: &str, series: &Series) {
        let mut steps = lock(&self.steps);
        let order = steps.len();
        let key = (step.to_owned(), OK.to_owned());
        steps.insert(key, Entry { order, series: series.clone(), first_message: None });
    }

    /// Writes down how much later than meant something was begun.
    pub(crate) fn add_lag(&self, late: Duration) {
        lock(&self.lag).add(late);
    }

    pub(crate) fn lag(&self) -> Summary {
        lock(&self.lag).summary()
    }

    /// What one step took so far where it succeeded; empty if it never did.
    pub(crate) fn of(&self, step: &str) -> Series {
        let steps = lock(&self.steps);
        let found = steps.get(&(step.to_owned(), OK.to_owned()));
        found.map_or_else(|| self.empty.clone(), |entry| entry.series.clone())
    }

    /// Failures, by whom they are: the generator's own, and all others.
    pub(crate) fn failures(&self) -> (u64, u64) {
        let (mut own, mut others) = (0, 0);
        for ((_, outcome), entry) in lock(&self.steps).iter().filter(|((_, outcome), _)| outcome != OK) {
            let count = entry.series.summary().count;
            if outcome == OWN { own += count } else { others += count }
        }
        (own, others)
    }

    /// All steps, in the order in which they were first seen.
    pub(crate) fn steps(&self, lasted: Duration) -> Vec<StepResult> {
        let steps = lock(&self.steps);
        let mut ordered: Vec<_> = steps.iter().collect();
        ordered.sort_by_key(|(_, entry)| entry.order);
        let result = |((step, outcome), entry): (&Key, &Entry)| StepResult {
            first_message: entry.first_message.clone(),
            ..StepResult::new(step, outcome, &entry.series, lasted)
        };
        ordered.into_iter().map(result).collect()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_outcome_of_a_step_is_counted_by_itself() {
        let records = Records::new().unwrap();
        let took = Duration::from_millis(3);
        records.add("exec", took, None);
        records.add("exec", took, Some(&Failure::timeout()));
        let own = Failure { class: OWN.to_owned(), message: "no descriptor left".to_owned() };
        records.add("create", took, Some(&own));
        assert_eq!(records.failures(), (1, 1));
        let steps = records.steps(Duration::from_secs(2));
        let named: Vec<_> = steps.iter().map(|step| (step.step.as_str(), step.outcome.as_str())).collect();
        assert_eq!(named, [("exec", "ok"), ("exec", "timeout"), ("create", "generator")]);
        assert!((steps[0].per_second - 0.5).abs() < f64::EPSILON);
        assert_eq!(steps[2].first_message.as_deref(), Some("no descriptor left"));
    }
}
