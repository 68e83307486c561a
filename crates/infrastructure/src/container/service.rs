//! The ports of the core, on top of the spawner.

use super::plan::{Start, plan};
use super::{ContainerSandboxService, Shared, failed};
use async_trait::async_trait;
use sandgate_core::{
    Attempt, Command, CommandResult, ExternalName, Found, Handle, Inventory, Observed, SandboxConfig,
    SandboxInfo, SandboxRef, SandboxService, ServiceError, StartStop, ToolboxAccess, ToolboxAddress,
    UserName,
};
use sandgate_runtime::{ContainerSpec, Handles, RuntimeError};
use sandgate_shared::failpoint;
use sandgate_toolbox_api::{ClientError, ExecuteRequest, ToolboxClient};
use std::collections::{HashMap, HashSet};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixListener;

#[async_trait]
impl SandboxService for ContainerSandboxService {
    async fn create(&self, attempt: &Attempt, config: &SandboxConfig) -> Result<SandboxInfo, ServiceError> {
        let (attempt, config) = (*attempt, config.clone());
        self.blocking("create", move |shared| shared.launch(&attempt, &config)).await
    }

    async fn execute_command(
        &self,
        at: &SandboxRef,
        command: &Command,
    ) -> Result<CommandResult, ServiceError> {
        let ToolboxAddress::Unix(socket) = self.toolbox(at).await?;
        let answer = ToolboxClient::unix(socket).execute(&request(command)).await.map_err(execute_error)?;
        Ok(CommandResult { exit_code: answer.exit_code, output: answer.result })
    }

    async fn status(&self, at: &SandboxRef) -> Result<Observed, ServiceError> {
        let attempt = at.attempt;
        self.blocking("status", move |shared| {
            let name = shared.name(&attempt);
            let status = shared.spawner.status(name.as_str()).map_err(failed("status"))?;
            Ok(shared.observe(&name, status.is_some_and(|status| status.alive)))
        })
        .await
    }

    async fn delete(&self, at: &SandboxRef) -> Result<(), ServiceError> {
        let attempt = at.attempt;
        self.blocking("delete", move |shared| shared.delete(&shared.name(&attempt))).await
    }
}

#[async_trait]
impl StartStop for ContainerSandboxService {
    async fn start(&self, at: &SandboxRef, config: &SandboxConfig) -> Result<SandboxInfo, ServiceError> {
        self.create(&at.attempt, config).await
    }

    async fn stop(&self, at: &SandboxRef) -> Result<(), ServiceError> {
        let attempt = at.attempt;
        self.blocking("stop", move |shared| {
            let name = shared.name(&attempt);
            shared.spawner.kill(name.as_str()).map_err(failed("stop"))?;
            failpoint::hit("container.killed").map_err(io_failed("stop"))?;
            shared.sockets.remove(&name).map_err(io_failed("stop"))
        })
        .await
    }
}

#[async_trait]
impl Inventory for ContainerSandboxService {
    async fn list(&self) -> Result<Vec<Found>, ServiceError> {
        self.blocking("list", Shared::inventory).await
    }
}

#[async_trait]
impl ToolboxAccess for ContainerSandboxService {
    async fn toolbox(&self, at: &SandboxRef) -> Result<ToolboxAddress, ServiceError> {
        Ok(ToolboxAddress::Unix(self.0.sockets.path(&self.0.name(&at.attempt))))
    }
}

impl Shared {
    /// Makes the container of `attempt`, or finds it running: its disk decides with which files it begins.
    fn launch(&self, attempt: &Attempt, config: &SandboxConfig) -> Result<SandboxInfo, ServiceError> {
        let name = self.name(attempt);
        let image = self.images.get(config.snapshot.as_ref())?;
        let account = image.account(config.user.as_ref())?;
        let spec = plan(
            &name,
            config,
            Start {
                attempt,
                account: &account,
                rootfs: &image.rootfs,
                disk: self.disk(&name),
                best_effort: self.best_effort,
            },
        );
        self.create(&name, &spec)?;
        Ok(SandboxInfo { handle: Handle(name.to_string()), user: UserName::parse(account.name).ok() })
    }

    /// Makes the container with a listener of its own, unless it is there already.
    pub(super) fn create(&self, name: &ExternalName, spec: &ContainerSpec) -> Result<(), ServiceError> {
        let Some(listener) = self.listener(name)? else { return Ok(()) };
        let made = self.make(spec, &listener);
        // Where nobody knows whether it was made, the socket may be its own: whoever asks again finds out.
        if matches!(&made, Err(error) if !matches!(error, ServiceError::OutcomeUnknown { .. })) {
            self.sockets.remove(name).map_err(io_failed("create"))?;
        }
        made
    }

