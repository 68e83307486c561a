//! Every package takes the workspace's lints.

use std::path::Path;

use anyhow::{Context, Result};

use crate::project::Project;

/// Packages with a lint table of their own, and why.
const EXEMPT: &[(&str, &str)] =
    &[("sandgate-runtime", "talks to the kernel, so `unsafe` is allowed there and nowhere else")];

/// Each package that does not take the workspace's lints.
pub(super) fn offenders(project: &Project) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for package in &project.packages {
        let name = package["name"].as_str().unwrap_or_default();
        let manifest = package["manifest_path"].as_str().context("a package has a manifest")?;
        let text = std::fs::read_to_string(Path::new(manifest))?;
        let exempt = EXEMPT.iter().any(|(exempt, _)| *exempt == name);
        if !exempt && !takes_workspace_lints(&text) {
            found.push(format!("{name}: `[lints] workspace = true` is missing from {manifest}"));
        }
    }
    Ok(found)
}

fn takes_workspace_lints(manifest: &str) -> bool {
    let table = manifest.lines().map(str::trim).skip_while(|line| *line != "[lints]").skip(1);
    table.take_while(|line| !line.starts_with('[')).any(|line| line == "workspace = true")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_counts_only_in_its_own_table() {
        assert!(takes_workspace_lints("[package]\nname = \"x\"\n\n[lints]\nworkspace = true\n"));
        assert!(!takes_workspace_lints("[lints]\n\n[dependencies.x]\nworkspace = true\n"));
        assert!(!takes_workspace_lints("[package]\nname = \"x\"\n"));
    }
}
