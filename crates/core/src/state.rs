//! Where a sandbox stands: what is wanted, what is seen, and which step leads from one to the other.
//!
//! Daytona's many states are words for these pairs; the wire layer makes them.

/// What somebody asked for last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Desired {
    /// It runs.
    Started,
    /// It does not run, and keeps its files.
    Stopped,
    /// It is gone.
    Deleted,
}

impl Desired {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::Started, Self::Stopped, Self::Deleted];
}

/// What the provider was last known to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Observed {
    /// Asked for; nothing is known yet.
    Pending,
    /// It runs.
    Started,
    /// It does not run, and keeps its files.
    Stopped,
    /// It exists and does not work. The cause stands beside it.
    Failed,
    /// The provider holds nothing.
    Absent,
}

impl Observed {
    /// Every one.
    pub const ALL: [Self; 5] = [Self::Pending, Self::Started, Self::Stopped, Self::Failed, Self::Absent];
}

/// Why a sandbox is as it is, for people: one sentence that says what to do.
pub type Cause = String;

/// What brings the observed closer to the desired.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    /// Nothing: they agree, or only a person can help.
    Rest,
    /// Find out what became of the create, and end what nobody was told of.
    Settle,
    /// Start it.
    Start,
    /// Stop it.
    Stop,
    /// Delete it.
    Delete,
}

/// What a caller may ask of a sandbox that exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Request {
    /// Make it run.
    Start,
    /// End its processes, keep its files.
    Stop,
    /// End it and forget it.
    Delete,
}

/// What to say to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Answer {
    /// Do it.
    Go,
    /// It is so already.
    Already,
    /// Another change is under way.
    Busy,
    /// Not from this state.
    Refused,
    /// Nobody can see it any more.
    Gone,
}

/// The step that leads from `observed` to `desired`.
pub const fn next_step(desired: Desired, observed: Observed) -> Step {
    match (desired, observed) {
        (Desired::Deleted, Observed::Absent)
        | (Desired::Started, Observed::Started | Observed::Failed | Observed::Absent)
        | (Desired::Stopped, Observed::Stopped | Observed::Failed | Observed::Absent) => Step::Rest,
        (Desired::Deleted, _) => Step::Delete,
        (Desired::Started | Desired::Stopped, Observed::Pending) => Step::Settle,
        (Desired::Started, Observed::Stopped) => Step::Start,
        (Desired::Stopped, Observed::Started) => Step::Stop,
    }
}

/// Whether `request` may be carried out now.
pub const fn answer(request: Request, desired: Desired, observed: Observed) -> Answer {
    match (request, desired, observed) {
        (_, Desired::Deleted, Observed::Absent) => Answer::Gone,
        // A delete that failed halfway may be asked for again; nothing else may touch the sandbox.
        (Request::Delete, Desired::Deleted, _) => Answer::Go,
        (_, Desired::Deleted, _)
        | (_, _, Observed::Pending)
        | (_, Desired::Started, Observed::Stopped)
        | (_, Desired::Stopped, Observed::Started) => Answer::Busy,
        (Request::Delete, _, _)
        | (Request::Start, Desired::Stopped, Observed::Stopped)
        // What does not work any more may work after a new start.
        | (Request::Stop, Desired::Started, Observed::Started)
        | (Request::Stop, _, Observed::Failed) => Answer::Go,
        (Request::Start, _, Observed::Started) | (Request::Stop, _, Observed::Stopped) => Answer::Already,
        (Request::Start, _, Observed::Failed) | (Request::Start | Request::Stop, _, Observed::Absent) => Answer::Refused,
    }
}

#[cfg(test)]
mod tests {
    use super::{Answer::*, Desired, Observed, Request, Step, answer, next_step};

    /// Every pair, with its step and the answers to start, stop and delete. The table is the specification.
    #[test]
    fn table_of_steps() {
        let table = [
            (Desired::Started, Observed::Pending, Step::Settle, [Busy, Busy, Busy]),
            (Desired::Started, Observed::Started, Step::Rest, [Already, Go, Go]),
            (Desired::Started, Observed::Stopped, Step::Start, [Busy, Busy, Busy]),
            (Desired::Started, Observed::Failed, Step::Rest, [Refused, Go, Go]),
            (Desired::Started, Observed::Absent, Step::Rest, [Refused, Refused, Go]),
            (Desired::Stopped, Observed::Pending, Step::Settle, [Busy, Busy, Busy]),
            (Desired::Stopped, Observed::Started, Step::Stop, [Busy, Busy, Busy]),
            (Desired::Stopped, Observed::Stopped, Step::Rest, [Go, Already, Go]),
            (Desired::Stopped, Observed::Failed, Step::Rest, [Refused, Go, Go]),
            (Desired::Stopped, Observed::Absent, Step::Rest, [Refused, Refused, Go]),
            (Desired::Deleted, Observed::Pending, Step::Delete, [Busy, Busy, Go]),
            (Desired::Deleted, Observed::Started, Step::Delete, [Busy, Busy, Go]),
            (Desired::Deleted, Observed::Stopped, Step::Delete, [Busy, Busy, Go]),
            (Desired::Deleted, Observed::Failed, Step::Delete, [Busy, Busy, Go]),
            (Desired::Deleted, Observed::Absent, Step::Rest, [Gone, Gone, Gone]),
        ];
        for (desired, observed, step, answers) in table {
            assert_eq!(next_step(desired, observed), step, "{desired:?} {observed:?}");
            let given =
                [Request::Start, Request::Stop, Request::Delete].map(|r| answer(r, desired, observed));
            assert_eq!(given, answers, "{desired:?} {observed:?}");
        }
    }
}
