//! The composition root: everything is made here, in reading order.

use crate::auth::Keys;
use crate::config::Config;
use crate::limits::Stakes;
use crate::relay::{self, Relay};
use crate::routes::{self, ControlState};
use crate::tasks::Tasks;
use crate::wire::View;
use crate::{first_start, limits, listener, retention, toolbox_binary, upkeep, watch};
use anyhow::Context;
use axum::Router;
use sandgate_core::{Ledger, Policy, Provider, ProviderKind, Reserve, SandboxRepository, Sandboxes};
use sandgate_infrastructure::clock::SystemClock;
use sandgate_infrastructure::container::{ContainerOptions, ContainerSandboxService};
use sandgate_infrastructure::data_dir::DataDir;
use sandgate_infrastructure::disk::Disk;
use sandgate_infrastructure::sqlite::{Retention, SqliteLedger};
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// The service, ready to be run.
pub(crate) struct App {
    listener: TcpListener,
    url: String,
    router: Router,
    sandboxes: Sandboxes,
    retention: (Arc<SqliteLedger>, Retention),
    tasks: Tasks,
}

impl App {
    /// Makes everything, and brings ledger and world together.
    pub(crate) async fn build(config: Config) -> anyhow::Result<Self> {
        let data_dir = DataDir::open(&config.data_dir)?;
        let ledger = Arc::new(SqliteLedger::open(data_dir.path())?);
        ledger.limit(config.quotas.clone());
        let (provider, unenforced_limits) = provider(&config, &data_dir, &ledger).await?;
        let reserve = Reserve {
            storage: Arc::new(Disk(data_dir.path().to_owned())),
            min_free_mib: config.min_free_mib,
        };
        let policy = Policy { max_lifetime: config.max_lifetime, ..Policy::default() };
        let ports = (Ledger::new(ledger.clone()), provider);
        #[cfg(debug_assertions)]
        let ports = crate::failpoints::around(ports)?;
        let sandboxes = Sandboxes::new(ports.0, ports.1, Arc::new(SystemClock::new()))
            .with_policy(policy)
            .with_reserve(reserve);
        upkeep::recover(&sandboxes).await;
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
            usage: ledger.clone(),
            events: ledger.clone(),
            tasks: tasks.clone(),
            view: View { toolbox_url: format!("{public_url}{}", relay::PREFIX), unenforced_limits },
            limits: config.limits,
            instance: ledger.instance().clone(),
        };
        let router = routes::all(state, Relay::new(keys, sandboxes.clone()));
        Ok(Self { listener, url, router, sandboxes, retention: (ledger, config.retention), tasks })
    }

    /// Where it listens, with the real port. Clients may know it by another address.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Serves until `stop`, then lets what has begun come to its end.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let watch = tokio::spawn(watch::follow(self.sandboxes.clone(), stop.clone()));
        let upkeep = tokio::spawn(upkeep::keep(self.sandboxes, stop.clone()));
        let retention = tokio::spawn(retention::run(self.retention.0, self.retention.1, stop.clone()));
        let cut = async {
            stop.cancelled().await;
            self.tasks.stop();
        };
        tokio::join!(cut, listener::serve(self.listener, self.router, stop.clone()));
        self.tasks.finish().await;
        for (name, task) in [("upkeep", upkeep), ("watch", watch), ("retention", retention)] {
            if let Err(error) = task.await {
                tracing::error!(error = %error, task = name, "a task ended unexpectedly");
            }
        }
    }
}

/// What runs the sandboxes, and the limits that it does not hold them to.
async fn provider(
    config: &Config,
    data_dir: &DataDir,
    ledger: &SqliteLedger,
) -> anyhow::Result<(Provider, Vec<&'static str>)> {
    #[cfg(debug_assertions)]
    if let Some(modelled) = crate::test_world::provider(ledger.instance())? {
        return Ok((modelled, Vec::new()));
    }
    let service = container_service(config, data_dir, ledger)?;
    let stakes = Stakes {
        may_go_without: config.allow_unenforced_limits,
        has_sandboxes: !ledger.all_living().await?.is_empty(),
    };
    let unenforced_limits = limits::check(&service, stakes).await?;
    Ok((Provider::new(ProviderKind::Container, Arc::new(service)), unenforced_limits))
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
