//! The line in which failpoints are written.

use super::registry::{Chain, Failpoints, Mode, Term};
use std::str::FromStr;
use std::time::Duration;

/// A line that says nothing about failpoints; it names what is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidFailpoints(String);

impl std::fmt::Display for InvalidFailpoints {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self(part) = self;
        write!(
            f,
            "`{part}` is no failpoint: write NAME=MODE or NAME=2*off->1*MODE, with a mode of off, crash, error, lost, twice, \
             hang or delay(MILLISECONDS), and a `;` between two"
        )
    }
}

impl std::error::Error for InvalidFailpoints {}

impl FromStr for Failpoints {
    type Err = InvalidFailpoints;

    fn from_str(line: &str) -> Result<Self, InvalidFailpoints> {
        let failpoints = Self::default();
        for point in line.split(';').map(str::trim).filter(|point| !point.is_empty()) {
            let (name, chain) = parse(point).ok_or_else(|| InvalidFailpoints(point.to_owned()))?;
            failpoints.set(name, chain);
        }
        Ok(failpoints)
    }
}

fn parse(point: &str) -> Option<(&str, Chain)> {
    let (name, terms) = point.split_once('=')?;
    let chain = terms.split("->").map(|text| term(text.trim())).collect::<Option<_>>()?;
    Some((name.trim(), chain))
}

fn term(text: &str) -> Option<Term> {
    match text.split_once('*') {
        Some((count, text)) => Some(Term { left: Some(count.parse().ok()?), mode: mode(text)? }),
        None => Some(Term { left: None, mode: mode(text)? }),
    }
}

fn mode(text: &str) -> Option<Mode> {
    Some(match text {
        "off" => Mode::Off,
        "crash" => Mode::Crash,
        "error" => Mode::Error,
        "lost" => Mode::Lost,
        "twice" => Mode::Twice,
        "hang" => Mode::Hang,
        _ => {
            let millis = text.strip_prefix("delay(")?.strip_suffix(')')?;
            Mode::Delay(Duration::from_millis(millis.parse().ok()?))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_is_gone_through_from_left_to_right() {
        let line = "a=1*off->2*error->1*delay(50); b = lost ;c=1*twice->crash;";
        let failpoints: Failpoints = line.parse().expect("a line");
        let mut passages = (0..6).map(|_| failpoints.pass("a"));
        assert_eq!(passages.next(), Some(Mode::Off));
        assert_eq!(passages.next(), Some(Mode::Error));
        assert_eq!(passages.next(), Some(Mode::Error));
        assert_eq!(passages.next(), Some(Mode::Delay(Duration::from_millis(50))));
        assert_eq!(passages.collect::<Vec<_>>(), [Mode::Off, Mode::Off], "a chain has an end");
        assert_eq!([failpoints.pass("b"), failpoints.pass("b")], [Mode::Lost; 2]);
        assert_eq!([failpoints.pass("c"), failpoints.pass("c")], [Mode::Twice, Mode::Crash]);
        assert_eq!(failpoints.pass("d"), Mode::Off);
        assert_eq!(failpoints.armed(), ["a", "b", "c"]);
    }

    #[test]
    fn what_is_no_failpoint_is_named() {
        for wrong in ["a", "a=explode", "a=x*error", "a=-1*error", "a=delay", "a=delay(x)", "a=error->", "a="]
        {
            let refused = format!("fine=off;{wrong}").parse::<Failpoints>().map(drop);
            assert_eq!(refused, Err(InvalidFailpoints(wrong.to_owned())));
        }
        let refused = "a=explode".parse::<Failpoints>().map(drop).expect_err("no mode");
        assert!(refused.to_string().contains("`a=explode`"), "{refused}");
    }
}
