//! Changing what can be changed of a living sandbox without touching its processes. Callers who do so at once all
//! succeed.

use super::{Sandboxes, SandboxesError};
use crate::config::{Intervals, Labels};
use crate::id::OrganizationId;
use crate::ports::EventKind;
use crate::sandbox::Sandbox;

impl Sandboxes {
    /// Replaces all labels.
    pub async fn set_labels(
        &self,
        organization: OrganizationId,
        id_or_name: &str,
        labels: Labels,
    ) -> Result<Sandbox, SandboxesError> {
        self.change(organization, id_or_name, |s| s.config.labels = labels.clone()).await
    }

    /// Changes one or more of the intervals.
    pub async fn set_intervals(
        &self,
        organization: OrganizationId,
        id_or_name: &str,
        change: impl Fn(&mut Intervals) + Send + Sync,
    ) -> Result<Sandbox, SandboxesError> {
        self.change(organization, id_or_name, |s| change(&mut s.config.intervals)).await
    }

    /// Lets it live for `minutes` from now on, within what the operator allows; 0 is for as long as that.
    pub async fn set_ttl(
        &self,
        organization: OrganizationId,
        id_or_name: &str,
        minutes: u32,
    ) -> Result<Sandbox, SandboxesError> {
        self.change(organization, id_or_name, |s| {
            s.config.intervals.ttl = minutes;
            s.destroy_at = self.policy.end_of_life(s.created_at, self.now(), minutes);
        })
        .await
    }

    async fn change(
        &self,
        organization: OrganizationId,
        id_or_name: &str,
        change: impl Fn(&mut Sandbox) + Send + Sync,
    ) -> Result<Sandbox, SandboxesError> {
        let sandbox = self.get(organization, id_or_name).await?;
        self.commit_on_top(&sandbox, EventKind::Changed, change).await
    }
}
