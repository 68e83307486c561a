//! Whether a run can be believed, and whether what it saw is as it should be.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::records::Records;
use crate::series::Summary;

/// The generator may begin one request in a hundred by so many milliseconds later than meant.
const LAG_P99: f64 = 5.0;
/// And half of them by this part of the time between two requests, where that is known,
const LAG_SHARE: f64 = 0.01;
/// unless it is below what waking a thread takes anyway, in milliseconds.
const LAG_FLOOR: f64 = 0.5;

/// So many of what was left are named in a verdict; all are in the JSON file.
const TOLD: usize = 5;

/// From good to worse: of several the greatest counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Outcome {
    Passed,
    /// The server did something wrong, or left something behind.
    Failed,
    /// The generator was too slow or failed itself: its numbers say nothing of the server.
    Invalid,
}

/// An outcome with its reasons; none for [`Outcome::Passed`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Verdict {
    pub(crate) outcome: Outcome,
    pub(crate) reasons: Vec<String>,
}

impl Verdict {
    /// Judges one play of a scenario. `interval` is the time between two requests, where they came at a fixed rate.
    pub(crate) fn of(records: &Records, leaks: &[String], interval: Option<Duration>) -> Self {
        let (own, others) = records.failures();
        let mut invalid: Vec<_> = lag(&records.lag(), interval).into_iter().collect();
        invalid.extend((own > 0).then(|| format!("the generator itself failed {own} times")));
        let mut failed: Vec<_> = leaks.iter().take(TOLD).map(|leak| format!("left behind: {leak}")).collect();
        failed.extend((leaks.len() > TOLD).then(|| format!("and {} more", leaks.len() - TOLD)));
        failed.extend((others > 0).then(|| format!("{others} requests failed")));
        let outcome = match (invalid.is_empty(), failed.is_empty()) {
            (false, _) => Outcome::Invalid,
            (true, false) => Outcome::Failed,
            (true, true) => Outcome::Passed,
        };
        Self { outcome, reasons: [invalid, failed].concat() }
    }
}

fn lag(lag: &Summary, interval: Option<Duration>) -> Option<String> {
    let interval = interval.map(|interval| interval.as_secs_f64() * 1000.0);
    let half = interval.map(|interval| (interval * LAG_SHARE).max(LAG_FLOOR));
    let late = |quantile, value: f64, bound: f64| {
        (value > bound)
            .then(|| format!("the generator was late: {quantile} {value:.2} ms, allowed are {bound:.2} ms"))
    };
    late("p99", lag.p99, LAG_P99).or_else(|| half.and_then(|half| late("p50", lag.p50, half)))
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Passed => "passed",
            Self::Failed => "FAILED",
            Self::Invalid => "INVALID",
        })
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.outcome)?;
        if !self.reasons.is_empty() {
            write!(f, ": {}", self.reasons.join("; "))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::{Failure, OWN};

    const MS: Duration = Duration::from_millis(1);

    fn records(lags: &[Duration]) -> Records {
        let records = Records::new().unwrap();
        for lag in lags {
            records.add_lag(*lag);
        }
        records
    }

    fn outcome(records: &Records, interval: Option<Duration>) -> Outcome {
        Verdict::of(records, &[], interval).outcome
    }

    #[test]
    fn a_generator_that_lags_makes_the_run_invalid() {
        let punctual = vec![MS / 10; 100];
        assert_eq!(outcome(&records(&punctual), Some(50 * MS)), Outcome::Passed);
        let stalls = [vec![MS / 10; 98], vec![20 * MS; 2]].concat();
        assert_eq!(outcome(&records(&stalls), None), Outcome::Invalid);
        let always_late = vec![2 * MS; 100];
        assert_eq!(outcome(&records(&always_late), None), Outcome::Passed);
        assert_eq!(outcome(&records(&always_late), Some(50 * MS)), Outcome::Invalid);
        assert_eq!(outcome(&records(&always_late), Some(1000 * MS)), Outcome::Passed);
    }

    #[test]
    fn whose_failure_it_is_decides() {
        let (servers, own) = (records(&[]), records(&[]));
        servers.add("create", MS, Some(&Failure::timeout()));
        assert_eq!(outcome(&servers, None), Outcome::Failed);
        own.add("create", MS, Some(&Failure { class: OWN.to_owned(), message: String::new() }));
        assert_eq!(outcome(&own, None), Outcome::Invalid);
    }

    #[test]
    fn a_leak_fails_and_is_named() {
        let verdict = Verdict::of(&records(&[]), &["loop device 7".to_owned()], None);
        assert_eq!(verdict.outcome, Outcome::Failed);
        assert_eq!(verdict.to_string(), "FAILED: left behind: loop device 7");
    }
}
