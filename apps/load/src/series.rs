//! Durations of one step, and what is said of them.

use std::time::Duration;

use anyhow::Result;
use hdrhistogram::Histogram;
use serde::Serialize;

/// All durations of one step, in microseconds.
pub(crate) struct Series(Histogram<u64>);

/// What a series comes to; times in milliseconds.
#[derive(Debug, Serialize)]
pub(crate) struct Summary {
    pub(crate) count: u64,
    pub(crate) min: f64,
    pub(crate) p50: f64,
    pub(crate) p90: f64,
    pub(crate) p95: f64,
    pub(crate) p99: f64,
    pub(crate) max: f64,
}

impl Series {
    /// An empty series that tells durations up to a minute apart by a thousandth.
    pub(crate) fn new() -> Result<Self> {
        Ok(Self(Histogram::new_with_bounds(1, 60_000_000, 3)?))
    }

    pub(crate) fn add(&mut self, took: Duration) {
        self.0.saturating_record(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    }

    pub(crate) fn summary(&self) -> Summary {
        let at = |quantile| milliseconds(self.0.value_at_quantile(quantile));
        Summary {
            count: self.0.len(),
            min: milliseconds(self.0.min()),
            p50: at(0.50),
            p90: at(0.90),
            p95: at(0.95),
            p99: at(0.99),
            max: milliseconds(self.0.max()),
        }
    }
}

fn milliseconds(microseconds: u64) -> f64 {
    // The histogram ends at a minute, so nothing is cut off here.
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
}
