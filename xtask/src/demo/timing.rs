//! How long each step of the demo took.

use std::time::{Duration, Instant};

use anyhow::Result;

/// An answer and the time from the first byte sent to the last received.
pub(super) struct Timed<T> {
    pub(super) value: T,
    pub(super) took: Duration,
}

/// The steps so far.
#[derive(Default)]
pub(super) struct Timings(Vec<(&'static str, Duration)>);

impl Timings {
    /// Remembers an answer's time and returns the answer.
    pub(super) fn note<T>(&mut self, step: &'static str, timed: Timed<T>) -> T {
        self.0.push((step, timed.took));
        timed.value
    }

    /// Times a step that is more than one request.
    pub(super) fn measure<T>(&mut self, step: &'static str, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let start = Instant::now();
        let value = work()?;
        Ok(self.note(step, Timed { value, took: start.elapsed() }))
    }

    /// Prints the table.
    pub(super) fn print(&self) {
        println!();
        for (step, took) in &self.0 {
            println!("{step:<14} {:>9.1} ms", took.as_secs_f64() * 1000.0);
        }
        println!();
    }
}
