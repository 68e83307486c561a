//! What lives, in memory: so that finding a sandbox or a key never waits for a disk.

use super::rows::is_gone;
use sandgate_core::{Anchor, ApiKey, Desired, KeyHash, OrganizationId, Sandbox, SandboxId, Timestamp};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// Every sandbox of which something may still exist, and every key. It holds what is committed and nothing else.
#[derive(Default)]
pub(super) struct Index {
    sandboxes: HashMap<SandboxId, Arc<Sandbox>>,
    names: HashMap<OrganizationId, HashMap<String, SandboxId>>,
    keys: HashMap<KeyHash, ApiKey>,
    first_organization: Option<OrganizationId>,
    /// When each sandbox is due next.
    agenda: BTreeSet<(Timestamp, SandboxId)>,
    anchor: Option<Anchor>,
}

impl Index {
    /// Takes a sandbox as it is now; forgets it where nothing of it is left. A later use is never taken back.
    pub(super) fn put(&mut self, mut sandbox: Arc<Sandbox>) {
        if let Some(before) = self.sandboxes.remove(&sandbox.id) {
            self.forget_name(&before);
            self.forget_due(&before);
            if before.last_activity_at > sandbox.last_activity_at {
                Arc::make_mut(&mut sandbox).last_activity_at = before.last_activity_at;
            }
        }
        if sandbox.desired != Desired::Deleted {
            let names = self.names.entry(sandbox.organization).or_default();
            names.insert(sandbox.name.as_str().to_owned(), sandbox.id);
        }
        if !is_gone(&sandbox) {
            self.agenda.extend(due(&sandbox));
            self.sandboxes.insert(sandbox.id, sandbox);
        }
    }

    fn forget_name(&mut self, sandbox: &Sandbox) {
        let Some(names) = self.names.get_mut(&sandbox.organization) else { return };
        // The name of a sandbox that is being deleted may be another's by now.
        if names.get(sandbox.name.as_str()) == Some(&sandbox.id) {
            names.remove(sandbox.name.as_str());
        }
    }

    fn forget_due(&mut self, sandbox: &Sandbox) {
        if let Some(due) = due(sandbox) {
            self.agenda.remove(&due);
        }
    }

    /// Notes a use.
    pub(super) fn touch(&mut self, id: SandboxId, at: Timestamp) {
        if let Some(mut sandbox) = self.sandboxes.get(&id).cloned() {
            let used = Arc::make_mut(&mut sandbox);
            used.last_activity_at = used.last_activity_at.max(at);
            self.put(sandbox);
        }
    }

    /// Moves all that timers count from.
    pub(super) fn shift(&mut self, millis: i64) {
        for sandbox in self.sandboxes.values_mut() {
            Arc::make_mut(sandbox).shift(millis);
        }
        self.agenda = self.sandboxes.values().filter_map(|sandbox| due(sandbox)).collect();
    }

    /// The sandboxes that are due at `now`, the longest overdue first.
    pub(super) fn due(&self, now: Timestamp, limit: usize) -> Vec<Arc<Sandbox>> {
        let due = self.agenda.iter().take_while(|(at, _)| *at <= now).take(limit);
        due.filter_map(|(_, id)| self.sandboxes.get(id).cloned()).collect()
    }

    /// When the next one is due.
    pub(super) fn next_due(&self) -> Option<Timestamp> {
        self.agenda.first().map(|(at, _)| *at)
    }

    /// Takes an anchor.
    pub(super) const fn put_anchor(&mut self, anchor: Anchor) {
        self.anchor = Some(anchor);
    }

    /// The anchor that was written last.
    pub(super) const fn anchor(&self) -> Option<Anchor> {
        self.anchor
    }

    /// Takes a key, unless its hash is known.
    pub(super) fn put_key(&mut self, key: ApiKey, hash: KeyHash) {
        self.keys.entry(hash).or_insert(key);
        self.first_organization.get_or_insert(key.organization);
    }

    /// A sandbox of `organization`, by id or, where that finds nothing, by name.
    pub(super) fn find(&self, organization: OrganizationId, id_or_name: &str) -> Option<Arc<Sandbox>> {
        let by_id =
            || self.sandboxes.get(&id_or_name.parse().ok()?).filter(|s| s.organization == organization);
        let by_name = || self.sandboxes.get(self.names.get(&organization)?.get(id_or_name)?);
        by_id().or_else(by_name).cloned()
    }

    /// The sandboxes with these ids, in this order, without those that are gone by now.
    pub(super) fn get_all(&self, ids: &[SandboxId]) -> Vec<Arc<Sandbox>> {
        ids.iter().filter_map(|id| self.sandboxes.get(id).cloned()).collect()
    }

    /// Looks at every sandbox of `organization`, in no order.
    pub(super) fn each_of(&self, organization: OrganizationId, look: impl FnMut(&Sandbox)) {
        self.sandboxes.values().map(Arc::as_ref).filter(|s| s.organization == organization).for_each(look);
    }

    /// Every sandbox, in no order.
    pub(super) fn all(&self) -> Vec<Arc<Sandbox>> {
        self.sandboxes.values().cloned().collect()
    }

    /// The key with this hash.
    pub(super) fn key(&self, hash: KeyHash) -> Option<ApiKey> {
        self.keys.get(&hash).copied()
    }

    /// The organization that was first.
    pub(super) const fn first_organization(&self) -> Option<OrganizationId> {
        self.first_organization
    }
}

fn due(sandbox: &Sandbox) -> Option<(Timestamp, SandboxId)> {
    sandbox.next_task().map(|(at, _)| (at, sandbox.id))
}
