//! Files without a name: gone with their last descriptor, whatever happens to us.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
};

use rustix::fs::{CWD, Mode, OFlags, open, openat, unlink};

const PRIVATE: Mode = Mode::from_raw_mode(0o600);

/// A new readable and writable file on the filesystem of `directory` that has no name.
pub(crate) fn anonymous(directory: &Path) -> io::Result<File> {
    match nameless(directory) {
        Err(error) if lacks_nameless_files(&error) => {
            let (file, path) = named(directory)?;
            unlink(&path)?;
            Ok(file)
        }
        other => other,
    }
}

/// Fails on filesystems that cannot do it; see [`lacks_nameless_files`].
pub(crate) fn nameless(directory: &Path) -> io::Result<File> {
    Ok(File::from(open(directory, OFlags::RDWR | OFlags::TMPFILE | OFlags::CLOEXEC, PRIVATE)?))
}

pub(crate) fn lacks_nameless_files(error: &io::Error) -> bool {
    use rustix::io::Errno;
    matches!(Errno::from_io_error(error), Some(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL))
}

/// A new file with a random name that nobody else has.
pub(crate) fn named(directory: &Path) -> io::Result<(File, PathBuf)> {
    let path = directory.join(random_name()?);
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok((File::from(openat(CWD, &path, flags, PRIVATE)?), path))
}

/// `.sandgate-` and 24 random letters.
pub(crate) fn random_name() -> io::Result<String> {
    Ok(format!(".sandgate-{}", random_hex()?))
}

/// 24 random hexadecimal letters.
pub(crate) fn random_hex() -> io::Result<String> {
    use std::fmt::Write;
    let mut random = [0_u8; 12];
    rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty())?;
    Ok(random.iter().fold(String::with_capacity(24), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    }))
}
