//! Which package may depend on which, development and build dependencies included.

use serde_json::Value;

use crate::project::Project;

const SHARED: &str = "sandgate-shared";
const CORE: &str = "sandgate-core";
const RUNTIME: &str = "sandgate-runtime";
const TOOLBOX_API: &str = "sandgate-toolbox-api";
const INFRASTRUCTURE: &str = "sandgate-infrastructure";
const API: &str = "sandgate-api";
const TOOLBOX: &str = "sandgate-toolbox";
const LOAD: &str = "sandgate-load";
const TESTS: &str = "sandgate-tests";

/// Every package of ours, and those of ours that it may name.
const ALLOWED: &[(&str, &[&str])] = &[
    (SHARED, &[]),
    (CORE, &[SHARED]),
    (RUNTIME, &[]),
    (TOOLBOX_API, &[]),
    (INFRASTRUCTURE, &[CORE, SHARED, RUNTIME, TOOLBOX_API]),
    (API, &[CORE, SHARED, RUNTIME, TOOLBOX_API, INFRASTRUCTURE]),
    (TOOLBOX, &[TOOLBOX_API]),
    (LOAD, &[TOOLBOX_API]),
    (TESTS, &[]),
    ("xtask", &[]),
];

/// Libraries that only some of our packages may name, and why.
const GUARDED: &[(&str, &[&str], &str)] = &[
    ("rusqlite", &[INFRASTRUCTURE], "SQL stays behind the repository ports"),
    ("axum", &[API, TOOLBOX], "HTTP stays in the apps"),
    ("reqwest", &[TESTS], "a provider's transport is the only other place for an HTTP client of this kind"),
];

/// Each arrow that no table allows, in words.
pub(super) fn offenders(project: &Project) -> Vec<String> {
    let mut found = Vec::new();
    for package in &project.packages {
        let from = name(package);
        let Some((_, allowed)) = ALLOWED.iter().find(|(name, _)| *name == from) else {
            found.push(format!("{from} is in no table of layers; add it to xtask/src/lint/edges.rs"));
            continue;
        };
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            found.extend(objection(from, allowed, dependency));
        }
    }
    found
}

/// Why `from` may not have `dependency`, if it may not. A package may name itself to switch on a feature in its tests.
fn objection(from: &str, allowed: &[&str], dependency: &Value) -> Option<String> {
    let to = name(dependency);
    let kind = dependency["kind"].as_str().unwrap_or("normal");
    let ours = ALLOWED.iter().any(|(name, _)| *name == to);
    if ours && to != from && !allowed.contains(&to) {
        return Some(format!("{from} may not depend on {to} ({kind})"));
    }
    let (_, _, why) = GUARDED.iter().find(|(name, may, _)| *name == to && !may.contains(&from))?;
    Some(format!("{from} may not depend on {to} ({kind}): {why}"))
}

fn name(value: &Value) -> &str {
    value["name"].as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_arrow_that_is_not_in_the_table_is_named_with_its_kind() {
        let dependency = json!({ "name": INFRASTRUCTURE, "kind": "dev" });
        let objection = objection(CORE, &[SHARED], &dependency);
        assert_eq!(objection.unwrap(), "sandgate-core may not depend on sandgate-infrastructure (dev)");
    }

    #[test]
    fn a_guarded_library_is_refused_with_its_reason() {
        let refused = objection(CORE, &[SHARED], &json!({ "name": "rusqlite", "kind": null })).unwrap();
        assert!(refused.contains("SQL stays behind"), "{refused}");
        assert_eq!(objection(INFRASTRUCTURE, &[], &json!({ "name": "rusqlite", "kind": null })), None);
    }

    #[test]
    fn what_the_table_allows_passes() {
        assert_eq!(objection(CORE, &[SHARED], &json!({ "name": SHARED, "kind": null })), None);
        assert_eq!(objection(CORE, &[SHARED], &json!({ "name": CORE, "kind": "dev" })), None);
    }
}
