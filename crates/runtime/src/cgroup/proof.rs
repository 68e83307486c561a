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

/// How many scheduling periods the container `name` of `instance` was held back in, having used its share of the
/// processor; `None` where nobody counts them.
pub fn throttled_periods(instance: &str, name: &str) -> Option<u64> {
    let layout = Layout::detect().ok()?;
    let group = layout.root(Controller::Cpu)?.join(format!("sandgate-{instance}")).join(name);
    counter(&fs::read_to_string(group.join("cpu.stat")).ok()?, "nr_throttled")
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
