//! No file of the project names a place that exists on one machine only, or a registry's host: a mirror must be able
//! to take its place, and the package managers know where to look.

use std::path::Path;

use anyhow::Result;

use crate::project::Project;

/// Hosts of registries, in parts, so that this file does not name them either.
const HOSTS: &[&[&str]] = &[
    &["pypi", "org"],
    &["pythonhosted", "org"],
    &["registry", "npmjs", "org"],
    &["static", "crates", "io"],
    &["index", "crates", "io"],
    &["deb", "debian", "org"],
    &["archive", "ubuntu", "com"],
    &["registry-1", "docker", "io"],
    &["proxy", "golang", "org"],
];

/// Where people keep their files. A home by itself may be that of a user in an image; a file in it is somebody's. The
/// sandbox's own user is no person.
const HOMES: &[&str] = &["/home/", "/Users/"];
const SANDBOX_USER: &str = "daytona";
/// Where programs keep their files for whoever works as root.
const HIDDEN: &str = concat!("/ro", "ot/.");

/// Each line that names such a place.
pub(super) fn offenders(project: &Project) -> Result<Vec<String>> {
    let mut banned: Vec<String> = HOSTS.iter().map(|parts| parts.join(".")).collect();
    // A checkout right below the root, such as in a container, has a name that many paths contain.
    if project.root.components().count() > 2 {
        banned.push(project.root.display().to_string() + "/");
    }
    let mut found = Vec::new();
    for file in project.files()?.iter().filter(|file| !is_lock(file)) {
        // What is not UTF-8 is not text.
        let Ok(text) = std::fs::read_to_string(project.root.join(file)) else { continue };
        for (number, line) in text.lines().enumerate() {
            let named = banned.iter().find(|place| line.contains(place.as_str())).map(String::as_str);
            if let Some(place) = named.or_else(|| home(line)) {
                found.push(format!("{}:{}: names {place}", file.display(), number + 1));
            }
        }
    }
    Ok(found)
}

/// Lock files are written by package managers, which name their sources.
fn is_lock(file: &Path) -> bool {
    file.file_name().is_some_and(|name| name == "Cargo.lock")
}

/// The kind of home in which `line` names a file, if it does.
fn home(line: &str) -> Option<&str> {
    let in_home = |home: &&&str| line.match_indices(**home).any(|(at, _)| is_file(&line[at + home.len()..]));
    HOMES.iter().find(in_home).copied().or_else(|| names_hidden(line).then_some(HIDDEN))
}

/// Whether a hidden file of root's is named. Two dots are a way up from somebody's root, and no file.
fn names_hidden(line: &str) -> bool {
    line.match_indices(HIDDEN).any(|(at, _)| line[at + HIDDEN.len()..].starts_with(char::is_alphabetic))
}

/// Whether `rest`, which follows the folder of all homes, goes on into the home of a person.
fn is_file(rest: &str) -> bool {
    let (name, rest) =
        rest.split_at(rest.find(|letter: char| !letter.is_alphanumeric()).unwrap_or(rest.len()));
    !name.is_empty() && name != SANDBOX_USER && rest.starts_with('/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn somebodys_home_is_found_and_the_sandbox_users_is_not() {
        let project = ["/ho", "me/alice/project"].concat();
        assert_eq!(home(&project), Some(HOMES[0]));
        let registry = ["/ro", "ot/.cargo/registry"].concat();
        assert_eq!(home(&registry), Some(HIDDEN));
        assert_eq!(home("HOME=/home/daytona and /home/daytona/x"), None);
        assert_eq!(home("dev:x:1000:1000::/home/dev:/bin/sh"), None);
        assert_eq!(home(&["/proc/self/ro", "ot/../etc"].concat()), None);
        assert_eq!(home("folders under /home/ belong to users"), None);
    }
}
