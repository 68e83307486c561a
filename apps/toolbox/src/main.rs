//! The daemon inside a sandbox: pid 1, parent of every command, and the server of the toolbox API.
//!
//! It listens on a unix socket that it inherits, so nothing inside the sandbox can take the socket's place. For
//! development and tests `--listen PATH` binds one instead.

mod accounts;
mod clock;
mod drain;
mod error;
mod exec;
mod facts;
mod files;
mod metrics;
mod processes;
mod processors;
mod reaper;
mod request;
mod router;
mod scratch;
mod serve;
mod settings;
mod shell;
mod stream;
mod unserved;

use std::{env, io, os::unix::net::UnixListener, process::ExitCode, sync::Arc, time::Duration};

use rustix::{
    fs::Mode,
    io::fcntl_dupfd_cloexec,
    process::{
        DumpableBehavior, Resource, Signal, getpid, getrlimit, kill_process, set_dumpable_behavior, umask,
    },
    stdio::stdin,
};

use metrics::Meter;
use processors::Processors;
use reaper::Reaper;
use settings::Settings;

/// As many descriptors as are ever in use: one for each connection, and a few for commands and files.
const MOST_DESCRIPTORS: i32 = 2047;

/// What the handlers share.
struct Toolbox {
    settings: Settings,
    processors: Processors,
    reaper: Arc<Reaper>,
    meter: Meter,
}

fn main() -> ExitCode {
    match start() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sandgate-toolbox: {error}");
            ExitCode::FAILURE
        }
    }
}

fn start() -> io::Result<()> {
    // First of all: commands run as the same user, and must neither trace this process nor take its descriptors.
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    umask(Mode::from_raw_mode(0o022));
    let is_init = getpid().is_init();
    if is_init {
        shed_fault_handlers()?;
    }
    make_room_for_descriptors()?;
    let listener = listener()?;
    let settings = Settings::from_environment()?;
    let toolbox = Arc::new(Toolbox {
        processors: Processors::new(settings.limits),
        settings,
        reaper: Arc::default(),
        meter: Meter::default(),
    });
    runtime()?.block_on(serve::run(listener, toolbox, is_init))
}

/// The standard library handles SIGSEGV and SIGBUS to tell of stack overflows. The kernel keeps signals from pid 1 only
/// if nobody handles them, and several handled at the same moment overflow the small stack they are handled on: a
/// command could end the toolbox that way. A signal from ourselves makes each handler withdraw, as it finds no fault.
fn shed_fault_handlers() -> io::Result<()> {
    for signal in [Signal::SEGV, Signal::BUS] {
        kill_process(getpid(), signal)?;
    }
    Ok(())
}

/// A table of descriptors that grows while several threads share it makes the process wait until every processor has
/// passed a quiet point, which took the first command ten milliseconds. The only thread grows it for nothing.
fn make_room_for_descriptors() -> io::Result<()> {
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let highest = MOST_DESCRIPTORS.min(i32::try_from(limit).unwrap_or(i32::MAX) - 1);
    drop(fcntl_dupfd_cloexec(stdin(), highest)?);
    Ok(())
}

fn listener() -> io::Result<UnixListener> {
    let arguments: Vec<_> = env::args_os().skip(1).collect();
    match arguments.as_slice() {
        [] => listenfd::ListenFd::from_env().take_unix_listener(0)?.ok_or_else(|| {
            io::Error::other("no inherited listener: set LISTEN_FDS=1 and LISTEN_PID, or use --listen PATH")
        }),
        [flag, path] if flag == "--listen" => UnixListener::bind(path),
        _ => Err(io::Error::other("usage: sandgate-toolbox [--listen PATH]")),
    }
}

/// One thread for everything that waits, and a few for files. These are kept once they exist: when a fork bomb has
/// used up every process, a new thread could not be had, and file calls must go on.
fn runtime() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .max_blocking_threads(4)
        .thread_keep_alive(Duration::MAX)
        .thread_stack_size(512 << 10)
        .build()
}
