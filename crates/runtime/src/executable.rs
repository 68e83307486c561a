//! A program as an anonymous file that nobody can change.

use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;

use rustix::fs::{MemfdFlags, Mode, SealFlags, fchmod, fcntl_add_seals, memfd_create};
use rustix::io::Errno;

use crate::RuntimeError;

/// Puts `bytes` into a sealed memory file for [`crate::Handles::toolbox`]; one serves any number of containers.
///
/// Its mode is execute-only. So the kernel makes each process that runs it non-dumpable from its first instruction:
/// nobody inside a sandbox can read, trace or take descriptors from process 1. (`/proc/self/*` files of such a process
/// belong to the host's root; it may still read those that are world readable.)
pub fn sealed_executable(bytes: &[u8]) -> Result<OwnedFd, RuntimeError> {
    let mut file = File::from(new_memfd().map_err(RuntimeError::io("make a memory file for the toolbox"))?);
    file.write_all(bytes).map_err(RuntimeError::io("copy the toolbox into memory"))?;
    let seal = RuntimeError::io("seal the toolbox");
    fchmod(&file, Mode::from_raw_mode(0o111))
        .and_then(|()| {
            fcntl_add_seals(&file, SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE)
        })
        .map_err(seal)?;
    reopened(&file)
}

/// The same file without a writer: the kernel refuses to execute what is open for writing.
fn reopened(file: &File) -> Result<OwnedFd, RuntimeError> {
    use std::os::fd::AsRawFd;
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).map_err(RuntimeError::io("reopen the toolbox"))
}

/// Kernels since 6.3 want the right to execute said; older ones do not know the flag.
fn new_memfd() -> Result<OwnedFd, Errno> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    match memfd_create("toolbox", flags | MemfdFlags::EXEC) {
        Err(Errno::INVAL) => memfd_create("toolbox", flags),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn the_copy_is_whole_and_cannot_be_written() {
        let sealed = File::from(sealed_executable(b"program").expect("sealed"));
        let mut text = String::new();
        (&sealed).read_to_string(&mut text).expect("readable for its owner");
        assert_eq!(text, "program");
        let seals = rustix::fs::fcntl_get_seals(&sealed).expect("seals");
        assert!(seals.contains(SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL));
    }
}
