//! The composition root: everything is made here, in reading order.

use crate::auth::Keys;
use crate::config::Config;
use crate::limits::Stakes;
use crate::relay::{self, Relay};
use crate::routes::{self, ControlState};
use crate::tasks::Tasks;
use crate::wire::View;
use crate::{first_start, limits, listener, toolbox_binary, watch};
use anyhow::Context;
use axum::Router;
use sandgate_core::{Provider, ProviderKind, Reserve, SandboxRepository, Sandboxes};
use sandgate_infrastructure::clock::SystemClock;
use sandgate_infrastructure::container::{ContainerOptions, ContainerSandboxService};
use sandgate_infrastructure::data_dir::DataDir;
use sandgate_infrastructure::disk::Disk;
use sandgate_infrastructure::sqlite::SqliteLedger;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// How late a sandbox may be stopped or deleted by its interval.
const TIMER_PERIOD: Duration = Duration::from_secs(10);

/// The service, ready to be run.
pub(crate) struct App {
    listener: TcpListener,
    url: String,
    router: Router,
    sandboxes: Sandboxes,
    tasks: Tasks,
}

impl App {
    /// Makes everything, and brings ledger and world together.
    pub(crate) async fn build(config: Config) -> anyhow::Result<Self> {
        let data_dir = DataDir::open(&config.data_dir)?;
        let ledger = Arc::new(SqliteLedger::open(data_dir.path())?);
        let service = container_service(&config, &data_dir, &ledger)?;
        let stakes = Stakes {
            may_go_without: config.allow_unenforced_limits,
            has_sandboxes: !ledger.all_living().await?.is_empty(),
        };
        let unenforced_limits = limits::check(&service, stakes).await?;
        let provider = Provider::new(ProviderKind::Container, Arc::new(service));
        let reserve = Reserve {
            storage: Arc::new(Disk(data_dir.path().to_owned())),
            min_free_mib: config.min_free_mib,
        };
        let sandboxes = Sandboxes::new(ledger.clone(), provider, Arc::new(SystemClock)).with_reserve(reserve);
        let recovery =
            sandboxes.recover().await.context("the ledger and the sandboxes cannot be brought together")?;
        tracing::info!(?recovery, instance = ledger.instance().as_str(), "recovered");
        first_start::ensure_key(ledger.as_ref(), config.api_key.as_ref(), data_dir.path()).await?;

        let listener = TcpListener::bind(config.listen)
            .await
            .with_context(|| format!("cannot listen on {}", config.listen))?;
        let url = format!("http://{}", listener.local_addr()?);
        let public_url = config.public_url.unwrap_or_else(|| url.clone());
        let keys = Keys::new(ledger.clone());
        let tasks = Tasks::default();
        let state = ControlState {
            keys: keys.clone(),
            sandboxes: sandboxes.clone(),
            tasks: tasks.clone(),
            view: View { toolbox_url: format!("{public_url}{}", relay::PREFIX), unenforced_limits },
            limits: config.limits,
            instance: ledger.instance().clone(),
        };
        let router = routes::all(state, Relay::new(keys, sandboxes.clone()));
        Ok(Self { listener, url, router, sandboxes, tasks })
    }

    /// Where it listens, with the real port. Clients may know it by another address.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Serves until `stop`, then lets what has begun come to its end.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let watch = tokio::spawn(watch::follow(self.sandboxes.clone(), stop.clone()));
        let timers = tokio::spawn(enforce_intervals(self.sandboxes, stop.clone()));
        let cut = async {
            stop.cancelled().await;
            self.tasks.stop();
        };
        tokio::join!(cut, listener::serve(self.listener, self.router, stop.clone()));
        self.tasks.finish().await;
        for (name, task) in [("timers", timers), ("watch", watch)] {
            if let Err(error) = task.await {
                tracing::error!(error = %error, task = name, "a task ended unexpectedly");
            }
        }
    }
}

/// Looks from time to time for sandboxes whose interval has run out.
async fn enforce_intervals(sandboxes: Sandboxes, stop: CancellationToken) {
    while stop.run_until_cancelled(tokio::time::sleep(TIMER_PERIOD)).await.is_some() {
        match sandboxes.enforce_intervals().await {
            Ok(0) => {}
            Ok(ended) => tracing::info!(ended, "sandboxes were ended by their intervals"),
            Err(error) => tracing::warn!(error = %error, "intervals could not be looked at"),
        }
    }
}

fn container_service(
    config: &Config,
    data_dir: &DataDir,
    ledger: &SqliteLedger,
) -> anyhow::Result<ContainerSandboxService> {
    Ok(ContainerSandboxService::open(ContainerOptions {
        data_dir,
        instance: ledger.instance().clone(),
        program: "/proc/self/exe".into(),
        toolbox: &toolbox_binary::load()?,
        snapshots: &config.snapshots,
        best_effort: config.allow_unenforced_limits,
    })?)
}
