//! In debug builds alone: a provider with modelled delays and faults in the place of containers, so that a test may kill
//! the real server and do to its provider whatever it likes.

use anyhow::Context;
use sandgate_core::{InstanceId, Provider, ProviderKind};
use sandgate_infrastructure::memory::{MemorySandboxService, ModelledSandboxService, World};
use std::path::Path;
use std::sync::Arc;

/// Names the folder that holds the provider's world.
const WORLD: &str = "SANDGATE_TEST_WORLD";
/// The line that says what goes wrong. Nothing does without.
const MODEL: &str = "SANDGATE_TEST_MODEL";

/// The provider that the environment asks for, if it asks for one.
pub(crate) fn provider(instance: &InstanceId) -> anyhow::Result<Option<Provider>> {
    let Some(folder) = std::env::var_os(WORLD) else { return Ok(None) };
    let line = std::env::var(MODEL).unwrap_or_default();
    let model = line.parse().with_context(|| format!("{MODEL} cannot be read"))?;
    let world = World::in_folder(Path::new(&folder)).with_context(|| format!("{WORLD} cannot be opened"))?;
    tracing::warn!(folder = %folder.display(), ?model, "nothing runs here: the provider is a model for tests");
    let sound = MemorySandboxService::in_world(instance.clone(), world);
    let service = ModelledSandboxService::new(sound, model);
    // The ledger needs no word of its own for what only a test has.
    Ok(Some(Provider::new(ProviderKind::Container, Arc::new(service))))
}
