//! The provider in memory keeps the contract, wherever it keeps its sandboxes and however slow it is.

use sandgate_core::contract::Subject;
use sandgate_core::{InstanceId, ResourceLimits, SandboxConfig, SandboxService};
use sandgate_infrastructure::memory::{MemorySandboxService, ModelledSandboxService, World};
use tempfile::TempDir;

fn subject<S: SandboxService>(
    sound: MemorySandboxService,
    service: S,
    folder: Option<TempDir>,
) -> Subject<S> {
    let config = SandboxConfig::new(ResourceLimits::default().default);
    Subject { service, config, keep: Box::new((NothingLeft(sound), folder)) }
}

fn in_memory() -> Subject<MemorySandboxService> {
    let service = MemorySandboxService::new(InstanceId::random());
    subject(service.clone(), service, None)
}

fn in_folder() -> Subject<MemorySandboxService> {
    let folder = tempfile::tempdir().expect("a folder");
    let world = World::in_folder(folder.path()).expect("a world");
    let service = MemorySandboxService::in_world(InstanceId::random(), world);
    subject(service.clone(), service, Some(folder))
}

fn modelled() -> Subject<ModelledSandboxService> {
    let sound = MemorySandboxService::new(InstanceId::random());
    let model = "seed=7 latency=2ms tail=20ms".parse().expect("a model");
    subject(sound.clone(), ModelledSandboxService::new(sound, model), None)
}

/// Fails a case that leaves a sandbox behind.
struct NothingLeft(MemorySandboxService);

impl Drop for NothingLeft {
    fn drop(&mut self) {
        assert!(std::thread::panicking() || self.0.held() == 0, "the case left a sandbox behind");
    }
}

sandgate_core::sandbox_service_contract!(async { Some(in_memory()) });

mod folder {
    sandgate_core::sandbox_service_contract!(async { Some(super::in_folder()) });
}

mod model {
    sandgate_core::sandbox_service_contract!(async { Some(super::modelled()) });
}
