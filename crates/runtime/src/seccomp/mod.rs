//! The system call filter of a sandbox: an allow-list, with a look at the arguments of a few calls.

mod spawner;
mod table;
mod tree;

use libc::sock_filter as Instruction;

use tree::{Code, load, next_if_any_bit, next_if_at_least, next_if_equal, next_unless_equal, ret, search};

/// What happens to a system call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Allow,
    /// `EPERM`.
    Deny,
    /// `ENOSYS`.
    Unknown,
    /// No new namespaces.
    CheckClone,
    /// Local, internet and a little netlink; every other family is attack surface.
    CheckSocket,
    /// The default, what `linux32` and `setarch -R` ask for, and the question.
    CheckPersonality,
    /// Nothing that types into a terminal on somebody else's behalf.
    CheckIoctl,
    /// Of the calling thread alone, named as 0: the kernel lets processes of one user take each other's limits and
    /// processors away, and the toolbox, whose threads have numbers that we do not know, runs as the sandbox's user.
    /// The price: a thread that names itself is refused as well, as in `pthread_setaffinity_np` and
    /// `pthread_setschedparam`, and so are `taskset -p`, `renice -p` and `prlimit --pid` on one's own processes.
    CheckTarget,
    /// The same for `setpriority`, where 0 may also be the caller's process group. A user's processes would include
    /// the toolbox.
    CheckPriority,
    /// The same for `ioprio_set`.
    CheckIoPriority,
    /// Not into the toolbox's process group, which would make it part of the caller's.
    CheckGroup,
}

const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;
const KILL: u32 = libc::SECCOMP_RET_KILL_PROCESS;
const DENY: u32 = errno(libc::EPERM);
const UNKNOWN: u32 = errno(libc::ENOSYS);

/// `AUDIT_ARCH_X86_64`.
const ARCHITECTURE: u32 = 0xC000_003E;

/// The bit that marks calls of the x32 interface.
const X32: u32 = 0x4000_0000;

// Offsets in `struct seccomp_data`. Arguments are 64 bits wide; each that we look at has 32 that count.
const NUMBER: u32 = 0;
const ARCH: u32 = 4;
const ARGUMENT: [u32; 3] = [16, 24, 32];

const NEW_NAMESPACE: u32 = (libc::CLONE_NEWNS
    | libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET)
    .cast_unsigned();

/// The process group of process 1.
const FIRST_GROUP: u32 = 1;

const IOPRIO_WHO_PROCESS: u32 = 1;
const IOPRIO_WHO_PGRP: u32 = 2;

const TIOCSTI: u32 = 0x5412;
const TIOCLINUX: u32 = 0x541C;

const fn errno(number: i32) -> u32 {
    libc::SECCOMP_RET_ERRNO | number.cast_unsigned()
}

/// Builds the filter. Once is enough for all sandboxes.
pub(crate) fn build() -> Vec<Instruction> {
    program(table::verdict)
}

/// The filter of the spawner itself, which every sandbox inherits beside its own.
pub(crate) fn build_for_spawner() -> Vec<Instruction> {
    program(spawner::verdict)
}

fn program(verdict: fn(i64) -> Verdict) -> Vec<Instruction> {
    let mut program = vec![
        load(ARCH),
        next_unless_equal(ARCHITECTURE),
        ret(KILL),
        load(NUMBER),
        // Numbers of the x32 interface are larger than any in the table, and thus unknown, as is -1.
        next_if_at_least(X32),
        ret(UNKNOWN),
    ];
    program.extend(search(&ranges(verdict)));
    program
}

/// The verdicts in the order of their numbers, neighbours of the same kind in one.
fn ranges(verdict: fn(i64) -> Verdict) -> Vec<(u32, Code)> {
    let mut ranges: Vec<(u32, Code)> = Vec::new();
    let mut last = None;
    for number in 0..=table::END {
        let verdict = verdict(number);
        if last.replace(verdict) != Some(verdict) {
            ranges.push((u32::try_from(number).expect("numbers start at zero"), code(verdict)));
        }
    }
    ranges
}

fn code(verdict: Verdict) -> Code {
    match verdict {
        Verdict::Allow => vec![ret(ALLOW)],
        Verdict::Deny => vec![ret(DENY)],
        Verdict::Unknown => vec![ret(UNKNOWN)],
        Verdict::CheckClone => vec![load(ARGUMENT[0]), next_if_any_bit(NEW_NAMESPACE), ret(DENY), ret(ALLOW)],
        Verdict::CheckSocket => socket(),
        Verdict::CheckPersonality => {
            let query = u32::MAX;
            let no_randomize = 0x0004_0000;
            let linux32 = 0x0008;
            allow_only(0, &[0, linux32, no_randomize, query], DENY)
        }
        Verdict::CheckIoctl => {
            let mut code = vec![load(ARGUMENT[1])];
            for request in [TIOCSTI, TIOCLINUX] {
                code.extend([next_if_equal(request), ret(DENY)]);
            }
            code.push(ret(ALLOW));
            code
        }
        Verdict::CheckTarget => allow_only(0, &[0], DENY),
        Verdict::CheckPriority => of_oneself([libc::PRIO_PROCESS, libc::PRIO_PGRP]),
        Verdict::CheckGroup => vec![load(ARGUMENT[1]), next_if_equal(FIRST_GROUP), ret(DENY), ret(ALLOW)],
        Verdict::CheckIoPriority => of_oneself([IOPRIO_WHO_PROCESS, IOPRIO_WHO_PGRP]),
    }
}

