//! Hearing from the spawner what happens to sandboxes, and saying why they are as they are.

use super::{ContainerSandboxService, Shared, failed};
use async_trait::async_trait;
use sandgate_core::{Change, ExternalName, Observed, SandboxRef, ServiceError, Sighting, Watch};
use sandgate_runtime::{ContainerStatus, Exit, RuntimeError, process_state};
use sandgate_toolbox_api::ToolboxClient;
use std::collections::HashMap;
use std::sync::{MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::io::unix::AsyncFd;

/// How often the spawner is asked whether it still works, since one that does not tells nothing.
const HEARTBEAT: Duration = Duration::from_millis(500);
/// Between two tries to reach a spawner that cannot be started.
const RETRY: Duration = Duration::from_secs(1);
/// A toolbox that waits for requests answers in less than a millisecond.
const ANSWER: Duration = Duration::from_millis(250);
const LOOKS: u32 = 3;
/// One that has had neither processor nor memory to answer with for so long is of no use to anybody.
const STARVED: Duration = Duration::from_secs(20);

const OUT_OF_MEMORY: &str =
    "the sandbox has used up its memory, and the kernel has killed a process inside for it";
const SUSPENDED: &str = "its first process was stopped by a signal from the host and answers nothing: `kill -CONT` lets it go \
                         on; or stop the sandbox and start it again, its files are kept";
const MUTE: &str = "its toolbox does not answer, or what runs inside leaves it neither processor nor memory: stop the sandbox and start it again, its files are kept";

#[async_trait]
impl Watch for ContainerSandboxService {
    async fn changed(&self) -> Change {
        let mut watch = self.0.watch.lock().await;
        loop {
            let Some(open) = watch.as_mut() else {
                match self.open_watch().await {
                    Ok(opened) => *watch = Some(opened),
                    Err(error) => {
                        tracing::warn!(error = %error, "the spawner cannot be reached");
                        tokio::time::sleep(RETRY).await;
                        continue;
                    }
                }
                // Whatever happened before is told by nobody.
                return Change::Any;
            };
            match next(open).await {
                Ok(Some(name)) => {
                    if let Some(attempt) = ExternalName::parse(&name, &self.0.instance) {
                        return Change::One(attempt);
                    }
                }
                // One that is stopped is replaced by this, and then the watch ends.
                Ok(None) => self.heartbeat().await,
                Err(_) => *watch = None,
            }
        }
    }

    async fn examine(&self, at: &SandboxRef) -> Result<Sighting, ServiceError> {
        let name = self.0.name(&at.attempt);
        let asked = name.clone();
        let status = self
            .blocking("examine", move |shared| {
                shared.spawner.status(asked.as_str()).map_err(failed("examine"))
            })
            .await?;
        match status {
            Some(status) if status.alive => Ok(self.examine_running(&name, &status).await),
            status => Ok(self.0.ended(&name, status)),
        }
    }
}

impl ContainerSandboxService {
    #[expect(
        deprecated,
        reason = "its successor is `unsafe`; what both ask for holds: a watch owns its one descriptor until it is dropped"
    )]
    async fn open_watch(&self) -> Result<AsyncFd<sandgate_runtime::Watch>, ServiceError> {
        let watch = self.blocking("watch", |shared| shared.spawner.watch().map_err(failed("watch"))).await?;
        AsyncFd::new(watch).map_err(|error| ServiceError::Failed { operation: "watch", source: error.into() })
    }

    /// If it fails the watch ends too, and is opened anew.
    async fn heartbeat(&self) {
        let answered = self.blocking("ping", |shared| shared.spawner.ping().map_err(failed("ping"))).await;
        if let Err(error) = answered {
            tracing::warn!(error = %error, "the spawner does not answer");
        }
    }

    /// What runs must answer, unless it is just very busy.
    async fn examine_running(&self, name: &ExternalName, status: &ContainerStatus) -> Sighting {
        if status.suspended {
            return broken(SUSPENDED);
        }
        if !self.answers(name, status.pid).await {
            return broken(MUTE);
        }
        let cause = (status.oom_kills > 0).then(|| OUT_OF_MEMORY.to_owned());
        Sighting { observed: Observed::Started, cause }
    }

    /// Whether the toolbox answers, or would if it came to it. One that is asleep while somebody waits for it, time and
    /// again, will not wake.
    async fn answers(&self, name: &ExternalName, pid: i32) -> bool {
        let toolbox = ToolboxClient::unix(self.0.sockets.path(name));
        for _ in 0..LOOKS {
            let answer = tokio::time::timeout(ANSWER, toolbox.health()).await;
            if answer.is_ok_and(|answer| answer.is_ok()) {
                self.0.starving().remove(name);
                return true;
            }
            if !is_asleep(pid) {
                let since = *self.0.starving().entry(name.clone()).or_insert_with(Instant::now);
                return since.elapsed() < STARVED;
            }
        }
        false
    }
}

impl Shared {
    /// Since when a toolbox has been too busy to answer.
    fn starving(&self) -> MutexGuard<'_, HashMap<ExternalName, Instant>> {
        self.starving.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A sandbox whose first process has ended, or of which the spawner knows nothing.
    fn ended(&self, name: &ExternalName, status: Option<ContainerStatus>) -> Sighting {
        let observed = self.observe(name, false);
        let cause = status.filter(|_| observed == Observed::Stopped).and_then(|status| how_it_ended(&status));
        Sighting { observed, cause: cause.map(|how| format!("{how}; its files are kept, start it again")) }
    }
}

/// The next name that the spawner tells; `None` if it is silent for a while.
async fn next(watch: &mut AsyncFd<sandgate_runtime::Watch>) -> Result<Option<String>, RuntimeError> {
    loop {
        if let Some(name) = watch.get_mut().poll()? {
            return Ok(Some(name));
        }
        match tokio::time::timeout(HEARTBEAT, watch.readable()).await {
            Ok(Ok(mut ready)) => ready.clear_ready(),
            Ok(Err(_)) => return Err(RuntimeError::SpawnerLost),
            Err(_) => return Ok(None),
        }
    }
}

fn broken(cause: &str) -> Sighting {
    Sighting { observed: Observed::Failed, cause: Some(cause.to_owned()) }
}

fn how_it_ended(status: &ContainerStatus) -> Option<String> {
    let how = match status.exit? {
        Exit::Signal(_) if status.ended_by_memory => {
            "its first process was killed because the sandbox had used up its memory".to_owned()
        }
        Exit::Signal(number) => format!("its first process was killed from outside, by signal {number}"),
        Exit::Code(code) => format!("its first process ended by itself, with exit code {code}"),
        Exit::Unknown => "its first process ended while nobody watched, so why is not known".to_owned(),
    };
    Some(how)
}

/// Stopped, or waiting for something other than a processor, a disk or memory: those come, also to the starved.
fn is_asleep(pid: i32) -> bool {
    matches!(process_state(pid), Some('S' | 'T' | 't'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_end_has_a_cause_of_its_own() {
        let status = |exit, ended_by_memory| ContainerStatus {
            name: "x".to_owned(),
            pid: 1,
            alive: false,
            exit: Some(exit),
            suspended: false,
            oom_kills: 1,
            ended_by_memory,
        };
        let causes: std::collections::BTreeSet<_> = [
            status(Exit::Signal(9), false),
            status(Exit::Signal(9), true),
            status(Exit::Code(3), false),
            status(Exit::Unknown, false),
        ]
        .iter()
        .filter_map(how_it_ended)
        .collect();
        assert_eq!(causes.len(), 4, "{causes:?}");
    }
}
