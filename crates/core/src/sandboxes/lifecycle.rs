//! Starting, stopping and deleting a sandbox that exists.

use super::change::{TRIES, chain};
use super::deadline::bounded;
use super::{Sandboxes, SandboxesError};
use crate::id::OrganizationId;
use crate::operation::Operation;
use crate::ports::{EventKind, SandboxInfo, ServiceError, Sighting};
use crate::sandbox::Sandbox;
use crate::state::{Answer, Desired, Observed, Request, answer};

impl Sandboxes {
    /// Starts a stopped sandbox with the files it had. One that runs is returned as it is.
    pub async fn start(
        &self,
        organization: OrganizationId,
        id_or_name: &str,
    ) -> Result<Sandbox, SandboxesError> {
        let (sandbox, go) = self.admit(Request::Start, organization, id_or_name).await?;
        if !go {
            return Ok(sandbox);
        }
        self.has_room()?;
        let _claim = self.claims.hold(sandbox.id);
        let wanted =
            self.commit(&sandbox, EventKind::StartRequested, |s| self.begin(s, Desired::Started)).await?;
        self.or_later(&wanted, self.do_start(&wanted).await).await
    }

    /// Ends a sandbox's processes and keeps its files; deletes it if it is ephemeral.
    pub async fn stop(
        &self,
        organization: OrganizationId,
        id_or_name: &str,
    ) -> Result<Sandbox, SandboxesError> {
        let (sandbox, go) = self.admit(Request::Stop, organization, id_or_name).await?;
        if !go {
            return Ok(sandbox);
        }
        if sandbox.config.intervals.is_ephemeral() {
            return self.delete(organization, id_or_name).await;
        }
        let _claim = self.claims.hold(sandbox.id);
        let wanted =
            self.commit(&sandbox, EventKind::StopRequested, |s| self.begin(s, Desired::Stopped)).await?;
        self.or_later(&wanted, self.do_stop(&wanted).await).await
    }

    /// Ends a sandbox and forgets it. Its name is free as soon as this returns.
    pub async fn delete(
        &self,
        organization: OrganizationId,
        id_or_name: &str,
    ) -> Result<Sandbox, SandboxesError> {
        for _ in 0..TRIES {
            let sandbox = self.get(organization, id_or_name).await?;
            admits(Request::Delete, &sandbox)?;
            let _claim = self.claims.hold(sandbox.id);
            let wanted =
                self.commit(&sandbox, EventKind::DeleteRequested, |s| self.begin(s, Desired::Deleted));
            match wanted.await {
                // Something was noted of it just then, such as its death, which is no reason against its end.
                Err(SandboxesError::Busy) => {}
                wanted => {
                    let wanted = wanted?;
                    return self.or_later(&wanted, self.do_delete(&wanted).await).await;
                }
            }
        }
        Err(SandboxesError::Busy)
    }

    /// A change that was given up is tried anew.
    fn begin(&self, sandbox: &mut Sandbox, desired: Desired) {
        sandbox.desired = desired;
        sandbox.operation = Some(Operation::begun(self.now()));
    }

    /// What a request could not do is done soon without it, and not only when its time would have been over.
    async fn or_later(
        &self,
        wanted: &Sandbox,
        outcome: Result<Sandbox, SandboxesError>,
    ) -> Result<Sandbox, SandboxesError> {
        if let Err(error) = &outcome {
            self.postpone(wanted, error).await;
        }
        outcome
    }

    pub(super) async fn do_start(&self, wanted: &Sandbox) -> Result<Sandbox, SandboxesError> {
        let at = wanted.reference();
        match bounded("start", self.provider.start_stop.start(&at, &wanted.config)).await {
            Ok(SandboxInfo { handle, .. }) => {
                self.commit_on_top(wanted, EventKind::Started, |s| {
                    s.handle = Some(handle.clone());
                    s.observed = Observed::Started;
                    // A start is a use: what was stopped for want of one is not stopped again at once.
                    s.last_activity_at = self.now();
                    s.cause = None;
                })
                .await
            }
            Err(error) => self.fail(wanted, error).await,
        }
    }

