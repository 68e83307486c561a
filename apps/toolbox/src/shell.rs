//! Which shell runs a command.

use std::{
    ffi::{OsStr, OsString},
    fs,
    path::Path,
    sync::OnceLock,
};

const PREFERRED: [&str; 4] = ["/usr/bin/zsh", "/bin/zsh", "/usr/bin/bash", "/bin/bash"];

/// The shell of this sandbox, decided at the first command: a shell that is installed later must not change how the
/// next command is read.
pub(crate) fn chosen(from_environment: Option<&OsString>) -> &'static OsString {
    static CHOSEN: OnceLock<OsString> = OnceLock::new();
    CHOSEN.get_or_init(|| {
        let listed = fs::read("/etc/shells").unwrap_or_default();
        choose(&String::from_utf8_lossy(&listed), from_environment, |shell| Path::new(shell).exists())
    })
}

/// The first preferred shell that `/etc/shells` lists and that exists, else `$SHELL` if it speaks the same language,
/// else `sh`.
fn choose(listed: &str, from_environment: Option<&OsString>, exists: impl Fn(&str) -> bool) -> OsString {
    let is_listed = |shell: &str| listed.lines().any(|line| line.trim() == shell);
    PREFERRED
        .into_iter()
        .find(|shell| is_listed(shell) && exists(shell))
        .map(OsString::from)
        .or_else(|| from_environment.filter(|shell| is_of_bourne(shell)).cloned())
        .unwrap_or_else(|| OsString::from("sh"))
}

/// Whether it is one of the family that reads commands as `sh` does, and not `fish` or `tcsh`.
fn is_of_bourne(shell: &OsString) -> bool {
    let name = Path::new(shell).file_name().and_then(OsStr::to_str);
    name.is_some_and(|name| ["sh", "bash", "zsh", "dash", "ash", "ksh", "mksh"].contains(&name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listed_zsh_comes_before_bash_if_it_is_there() {
        let listed = "# shells\n/bin/sh\n/bin/bash \n/bin/zsh\n";
        assert_eq!(choose(listed, None, |_| true), "/bin/zsh");
        assert_eq!(choose(listed, None, |shell| shell != "/bin/zsh"), "/bin/bash");
    }

    #[test]
    fn without_a_listed_one_the_variable_decides_and_then_sh() {
        let ksh = OsString::from("/usr/bin/ksh");
        assert_eq!(choose("#/bin/bash\n/bin/bash2\n", Some(&ksh), |_| true), "/usr/bin/ksh");
        assert_eq!(choose("", Some(&OsString::from("/usr/bin/fish")), |_| true), "sh");
        assert_eq!(choose("", None, |_| true), "sh");
    }
}
