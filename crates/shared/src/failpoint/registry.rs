//! What happens at which failpoint, and which were passed.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::process::abort;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

/// What happens where a failpoint is passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Nothing.
    Off,
    /// The process ends at once: no destructor is run.
    Crash,
    /// The step fails.
    Error,
    /// No answer comes, so that nobody knows what became of the step.
    Lost,
    /// It takes so much longer.
    Delay(Duration),
    /// The step is carried out once more, as by a message that is delivered twice. The first answer stands.
    Twice,
    /// It never goes on.
    Hang,
}

/// A mode for so many passages more; without a number for all of them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Term {
    pub(super) left: Option<u32>,
    pub(super) mode: Mode,
}

pub(super) type Chain = VecDeque<Term>;

/// What happens at which failpoint. Clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Failpoints(Arc<Mutex<Registry>>);

#[derive(Debug, Default)]
struct Registry {
    chains: BTreeMap<String, Chain>,
    trace: Option<Vec<String>>,
}

impl Failpoints {
    /// Has one mode after another happen at `name`, each once, and then nothing.
    pub fn plan(&self, name: &str, modes: impl IntoIterator<Item = Mode>) {
        self.set(name, modes.into_iter().map(|mode| Term { left: Some(1), mode }).collect());
    }

    pub(super) fn set(&self, name: &str, chain: Chain) {
        self.registry().chains.insert(name.to_owned(), chain);
    }

    /// Has nothing happen any more, and writes down from here on what is passed.
    pub fn record(&self) {
        *self.registry() = Registry { trace: Some(Vec::new()), ..Registry::default() };
    }

    /// What was passed since [`Self::record`], in order.
    pub fn passed(&self) -> Vec<String> {
        self.registry().trace.clone().unwrap_or_default()
    }

    /// The names at which something is to happen.
    pub fn armed(&self) -> Vec<String> {
        self.registry().chains.keys().cloned().collect()
    }

    /// Passes a failpoint; whoever asks does what is answered.
    pub fn pass(&self, name: &str) -> Mode {
        let mut registry = self.registry();
        if let Some(trace) = &mut registry.trace {
            trace.push(name.to_owned());
        }
        registry.chains.get_mut(name).map_or(Mode::Off, next)
    }

    fn registry(&self) -> MutexGuard<'_, Registry> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn next(chain: &mut Chain) -> Mode {
    while let Some(term) = chain.front_mut() {
        match &mut term.left {
            None => return term.mode,
            Some(0) => drop(chain.pop_front()),
            Some(left) => {
                *left -= 1;
                return term.mode;
            }
        }
    }
    Mode::Off
}

/// Those of this process.
static ARMED: OnceLock<Failpoints> = OnceLock::new();

/// Has [`super::hit`] follow `failpoints` from here on. Only the first call counts.
pub fn arm(failpoints: &Failpoints) {
    let _ = ARMED.set(failpoints.clone());
}

pub(super) fn hit(name: &str) -> io::Result<()> {
    match ARMED.get().map_or(Mode::Off, |failpoints| failpoints.pass(name)) {
        Mode::Off | Mode::Twice => {}
        Mode::Crash => abort(),
        Mode::Error | Mode::Lost => return Err(io::Error::other(format!("failpoint {name}"))),
        Mode::Delay(by) => std::thread::sleep(by),
        Mode::Hang => loop {
            std::thread::park();
        },
    }
    Ok(())
}
