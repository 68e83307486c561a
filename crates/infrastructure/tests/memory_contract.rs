//! The provider in memory keeps the contract.

use sandgate_core::contract::Subject;
use sandgate_core::{InstanceId, ResourceLimits, SandboxConfig};
use sandgate_infrastructure::memory::MemorySandboxService;

fn subject() -> Subject<MemorySandboxService> {
    let service = MemorySandboxService::new(InstanceId::random());
    let nothing_left = NothingLeft(service.clone());
    let config = SandboxConfig::new(ResourceLimits::default().default);
    Subject { service, config, keep: Box::new(nothing_left) }
}

/// Fails a case that leaves a sandbox behind.
struct NothingLeft(MemorySandboxService);

impl Drop for NothingLeft {
    fn drop(&mut self) {
        assert!(std::thread::panicking() || self.0.held() == 0, "the case left a sandbox behind");
    }
}

sandgate_core::sandbox_service_contract!(async { Some(subject()) });
