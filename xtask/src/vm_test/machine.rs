//! One run of a virtual machine, from its start to its end or to the limit of our patience.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::kernels::Kernel;

/// Several times what it takes on two quiet processors.
const PATIENCE: Duration = Duration::from_mins(10);

/// What it is made of.
pub(super) struct Machine<'a> {
    pub(super) kernel: &'a Kernel,
    /// Its disk, which it does not change.
    pub(super) root: &'a Path,
    /// Where the kernel's own messages go.
    pub(super) console: &'a Path,
}

impl Machine<'_> {
    /// Runs it to its end. Each line that it writes to its second serial port goes to `see`; the first is the kernel's,
    /// which writes between anybody's words.
    pub(super) fn run(&self, initramfs: &Path, mut see: impl FnMut(&str)) -> Result<()> {
        let mut qemu = self.command(initramfs).spawn().context("qemu could not be started")?;
        let lines = lines(qemu.stdout.take().context("qemu has an output")?);
        let deadline = Instant::now() + PATIENCE;
        loop {
            match lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => see(&line),
                Err(RecvTimeoutError::Disconnected) => return ended(qemu),
                Err(RecvTimeoutError::Timeout) => return cut_off(qemu),
            }
        }
    }

    fn command(&self, initramfs: &Path) -> Command {
        // Should we be killed, it goes as well.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "qemu-system-x86_64", "-nodefaults", "-no-user-config"]);
        // With a thread for each processor, one of them may run what another has just patched, and the guest's kernel
        // stops: seen once in six runs.
        command.args([
            "-accel",
            "tcg,thread=single",
            "-smp",
            "2",
            "-m",
            "2048",
            "-display",
            "none",
            "-no-reboot",
        ]);
        command.arg("-kernel").arg(self.kernel.image()).arg("-initrd").arg(initramfs);
        command.args(["-append", "console=ttyS0 panic=-1"]);
        command.arg("-drive").arg(drive(self.root));
        command.arg("-serial").arg(format!("file:{}", self.console.display()));
        command.args(["-serial", "file:/dev/stdout"]);
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        command
    }
}

/// What is written to it is kept beside it, for as long as the machine runs.
fn drive(image: &Path) -> String {
    format!("file={},if=virtio,format=raw,snapshot=on", image.display())
}

/// The lines of `output`, until it closes.
fn lines(output: ChildStdout) -> Receiver<String> {
    let (send, receive) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
            // Nobody listens any more once the machine was cut off.
            let _ = send.send(String::from_utf8_lossy(&line).trim_end().to_owned());
        }
    });
    receive
}

fn ended(mut qemu: Child) -> Result<()> {
    let status = qemu.wait()?;
    ensure!(status.success(), "qemu ended with {status}");
    Ok(())
}

fn cut_off(mut qemu: Child) -> Result<()> {
    qemu.kill()?;
    qemu.wait()?;
    bail!("the machine had not come to its end after {} s", PATIENCE.as_secs())
}
