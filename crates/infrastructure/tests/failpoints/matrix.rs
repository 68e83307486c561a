//! All cells: what each scenario passes is found out first, and then everything befalls each of these passages.

use crate::cell::{Cell, Passed};
use crate::scenarios::{SCENARIOS, Scenario};
use sandgate_infrastructure::failpoints::names;
use sandgate_shared::failpoint::Mode;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const DELAY: Duration = Duration::from_millis(100);
/// In whose recovery a second crash happens also where nobody asked for the long checks.
const CRASH_TWICE: [&str; 3] = ["create", "stop", "delete"];
/// How many passages of one failpoint something befalls in a scenario, unless the long checks were asked for.
const FIRST: usize = 2;
/// How many cells are played side by side: they wait for the disk more than they work.
const THREADS: usize = 4;

/// What became of all cells.
#[derive(Debug, Default)]
struct Tally {
    cells: BTreeMap<String, usize>,
    wrong: Vec<String>,
}

#[test]
fn whatever_befalls_any_step_leaves_a_clean_slate() {
    let (next, tally) = (AtomicUsize::new(0), Mutex::new(Tally::default()));
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while let Some(scenario) = SCENARIOS.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let done = Play { scenario, tally: Tally::default() }.all();
                    let (cells, wrong) = (done.cells.values().sum::<usize>(), done.wrong.len());
                    println!("{}: {cells} cells, {wrong} wrong", scenario.name);
                    let mut all = tally.lock().expect("no thread has failed");
                    all.wrong.extend(done.wrong);
                    for (name, count) in done.cells {
                        *all.cells.entry(name).or_default() += count;
                    }
                }
            });
        }
    });
    tell(&tally.into_inner().expect("no thread has failed"));
}

fn tell(tally: &Tally) {
    for (name, count) in &tally.cells {
        println!("{name}: {count} cells");
    }
    let cells: usize = tally.cells.values().sum();
    let ok = cells - tally.wrong.len().min(cells);
    println!("matrix: steps={} cells={cells} ok={ok}", tally.cells.len());
    assert!(tally.wrong.is_empty(), "{} of {cells} cells:\n{}", tally.wrong.len(), tally.wrong.join("\n"));
    let known: BTreeSet<String> = names().into_iter().collect();
    let passed: BTreeSet<String> = tally.cells.keys().cloned().collect();
    assert_eq!(
        passed, known,
        "a failpoint that nothing passes proves nothing, and one must be known to be told"
    );
}

/// All cells of one scenario.
struct Play<'a> {
    scenario: &'a Scenario,
    tally: Tally,
}

impl Play<'_> {
    fn all(mut self) -> Tally {
        for (name, passage) in chosen(&self.played(&Cell::default()).act) {
            for mode in befalling(&name) {
                let cell = Cell { fault: Some((name.clone(), passage, mode)), again: None };
                let passed = self.counted(&name, &cell);
                if mode == Mode::Hang && (long_checks() || CRASH_TWICE.contains(&self.scenario.name)) {
                    self.crash_again(&cell, &passed);
                }
            }
        }
        self.tally
    }

    /// A second crash, at every passage of the recovery from the first.
    fn crash_again(&mut self, first: &Cell, passed: &Passed) {
        for (name, passage) in chosen(&passed.recovery) {
            let cell = Cell { again: Some((name.clone(), passage)), ..first.clone() };
            self.counted(&name, &cell);
        }
    }

    fn counted(&mut self, name: &str, cell: &Cell) -> Passed {
        *self.tally.cells.entry(name.to_owned()).or_default() += 1;
        self.played(cell)
    }

    /// Each on a runtime of its own, so that nothing of a cell lives on in the next.
    fn played(&mut self, cell: &Cell) -> Passed {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
        match runtime.expect("a runtime").block_on(cell.play(self.scenario)) {
            Ok(passed) => passed,
            Err(error) => {
                self.tally.wrong.push(format!("{}: {cell:?}: {error}", self.scenario.name));
                Passed::default()
            }
        }
    }
}

/// What befalls a passage. A crash is that everything at work is dropped there.
fn befalling(name: &str) -> Vec<Mode> {
    let mut modes = vec![Mode::Hang, Mode::Error, Mode::Delay(DELAY)];
    if name.ends_with(".before") {
        if name.starts_with("provider.") {
            modes.push(Mode::Lost);
        }
        // A leap is the one thing that is no message: nobody says it again without looking at the clock first.
        if !name.starts_with("ledger.shift") {
            modes.push(Mode::Twice);
        }
    }
    modes
}

/// Whether the checks that take long were asked for.
fn long_checks() -> bool {
    std::env::var_os("SANDGATE_TEST_LONG").is_some()
}

/// What was passed, each with how often before; the first passages alone, unless the checks that take long were asked for.
fn chosen(passed: &[String]) -> Vec<(String, usize)> {
    let mut seen = BTreeMap::<&str, usize>::new();
    let number = |name: &String, count: &mut usize| {
        *count += 1;
        (name.clone(), *count - 1)
    };
    let numbered = passed.iter().map(|name| number(name, seen.entry(name).or_default()));
    numbered.filter(|(_, before)| *before < FIRST || long_checks()).collect()
}
