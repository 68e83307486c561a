//! What the tests in a virtual machine have said, and what to make of it.

use std::time::Duration;

use anyhow::{Result, ensure};

/// The lines of one run that mean something.
#[derive(Default)]
pub(super) struct Results {
    outcomes: Vec<Outcome>,
    facts: Vec<String>,
    /// The exit code of the test binary, once it has one.
    end: Option<String>,
}

/// What became of a test.
struct Outcome {
    name: String,
    /// `ok`, or another word; a test that was skipped says why.
    word: String,
    took: Duration,
}

impl Results {
    /// Takes note of a line, and returns it as it is to be shown, unless the summary tells it.
    pub(super) fn take(&mut self, line: &str) -> Option<String> {
        if let Some(outcome) = outcome(line) {
            let shown =
                format!("{:>7.1} s  {:6}  {}", outcome.took.as_secs_f64(), outcome.word, outcome.name);
            self.outcomes.push(outcome);
            return Some(shown);
        }
        if let Some(fact) = line.strip_prefix("fact ") {
            self.facts.push(fact.to_owned());
        } else if let Some(code) = line.strip_prefix("end ") {
            self.end = Some(code.to_owned());
        } else {
            return Some(format!("           | {line}"));
        }
        None
    }

    /// The facts, and how many tests went well.
    pub(super) fn summary(&self) -> String {
        let ok = self.outcomes.iter().filter(|outcome| outcome.is_ok()).count();
        let took: Duration = self.outcomes.iter().map(|outcome| outcome.took).sum();
        let count = format!("{ok} of {} tests ok, in {:.1} s", self.outcomes.len(), took.as_secs_f64());
        let lines = self.facts.iter().chain([&count]).map(|line| format!("  {line}"));
        lines.collect::<Vec<_>>().join("\n")
    }

    /// Passes if each of `tests` has run and was ok, and the run came to a good end. A machine of ours has all that a
    /// test can want, so that one which is skipped there is as bad as one that fails.
    pub(super) fn judge(&self, tests: &[String]) -> Result<()> {
        let bad = self.outcomes.iter().filter(|outcome| !outcome.is_ok());
        let mut wrong: Vec<String> =
            bad.map(|outcome| format!("{}: {}", outcome.name, outcome.word)).collect();
        let ran = |test: &&String| self.outcomes.iter().any(|outcome| outcome.name == **test);
        let missing: Vec<&String> = tests.iter().filter(|test| !ran(test)).collect();
        if let Some(first) = missing.first() {
            wrong.push(format!("{} tests did not run, {first} first of them", missing.len()));
        }
        match self.end.as_deref() {
            None => wrong.push("the tests did not come to their end".into()),
            Some("0") => {}
            Some(code) => wrong.push(format!("the test binary ended with {code}")),
        }
        ensure!(wrong.is_empty(), "\n  {}", wrong.join("\n  "));
        Ok(())
    }
}

impl Outcome {
    fn is_ok(&self) -> bool {
        self.word == "ok"
    }
}

/// Reads a line such as `test a_name ... ok (12 ms)`.
fn outcome(line: &str) -> Option<Outcome> {
    let (name, rest) = line.strip_prefix("test ")?.split_once(" ... ")?;
    let (word, time) = rest.strip_suffix(" ms)")?.rsplit_once(" (")?;
    let took = Duration::from_millis(time.parse().ok()?);
    Some(Outcome { name: name.to_owned(), word: word.to_owned(), took })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(lines: &[&str]) -> String {
        let mut results = Results::default();
        for line in lines {
            results.take(line);
        }
        let verdict = results.judge(&["one".into(), "two".into()]);
        verdict.map_or_else(|error| error.to_string(), |()| "passed".into())
    }

    #[test]
    fn all_tests_ok_and_a_good_end_pass() {
        assert_eq!(judged(&["test one ... ok (3 ms)", "noise", "test two ... ok (4 ms)", "end 0"]), "passed");
    }

    #[test]
    fn a_failure_is_named() {
        let text = judged(&["test one ... FAILED (3 ms)", "test two ... ok (4 ms)", "end 1"]);
        assert!(text.contains("one: FAILED") && text.contains("ended with 1"), "{text}");
    }

    #[test]
    fn what_was_skipped_or_did_not_run_is_a_failure() {
        let text = judged(&["test one ... skipped: no loop devices (0 ms)", "end 0"]);
        assert!(
            text.contains("one: skipped: no loop devices") && text.contains("1 tests did not run, two first"),
            "{text}"
        );
    }

    #[test]
    fn a_run_without_an_end_fails() {
        let text = judged(&["test one ... ok (3 ms)", "test two ... ok (4 ms)"]);
        assert!(text.contains("did not come to their end"), "{text}");
    }
}
