//! Starting a shell with a command.
//!
//! The text goes into a sealed memory file that the shell reads in one go (`. /dev/fd/N`). A line of ours on its standard
//! input tells it so, and what else comes first; see [`prelude`]. So the length of a command has no limit, its limits are
//! in force before it can do anything, and its own standard input is `/dev/null`: a `cat` or `ssh` in the middle of a
//! script sees the end of its input at once, where a script read from standard input itself would lose its remaining
//! lines to it. Exit codes are those of a script read from standard input (compared for syntax errors, `set -e`, `exit`,
//! signals and `exec`).

use std::{
    fs::File,
    io::{self, Write},
    os::{
        fd::{AsRawFd, OwnedFd, RawFd},
        unix::process::CommandExt,
    },
    process::{Child, Command, Stdio},
};

use rustix::{
    fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create},
    io::{FdFlags, fcntl_dupfd_cloexec, fcntl_setfd},
    pipe::{PipeFlags, pipe_with},
    process::{Pid, Signal, kill_process},
};
use sandgate_toolbox_api::Program;
use tokio::net::unix::pipe::Receiver;

use super::{order::Order, room};
use crate::{Toolbox, reaper::Leader, settings::Limits, shell};

/// High enough that no script uses the number for itself, and nearly always free, so that error texts which name it
/// are the same from call to call.
const SCRIPT_FD: i32 = 99;
/// Processes that are kept back from commands, so that the toolbox can still start one when a fork bomb has the rest.
const RESERVED_PIDS: u64 = 16;
/// Worth half of all memory: no command is too small to go before the toolbox.
const OOM_SCORE_ADJ: u32 = 500;

/// A running shell and what it writes.
pub(super) struct Job {
    pub(super) leader: Leader,
    pub(super) output: Receiver,
}

/// A running shell whose outputs are kept apart.
pub(super) struct Apart {
    pub(super) leader: Leader,
    pub(super) stdout: Receiver,
    pub(super) stderr: Receiver,
}

/// The ends of pipes that a shell writes to.
struct Ends {
    stdout: OwnedFd,
    stderr: OwnedFd,
}

/// Starts the shell with one pipe for both outputs, and lets it go.
pub(super) fn start(toolbox: &Toolbox, order: &Order) -> io::Result<Job> {
    let (output, stdout) = pipe()?;
    let stderr = stdout.try_clone()?;
    Ok(Job { leader: launch(toolbox, order, Ends { stdout, stderr })?, output })
}

/// Starts the shell with a pipe for each output, and lets it go.
pub(super) fn start_apart(toolbox: &Toolbox, order: &Order) -> io::Result<Apart> {
    let ((stdout, to_stdout), (stderr, to_stderr)) = (pipe()?, pipe()?);
    let ends = Ends { stdout: to_stdout, stderr: to_stderr };
    Ok(Apart { leader: launch(toolbox, order, ends)?, stdout, stderr })
}

fn pipe() -> io::Result<(Receiver, OwnedFd)> {
    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC)?;
    Ok((Receiver::from_owned_fd(reader)?, writer))
}

/// Nothing is awaited in here: see [`crate::reaper`].
fn launch(toolbox: &Toolbox, order: &Order, ends: Ends) -> io::Result<Leader> {
    let script = script(text(&order.program))?;
    let mut command = command(toolbox, order, ends);
    let mut child = toolbox.processors.share(|| room::spawn(&mut command, &toolbox.reaper))?;
    let leader = toolbox.reaper.adopt(Pid::from_child(&child));
    if let Err(error) = tell(&mut child, &prelude(toolbox.settings.limits, script.as_raw_fd())) {
        let _ = kill_process(leader.pid, Signal::KILL);
        return Err(error);
    }
    Ok(leader)
}

/// What the shell reads. It makes way for a program, which gets its arguments as they are: they are never text of a script.
fn text(program: &Program) -> &str {
    match program {
        Program::Script(text) => text,
        Program::Argv(_) => "exec \"$@\"",
    }
}

fn command(toolbox: &Toolbox, order: &Order, ends: Ends) -> Command {
    let mut command = Command::new(shell::chosen(toolbox.settings.shell.as_ref()));
    command
        .env_clear()
        .envs(toolbox.settings.environment.iter().map(|(key, value)| (key, value)))
        .envs(&order.envs)
        .current_dir(&order.cwd)
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(ends.stdout)
        .stderr(ends.stderr);
    if let Program::Argv(argv) = &order.program {
        // It still reads what to do from its standard input; these become its positional parameters.
        command.args(["-s", "--"]).args(argv);
    }
    command
}

/// A sealed file with the text, which the next child inherits. The caller drops it once that child is there.
fn script(text: &str) -> io::Result<OwnedFd> {
    let mut file = File::from(memfd_create("command", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?);
    file.write_all(text.as_bytes())?;
    fcntl_add_seals(&file, SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL)?;
    let inherited = fcntl_dupfd_cloexec(&file, SCRIPT_FD)?;
    fcntl_setfd(&inherited, FdFlags::empty())?;
    Ok(inherited)
}

/// The line that the shell reads first. It does to itself what would be a race if it were done from here: until the
/// shell's program has taken the place of ours its files in `/proc` belong to root. A limit that is lower already stays.
fn prelude(limits: Limits, script: RawFd) -> String {
    let processes = limits.pids.map_or_else(String::new, |pids| {
        let most = pids.saturating_sub(RESERVED_PIDS).max(1);
        // The letter is `p` in dash, where `u` is unknown.
        format!("ulimit -u {most}||ulimit -p {most};")
    });
    let volunteer = format!("echo {OOM_SCORE_ADJ} >/proc/self/oom_score_adj");
    format!("{{ {processes}{volunteer}||:;}} 2>/dev/null;exec </dev/null;. /dev/fd/{script};exit\n")
}

fn tell(child: &mut Child, line: &str) -> io::Result<()> {
    match child.stdin.take().map(|mut stdin| stdin.write_all(line.as_bytes())) {
        // It is gone already: how it ended is told by its exit code.
        Some(Err(error)) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
        _ => Ok(()),
    }
}
