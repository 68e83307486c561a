//! Where the time of a create goes, measured in every create: reading a clock costs a thousandth of the shortest step.

use std::borrow::Cow;
use std::cell::RefCell;
use std::time::Instant;

use serde::{Deserialize, Serialize};

/// One step of a create.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct Lap {
    /// What was done.
    pub step: Cow<'static, str>,
    /// How long it took, in microseconds.
    pub micros: u64,
}

/// Measures steps that follow each other.
pub(crate) struct Stopwatch(RefCell<(Instant, Vec<Lap>)>);

impl Stopwatch {
    pub(crate) fn start() -> Self {
        Self(RefCell::new((Instant::now(), Vec::with_capacity(12))))
    }

    /// Ends a step, with which the next begins.
    pub(crate) fn lap(&self, step: &'static str) {
        let (last, laps) = &mut *self.0.borrow_mut();
        let now = Instant::now();
        let micros = u64::try_from(now.duration_since(*last).as_micros()).unwrap_or(u64::MAX);
        laps.push(Lap { step: Cow::Borrowed(step), micros });
        *last = now;
    }

    pub(crate) fn laps(self) -> Vec<Lap> {
        self.0.into_inner().1
    }
}
