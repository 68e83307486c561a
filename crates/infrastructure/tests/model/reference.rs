//! What the manual says of a sandbox, in a few rules of its own.
//!
//! Times are minutes of use: those during which the host was up.

/// How a sandbox is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Running,
    Stopped,
    /// Its things are lost.
    Lost,
    /// Its end was asked for, and the provider has not done it yet.
    Dying,
    Gone,
}

/// What is expected of one sandbox.
#[derive(Debug, Clone)]
pub(crate) struct Expected {
    pub(crate) state: State,
    pub(crate) auto_stop: i64,
    pub(crate) auto_delete: Option<i64>,
    pub(crate) used: i64,
    pub(crate) stopped: i64,
    pub(crate) end: Option<i64>,
}

/// In milliseconds.
pub(crate) const MINUTE: i64 = 60_000;

impl Expected {
    /// What becomes of it by the timers that have run out at `now`.
    pub(crate) fn after(&self, now: i64) -> State {
        let over = |since: i64, minutes: i64| since + minutes * MINUTE <= now;
        let unwanted = |since| self.auto_delete.is_some_and(|minutes| over(since, minutes));
        match self.state {
            State::Dying | State::Gone => self.state,
            _ if self.end.is_some_and(|end| end <= now) => State::Gone,
            State::Running if self.auto_stop > 0 && over(self.used, self.auto_stop) => {
                if self.auto_delete == Some(0) { State::Gone } else { State::Stopped }
            }
            State::Stopped if unwanted(self.stopped) => State::Gone,
            as_before => as_before,
        }
    }

    /// It is so from `now` on.
    pub(crate) fn becomes(&mut self, state: State, now: i64) {
        match (self.state, state) {
            (State::Stopped, State::Running) => self.used = now,
            (State::Running | State::Lost, State::Stopped) => self.stopped = now,
            _ => {}
        }
        self.state = state;
    }

    /// What a stop makes of it.
    pub(crate) fn when_stopped(&self) -> State {
        match self.state {
            State::Running | State::Lost if self.auto_delete == Some(0) => State::Gone,
            State::Running => State::Stopped,
            as_before => as_before,
        }
    }
}
