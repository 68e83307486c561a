//! The first key: given by the environment, or made and shown once.

use crate::auth::hash;
use anyhow::Context;
use aws_lc_rs::rand;
use sandgate_core::{ApiKey, KeyId, KeyRepository, OrganizationId};
use sandgate_shared::{ExposeSecret, SecretString};
use std::fmt::Write as _;
use std::io::{IsTerminal, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Sees to it that there is an organization and that somebody holds a key to it.
pub(crate) async fn ensure_key(
    keys: &dyn KeyRepository,
    given: Option<&SecretString>,
    data_dir: &Path,
) -> anyhow::Result<()> {
    let existing = keys.first_organization().await?;
    let organization = existing.unwrap_or_else(OrganizationId::random);
    let (key, is_new) = match (given, existing) {
        (Some(given), _) => (given.clone(), false),
        (None, Some(_)) => return Ok(()),
        (None, None) => (generate()?, true),
    };
    // Shown before it is kept: a key that nobody saw would lock everybody out for ever.
    if is_new {
        show(&key, data_dir)?;
    }
    Ok(keys.insert_key(ApiKey { id: KeyId::random(), organization }, hash(&key)).await?)
}

/// `dtn_` and 256 random bits, as Daytona's keys look.
pub(crate) fn generate() -> anyhow::Result<SecretString> {
    let mut bytes = [0_u8; 32];
    rand::fill(&mut bytes).ok().context("the system has no randomness")?;
    let mut key = "dtn_".to_owned();
    for byte in bytes {
        write!(key, "{byte:02x}")?;
    }
    Ok(key.into())
}

/// On a terminal, or in a file that only we may read; never in a log.
fn show(key: &SecretString, data_dir: &Path) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout();
    if stdout.is_terminal() {
        writeln!(stdout, "API key, shown this once: {}", key.expose_secret())?;
        return Ok(());
    }
    let path = data_dir.join("api-key");
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&path)?;
    writeln!(file, "{}", key.expose_secret())?;
    file.sync_all()?;
    tracing::info!(path = %path.display(), "the first start made an API key; the file holds it");
    Ok(())
}
