//! What the host's own files say about limits: who enforces them, and whether somebody ran into one.

use std::fs;
use std::path::Path;
use std::time::Duration;

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

/// What a container has taken of the processor, as the kernel counts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CpuUse {
    /// All its time on processors together.
    pub time: Duration,
    /// Periods of the limit in which it was held back, having used its share up.
    pub throttled: u64,
}

/// What the container `name` of `instance` has taken; `None` where nobody holds it to a share.
pub fn cpu_use(instance: &str, name: &str) -> Option<CpuUse> {
    let layout = Layout::detect().ok()?;
    let parent = format!("sandgate-{instance}");
    let stat = |root: &Path| fs::read_to_string(root.join(&parent).join(name).join("cpu.stat")).ok();
    // Time is counted in version 2 wherever the controller is.
    let micros = counter(&stat(&layout.unified)?, "usage_usec")?;
    let throttled = counter(&stat(layout.root(Controller::Cpu)?)?, "nr_throttled")?;
    Some(CpuUse { time: Duration::from_micros(micros), throttled })
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
