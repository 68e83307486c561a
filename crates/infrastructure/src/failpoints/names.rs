//! Every failpoint by its name.

use sandgate_core::EventKind;

/// The ledger's writes, but for changes of a row, which are called `update.` and what is noted of them.
const LEDGER: &[&str] =
    &["insert", "amend", "touch", "purge-idempotency", "note-abandoned", "trust", "set-anchor", "shift"];
/// The provider's calls.
const PROVIDER: &[&str] = &["create", "status", "delete", "start", "stop", "list", "examine"];
/// Between the container provider's own steps. They have one side only.
pub const CONTAINER: &[&str] =
    &["container.bound", "container.created", "container.killed", "container.deleted", "container.unbound"];

/// Every failpoint around the ports: both sides of each step.
pub fn names() -> Vec<String> {
    let updates =
        EventKind::ALL.iter().filter(|kind| **kind != EventKind::Requested).map(|kind| update(*kind));
    let writes = LEDGER.iter().map(|name| format!("ledger.{name}")).chain(updates);
    let steps = writes.chain(PROVIDER.iter().map(|name| format!("provider.{name}")));
    steps.flat_map(|step| [format!("{step}.before"), format!("{step}.after")]).collect()
}

/// The step that writes such a change.
pub(super) fn update(kind: EventKind) -> String {
    format!("ledger.update.{}", kind.as_str())
}
