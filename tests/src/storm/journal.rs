//! What a client may know of its sandbox: a request that was sent widens what may be true, an answer narrows it again.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// The label by which a sandbox is found whose create was not answered.
pub(super) const MARK: &str = "storm-mark";
/// The label that is changed.
pub(super) const TURN: &str = "storm-turn";

/// Whether there is such a sandbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It was answered that there is.
    Living,
    /// A create or delete was not answered.
    Uncertain,
    /// It was answered that there is none any more.
    Gone,
}

/// Whether it runs; `None` while a stop or start was not answered.
type Power = Option<bool>;

/// A change that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Change {
    Create,
    Write(String),
    Stop,
    Start,
    Label(u64),
    Delete,
}

/// One sandbox as its client knows it.
pub(super) struct Known {
    /// Which one, among all that were ever asked for.
    pub(super) mark: String,
    /// What it was asked to be called.
    pub(super) name: Option<String>,
    /// What was asked for.
    pub(super) body: Value,
    /// By which its create may be sent again.
    pub(super) key: Option<String>,
    /// Its id, once somebody has said it.
    pub(super) id: Option<String>,
    pub(super) fate: Fate,
    pub(super) power: Power,
    /// When its first process began; `None` while nobody has looked since it was started.
    pub(super) birth: Option<String>,
    /// Its files by name, and whether it is certain that they are there.
    pub(super) files: BTreeMap<String, bool>,
    /// The values that its label may have.
    pub(super) turns: Vec<u64>,
    /// What was asked and answered, for whoever looks for a fault.
    pub(super) history: Vec<String>,
}

/// What is inside a running sandbox.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Inside {
    /// When its first process began.
    pub(super) birth: String,
    /// The line in each of its files.
    pub(super) files: BTreeMap<String, String>,
}

impl Known {
    /// One that nobody has asked for yet.
    pub(super) fn new(mark: String, name: Option<String>) -> Self {
        let labels = json!({ MARK: mark, TURN: "0" });
        let body = json!({ "name": name, "labels": labels, "memory": 1, "disk": 1, "autoStopInterval": 0 });
        Self {
            mark,
            name,
            body,
            key: None,
            id: None,
            fate: Fate::Gone,
            power: Some(false),
            birth: None,
            files: BTreeMap::new(),
            turns: vec![0],
            history: Vec::new(),
        }
    }

    /// A request goes out: from now on it may have been done.
    pub(super) fn sent(&mut self, change: &Change) {
        self.history.push(format!("sent {change:?}"));
        match change {
            Change::Create => (self.fate, self.power) = (Fate::Uncertain, Some(true)),
            Change::Write(file) => drop(self.files.insert(file.clone(), false)),
            Change::Stop => self.power = None,
            Change::Start => (self.power, self.birth) = (None, None),
            Change::Label(turn) => self.turns.push(*turn),
            Change::Delete => self.fate = Fate::Uncertain,
        }
    }

    /// It was answered that it is done.
    pub(super) fn done(&mut self, change: &Change) {
        self.history.push(format!("done {change:?}"));
        match change {
            Change::Create => self.fate = Fate::Living,
            Change::Write(file) => drop(self.files.insert(file.clone(), true)),
            Change::Stop => (self.power, self.birth) = (Some(false), None),
            Change::Start => self.power = Some(true),
            Change::Label(turn) => self.turns = vec![*turn],
            Change::Delete => self.fate = Fate::Gone,
        }
    }

    /// The server refused, and so has done nothing.
    pub(super) fn refused(&mut self, change: &Change) {
        assert_eq!(*change, Change::Create, "only a create may be refused");
        self.history.push("refused".to_owned());
        self.fate = Fate::Gone;
    }

    /// The one line of one of its files.
    pub(super) fn content(&self, file: &str) -> String {
        format!("{}/{file}", self.mark)
    }

    /// Compares with the row that the server lists, if it does, and learns what was uncertain.
    pub(super) fn meet(&mut self, row: Option<&Value>) -> Result<(), String> {
        let Some(row) = row else {
            self.history.push("seen: absent".to_owned());
            if self.fate == Fate::Living {
                return Err("it is gone".to_owned());
            }
            self.fate = Fate::Gone;
            return Ok(());
        };
        self.history.push(format!("seen: {}", row["state"]));
        if self.fate == Fate::Gone {
            return Err(format!("it is back: {row}"));
        }
        self.fate = Fate::Living;
        self.meet_identity(row)?;
        self.meet_state(row)
    }

    fn meet_identity(&mut self, row: &Value) -> Result<(), String> {
        let id = row["id"].as_str().unwrap_or_default();
        if self.id.get_or_insert_with(|| id.to_owned()) != id {
            return Err(format!("it has another id: {row}"));
        }
        let name = self.name.as_deref().unwrap_or(id);
        if row["name"] != name {
            return Err(format!("it is not called {name}: {row}"));
        }
        let turn = row["labels"][TURN].as_str().and_then(|turn| turn.parse().ok());
        match turn.filter(|turn| self.turns.contains(turn)) {
            Some(turn) => self.turns = vec![turn],
            None => return Err(format!("its turn is none of {:?}: {row}", self.turns)),
        }
        Ok(())
    }

