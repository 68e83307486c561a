//! What no sandbox can be faster than: a process in new namespaces that executes a program and ends.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use rustix::process::{WaitId, WaitIdOptions, waitid};

use crate::container::NAMESPACES;
use crate::sys::{self, Cloned};

/// Makes `samples` such processes with all the namespaces of a sandbox, one after the other; how long each took from the
/// clone until its end was known. For a process with one thread.
pub fn measure_floor(samples: u32, program: &File) -> io::Result<Vec<Duration>> {
    let args = [CString::default()];
    (0..samples)
        .map(|_| {
            let start = Instant::now();
            match sys::clone_into(NAMESPACES, None)? {
                Cloned::Child => {
                    let _ = sys::execute(program.as_fd(), &args, &[]);
                    sys::exit_now(1)
                }
                Cloned::Parent { pidfd, .. } => waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED)?,
            };
            Ok(start.elapsed())
        })
        .collect()
}
