//! Names of users and groups, from `/etc/passwd` and `/etc/group` themselves.
//!
//! The C library's own lookups load plugins of the image, which a static program must not do.

use std::{collections::HashMap, fs::File, io::Read, path::PathBuf};

/// More than this of either file is not read: both belong to the sandbox, which may write what it likes.
const MAX_BYTES: u64 = 4 << 20;

/// A snapshot of both files.
#[derive(Default)]
pub(crate) struct Accounts {
    users: Table,
    groups: Table,
    homes: HashMap<u32, PathBuf>,
}

#[derive(Default)]
struct Table {
    by_id: HashMap<u32, String>,
    by_name: HashMap<String, u32>,
}

impl Accounts {
    /// A file that is missing or unreadable counts as empty: numbers always work.
    pub(crate) fn read() -> Self {
        Self::parse(&text("/etc/passwd"), &text("/etc/group"))
    }

    fn parse(passwd: &str, group: &str) -> Self {
        let mut accounts = Self::default();
        for line in passwd.lines() {
            if let Some((name, id, fields)) = entry(line) {
                accounts.users.add(name, id);
                if let Some(home) = fields.get(5).filter(|home| home.starts_with('/')) {
                    accounts.homes.entry(id).or_insert_with(|| PathBuf::from(home));
                }
            }
        }
        for (name, id, _) in group.lines().filter_map(entry) {
            accounts.groups.add(name, id);
        }
        accounts
    }

    /// The name of a user, or the number if it has none.
    pub(crate) fn user_name(&self, id: u32) -> String {
        self.users.name(id)
    }

    /// The name of a group, or the number if it has none.
    pub(crate) fn group_name(&self, id: u32) -> String {
        self.groups.name(id)
    }

    /// A user by name or number.
    pub(crate) fn user_id(&self, user: &str) -> Option<u32> {
        self.users.id(user)
    }

    /// A group by name or number.
    pub(crate) fn group_id(&self, group: &str) -> Option<u32> {
        self.groups.id(group)
    }

    pub(crate) fn home_of(&self, user: u32) -> Option<PathBuf> {
        self.homes.get(&user).cloned()
    }
}

impl Table {
    /// The first entry of a name or number wins, as in the C library.
    fn add(&mut self, name: &str, id: u32) {
        self.by_id.entry(id).or_insert_with(|| name.to_owned());
        self.by_name.entry(name.to_owned()).or_insert(id);
    }

    fn name(&self, id: u32) -> String {
        self.by_id.get(&id).cloned().unwrap_or_else(|| id.to_string())
    }

    fn id(&self, name: &str) -> Option<u32> {
        // The highest number means "leave as it is" to chown, and is nobody's.
        self.by_name.get(name).copied().or_else(|| name.parse().ok()).filter(|id| *id != u32::MAX)
    }
}

/// Name, number and all fields of a line such as `daytona:x:1000:1000::/home/daytona:/bin/bash`.
fn entry(line: &str) -> Option<(&str, u32, Vec<&str>)> {
    let fields: Vec<_> = line.split(':').collect();
    let name = fields.first().filter(|name| !name.is_empty() && !name.starts_with('#'))?;
    let id = fields.get(2)?.parse().ok()?;
    Some((name, id, fields))
}

fn text(path: &str) -> String {
    let mut bytes = Vec::new();
    if let Ok(file) = File::open(path) {
        let _ = file.take(MAX_BYTES).read_to_end(&mut bytes);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\n# c:x:9:9\nbroken\nalso:x:NaN:1\n\
        daytona:x:1000:1000::/home/daytona:/bin/bash\ntwin:x:1000:1000::/twin:\nno-home:x:7:7\n";
    const GROUP: &str = "root:x:0:\ndaytona:x:1000:a,b\n123:x:50:\n";

    #[test]
    fn names_and_numbers_both_ways() {
        let accounts = Accounts::parse(PASSWD, GROUP);
        assert_eq!(accounts.user_name(1000), "daytona");
        assert_eq!(accounts.user_id("twin"), Some(1000));
        assert_eq!(accounts.group_name(0), "root");
        assert_eq!(accounts.home_of(1000), Some(PathBuf::from("/home/daytona")));
        assert_eq!(accounts.home_of(7), None);
    }

    #[test]
    fn unknown_names_are_none_and_unknown_numbers_are_themselves() {
        let accounts = Accounts::parse(PASSWD, GROUP);
        assert_eq!(accounts.user_id("nobody-here"), None);
        assert_eq!(accounts.user_id("4242"), Some(4242));
        assert_eq!(accounts.user_name(4242), "4242");
        assert_eq!(accounts.user_id("-1"), None);
        assert_eq!(accounts.user_id("4294967295"), None);
        assert_eq!(accounts.user_id("also"), None);
    }

    #[test]
    fn a_name_that_looks_like_a_number_is_a_name_first() {
        assert_eq!(Accounts::parse(PASSWD, GROUP).group_id("123"), Some(50));
    }
}
