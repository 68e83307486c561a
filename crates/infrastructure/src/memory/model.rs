//! How a provider is slow and what is wrong with it, and which call that befalls.

use super::dice::Dice;
use super::operation::Operation;
use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::Duration;

/// What may befall the calls of a provider. The default is that nothing does.
///
/// Written in one line, in any order: `seed=7 latency=5ms tail=200ms errors=0.02 lost=0.3 late=2s lag=300ms stuck=0.001`,
/// and `create=50ms` or another operation's name for what takes longer or less than the others.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Model {
    /// The same seed and the same calls lead to the same faults.
    pub seed: u64,
    /// What a call takes: between half of it and one and a half.
    pub latency: Duration,
    /// What calls of one kind take instead.
    pub latencies: BTreeMap<Operation, Duration>,
    /// What one call in twenty takes at most on top.
    pub tail: Duration,
    /// The share of calls that fail and do nothing.
    pub errors: f64,
    /// The share of calls with an effect whose answer is lost: the effect is there, or never will be. That of a create
    /// may also come later.
    pub lost: f64,
    /// How much later, at most.
    pub late: Duration,
    /// How long a new sandbox is in no list and has no status, and how long a deleted one is still listed.
    pub lag: Duration,
    /// The share of creates and stops that hang until they are released.
    pub stuck: f64,
}

/// What befalls one call.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Fate {
    pub(super) takes: Duration,
    pub(super) stuck: bool,
    pub(super) error: Option<Failure>,
    pub(super) lost: Option<Effect>,
}

/// How a call fails that does nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    Unreachable,
    Failed,
}

/// What becomes of a call whose answer is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    Done,
    Later(Duration),
    Never,
}

/// A line that is no model.
#[derive(Debug, thiserror::Error)]
#[error(
    "`{0}` is no part of a model: seed=NUMBER, errors|lost|stuck=0..1, latency|tail|late|lag=TIMEms or TIMEs"
)]
pub struct InvalidModel(String);

impl FromStr for Model {
    type Err = InvalidModel;

    fn from_str(line: &str) -> Result<Self, InvalidModel> {
        let mut model = Self::default();
        for part in line.split_whitespace() {
            model.set(part).ok_or_else(|| InvalidModel(part.to_owned()))?;
        }
        Ok(model)
    }
}

impl Model {
    fn set(&mut self, part: &str) -> Option<()> {
        let (name, value) = part.split_once('=')?;
        match name {
            "seed" => self.seed = value.parse().ok()?,
            "latency" => self.latency = time(value)?,
            "tail" => self.tail = time(value)?,
            "errors" => self.errors = share(value)?,
            "lost" => self.lost = share(value)?,
            "late" => self.late = time(value)?,
            "lag" => self.lag = time(value)?,
            "stuck" => self.stuck = share(value)?,
            other => {
                self.latencies.insert(Operation::parse(other)?, time(value)?);
            }
        }
        Some(())
    }

    /// What befalls the n-th call of this kind for that object. It depends on nothing else, so neither on what happens
    /// at the same time.
    pub(super) fn fate(&self, operation: Operation, name: &str, asked: u64) -> Fate {
        let dice =
            Dice::of(self.seed, &[operation.as_str().as_bytes(), name.as_bytes(), &asked.to_le_bytes()]);
        let failure = if dice.throw("how it fails") < 0.5 { Failure::Unreachable } else { Failure::Failed };
        Fate {
            takes: self.takes(operation, dice),
            stuck: dice.throw("stuck") < self.stuck,
            error: (dice.throw("error") < self.errors).then_some(failure),
            lost: (dice.throw("lost") < self.lost).then(|| self.effect(dice)),
        }
    }

    fn effect(&self, dice: Dice) -> Effect {
        match dice.throw("effect") {
            ..0.4 => Effect::Done,
            ..0.7 => Effect::Later(self.late.mul_f64(dice.throw("how late"))),
            _ => Effect::Never,
        }
    }

    fn takes(&self, operation: Operation, dice: Dice) -> Duration {
        let base = *self.latencies.get(&operation).unwrap_or(&self.latency);
        let base = base.mul_f64(0.5 + dice.throw("latency"));
        let in_the_tail = dice.throw("tail") < 0.05;
        if in_the_tail { base + self.tail.mul_f64(dice.throw("how slow")) } else { base }
    }
}

fn time(text: &str) -> Option<Duration> {
    if let Some(millis) = text.strip_suffix("ms") {
        return millis.parse().ok().map(Duration::from_millis);
    }
    text.strip_suffix('s')?.parse().ok().map(Duration::from_secs)
}

fn share(text: &str) -> Option<f64> {
    text.parse().ok().filter(|share| (0.0..=1.0).contains(share))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_and_what_it_leaves_out_is_nothing() {
        let model: Model =
            "seed=7 lost=0.3 latency=5ms tail=200ms errors=0.02 late=2s lag=300ms stuck=0.001 create=1s"
                .parse()
                .expect("a model");
        let whole = Model {
            seed: 7,
            latency: Duration::from_millis(5),
            latencies: BTreeMap::from([(Operation::Create, Duration::from_secs(1))]),
            tail: Duration::from_millis(200),
            errors: 0.02,
            lost: 0.3,
            late: Duration::from_secs(2),
            lag: Duration::from_millis(300),
            stuck: 0.001,
        };
        assert_eq!(model, whole);
        assert_eq!("".parse::<Model>().expect("nothing"), Model::default());
    }

    #[test]
    fn a_line_with_anything_else_is_refused_by_its_part() {
        for part in ["lost=1.1", "lost=NaN", "latency=5", "seed=-1", "colour=red", "lag", "create=0.5"] {
            let error = format!("seed=1 {part}").parse::<Model>().expect_err(part);
            assert!(error.to_string().starts_with(&format!("`{part}`")), "{error}");
        }
    }

    #[test]
    fn nothing_befalls_the_calls_of_a_sound_provider() {
        let sound = Fate { takes: Duration::ZERO, stuck: false, error: None, lost: None };
        assert!(
            (0..1_000).all(|asked| Model::default().fate(Operation::Create, "sandgate-x", asked) == sound)
        );
    }

    #[test]
    fn one_operation_may_take_longer_than_the_others() {
        let model: Model = "latency=10ms create=1s".parse().expect("a model");
        let takes = |operation| model.fate(operation, "sandgate-x", 1).takes.as_millis();
        assert!((500..1_500).contains(&takes(Operation::Create)), "{}", takes(Operation::Create));
        assert!((5..15).contains(&takes(Operation::Delete)), "{}", takes(Operation::Delete));
    }

    #[test]
    fn one_call_in_twenty_is_in_the_tail() {
        let model: Model = "latency=10ms tail=1s".parse().expect("a model");
        let takes: Vec<_> =
            (0..2_000).map(|asked| model.fate(Operation::Status, "sandgate-x", asked).takes).collect();
        let slow = takes.iter().filter(|takes| **takes > Duration::from_millis(15)).count();
        assert!((60..140).contains(&slow), "{slow}");
        assert!(takes.iter().all(|takes| (5..1_016).contains(&takes.as_millis())));
    }
}
