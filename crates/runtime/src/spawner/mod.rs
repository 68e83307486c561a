//! The spawner process: a few megabytes and one thread, so that forking is quick and safe. It is the parent of every
//! sandbox and outlives the gateway.

mod adopt;
mod confine;
mod create;
mod events;
mod peers;
mod registry;
mod requests;
mod serve;
mod take_over;

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::process::ExitCode;

use rustix::fs::{FlockOperation, Mode, OFlags, flock};
use rustix::io::Errno;

use crate::cgroup::Cgroups;
use crate::container::{IdRange, Stage};
use crate::rendezvous::{self, EXIT_BUSY, LOCK, PROCESS_NAME, SOCKET};
use crate::sys::{self, Disposition, LISTENER_FD};
use crate::{RuntimeError, seccomp};
use registry::Registry;
use serve::{Post, Server};

/// Begins the arguments of a spawner that goes on as another program, see [`take_over`].
const RESUME_ARG: &str = "--resume";

/// Runs the spawner; `args` are those after [`crate::SPAWNER_ARG`], as [`crate::Spawner`] passes them. To be called
/// first thing in `main`, while the process has one thread.
///
/// The process that is started here forks off the one that serves, and returns as soon as that can be reached. The
/// other one returns when it is not needed any more.
pub fn spawner_main(args: impl Iterator<Item = OsString>) -> ExitCode {
    match run(&args.collect::<Vec<_>>()) {
        Ok(Outcome::Served) => ExitCode::SUCCESS,
        Ok(Outcome::Busy) => u8::try_from(EXIT_BUSY).map_or(ExitCode::FAILURE, ExitCode::from),
        Err(error) => {
            // Our client reads it; a person can, too.
            let text = serde_json::to_string(&error).unwrap_or_else(|_| error.to_string());
            let _ = writeln!(io::stderr(), "{text}");
            ExitCode::FAILURE
        }
    }
}

enum Outcome {
    Served,
    /// Another spawner serves this directory.
    Busy,
}

fn run(args: &[OsString]) -> Result<Outcome, RuntimeError> {
    match args {
        [run_dir, instance] => start(Path::new(run_dir), text(instance)?),
        // The first two are for people who look at lists of processes.
        [_, _, flag, number] if flag == RESUME_ARG => {
            take_over::resume(text(number)?)?.run();
            Ok(Outcome::Served)
        }
        _ => Err(refused("it takes a run directory and an instance")),
    }
}

fn text(arg: &OsStr) -> Result<&str, RuntimeError> {
    arg.to_str().ok_or_else(|| refused("an argument is not text"))
}

fn start(run_dir: &Path, instance: &str) -> Result<Outcome, RuntimeError> {
    rendezvous::validate_instance(instance)?;
    if !rustix::process::geteuid().is_root() {
        let why = "the spawner must be started by root".to_owned();
        return Err(RuntimeError::Unsupported { what: "sandboxes".into(), why });
    }
    debug_assert_eq!(threads(), Some(1), "the spawner must have one thread");
    // Whatever our caller forgot to keep for itself must not live on in us, nor get into a sandbox.
    sys::close_from(LISTENER_FD).map_err(RuntimeError::io("close inherited descriptors"))?;
    let Some(lock) = take_lock(run_dir)? else { return Ok(Outcome::Busy) };
    let (post, registry) = prepare(run_dir, instance, lock)?;
    if sys::fork().map_err(RuntimeError::io("leave the process that started us"))?.is_some() {
        // The other one serves by now, as far as anybody can see: the socket is listening.
        return Ok(Outcome::Served);
    }
    settle_down(&post.lock).map_err(RuntimeError::io("become a process of our own"))?;
    // Made here, since what it waits on is of the process that made it.
    Server::new(post, registry, Vec::new())?.run();
    Ok(Outcome::Served)
}

/// Everything that can fail, done while somebody still reads our errors.
fn prepare(run_dir: &Path, instance: &str, lock: File) -> Result<(Post, Registry), RuntimeError> {
    let directory = open_directory(run_dir)?;
    let stage = Stage::new(directory.as_fd())?;
    let mut registry = new_registry(Cgroups::open(instance)?, stage, instance);
    registry.adopt_all();
    let listener = listen(&directory).map_err(RuntimeError::io("listen for clients"))?;
    confine::confine().map_err(RuntimeError::io("give up rights that the spawner does not need"))?;
    let (run_dir, instance) = (run_dir.to_owned(), instance.to_owned());
    Ok((Post { run_dir, instance, directory, lock, listener }, registry))
}

fn new_registry(cgroups: Cgroups, stage: Stage, instance: &str) -> Registry {
    Registry::new(cgroups, seccomp::build(), stage, IdRange::first_of(instance))
}

/// The lock that says that a spawner serves this directory; `None` if another one does.
fn take_lock(run_dir: &Path) -> Result<Option<File>, RuntimeError> {
    let failed = || RuntimeError::io("lock the run directory");
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let lock = rustix::fs::open(run_dir.join(LOCK), flags, Mode::from_raw_mode(0o600)).map_err(failed())?;
    match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(File::from(lock))),
        Err(Errno::WOULDBLOCK) => Ok(None),
        Err(error) => Err(failed()(error)),
    }
}

fn open_directory(path: &Path) -> Result<OwnedFd, RuntimeError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).map_err(RuntimeError::io("open the run directory"))
}

/// Listens at the directory's socket. We hold the lock, so a socket that is there is a dead spawner's.
fn listen(directory: &OwnedFd) -> io::Result<OwnedFd> {
    remove_socket(directory);
    let socket = rendezvous::new_socket()?;
    rustix::net::bind(&socket, &rendezvous::address(directory.as_fd())?)?;
    rustix::net::listen(&socket, 128)?;
    rustix::io::ioctl_fionbio(&socket, true)?;
    Ok(socket)
}

/// Takes the socket's name away, so that nobody finds it any more.
fn remove_socket(directory: &OwnedFd) {
    // It may be missing, and that is as good.
    let _ = rustix::fs::unlinkat(directory, SOCKET, rustix::fs::AtFlags::empty());
}

/// Lets go of all that ties us to whoever started us.
fn settle_down(mut lock: &File) -> io::Result<()> {
    rustix::process::setsid()?;
    lock.set_len(0)?;
    lock.write_all(std::process::id().to_string().as_bytes())?;
    rustix::process::chdir("/")?;
    // What is private is made so by name; the directories that sandboxes see must stay open to them.
    rustix::process::umask(Mode::from_raw_mode(0o022));
    for signal in [libc::SIGHUP, libc::SIGINT, libc::SIGPIPE] {
        sys::set_signal(signal, &Disposition::Ignore);
    }
    // Otherwise nobody could be waited for. The signal itself is read from a descriptor.
    sys::set_signal(libc::SIGCHLD, &Disposition::Default);
    sys::unblock_signals();
    rustix::thread::set_name(PROCESS_NAME)?;
    let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
    for standard in 0..LISTENER_FD {
        sys::duplicate_onto(null.as_fd(), standard)?;
    }
    // Starting a sandbox is a matter of milliseconds, also when sandboxes keep the processors busy. Without the right
    // to it we do what we can.
    let _ = rustix::process::setpriority_process(None, -10);
    Ok(())
}

fn threads() -> Option<usize> {
    std::fs::read_dir("/proc/self/task").ok().map(Iterator::count)
}

fn refused(why: &str) -> RuntimeError {
    RuntimeError::Refused(why.to_owned())
}
