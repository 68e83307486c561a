//! The charts of a scenario: how long which part of the requests took, and how the gauges went meanwhile.

use super::chart::{Axis, Chart, Line};
use crate::gauges::Sample;
use crate::records::OK;
use crate::results::{ScenarioResult, StepResult, exact};

/// Marks of the axis of percentiles.
const PERCENTILES: [(f64, &str); 5] =
    [(0.0, "0 %"), (0.5, "50 %"), (0.9, "90 %"), (0.99, "99 %"), (0.999, "99.9 %")];

/// Latency by percentile, a line for each step that succeeded; what belongs to one attack has a chart of its own.
pub(super) fn latency(scenario: &ScenarioResult) -> Vec<Chart> {
    let mut groups: Vec<(&str, Vec<&StepResult>)> = Vec::new();
    for step in scenario.steps.iter().filter(|step| step.outcome == OK) {
        let name = attack(&step.step);
        match groups.iter_mut().find(|(other, _)| *other == name) {
            Some((_, steps)) => steps.push(step),
            None => groups.push((name, vec![step])),
        }
    }
    groups.into_iter().map(|(name, steps)| percentiles(name, &steps)).collect()
}

/// The attack before, during or after which a step was done; nothing for all others.
fn attack(step: &str) -> &str {
    [" before ", " during ", " after "]
        .iter()
        .find_map(|when| Some(step.split_once(when)?.1))
        .unwrap_or_default()
}

fn percentiles(name: &str, steps: &[&StepResult]) -> Chart {
    let least = steps.iter().map(|step| step.summary.min).fold(f64::MAX, f64::min);
    let most = steps.iter().map(|step| step.summary.max).fold(0.0, f64::max);
    let line = |step: &&StepResult| Line { name: step.step.clone(), points: curve(step) };
    let lines: Vec<_> = steps.iter().map(line).collect();
    let right = lines.iter().flat_map(|line| &line.points).map(|(x, _)| *x).fold(1.0, f64::max);
    let marks = PERCENTILES.iter().map(|(part, label)| (nines(*part), (*label).to_owned()));
    let marks = marks.filter(|(x, _)| *x <= right).collect();
    Chart {
        title: format!("Latency by percentile, milliseconds {name}").trim_end().to_owned(),
        height: 320.0,
        x: Axis { from: 0.0, to: right, marks, logarithmic: false },
        y: Axis::powers(least, most),
        lines,
    }
}

/// How far to the right a part of all lies: each further nine is one unit.
fn nines(part: f64) -> f64 {
    -(1.0 - part).log10()
}

fn curve(step: &StepResult) -> Vec<(f64, f64)> {
    let (total, mut seen) = (exact(step.summary.count), 0);
    let point = |(microseconds, count): &(u64, u64)| {
        seen += count;
        // The last of all has half a request above it, or it would lie infinitely far to the right.
        (nines((exact(seen) - 0.5) / total), exact(*microseconds) / 1000.0)
    };
    step.histogram.iter().map(point).collect()
}

/// What was sampled in the first repetition.
pub(super) fn timelines(scenario: &ScenarioResult) -> Vec<Chart> {
    let Some(samples) = scenario.repetitions.first().map(|repetition| repetition.gauges.as_slice()) else {
        return Vec::new();
    };
    vec![cpu(samples), memory(samples), counts(samples)]
}

fn cpu(samples: &[Sample]) -> Chart {
    let share = |of: fn(&Sample) -> u64| {
        let pairs = samples.windows(2).filter(|pair| pair[1].at_ms > pair[0].at_ms);
        let point = |pair: &[Sample]| {
            let used = of(&pair[1]).saturating_sub(of(&pair[0]));
            (seconds(&pair[1]), exact(used) / exact(pair[1].at_ms - pair[0].at_ms) * 100.0)
        };
        pairs.map(point).collect()
    };
    timeline(
        "Processor time, % of a core",
        vec![
            ("whole machine", share(|sample| sample.busy_ms)),
            ("sandboxes", share(|sample| sample.sandboxes.cpu_ms)),
            ("server", share(|sample| sample.server.cpu_ms)),
            ("spawner", share(|sample| sample.spawner.cpu_ms)),
        ],
    )
}

fn memory(samples: &[Sample]) -> Chart {
    let first = samples.first().cloned().unwrap_or_default();
    let mib = |of: &dyn Fn(&Sample) -> u64| points(samples, &|sample| exact(of(sample)) / 1024.0);
    let slab = |sample: &Sample| sample.memory.slab_reclaimable + sample.memory.slab_unreclaimable;
    timeline(
        "Memory, MiB",
        vec![
            ("no longer available", mib(&|now| first.memory.available.saturating_sub(now.memory.available))),
            ("charged to sandboxes", mib(&|now| now.sandboxes.memory_kib)),
            ("server", mib(&|now| now.server.pss_kib)),
            ("spawner", mib(&|now| now.spawner.pss_kib)),
            ("slab, since the start", mib(&|now| slab(now).saturating_sub(slab(&first)))),
            (
                "page tables, since the start",
                mib(&|now| now.memory.page_tables.saturating_sub(first.memory.page_tables)),
            ),
        ],
    )
}

fn counts(samples: &[Sample]) -> Chart {
    let count = |of: fn(&Sample) -> usize| points(samples, &|sample| exact(of(sample) as u64));
    timeline(
        "Counts",
        vec![
            ("live sandboxes", count(|sample| sample.sandboxes.live)),
            ("open files of the server", count(|sample| sample.server.fds)),
            ("open files of the spawner", count(|sample| sample.spawner.fds)),
            ("loop devices", count(|sample| sample.loops)),
        ],
    )
}

fn points(samples: &[Sample], of: &dyn Fn(&Sample) -> f64) -> Vec<(f64, f64)> {
    samples.iter().map(|sample| (seconds(sample), of(sample))).collect()
}

fn timeline(title: &str, lines: Vec<(&str, Vec<(f64, f64)>)>) -> Chart {
    let all = || lines.iter().flat_map(|(_, points)| points);
    let end = all().map(|(x, _)| *x).fold(0.1, f64::max);
    let mut x = Axis::from_zero(end);
    (x.to, x.marks) = (end, x.marks.into_iter().filter(|(value, _)| *value <= end).map(with_unit).collect());
    let y = Axis::from_zero(all().map(|(_, y)| *y).fold(0.0, f64::max));
    let lines = lines.into_iter().map(|(name, points)| Line { name: name.to_owned(), points }).collect();
    Chart { title: title.to_owned(), height: 240.0, x, y, lines }
}

fn with_unit((value, label): (f64, String)) -> (f64, String) {
    (value, format!("{label} s"))
}

fn seconds(sample: &Sample) -> f64 {
    exact(sample.at_ms) / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::series::Series;
    use std::time::Duration;

    #[test]
    fn an_attack_is_known_by_its_steps() {
        assert_eq!(attack("exec during fork bomb"), "fork bomb");
        assert_eq!(attack("delete under attack"), "");
    }

    #[test]
    fn half_of_the_requests_lie_left_of_the_mark_for_half() {
        let mut series = Series::new().unwrap();
        (1..=1000).for_each(|number| series.add(Duration::from_micros(number)));
        let curve = curve(&StepResult::new("exec", OK, &series, Duration::from_secs(1)));
        let left = curve.iter().filter(|(x, _)| *x <= nines(0.5)).count();
        assert_eq!((left, curve.len()), (500, 1000));
        assert!(curve.iter().all(|(x, _)| x.is_finite()));
    }
}
