//! Which system calls the spawner gives up: whatever no version of it will ever need. A list of what it does need would
//! be longer than a safe one: it runs the formatter of disks, and may go on as a later version of itself. Sandboxes inherit
//! the filter, so what debuggers inside use is not in the list.

use super::Verdict;

/// What happens to each call.
pub(super) fn verdict(number: i64) -> Verdict {
    if GIVEN_UP.contains(&number) { Verdict::Deny } else { Verdict::Allow }
}

const GIVEN_UP: &[i64] = &[
    libc::SYS_acct,
    libc::SYS_add_key,
    libc::SYS_adjtimex,
    libc::SYS_bpf,
    libc::SYS_clock_adjtime,
    libc::SYS_clock_settime,
    libc::SYS_delete_module,
    libc::SYS_finit_module,
    libc::SYS_init_module,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_io_uring_setup,
    libc::SYS_ioperm,
    libc::SYS_iopl,
    libc::SYS_kexec_file_load,
    libc::SYS_kexec_load,
    libc::SYS_keyctl,
    libc::SYS_lookup_dcookie,
    libc::SYS_migrate_pages,
    libc::SYS_modify_ldt,
    libc::SYS_move_pages,
    libc::SYS_nfsservctl,
    libc::SYS_open_by_handle_at,
    libc::SYS_perf_event_open,
    libc::SYS_quotactl,
    libc::SYS_quotactl_fd,
    libc::SYS_reboot,
    libc::SYS_request_key,
    libc::SYS_settimeofday,
    libc::SYS_swapoff,
    libc::SYS_swapon,
    libc::SYS_syslog,
    libc::SYS_userfaultfd,
    libc::SYS_uselib,
    libc::SYS_vhangup,
];
