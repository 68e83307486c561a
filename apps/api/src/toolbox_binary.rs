//! The toolbox: embedded by `cargo xtask build`, otherwise a file beside our own executable.

use anyhow::Context;
use std::borrow::Cow;

#[cfg(embedded_toolbox)]
const EMBEDDED: Option<&[u8]> = Some(include_bytes!(env!("SANDGATE_TOOLBOX_FILE")));
#[cfg(not(embedded_toolbox))]
const EMBEDDED: Option<&[u8]> = None;

/// The executable that becomes process 1 of each sandbox.
pub(crate) fn load() -> anyhow::Result<Cow<'static, [u8]>> {
    if let Some(embedded) = EMBEDDED {
        return Ok(Cow::Borrowed(embedded));
    }
    let beside = std::env::current_exe()?.with_file_name("sandgate-toolbox");
    let bytes = std::fs::read(&beside).with_context(|| {
        format!(
            "this build has no toolbox in it, and {} cannot be read: build with `cargo xtask build`",
            beside.display()
        )
    })?;
    Ok(Cow::Owned(bytes))
}
