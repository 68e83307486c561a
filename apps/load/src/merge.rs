//! Several repetitions of a scenario as one.

use std::time::Duration;

use anyhow::Result;

use crate::results::{Figure, Repetition, StepResult};
use crate::series::Series;

/// Every step of any of them, with the histograms added up.
pub(crate) fn steps(repetitions: &[Repetition]) -> Result<Vec<StepResult>> {
    let lasted = Duration::from_secs_f64(repetitions.iter().map(|one| one.seconds).sum());
    let mut names: Vec<(&str, &str)> = Vec::new();
    for step in repetitions.iter().flat_map(|one| &one.steps) {
        if !names.contains(&(&step.step, &step.outcome)) {
            names.push((&step.step, &step.outcome));
        }
    }
    let merge = |(name, outcome): (&str, &str)| {
        let same = || {
            let all = repetitions.iter().flat_map(|one| &one.steps);
            all.filter(move |step| step.step == name && step.outcome == outcome)
        };
        let series = Series::of(same().map(|step| &step.histogram))?;
        let first_message = same().find_map(|step| step.first_message.clone());
        Ok(StepResult { first_message, ..StepResult::new(name, outcome, &series, lasted) })
    };
    names.into_iter().map(merge).collect()
}

/// The median of each figure.
pub(crate) fn figures(repetitions: &[Repetition]) -> Vec<Figure> {
    let Some(first) = repetitions.first() else { return Vec::new() };
    let median = |figure: &Figure| {
        let all = repetitions.iter().flat_map(|one| &one.figures);
        let values = all.filter(|other| other.name == figure.name).map(|other| other.value).collect();
        Figure { value: median(values), ..figure.clone() }
    };
    first.figures.iter().map(median).collect()
}

/// The middle one; of an even number the mean of the two in the middle. Zero of none.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => 0.0,
        count if count % 2 == 1 => values[count / 2],
        count => f64::midpoint(values[count / 2 - 1], values[count / 2]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert!((median(vec![9.0, 1.0, 2.0]) - 2.0).abs() < f64::EPSILON);
        assert!((median(vec![4.0, 1.0, 2.0, 8.0]) - 3.0).abs() < f64::EPSILON);
    }
}
