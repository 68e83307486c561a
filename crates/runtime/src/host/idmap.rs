//! Whether the owners of files can be mapped on a file system, tried with a user namespace made for it.

use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socketpair};
use rustix::process::{Pid, WaitOptions, waitpid};
use rustix::thread::UnshareFlags;

use crate::mount::{HARMLESS, copy_of, map_owners};
use crate::{RuntimeError, sys};

const STEP: &str = "make a user namespace for trying";

/// Maps the owners of a copy of the mount at `directory`, which nobody sees and which goes at once.
pub(super) fn try_on(directory: &Path) -> Result<(), RuntimeError> {
    let failed = || RuntimeError::io(STEP);
    let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
        .map_err(failed())?;
    let Some(pid) = sys::fork().map_err(RuntimeError::io(STEP))? else {
        drop(ours);
        hold_namespace(&theirs);
    };
    drop(theirs);
    let tried = recv(&ours, &mut [0; 1], RecvFlags::empty())
        .map_err(failed())
        .and_then(|_| map_in_namespace_of(pid, directory));
    // The child waits for this end to close.
    drop(ours);
    let _ = waitpid(Some(pid), WaitOptions::empty());
    tried
}

/// The child: a user namespace to look at, for as long as the parent wants it.
fn hold_namespace(parent: &OwnedFd) -> ! {
    if sys::enter_new_namespace(UnshareFlags::NEWUSER).is_ok() {
        let _ = send(parent, b".", SendFlags::empty());
        let _ = recv(parent, &mut [0; 1], RecvFlags::empty());
    }
    sys::exit_now(0)
}

fn map_in_namespace_of(pid: Pid, directory: &Path) -> Result<(), RuntimeError> {
    let failed = || RuntimeError::io(STEP);
    let process = format!("/proc/{}", pid.as_raw_nonzero());
    for map in ["uid_map", "gid_map"] {
        fs::write(format!("{process}/{map}"), "0 1000000 65536").map_err(failed())?;
    }
    let user_ns = fs::File::open(format!("{process}/ns/user")).map_err(failed())?;
    let mount = copy_of(directory)?;
    map_owners(mount.as_fd(), HARMLESS, user_ns.as_fd(), &directory.display().to_string())
}
