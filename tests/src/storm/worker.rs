//! A client of the server that does what its dice say, and writes down what was answered.

use reqwest::Method;
use serde_json::{Value, json};

use super::dice::Dice;
use super::journal::{Change, Fate, Inside, Known, MARK, TURN};
use super::line::{Line, Unanswered};
use crate::answer::Answer;

/// How many sandboxes one worker keeps at most, and how many names it has for them: few, so that names are used again.
const SANDBOXES: usize = 3;
const NAMES: u64 = 4;

/// Says when the first process began, then each file with its line.
const LOOK: &str = "cut -d' ' -f22 /proc/1/stat; for f in w-*; do [ -e $f ] && echo $f $(cat $f); done; true";

/// How many requests there were.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Tally {
    pub(super) answered: u64,
    pub(super) unanswered: u64,
}

/// One worker. Its sandboxes are its own, so that it knows what each answer must be.
pub(super) struct Worker {
    number: usize,
    dice: Dice,
    runs_commands: bool,
    /// How many things it has given a name to.
    made: u64,
    pub(super) sandboxes: Vec<Known>,
    pub(super) tally: Tally,
}

impl Worker {
    /// One that has nothing yet.
    pub(super) const fn new(number: usize, dice: Dice, runs_commands: bool) -> Self {
        let tally = Tally { answered: 0, unanswered: 0 };
        Self { number, dice, runs_commands, made: 0, sandboxes: Vec::new(), tally }
    }

    /// Works until the server has ended. `create` is what it begins with if that is wanted.
    pub(super) async fn work(&mut self, line: &Line, create: bool) {
        let mut step =
            if create && self.has_room() { self.create(line).await } else { self.step(line).await };
        while step.is_ok() {
            self.tally.answered += 1;
            step = self.step(line).await;
        }
        self.tally.unanswered += 1;
    }

    fn has_room(&self) -> bool {
        self.sandboxes.iter().filter(|known| known.fate != Fate::Gone).count() < SANDBOXES
    }

    async fn step(&mut self, line: &Line) -> Result<(), Unanswered> {
        let living: Vec<_> =
            (0..self.sandboxes.len()).filter(|at| self.sandboxes[*at].fate == Fate::Living).collect();
        if living.is_empty() || (self.has_room() && self.dice.chance(30)) {
            return self.create(line).await;
        }
        let at = living[self.dice.index(living.len())];
        match (self.dice.below(100), self.sandboxes[at].power) {
            (0..10, _) => self.change(line, at, Change::Delete).await,
            (10..20, _) => self.relabel(line, at).await,
            (20..25, _) => self.repeat(line, at).await,
            (30..40, _) => self.list(line).await,
            (40..70, Some(false)) => self.start(line, at).await,
            (40..50, Some(true)) => self.change(line, at, Change::Stop).await,
            (50..90, Some(true)) if self.runs_commands => self.write(line, at).await,
            (90..100, Some(true)) => self.look(line, at).await,
            _ => self.get(line, at).await,
        }
    }

    async fn create(&mut self, line: &Line) -> Result<(), Unanswered> {
        let turn = self.next();
        let mark = format!("{}-{turn}", self.number);
        let name = self.dice.chance(50).then(|| format!("s-{}-{}", self.number, self.dice.below(NAMES)));
        let mut known = Known::new(mark, name);
        known.key = self.dice.chance(50).then(|| format!("k-{}", known.mark));
        self.sandboxes.push(known);
        self.send_create(line, self.sandboxes.len() - 1).await
    }

    async fn send_create(&mut self, line: &Line, at: usize) -> Result<(), Unanswered> {
        let may_be_taken = self.name_may_be_taken(at);
        let known = &mut self.sandboxes[at];
        known.sent(&Change::Create);
        let answer = line.create(&known.body, known.key.as_deref()).await?;
        if may_be_taken && answer.status == 409 {
            known.refused(&Change::Create);
            return Ok(());
        }
        let row = known.expect(&answer, 200).json();
        assert!(!replayed(&answer), "it is the first that was carried out\n{}", known.told());
        known.done(&Change::Create);
        known.must(|known| known.meet(Some(&row)));
        Ok(())
    }

    /// A name is taken by whoever may have it. A new name is free, and so is the name of one that is gone.
    fn name_may_be_taken(&self, at: usize) -> bool {
        let name = self.sandboxes[at].name.as_deref();
        let others = self.sandboxes.iter().enumerate().filter(|(other, _)| *other != at);
        name.is_some()
            && others.into_iter().any(|(_, it)| it.name.as_deref() == name && it.fate != Fate::Gone)
    }

    /// Sends a create again that has a key, now that it is known what became of it: nothing is made twice, and what was
    /// never made is made now.
    pub(super) async fn repeat(&mut self, line: &Line, at: usize) -> Result<(), Unanswered> {
        let known = &mut self.sandboxes[at];
        let Some(key) = known.key.clone() else { return Ok(()) };
        if known.fate == Fate::Gone && known.id.is_none() {
            return self.send_create(line, at).await;
        }
        let answer = line.create(&known.body, Some(&key)).await?;
        if known.fate == Fate::Gone {
            known.expect(&answer, 410);
            return Ok(());
        }
        let row = known.expect(&answer, 200).json();
        assert!(replayed(&answer), "it was made before\n{}", known.told());
        known.must(|known| known.meet(Some(&row)));
        Ok(())
    }

