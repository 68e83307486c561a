//! The sockets on which toolboxes listen. We bind them before the sandbox exists, and it inherits the listener: there
//! is nothing inside that could be replaced.

use crate::data_dir::open_dir;
use rustix::fs::AtFlags;
use sandgate_core::ExternalName;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

/// The directory of sockets. Paths lead through its handle: a socket's path must fit into 108 bytes, and a data
/// directory may be deep.
pub(super) struct Sockets(OwnedFd);

impl Sockets {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        open_dir(path).map(Self)
    }

    /// Where the toolbox of `name` listens, for as long as this process lives.
    pub(super) fn path(&self, name: &ExternalName) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}/{}", self.0.as_raw_fd(), file_name(name)))
    }

    /// A new listener; `None` where there is one of that name already.
    pub(super) fn bind(&self, name: &ExternalName) -> io::Result<Option<UnixListener>> {
        match UnixListener::bind(self.path(name)) {
            Ok(listener) => Ok(Some(listener)),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Forgets a socket; one that is not there is forgotten already.
    pub(super) fn remove(&self, name: &ExternalName) -> io::Result<()> {
        match rustix::fs::unlinkat(&self.0, file_name(name), AtFlags::empty()) {
            Ok(()) | Err(rustix::io::Errno::NOENT) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

fn file_name(name: &ExternalName) -> String {
    format!("{name}.sock")
}
