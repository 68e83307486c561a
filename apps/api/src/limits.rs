//! Whether this host holds sandboxes to their limits: seen at the start, and not taken on trust.

use anyhow::{Context, bail};
use sandgate_infrastructure::container::{ContainerSandboxService, Limit};
use std::fmt::Write as _;

/// What decides whether to start in spite of what is found.
pub(crate) struct Stakes {
    /// Going on without a limit was allowed.
    pub(crate) may_go_without: bool,
    /// There are sandboxes, whose owners would be cut off from them by a server that does not start.
    pub(crate) has_sandboxes: bool,
}

/// Tries a sandbox out. Names the limits that bind nobody here, if going on without them is allowed, and otherwise
/// fails with what to do about it. Where no sandbox could be tried, as on a full disk, those that exist are served.
pub(crate) async fn check(
    service: &ContainerSandboxService,
    Stakes { may_go_without, has_sandboxes }: Stakes,
) -> anyhow::Result<Vec<&'static str>> {
    let tried = match service.self_test().await {
        Ok(tried) => tried,
        Err(error) if has_sandboxes => {
            let error = anyhow::Error::from(error);
            tracing::error!(
                error = format!("{error:#}"),
                "the self-test failed: new sandboxes may not work here"
            );
            return Ok(Vec::new());
        }
        Err(error) => {
            return Err(error).context("the self-test failed: a sandbox could not be tried out on this host");
        }
    };
    let names: Vec<_> = tried.unenforced.iter().map(|(limit, _)| limit.name()).collect();
    tracing::info!(took_ms = tried.took.as_millis(), unenforced = ?names, "a sandbox was tried out");
    if names.is_empty() {
        return Ok(names);
    }
    let text = complaint(&tried.unenforced);
    if !may_go_without {
        bail!("{text}Start with --allow-unenforced-limits to go without; `sandgate doctor` tells more.");
    }
    tracing::warn!(unenforced = ?names, "{text}It was allowed, and every sandbox says so.");
    Ok(names)
}

fn complaint(unenforced: &[(Limit, String)]) -> String {
    let mut text = "this host does not hold sandboxes to all of their limits.\n".to_owned();
    for (limit, why) in unenforced {
        // Writing to a string does not fail.
        let _ = writeln!(text, "  {}: {why}; {}", limit.name(), limit.remedy());
    }
    text
}
