//! One attempt to make a sandbox, and what to do where no answer tells what became of it.

use super::deadline::Deadline;
use super::{Sandboxes, SandboxesError};
use crate::ports::{EventKind, SandboxInfo, ServiceError};
use crate::sandbox::Sandbox;
use crate::state::Observed;
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// An attempt without an answer is looked up for so long, and for no more than a quarter of the time that is left.
const LOOK_UP: Duration = Duration::from_secs(2);
const FIRST_PAUSE: Duration = Duration::from_millis(50);

impl Sandboxes {
    /// Makes the sandbox of the current attempt. An unknown outcome means that looking it up told nothing either.
    pub(super) async fn attempt(
        &self,
        intent: &Sandbox,
        deadline: Deadline,
    ) -> Result<SandboxInfo, ServiceError> {
        let attempt = intent.current_attempt();
        match deadline.bound("create", self.provider.service.create(&attempt, &intent.config)).await {
            Err(lost @ ServiceError::OutcomeUnknown { .. }) => self.look_up(intent, deadline, lost).await,
            answer => answer,
        }
    }

    /// Looks for what the lost answer was about, for as long as the caller can wait for that.
    async fn look_up(
        &self,
        intent: &Sandbox,
        deadline: Deadline,
        lost: ServiceError,
    ) -> Result<SandboxInfo, ServiceError> {
        let found = async {
            let mut pause = FIRST_PAUSE;
            loop {
                if let Some(answer) = self.look(intent).await {
                    return answer;
                }
                sleep(pause).await;
                pause *= 2;
            }
        };
        timeout(LOOK_UP.min(deadline.left() / 4), found).await.unwrap_or(Err(lost))
    }

    /// One look; `None` tells nothing. It is asked for again only where it is seen: then the provider gives what it has.
    async fn look(&self, intent: &Sandbox) -> Option<Result<SandboxInfo, ServiceError>> {
        match self.provider.service.status(&intent.reference()).await {
            Ok(Observed::Started) => {
                match self.provider.service.create(&intent.current_attempt(), &intent.config).await {
                    Err(ServiceError::OutcomeUnknown { .. } | ServiceError::Unreachable(_)) => None,
                    answer => Some(answer),
                }
            }
            Ok(Observed::Failed | Observed::Stopped) => Some(Err(ServiceError::Failed {
                operation: "create",
                source: "it was made and does not run".into(),
            })),
            // It may yet appear.
            Ok(Observed::Pending | Observed::Absent) | Err(_) => None,
        }
    }

    /// Gives up the current attempt, whatever may come of it, and plans the next one.
    pub(super) async fn next_attempt(&self, intent: &Sandbox) -> Result<Sandbox, SandboxesError> {
        self.commit_on_top(intent, EventKind::Abandoned, |s| s.attempt += 1).await
    }
}