    async fn change(&mut self, line: &Line, at: usize, change: Change) -> Result<(), Unanswered> {
        let known = &mut self.sandboxes[at];
        let (method, rest, body) = match &change {
            Change::Stop => (Method::POST, "/stop", None),
            Change::Start => (Method::POST, "/start", None),
            Change::Label(turn) => (Method::PUT, "/labels", Some(json!({ "labels": labels(known, *turn) }))),
            Change::Delete => (Method::DELETE, "", None),
            Change::Create | Change::Write(_) => unreachable!("these have calls of their own"),
        };
        known.sent(&change);
        let answer = line.call(method, &known.path(rest), body.as_ref()).await?;
        known.expect(&answer, 200);
        known.done(&change);
        if change == Change::Delete {
            let answer = line.call(Method::GET, &known.path(""), None).await?;
            known.expect(&answer, 404);
            return self.repeat(line, at).await;
        }
        Ok(())
    }

    async fn relabel(&mut self, line: &Line, at: usize) -> Result<(), Unanswered> {
        let turn = self.next();
        self.change(line, at, Change::Label(turn)).await
    }

    async fn start(&mut self, line: &Line, at: usize) -> Result<(), Unanswered> {
        self.change(line, at, Change::Start).await?;
        self.look(line, at).await
    }

    /// The file comes to its place whole or not at all.
    async fn write(&mut self, line: &Line, at: usize) -> Result<(), Unanswered> {
        let file = format!("w-{}", self.next());
        let known = &mut self.sandboxes[at];
        let change = Change::Write(file.clone());
        known.sent(&change);
        let command = format!("echo {} > t-{file} && mv t-{file} {file}", known.content(&file));
        let answer = line.execute(known.id(), &command).await?;
        let outcome = known.expect(&answer, 200).json();
        assert_eq!(outcome["exitCode"], 0, "{outcome}");
        known.done(&change);
        Ok(())
    }

    async fn get(&mut self, line: &Line, at: usize) -> Result<(), Unanswered> {
        let known = &mut self.sandboxes[at];
        let answer = line.call(Method::GET, &known.path(""), None).await?;
        let row = known.expect(&answer, 200).json();
        known.must(|known| known.meet(Some(&row)));
        Ok(())
    }

    /// Other workers' sandboxes are on the list as well, and are none of ours.
    async fn list(&mut self, line: &Line) -> Result<(), Unanswered> {
        let rows = line.list().await?;
        for known in &mut self.sandboxes {
            let row = rows.iter().find(|row| row["labels"][MARK] == *known.mark);
            known.must(|known| known.meet(row));
        }
        Ok(())
    }

    /// Looks into a running sandbox.
    pub(super) async fn look(&mut self, line: &Line, at: usize) -> Result<(), Unanswered> {
        if !self.runs_commands {
            return Ok(());
        }
        let known = &mut self.sandboxes[at];
        let answer = line.execute(known.id(), LOOK).await?;
        let inside = read(&known.expect(&answer, 200).json());
        known.must(|known| known.meet_inside(&inside));
        Ok(())
    }

    /// A number that this worker has not used for anything.
    const fn next(&mut self) -> u64 {
        self.made += 1;
        self.made
    }
}

fn labels(known: &Known, turn: u64) -> Value {
    json!({ MARK: known.mark, TURN: turn.to_string() })
}

/// Whether an earlier request has done what this one asked for.
fn replayed(answer: &Answer) -> bool {
    answer.headers.get("idempotent-replayed").is_some_and(|value| value == "true")
}

/// What [`LOOK`] has said.
fn read(outcome: &Value) -> Inside {
    let text = outcome["result"].as_str().unwrap_or_else(|| panic!("a result: {outcome}"));
    let mut lines = text.lines();
    let birth = lines.next().unwrap_or_default().to_owned();
    assert!(birth.parse::<u64>().is_ok(), "a time of birth: {text}");
    let pair = |line: &str| line.split_once(' ').map(|(file, line)| (file.to_owned(), line.to_owned()));
    Inside { birth, files: lines.filter_map(pair).collect() }
}

impl Known {
    fn id(&self) -> &str {
        self.id.as_deref().expect("whoever lives has an id")
    }

    fn path(&self, rest: &str) -> String {
        format!("/api/sandbox/{}{rest}", self.id())
    }

    /// Panics with the sandbox's history unless the status is this one.
    fn expect<'a>(&self, answer: &'a Answer, status: u16) -> &'a Answer {
        assert_eq!(answer.status, status, "{}\n{}", answer.text(), self.told());
        answer
    }

    /// Panics with the sandbox's history if what was found is not what may be.
    pub(super) fn must(&mut self, met: impl FnOnce(&mut Self) -> Result<(), String>) {
        if let Err(difference) = met(self) {
            panic!("{difference}\n{}", self.told());
        }
    }

    fn told(&self) -> String {
        let id = self.id.as_deref().unwrap_or("without an id");
        format!("sandbox {} ({id}):\n  {}", self.mark, self.history.join("\n  "))
    }
}