    fn meet_state(&mut self, row: &Value) -> Result<(), String> {
        let runs = match row["state"].as_str() {
            Some("started") => true,
            Some("stopped") => false,
            _ => return Err(format!("it is not at rest: {row}")),
        };
        if self.power.is_some_and(|power| power != runs) {
            return Err(format!("it should {}run: {row}", if runs { "not " } else { "" }));
        }
        self.power = Some(runs);
        if !runs {
            self.birth = None;
        }
        Ok(())
    }

    /// Compares with what is inside, and learns what was uncertain.
    pub(super) fn meet_inside(&mut self, inside: &Inside) -> Result<(), String> {
        if self.birth.get_or_insert_with(|| inside.birth.clone()) != &inside.birth {
            return Err(format!("its first process is another one, of {}: {:?}", inside.birth, self.birth));
        }
        if let Some(lost) =
            self.files.iter().find(|(file, certain)| **certain && !inside.files.contains_key(*file))
        {
            return Err(format!("its file {} is lost: {inside:?}", lost.0));
        }
        for (file, line) in &inside.files {
            if *line != self.content(file) || !self.files.contains_key(file) {
                return Err(format!("its file {file} says {line}"));
            }
            // A command may outlive the server that was asked for it, so that what is absent may still come.
            self.files.insert(file.clone(), true);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn living() -> Known {
        let mut known = Known::new("m".to_owned(), Some("n".to_owned()));
        known.sent(&Change::Create);
        known.done(&Change::Create);
        known
    }

    fn row(state: &str, turn: u64) -> Value {
        json!({ "id": "i", "name": "n", "state": state, "labels": { MARK: "m", TURN: turn.to_string() } })
    }

    fn inside(birth: &str, files: &[&str]) -> Inside {
        let files = files.iter().map(|file| ((*file).to_owned(), format!("m/{file}"))).collect();
        Inside { birth: birth.to_owned(), files }
    }

    #[test]
    fn what_was_answered_must_be_there() {
        assert!(living().meet(None).is_err());
        assert!(living().meet(Some(&row("stopped", 0))).is_err());
        assert!(living().meet(Some(&row("creating", 0))).is_err());
        assert!(living().meet(Some(&row("started", 1))).is_err());
        assert_eq!(living().meet(Some(&row("started", 0))), Ok(()));
    }

    #[test]
    fn what_was_not_answered_may_be_there_or_not_and_is_then_known() {
        let row_of_it = || Some(row("started", 0));
        for (seen, other) in [(None, row_of_it()), (row_of_it(), None)] {
            let mut known = Known::new("m".to_owned(), Some("n".to_owned()));
            known.sent(&Change::Create);
            assert_eq!(known.meet(seen.as_ref()), Ok(()));
            assert!(known.meet(other.as_ref()).is_err());
        }
        let mut known = living();
        known.sent(&Change::Stop);
        known.sent(&Change::Label(1));
        assert_eq!(known.meet(Some(&row("stopped", 1))), Ok(()));
        assert!(known.meet(Some(&row("started", 1))).is_err());
        assert!(known.meet(Some(&row("stopped", 0))).is_err());
    }

    #[test]
    fn a_deleted_one_does_not_come_back() {
        let mut known = living();
        known.sent(&Change::Delete);
        known.done(&Change::Delete);
        assert!(known.meet(Some(&row("started", 0))).is_err());
        assert_eq!(known.meet(None), Ok(()));
    }

    #[test]
    fn another_first_process_is_seen_unless_it_was_started_anew() {
        let mut known = living();
        assert_eq!(known.meet_inside(&inside("1", &[])), Ok(()));
        assert!(known.meet_inside(&inside("2", &[])).is_err());
        known.sent(&Change::Start);
        assert_eq!(known.meet_inside(&inside("2", &[])), Ok(()));
    }

    #[test]
    fn a_file_that_was_written_is_there_and_one_that_may_have_been_is_whole() {
        let mut known = living();
        let write = Change::Write("f".to_owned());
        known.sent(&write);
        assert_eq!(known.meet_inside(&inside("1", &[])), Ok(()));
        known.done(&write);
        assert!(known.meet_inside(&inside("1", &[])).is_err());
        assert!(known.meet_inside(&inside("1", &["f", "g"])).is_err());
        let mut half = inside("1", &["f"]);
        half.files.insert("f".to_owned(), String::new());
        assert!(known.meet_inside(&half).is_err());
        assert_eq!(known.meet_inside(&inside("1", &["f"])), Ok(()));
    }
}
