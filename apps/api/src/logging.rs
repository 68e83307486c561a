//! The log: JSON lines on stderr, one line an event. Never a key, never a command's output or a file's contents.

use tracing_subscriber::EnvFilter;

/// Begins to log what `filter` lets through, such as `info` or `sandgate=debug`.
pub(crate) fn start(filter: &str) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(filter)?;
    tracing_subscriber::fmt().json().with_env_filter(filter).with_writer(std::io::stderr).init();
    Ok(())
}
