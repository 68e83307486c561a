//! Durations of one step, and what is said of them.

use std::time::Duration;

use anyhow::Result;
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// All durations of one step, in microseconds.
#[derive(Clone)]
pub(crate) struct Series(Histogram<u64>);

/// What a series comes to; times in milliseconds.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Summary {
    pub(crate) count: u64,
    pub(crate) min: f64,
    pub(crate) p50: f64,
    pub(crate) p90: f64,
    pub(crate) p95: f64,
    pub(crate) p99: f64,
    pub(crate) max: f64,
}

/// A series as it is stored: how often each duration (in microseconds, within a thousandth) was seen, in their order.
pub(crate) type Counts = Vec<(u64, u64)>;

impl Series {
    /// An empty series that tells durations up to ten minutes apart by a thousandth.
    pub(crate) fn new() -> Result<Self> {
        Ok(Self(Histogram::new_with_bounds(1, 600_000_000, 3)?))
    }

    /// The series that has all of `parts`.
    pub(crate) fn of<'c>(parts: impl IntoIterator<Item = &'c Counts>) -> Result<Self> {
        let mut series = Self::new()?;
        for (microseconds, count) in parts.into_iter().flatten() {
            series.0.saturating_record_n(*microseconds, *count);
        }
        Ok(series)
    }

    pub(crate) fn add(&mut self, took: Duration) {
        self.0.saturating_record(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    }

    pub(crate) fn counts(&self) -> Counts {
        self.0.iter_recorded().map(|step| (step.value_iterated_to(), step.count_at_value())).collect()
    }

    /// The duration in milliseconds that this part of all, 0 to 1, did not exceed.
    pub(crate) fn at(&self, quantile: f64) -> f64 {
        milliseconds(self.0.value_at_quantile(quantile))
    }

    pub(crate) fn summary(&self) -> Summary {
        Summary {
            count: self.0.len(),
            min: milliseconds(self.0.min()),
            p50: self.at(0.50),
            p90: self.at(0.90),
            p95: self.at(0.95),
            p99: self.at(0.99),
            max: milliseconds(self.0.max()),
        }
    }
}

fn milliseconds(microseconds: u64) -> f64 {
    // The histogram ends at ten minutes, so nothing is cut off here.
    f64::from(u32::try_from(microseconds).unwrap_or(u32::MAX)) / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_is_in_milliseconds() {
        let mut series = Series::new().unwrap();
        (1..=100).for_each(|number| series.add(Duration::from_millis(number)));
        let summary = series.summary();
        assert_eq!(summary.count, 100);
        assert!((summary.p50 - 50.0).abs() < 0.1, "{summary:?}");
        assert!((summary.p95 - 95.0).abs() < 0.1, "{summary:?}");
    }

    #[test]
    fn parts_together_are_the_whole() {
        let (mut even, mut odd, mut all) =
            (Series::new().unwrap(), Series::new().unwrap(), Series::new().unwrap());
        for number in 0..1000_u64 {
            let took = Duration::from_micros(number * number);
            if number % 2 == 0 {
                even.add(took);
            } else {
                odd.add(took);
            }
            all.add(took);
        }
        let together = Series::of([&even.counts(), &odd.counts()]).unwrap();
        assert_eq!(together.counts(), all.counts());
        assert!((together.summary().p99 - all.summary().p99).abs() < f64::EPSILON);
    }
}
