//! A server for one run, in this process: nothing of it was there before, and nothing is afterwards.
//!
//! The process that holds its sandboxes leaves by itself, and takes their control group with it, two seconds after the
//! last one is gone. Nobody waits for it.

use super::server::Address;
use crate::app::App;
use crate::config::Config;
use crate::first_start;
use anyhow::Context;
use sandgate_core::ResourceLimits;
use sandgate_infrastructure::sqlite::Retention;
use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// A server that runs in this process.
pub(super) struct Ephemeral {
    address: Address,
    stop: CancellationToken,
    serving: JoinHandle<()>,
    folder: Folder,
}

impl Ephemeral {
    /// Starts it on a port that is free, with a key that nobody else knows.
    pub(super) async fn start(allow_unenforced_limits: bool) -> anyhow::Result<Self> {
        let folder = Folder::make()?;
        let key = first_start::generate()?;
        let config = Config {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            data_dir: folder.0.clone(),
            public_url: None,
            log: String::new(),
            api_key: Some(key.clone()),
            snapshots: BTreeMap::new(),
            max_lifetime: None,
            limits: ResourceLimits::default(),
            quotas: sandgate_core::Quotas::default(),
            // Its data live for one command, often in memory: the disk itself says when it is full.
            min_free_mib: 0,
            allow_unenforced_limits,
            retention: Retention { events: None, deleted: None },
        };
        let app = App::build(config).await.context(
            "no server is named (`--server`), and one of our own, which wants root, does not start",
        )?;
        let address = Address::parse(app.url(), key)?;
        let stop = CancellationToken::new();
        let serving = tokio::spawn(app.run(stop.clone()));
        Ok(Self { address, stop, serving, folder })
    }

    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    /// Ends it with all that it made, and returns when that is done.
    pub(super) async fn end(self) {
        self.stop.cancel();
        if let Err(error) = self.serving.await {
            tracing::error!(error = %error, "the server ended unexpectedly");
        }
        drop(self.folder);
    }
}

/// A directory of ours alone that goes with this.
struct Folder(PathBuf);

impl Folder {
    fn make() -> anyhow::Result<Self> {
        let path = std::env::temp_dir().join(format!("sandgate-run-{}", uuid::Uuid::new_v4().simple()));
        let made = fs::DirBuilder::new().mode(0o700).create(&path);
        made.with_context(|| format!("{} cannot be made", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Once more, should something have been put there meanwhile.
        let removed = fs::remove_dir_all(&self.0).or_else(|_| fs::remove_dir_all(&self.0));
        if let Err(error) = removed {
            eprintln!("sandgate: {} is left behind: {error}", self.0.display());
        }
    }
}