    fn make(&self, spec: &ContainerSpec, listener: &UnixListener) -> Result<(), ServiceError> {
        failpoint::hit("container.bound").map_err(io_failed("create"))?;
        let handles = Handles { listener: listener.as_fd(), toolbox: self.toolbox.as_fd() };
        let container = self.spawner.create(spec, handles).map_err(failed("create"))?;
        tracing::debug!(sandbox.name = %spec.name, laps = ?container.laps, "container made");
        failpoint::hit("container.created").map_err(|_| failed("create")(RuntimeError::SpawnerLost))
    }

    /// Ends the container, and forgets its disk and its socket; `Ok` also where there was none.
    pub(super) fn delete(&self, name: &ExternalName) -> Result<(), ServiceError> {
        self.spawner.delete(name.as_str(), &self.disk(name)).map_err(failed("delete"))?;
        failpoint::hit("container.deleted").map_err(io_failed("delete"))?;
        self.sockets.remove(name).map_err(io_failed("delete"))?;
        failpoint::hit("container.unbound").map_err(io_failed("delete"))
    }

    /// A new listener for `name`; `None` where a running sandbox has one already.
    fn listener(&self, name: &ExternalName) -> Result<Option<UnixListener>, ServiceError> {
        let bind = || self.sockets.bind(name).map_err(io_failed("create"));
        if let Some(listener) = bind()? {
            return Ok(Some(listener));
        }
        let status = self.spawner.status(name.as_str()).map_err(failed("create"))?;
        if status.is_some_and(|status| status.alive) {
            return Ok(None);
        }
        // Left behind by a sandbox that died, or by a server that was killed in between.
        self.sockets.remove(name).map_err(io_failed("create"))?;
        bind()
    }

    fn inventory(&self) -> Result<Vec<Found>, ServiceError> {
        let all = self.spawner.list().map_err(failed("list"))?;
        let running: HashMap<&str, bool> =
            all.iter().filter(|it| it.alive).map(|it| (it.name.as_str(), it.suspended)).collect();
        let disks = self.disk_names().map_err(io_failed("list"))?;
        let names: HashSet<&str> = disks.iter().map(String::as_str).chain(running.keys().copied()).collect();
        let attempts = names.into_iter().filter_map(|name| ExternalName::parse(name, &self.instance));
        let found = attempts.map(|attempt| {
            let name = self.name(&attempt);
            let observed = match running.get(name.as_str()) {
                // It runs, and does nothing.
                Some(true) => Observed::Failed,
                running => self.observe(&name, running.is_some()),
            };
            Found { attempt, observed }
        });
        Ok(found.collect())
    }

    fn disk_names(&self) -> io::Result<Vec<String>> {
        let files = self.disks.read_dir()?.map(|entry| Ok(entry?.file_name()));
        let names = files.filter_map(|file: io::Result<_>| match file {
            Ok(name) => name.to_str()?.strip_suffix(".ext4").map(|name| Ok(name.to_owned())),
            Err(error) => Some(Err(error)),
        });
        names.collect()
    }
}

fn io_failed(operation: &'static str) -> impl Fn(io::Error) -> ServiceError {
    move |error| ServiceError::Failed { operation, source: error.into() }
}

fn request(command: &Command) -> ExecuteRequest {
    ExecuteRequest {
        command: command.text.clone(),
        cwd: command.cwd.clone(),
        envs: (!command.env.is_empty()).then(|| command.env.clone()),
        timeout: command.timeout.map(|timeout| i64::try_from(timeout.as_secs().max(1)).unwrap_or(i64::MAX)),
    }
}

pub(super) fn execute_error(error: ClientError) -> ServiceError {
    match error {
        // Nobody listens there: there is no such sandbox, or it has ended.
        ClientError::Unreachable(_) => ServiceError::NotRunning,
        ClientError::Refused { status, body } if status == 408 => {
            tracing::debug!(message = body.message, "a command ran into its timeout");
            ServiceError::CommandTimeout
        }
        ClientError::Refused { body, .. } => ServiceError::Refused(body.message),
        other => ServiceError::OutcomeUnknown { operation: "execute", source: other.into() },
    }
}