/// For calls that say what kind of target they mean and then which: these kinds, and the caller's own.
fn of_oneself(kinds: [u32; 2]) -> Code {
    let mut code = vec![load(ARGUMENT[1]), next_unless_equal(0), ret(DENY)];
    code.extend(allow_only(0, &kinds, DENY));
    code
}

/// Families by list; of netlink just what `ip` and `ss` read.
fn socket() -> Code {
    let families = [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6].map(i32::cast_unsigned);
    let protocols = [libc::NETLINK_ROUTE, libc::NETLINK_SOCK_DIAG].map(i32::cast_unsigned);
    let mut code = vec![load(ARGUMENT[0])];
    for family in families {
        code.extend([next_if_equal(family), ret(ALLOW)]);
    }
    // What programs know from kernels that lack a family, so that they go on without it.
    code.extend([next_unless_equal(libc::AF_NETLINK.cast_unsigned()), ret(errno(libc::EAFNOSUPPORT))]);
    code.extend(allow_only(2, &protocols, errno(libc::EPROTONOSUPPORT)));
    code
}

fn allow_only(argument: usize, values: &[u32], otherwise: u32) -> Code {
    let mut code = vec![load(ARGUMENT[argument])];
    for value in values {
        code.extend([next_if_equal(*value), ret(ALLOW)]);
    }
    code.push(ret(otherwise));
    code
}

#[cfg(test)]
mod tests {
    use super::*;
    use tree::evaluate;

    /// A call's description: number, architecture, instruction pointer, six arguments, in words.
    fn call(number: u32, arguments: [u64; 3]) -> [u32; 16] {
        let mut data = [0; 16];
        data[0] = number;
        data[1] = ARCHITECTURE;
        for (index, argument) in arguments.into_iter().enumerate() {
            data[4 + 2 * index] = (argument & 0xFFFF_FFFF) as u32;
            data[5 + 2 * index] = (argument >> 32) as u32;
        }
        data
    }

    fn result(number: i64, arguments: [u64; 3]) -> u32 {
        evaluate(&build(), &call(u32::try_from(number).expect("a number"), arguments)).0
    }

    #[test]
    fn every_number_gets_the_verdict_of_the_table() {
        let program = build();
        for number in 0..2000_u32 {
            let expected = match table::verdict(i64::from(number)) {
                // With all arguments zero: no flags, an unnamed family, the default personality, no request, oneself.
                Verdict::Allow
                | Verdict::CheckClone
                | Verdict::CheckPersonality
                | Verdict::CheckIoctl
                | Verdict::CheckTarget
                | Verdict::CheckGroup
                | Verdict::CheckPriority => ALLOW,
                Verdict::CheckSocket => errno(libc::EAFNOSUPPORT),
                // Zero is no kind of target.
                Verdict::Deny | Verdict::CheckIoPriority => DENY,
                Verdict::Unknown => UNKNOWN,
            };
            assert_eq!(evaluate(&program, &call(number, [0; 3])).0, expected, "system call {number}");
        }
    }

    /// The spawner's filter is inherited, so it must not take away what a sandbox may do.
    #[test]
    fn the_spawner_is_refused_nothing_that_a_sandbox_is_allowed() {
        let theirs = build_for_spawner();
        let refused = |number: u32| evaluate(&theirs, &call(number, [0; 3])).0 == DENY;
        let all: Vec<u32> = (0..2000).filter(|number| refused(*number)).collect();
        assert!(all.len() > 30, "{all:?}");
        assert!(all.iter().all(|number| table::verdict(i64::from(*number)) != Verdict::Allow), "{all:?}");
    }

    #[test]
    fn the_program_is_short_and_shallow() {
        let program = build();
        let deepest = (0..500).map(|number| evaluate(&program, &call(number, [0; 3])).1).max();
        assert!(deepest < Some(25), "a call takes {deepest:?} steps");
        assert!(program.len() < 400, "{} instructions", program.len());
    }

    #[test]
    fn foreign_interfaces_do_not_get_in() {
        let mut data = call(0, [0; 3]);
        data[1] = 0x4000_0003;
        assert_eq!(evaluate(&build(), &data).0, KILL);
        for number in [X32, X32 + 1, X32 + 59, u32::MAX] {
            assert_eq!(evaluate(&build(), &call(number, [0; 3])).0, UNKNOWN);
        }
    }

