//! The self-test: one throw-away sandbox with tiny limits, in which each of them is run into.
//!
//! It believes nothing but what happens. A limit that is written to the right file and yet stops nobody is found as
//! well as one that cannot be written.

use super::limit::Limit;
use super::plan::PATH;
use super::service::execute_error;
use super::{ContainerSandboxService, Shared};
use sandgate_core::{ExternalName, ServiceError};
use sandgate_runtime::{ContainerSpec, Disk, Limits, User, cpu_use, enforcers};
use sandgate_toolbox_api::{ExecuteRequest, ExecuteResponse, ToolboxClient};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// What the sandbox may use: little, so that it is soon at the end of each. On a host with many processors its
/// network namespace alone takes megabytes of memory.
const LIMITS: Limits =
    Limits { memory_bytes: 32 << 20, cpu_millis: CPU_MILLIS as u64, pids: 8, best_effort: true };
const CPU_MILLIS: u32 = 400;
/// Seconds for one command, of which none needs one; a host may be very busy.
const PATIENCE: i64 = 60;
/// How long we try to use up our share of a core. An idle host lets us at once, a busy one may not at all.
const BUSY_HOST: Duration = Duration::from_secs(2);

/// Each of them takes twice what it may, or more.
const TAKE_MEMORY: &str = "dd if=/dev/zero of=/dev/null bs=64M count=1";
const TAKE_DISK: &str = "dd if=/dev/zero of=fill bs=1M count=32; code=$?; rm -f fill; exit $code";
const TAKE_CPU: &str = "for n in 1 2 3; do (i=0; while [ $i -lt 3000 ]; do i=$((i+1)); done) & done; wait";
const TAKE_A_PROCESS: &str = "exec sleep 1";

/// What the self-test has found. That files can be written and read is certain: otherwise there is an error instead.
#[derive(Debug)]
pub struct SelfTest {
    /// The limits that stopped nobody, each with the reason.
    pub unenforced: Vec<(Limit, String)>,
    /// How long it took, clean-up included.
    pub took: Duration,
}

impl ContainerSandboxService {
    /// Makes a sandbox, runs into each of its limits, and removes it. What an interrupted self-test has left is removed
    /// first: the name is always the same.
    pub async fn self_test(&self) -> Result<SelfTest, ServiceError> {
        let began = Instant::now();
        self.blocking("delete", Shared::remove_trial).await?;
        let found = self.run_into_limits().await;
        self.blocking("delete", Shared::remove_trial).await?;
        Ok(SelfTest { unenforced: found?, took: began.elapsed() })
    }

    async fn run_into_limits(&self) -> Result<Vec<(Limit, String)>, ServiceError> {
        self.blocking("create", Shared::launch_trial).await?;
        let trial = Trial::of(&self.0);
        let mut unenforced = Vec::new();
        // Memory before disk: what is written and not yet on the disk would make whoever wants memory wait for it.
        for limit in [Limit::Memory, Limit::Disk, Limit::Cpu, Limit::Pids] {
            if let Some(seen) = trial.run_into(limit).await? {
                let why = absence(limit).unwrap_or(seen);
                unenforced.push((limit, why));
            }
        }
        Ok(unenforced)
    }
}

impl Shared {
    fn launch_trial(&self) -> Result<(), ServiceError> {
        let name = ExternalName::of_trial(&self.instance);
        let image = self.images.get(None)?;
        let account = image.account(None)?;
        // The toolbox is told of no limits: it would keep commands from running into them.
        let env = [("PATH", PATH), ("LANG", "C.UTF-8"), ("LISTEN_FDS", "1"), ("LISTEN_PID", "1")];
        let spec = ContainerSpec {
            name: name.to_string(),
            hostname: "trial".to_owned(),
            rootfs: image.rootfs.clone(),
            disk: Disk { path: self.disk(&name), bytes: Disk::MIN_BYTES },
            limits: LIMITS,
            user: User { uid: account.uid, gid: account.gid },
            args: vec!["sandgate-toolbox".to_owned()],
            env: env.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            work_dir: account.home,
        };
        self.create(&name, &spec)
    }

    fn remove_trial(&self) -> Result<(), ServiceError> {
        self.delete(&ExternalName::of_trial(&self.instance))
    }
}

/// Why nobody on this host enforces `limit`, if that can be seen.
fn absence(limit: Limit) -> Option<String> {
    let all = enforcers().ok()?;
    all.into_iter().find(|(controller, _)| Some(*controller) == limit.controller())?.1
}

