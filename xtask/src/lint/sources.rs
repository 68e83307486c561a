//! Every source file says what it is, and no module has a name that says nothing.

use std::ffi::OsStr;
use std::path::Path;

use anyhow::Result;

use crate::project::Project;

/// Names under which anything could be filed, and therefore everything would be.
const EMPTY_NAMES: &[&str] = &["utils", "util", "common", "helpers", "helper", "misc"];

/// Each Rust file that breaks one of the two rules.
pub(super) fn offenders(project: &Project) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for file in project.files()?.iter().filter(|file| file.extension() == Some(OsStr::new("rs"))) {
        if !std::fs::read_to_string(project.root.join(file))?.starts_with("//!") {
            found.push(format!("{}: the first line must be a `//!` that says what is here", file.display()));
        }
        found.extend(empty_name(file).map(|name| format!("{}: `{name}` says nothing", file.display())));
    }
    Ok(found)
}

/// The part of the path, if any, that is such a name.
fn empty_name(file: &Path) -> Option<&str> {
    let mut parts = file.iter().filter_map(|part| Path::new(part).file_stem()?.to_str());
    parts.find(|part| EMPTY_NAMES.contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_names_are_found_as_files_and_as_folders() {
        assert_eq!(empty_name(Path::new("crates/core/src/utils.rs")), Some("utils"));
        assert_eq!(empty_name(Path::new("crates/core/src/common/mod.rs")), Some("common"));
        assert_eq!(empty_name(Path::new("crates/core/src/backoff.rs")), None);
    }
}