    #[test]
    fn clone_makes_processes_and_threads_but_no_namespaces() {
        let thread =
            libc::CLONE_VM | libc::CLONE_FS | libc::CLONE_FILES | libc::CLONE_SIGHAND | libc::CLONE_THREAD;
        let flags = |flags: i32| u64::from(flags.cast_unsigned());
        assert_eq!(result(libc::SYS_clone, [flags(thread), 0, 0]), ALLOW);
        assert_eq!(result(libc::SYS_clone, [flags(libc::SIGCHLD), 0, 0]), ALLOW);
        for new in [0x2_0000, 0x200_0000, 0x400_0000, 0x800_0000, 0x1000_0000, 0x2000_0000, 0x4000_0000] {
            assert_eq!(result(libc::SYS_clone, [new | flags(libc::SIGCHLD), 0, 0]), DENY, "flag {new:#x}");
            assert_eq!(result(libc::SYS_clone, [new | 1 << 40, 0, 0]), DENY, "flag {new:#x} with high bits");
        }
    }

    #[test]
    fn sockets_are_of_known_families_only() {
        let socket = |family: i32, protocol: i32| {
            let wide = |number: i32| u64::from(number.cast_unsigned());
            result(libc::SYS_socket, [wide(family), 1, wide(protocol)])
        };
        for family in [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6] {
            assert_eq!(socket(family, 0), ALLOW);
        }
        for family in [libc::AF_PACKET, libc::AF_VSOCK, libc::AF_ALG, libc::AF_KEY, libc::AF_BLUETOOTH] {
            assert_eq!(socket(family, 0), errno(libc::EAFNOSUPPORT), "family {family}");
        }
        assert_eq!(socket(libc::AF_NETLINK, libc::NETLINK_ROUTE), ALLOW);
        assert_eq!(socket(libc::AF_NETLINK, libc::NETLINK_NETFILTER), errno(libc::EPROTONOSUPPORT));
        // The kernel looks at the low word alone, and so do we.
        let hidden = u64::from(libc::AF_PACKET.cast_unsigned()) | 1 << 32;
        assert_eq!(result(libc::SYS_socket, [hidden, 3, 0]), errno(libc::EAFNOSUPPORT));
    }

    #[test]
    fn terminals_cannot_be_typed_into() {
        for request in [u64::from(TIOCSTI), u64::from(TIOCLINUX), u64::from(TIOCSTI) | 1 << 32] {
            assert_eq!(result(libc::SYS_ioctl, [0, request, 0]), DENY);
        }
        assert_eq!(result(libc::SYS_ioctl, [0, 0x5413, 0]), ALLOW);
    }

    #[test]
    fn limits_and_scheduling_can_be_changed_of_oneself_alone() {
        for call in [
            libc::SYS_prlimit64,
            libc::SYS_sched_setaffinity,
            libc::SYS_sched_setattr,
            libc::SYS_sched_setparam,
            libc::SYS_sched_setscheduler,
        ] {
            for other in [1, 2, 7, 0xFFFF_FFFF, 1 | 1 << 32] {
                assert_eq!(result(call, [other, 0, 0]), DENY, "system call {call} of {other:#x}");
            }
            // The kernel looks at the low word alone, and so do we.
            for oneself in [0, 1 << 32] {
                assert_eq!(result(call, [oneself, 5, 5]), ALLOW, "system call {call} of {oneself:#x}");
            }
        }
    }

    #[test]
    fn priorities_can_be_changed_of_oneself_and_ones_group_alone() {
        // Process, group, user; then what does not exist.
        for (call, first) in [(libc::SYS_setpriority, 0), (libc::SYS_ioprio_set, 1)] {
            for (kind, own) in [(first, ALLOW), (first + 1, ALLOW), (first + 2, DENY), (first + 3, DENY)] {
                assert_eq!(result(call, [kind, 0, 5]), own, "system call {call}, kind {kind}");
                for other in [1, 2, 7, 1 | 1 << 32] {
                    assert_eq!(result(call, [kind, other, 5]), DENY, "system call {call}, kind {kind}");
                }
            }
        }
    }

    #[test]
    fn nobody_joins_the_group_of_process_one() {
        for group in [1, 1 | 1 << 32] {
            assert_eq!(result(libc::SYS_setpgid, [0, group, 0]), DENY);
            assert_eq!(result(libc::SYS_setpgid, [7, group, 0]), DENY);
        }
        for (process, group) in [(0, 0), (7, 7), (1, 0), (0, 11)] {
            assert_eq!(result(libc::SYS_setpgid, [process, group, 0]), ALLOW);
        }
    }

    #[test]
    fn personalities_that_weaken_memory_are_refused() {
        let read_implies_exec = 0x0040_0000;
        assert_eq!(result(libc::SYS_personality, [read_implies_exec, 0, 0]), DENY);
        assert_eq!(result(libc::SYS_personality, [0xFFFF_FFFF, 0, 0]), ALLOW);
    }
}
