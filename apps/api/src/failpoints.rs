//! In debug builds alone: failpoints around ledger and provider, so that a test may end the real server at any step.

use anyhow::{Context, ensure};
use sandgate_core::{Ledger, Provider};
use sandgate_infrastructure::failpoints::{CONTAINER, Steps, names};
use sandgate_shared::failpoint::{self, Failpoints};

/// The line that says what happens where. Without it nothing does.
const FAILPOINTS: &str = "SANDGATE_FAILPOINTS";

/// The same ledger and provider, with what the environment asks for. The container provider's own failpoints are armed
/// by this as well, so that its self-test is over when it is called.
pub(crate) fn around((ledger, provider): (Ledger, Provider)) -> anyhow::Result<(Ledger, Provider)> {
    let Ok(line) = std::env::var(FAILPOINTS) else { return Ok((ledger, provider)) };
    let failpoints: Failpoints = line.parse().with_context(|| format!("{FAILPOINTS} cannot be read"))?;
    let known = names();
    for name in failpoints.armed() {
        let is_known = known.contains(&name) || CONTAINER.contains(&name.as_str());
        ensure!(is_known, "{FAILPOINTS} names `{name}`, and there is no such failpoint");
    }
    tracing::warn!(line, "failpoints are armed");
    failpoint::arm(&failpoints);
    let steps = Steps::new(failpoints);
    Ok((steps.around_ledger(ledger), steps.around_provider(provider)))
}
