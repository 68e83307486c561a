//! Paths as clients write them.

use std::path::{Path, PathBuf};

use sandgate_toolbox_api::ErrorCode;
use serde::Deserialize;

use crate::error::Fault;

/// The query of most routes.
#[derive(Deserialize)]
pub(super) struct PathQuery {
    pub(super) path: String,
}

/// The absolute path that `given` means. Relative ones start at the work directory; `~` and the like are plain names.
pub(super) fn resolve(given: &str, work_dir: &Path) -> Result<PathBuf, Fault> {
    if given.is_empty() {
        return Err(invalid("path is empty"));
    }
    if given.contains('\0') {
        return Err(invalid("path contains a NUL byte"));
    }
    Ok(work_dir.join(given))
}

/// 400 for a path that cannot be used.
pub(super) fn invalid(message: impl Into<String>) -> Fault {
    Fault::new(ErrorCode::InvalidFilePath, message)
}

/// Rights in octal, at most `7777`.
pub(super) fn parse_mode(given: &str) -> Result<u32, Fault> {
    let is_octal = !given.is_empty() && given.bytes().all(|byte| matches!(byte, b'0'..=b'7'));
    u32::from_str_radix(given, 8)
        .ok()
        .filter(|mode| is_octal && *mode <= 0o7777)
        .ok_or_else(|| Fault::bad_request(format!("invalid mode {given:?}: it must be octal, such as 644")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_paths_start_at_the_work_directory() {
        let at = |given| resolve(given, Path::new("/work/dir"));
        assert_eq!(at("a/b").expect("a path"), Path::new("/work/dir/a/b"));
        assert_eq!(at("/etc").expect("a path"), Path::new("/etc"));
        assert_eq!(at("~").expect("a path"), Path::new("/work/dir/~"));
        assert_eq!(at("").expect_err("nothing").code, ErrorCode::InvalidFilePath);
        assert_eq!(at("a\0b").expect_err("a NUL").code, ErrorCode::InvalidFilePath);
    }

    #[test]
    fn modes_are_octal() {
        assert_eq!(parse_mode("0755").expect("a mode"), 0o755);
        assert_eq!(parse_mode("1777").expect("a mode"), 0o1777);
        for bad in ["", "8", "+7", "10000", "rwx", " 7", "0o7"] {
            assert!(parse_mode(bad).is_err(), "{bad:?}");
        }
    }
}
