//! The container provider keeps the contract of `SandboxService`: real sandboxes on this machine.
//!
//! `cargo xtask test` names the two binaries that it takes; without them, or without root, the tests say so.

use sandgate_core::contract::Subject;
use sandgate_core::{InstanceId, ResourceLimits, SandboxConfig};
use sandgate_infrastructure::container::{ContainerOptions, ContainerSandboxService};
use sandgate_infrastructure::data_dir::DataDir;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

sandgate_core::sandbox_service_contract!(async { subject() });

fn subject() -> Option<Subject<ContainerSandboxService>> {
    let program = std::env::var_os("SANDGATE_BIN")?.into();
    let toolbox = fs::read(std::env::var_os("SANDGATE_TOOLBOX_BIN")?).ok()?;
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let parent = tempfile::tempdir().expect("temporary directory");
    let data_dir = DataDir::open(&parent.path().join("data")).expect("data directory");
    let instance = InstanceId::random();
    let service = ContainerSandboxService::open(ContainerOptions {
        data_dir: &data_dir,
        instance: instance.clone(),
        program,
        toolbox: &toolbox,
        snapshots: &BTreeMap::new(),
        best_effort: false,
    });
    let keep = Box::new(NothingLeft { parent, data_dir, instance });
    let config = SandboxConfig::new(ResourceLimits::default().default);
    Some(Subject { service: service.expect("open"), config, keep })
}

/// Checks at the end of each test that nothing of its sandboxes is left.
struct NothingLeft {
    parent: tempfile::TempDir,
    data_dir: DataDir,
    instance: InstanceId,
}

impl NothingLeft {
    fn leftovers(&self) -> Vec<String> {
        let mut left = visible_files(&self.data_dir.path().join("disks"));
        left.extend(visible_files(&self.data_dir.path().join("sockets")));
        left.extend(
            visible_files(&self.data_dir.path().join("run"))
                .into_iter()
                .filter(|name| name == "spawner.sock"),
        );
        left.extend(self.cgroups());
        left
    }

    /// The spawner's own group in each hierarchy; it goes with the spawner.
    fn cgroups(&self) -> Vec<String> {
        let ours = format!("sandgate-{}", self.instance.as_str());
        let root = Path::new("/sys/fs/cgroup");
        let hierarchies = fs::read_dir(root).into_iter().flatten().flatten().map(|entry| entry.path());
        let places = hierarchies.chain([root.to_owned()]).map(|place| place.join(&ours));
        places.filter(|place| place.exists()).map(|place| place.display().to_string()).collect()
    }
}

/// Names that do not begin with a dot: templates are kept.
fn visible_files(place: &Path) -> Vec<String> {
    let entries = fs::read_dir(place).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| !name.starts_with('.'))
        .collect()
}

impl Drop for NothingLeft {
    fn drop(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !self.leftovers().is_empty() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(20));
        }
        let left = self.leftovers();
        if !std::thread::panicking() {
            assert!(left.is_empty(), "left behind in {}: {left:?}", self.parent.path().display());
        }
    }
}
