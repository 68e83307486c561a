//! Named steps with their seconds: all of them run, the table is printed, and one failure fails the whole.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// What has been run so far.
#[derive(Default)]
pub(crate) struct Report {
    steps: Vec<Step>,
}

struct Step {
    name: String,
    took: Duration,
    failure: Option<String>,
}

impl Report {
    /// Runs one step and goes on, whatever becomes of it.
    pub(crate) fn step(&mut self, name: &str, work: impl FnOnce() -> Result<()>) {
        eprintln!("== {name}");
        let start = Instant::now();
        let failure = work().err().map(|error| format!("{error:#}"));
        if let Some(failure) = &failure {
            eprintln!("{name} failed: {failure}");
        }
        self.steps.push(Step { name: name.to_owned(), took: start.elapsed(), failure });
    }

    /// Prints the table; an error if any step failed.
    pub(crate) fn finish(self) -> Result<()> {
        let width = self.steps.iter().map(|step| step.name.len()).max().unwrap_or(0);
        println!();
        for step in &self.steps {
            let outcome = if step.failure.is_some() { "FAILED" } else { "ok" };
            println!("{:width$}  {:>7.1} s  {outcome}", step.name, step.took.as_secs_f64());
        }
        let failed: Vec<_> =
            self.steps.iter().filter(|step| step.failure.is_some()).map(|step| &*step.name).collect();
        if !failed.is_empty() {
            bail!("failed: {}", failed.join(", "));
        }
        Ok(())
    }
}