    pub(super) async fn do_stop(&self, wanted: &Sandbox) -> Result<Sandbox, SandboxesError> {
        if let Err(error) = bounded("stop", self.provider.start_stop.stop(&wanted.reference())).await {
            return self.fail(wanted, error).await;
        }
        if wanted.observed == Observed::Failed {
            // It may have nothing left that could be started again.
            let seen = bounded("examine", self.provider.watch.examine(&wanted.reference())).await?;
            if seen.observed != Observed::Stopped {
                return self.believe(wanted, seen.explained()).await;
            }
        }
        self.settle(wanted, EventKind::Stopped, Observed::Stopped).await
    }

    /// The row is kept as "to be deleted" when the provider fails: whoever asks again, or recovery, goes on there.
    pub(super) async fn do_delete(&self, wanted: &Sandbox) -> Result<Sandbox, SandboxesError> {
        bounded("delete", self.provider.service.delete(&wanted.reference())).await?;
        self.uses.forget(wanted.id);
        match self.settle(wanted, EventKind::Deleted, Observed::Absent).await {
            // Whoever asked for the same at the same time has settled it.
            Err(SandboxesError::NotFound) => Ok(Sandbox { observed: Observed::Absent, ..wanted.clone() }),
            settled => settled,
        }
    }

    /// A start or stop that failed leaves the sandbox as the provider sees it now, with the cause: files that are
    /// still there must stay within reach of another try. Where nobody can tell, it stays under way, and the reconciler
    /// goes on with it.
    async fn fail(&self, wanted: &Sandbox, error: ServiceError) -> Result<Sandbox, SandboxesError> {
        if matches!(error, ServiceError::Unreachable(_)) {
            self.leave(wanted, &error).await?;
        } else if let Ok(observed) =
            bounded("status", self.provider.service.status(&wanted.reference())).await
        {
            self.believe(wanted, Sighting { observed, cause: Some(chain(&error)) }).await?;
        }
        Err(error.into())
    }

    /// Nothing was done: it stays what it was.
    async fn leave(&self, wanted: &Sandbox, error: &ServiceError) -> Result<Sandbox, SandboxesError> {
        self.commit_on_top(wanted, EventKind::Failed, |s| {
            s.desired = if s.observed == Observed::Started { Desired::Started } else { Desired::Stopped };
            s.cause = Some(chain(error));
        })
        .await
    }

    /// The sandbox, and whether `request` is to be carried out. Before a request is answered with nothing but the
    /// ledger's word, the provider is asked: the sandbox may have died since, or may have come back.
    async fn admit(
        &self,
        request: Request,
        organization: OrganizationId,
        id_or_name: &str,
    ) -> Result<(Sandbox, bool), SandboxesError> {
        let mut sandbox = self.get(organization, id_or_name).await?;
        if matches!(answer(request, sandbox.pursued(), sandbox.observed), Answer::Already | Answer::Refused) {
            sandbox = self.recheck(&sandbox).await?;
        }
        let go = admits(request, &sandbox)?;
        Ok((sandbox, go))
    }
}

/// Whether `request` is to be carried out (`true`) or has been already (`false`).
fn admits(request: Request, sandbox: &Sandbox) -> Result<bool, SandboxesError> {
    match answer(request, sandbox.pursued(), sandbox.observed) {
        Answer::Go => Ok(true),
        Answer::Already => Ok(false),
        Answer::Busy => Err(SandboxesError::Busy),
        Answer::Gone => Err(SandboxesError::NotFound),
        Answer::Refused => Err(SandboxesError::WrongState(
            "Sandbox is in an errored state: stop it and start it again, or delete it".to_owned(),
        )),
    }
}
