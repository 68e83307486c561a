//! What the spawner gives up before it serves: rights and system calls that no part of its work needs, so that a fault in
//! it is worth less to an attacker.
//!
//! Landlock cannot help here: whoever is restricted by it may not mount, and the restriction would be inherited by every
//! sandbox. What is inherited of this is less than a sandbox's own filter takes away.

use crate::{seccomp, sys};

/// What making sandboxes takes.
const CAPABILITIES: u32 = 1 << 0 // CHOWN: owners of what is made for a sandbox
    | 1 << 1 // DAC_OVERRIDE: disks and layers of every owner
    | 1 << 2 // DAC_READ_SEARCH
    | 1 << 3 // FOWNER
    | 1 << 4 // FSETID
    | 1 << 5 // KILL: processes of every sandbox
    | 1 << 6 // SETGID: taking on the ids of a sandbox's root
    | 1 << 7 // SETUID
    | 1 << 8 // SETPCAP: what overlayfs copies up, and bounding sets
    | 1 << 19 // SYS_PTRACE: the user namespace of another process
    | 1 << 21 // SYS_ADMIN: mounts, namespaces, cgroups, loop devices
    | 1 << 23 // SYS_NICE
    | 1 << 24 // SYS_RESOURCE
    | 1 << 27 // MKNOD: whiteouts of overlayfs
    | 1 << 31; // SETFCAP

/// Gives up all else, for good: the bounding set keeps a later program in this process from getting it back.
pub(super) fn confine() -> std::io::Result<()> {
    sys::drop_bounding_except(CAPABILITIES)?;
    let permitted = rustix::thread::capabilities(None)?.permitted.bits() & u64::from(CAPABILITIES);
    sys::set_capabilities(u32::try_from(permitted).unwrap_or(0))?;
    sys::install_filter(&seccomp::build_for_spawner())
}