/// The sandbox of the self-test.
struct Trial {
    toolbox: ToolboxClient,
    instance: String,
    name: ExternalName,
}

impl Trial {
    fn of(shared: &Shared) -> Self {
        let name = ExternalName::of_trial(&shared.instance);
        let toolbox = ToolboxClient::unix(shared.sockets.path(&name));
        Self { toolbox, instance: shared.instance.as_str().to_owned(), name }
    }

    async fn run(&self, command: &str) -> Result<ExecuteResponse, ServiceError> {
        run(self.toolbox.clone(), command).await
    }

    async fn writes_and_reads(&self) -> Result<(), ServiceError> {
        let answer = self.run("echo written >file && cat file && rm file").await?;
        if answer.result == "written\n" {
            return Ok(());
        }
        let source = format!("in a new sandbox no file can be written: {}", answer.result.trim()).into();
        Err(ServiceError::Failed { operation: "write in a new sandbox", source })
    }

    /// What was seen where the limit ought to have been; `None` if it stopped us.
    async fn run_into(&self, limit: Limit) -> Result<Option<String>, ServiceError> {
        match limit {
            Limit::Memory => self.take_memory().await,
            Limit::Disk => {
                self.writes_and_reads().await?;
                self.take_disk().await
            }
            Limit::Cpu => self.take_cpu().await,
            Limit::Pids => self.take_processes().await,
        }
    }

    /// The one that takes too much is killed, and the toolbox lives: it answers.
    async fn take_memory(&self) -> Result<Option<String>, ServiceError> {
        let answer = self.run(TAKE_MEMORY).await?;
        let killed = answer.exit_code == 128 + 9;
        Ok((!killed).then(|| format!("a process took twice its memory ({})", told(&answer))))
    }

    async fn take_disk(&self) -> Result<Option<String>, ServiceError> {
        let answer = self.run(TAKE_DISK).await?;
        let full = answer.exit_code != 0 && answer.result.contains("No space left");
        Ok((!full).then(|| format!("a file was not stopped at the disk's end ({})", told(&answer))))
    }

    /// The kernel counts how often it was stopped. A clock alone would tell less: on a busy host everything is slow, and
    /// it may be that nobody lets us use our share up.
    async fn take_cpu(&self) -> Result<Option<String>, ServiceError> {
        let used = || cpu_use(&self.instance, self.name.as_str());
        let (began, before) = (Instant::now(), used());
        loop {
            let (elapsed, Some(now)) = (began.elapsed(), used()) else {
                return Ok(Some("nobody counts its periods".to_owned()));
            };
            if now.throttled > 0 {
                return Ok(None);
            }
            if elapsed > BUSY_HOST {
                let taken = now.time.saturating_sub(before.map_or(Duration::ZERO, |before| before.time));
                return Ok((taken > share_of(elapsed)).then(|| format!("{taken:?} were used of {elapsed:?}")));
            }
            self.run(TAKE_CPU).await?;
        }
    }

    /// All at once; the first that cannot be started decides, and the others go with the sandbox.
    async fn take_processes(&self) -> Result<Option<String>, ServiceError> {
        let mut commands = JoinSet::new();
        for _ in 0..2 * LIMITS.pids {
            commands.spawn(run(self.toolbox.clone(), TAKE_A_PROCESS));
        }
        while let Some(ended) = commands.join_next().await {
            let answer = ended.map_err(|panic| lost(panic.into()))??;
            if answer.exit_code == -1 && answer.result.contains("temporarily unavailable") {
                return Ok(None);
            }
        }
        Ok(Some(format!("{} processes ran at once where {} may", 2 * LIMITS.pids, LIMITS.pids)))
    }
}

async fn run(toolbox: ToolboxClient, command: &str) -> Result<ExecuteResponse, ServiceError> {
    let request = ExecuteRequest { timeout: Some(PATIENCE), ..ExecuteRequest::new(command) };
    toolbox.execute(&request).await.map_err(execute_error)
}

/// What the sandbox may use of that time.
fn share_of(elapsed: Duration) -> Duration {
    elapsed.mul_f64(f64::from(CPU_MILLIS) / 1000.0)
}

/// How it ended, and the last that it said.
fn told(answer: &ExecuteResponse) -> String {
    format!("exit code {}: {}", answer.exit_code, answer.result.lines().last().unwrap_or_default())
}

fn lost(source: sandgate_core::Source) -> ServiceError {
    ServiceError::OutcomeUnknown { operation: "execute", source }
}
