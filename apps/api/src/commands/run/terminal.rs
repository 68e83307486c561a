//! Our own outputs, and the signals that end us.

use sandgate_toolbox_api::Source;
use std::io;
use tokio::io::{AsyncWrite, AsyncWriteExt, Stderr, Stdout, stderr, stdout};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// What a shell says of a program that was ended since nobody read its output: 128 and the number of SIGPIPE.
const NOBODY_READS: u8 = 141;

/// Both outputs.
pub(super) struct Terminal {
    stdout: Stdout,
    stderr: Stderr,
}

impl Default for Terminal {
    fn default() -> Self {
        Self { stdout: stdout(), stderr: stderr() }
    }
}

impl Terminal {
    /// Writes all of it before it returns; an exit code if nobody reads it any more.
    pub(super) async fn write(&mut self, to: Source, bytes: &[u8]) -> io::Result<Option<u8>> {
        let written = match to {
            Source::Stdout => write(&mut self.stdout, bytes).await,
            Source::Stderr => write(&mut self.stderr, bytes).await,
        };
        match written {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Some(NOBODY_READS)),
            written => written.map(|()| None),
        }
    }
}

async fn write(output: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> io::Result<()> {
    output.write_all(bytes).await?;
    output.flush().await
}

/// The signals by which people and programs ask us to end.
pub(super) struct Interrupt {
    int: Signal,
    term: Signal,
    hup: Signal,
}

impl Interrupt {
    /// From now on none of them ends us by itself.
    pub(super) fn watch() -> io::Result<Self> {
        Ok(Self {
            int: signal(SignalKind::interrupt())?,
            term: signal(SignalKind::terminate())?,
            hup: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for the next one; gives the exit code that stands for it.
    pub(super) async fn next(&mut self) -> u8 {
        tokio::select! {
            _ = self.int.recv() => 130,
            _ = self.term.recv() => 143,
            _ = self.hup.recv() => 129,
        }
    }
}
