//! What the host's own files say about limits: who enforces them, and whether somebody ran into one.

use std::fs;

use super::{Controller, Home, Layout};
use crate::RuntimeError;

/// Each controller, and why it cannot hold a sandbox to its limit on this host; `None` if nothing stands against it as
/// far as can be seen without trying.
pub fn enforcers() -> Result<[(Controller, Option<String>); 3], RuntimeError> {
    let layout = Layout::detect()?;
    Ok(Controller::ALL.map(|controller| match layout.home(controller) {
        Home::Unified | Home::Own(_) => (controller, None),
        Home::Absent(why) => (controller, Some(why.clone())),
    }))
}

/// How often the kernel has looked at what a container takes of the processor. It does so only where there is a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CpuPeriods {
    /// Periods in which it wanted to run.
    pub all: u64,
    /// Those of them in which it was held back, having used its share up.
    pub throttled: u64,
}

/// The periods of the container `name` of `instance`; `None` where nobody counts them.
pub fn cpu_periods(instance: &str, name: &str) -> Option<CpuPeriods> {
    let layout = Layout::detect().ok()?;
    let group = layout.root(Controller::Cpu)?.join(format!("sandgate-{instance}")).join(name);
    let text = fs::read_to_string(group.join("cpu.stat")).ok()?;
    Some(CpuPeriods { all: counter(&text, "nr_periods")?, throttled: counter(&text, "nr_throttled")? })
}

/// The value of one line of a file whose lines are names with numbers.
fn counter(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_is_found_by_its_whole_name() {
        let text = "nr_periods 12\nnr_throttled_not 9\nnr_throttled 7\nthrottled_usec 70\n";
        assert_eq!(counter(text, "nr_throttled"), Some(7));
        assert_eq!(counter(text, "nr_bursts"), None);
    }
}
