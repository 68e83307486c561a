//! What a command writes: kept in memory while it is small, in a nameless file beyond that.

use std::{
    fs::File,
    io::{self, Seek, Write},
    path::Path,
};

use rustix::io::Errno;
use sandgate_toolbox_api::ErrorCode;
use tokio::{io::AsyncReadExt, net::unix::pipe::Receiver};

use super::Reply;
use crate::{
    error::{Fault, reason},
    scratch,
    stream::blocking,
};

const MEMORY: usize = 1 << 20;
const FIRST: usize = 8 << 10;
/// The most that a command may write. Its own disk limit is often reached before.
const LIMIT: u64 = 1 << 30;
const SPOOL_DIR: &str = "/tmp";

/// All that a command wrote.
pub(super) enum Output {
    Memory(Vec<u8>),
    /// Positioned at its start.
    Spooled(File),
}

/// Output as it comes in.
#[derive(Default)]
pub(super) struct Capture {
    memory: Vec<u8>,
    spool: Option<File>,
    total: u64,
}

impl Capture {
    /// Reads until nobody holds the other end. When nobody waits for the reply any more the output is read all the
    /// same, so that the command can go on, and dropped.
    pub(super) async fn read_to_end(mut self, pipe: &mut Receiver, reply: &Reply) -> Result<Output, Fault> {
        loop {
            self.make_room();
            let read = pipe.read_buf(&mut self.memory).await.map_err(|error| lost(&error))?;
            if read == 0 {
                return self.finish().await.map_err(|error| lost(&error));
            }
            if reply.is_closed() {
                self = Self::default();
                continue;
            }
            self.count(read)?;
            if self.memory.len() >= MEMORY {
                self.spill().await.map_err(|error| lost(&error))?;
            }
        }
    }

    /// At least half as much as there is already, so that a long output takes few and large reads.
    fn make_room(&mut self) {
        if self.memory.capacity() - self.memory.len() < FIRST / 2 {
            self.memory.reserve_exact(self.memory.len().clamp(FIRST, MEMORY / 2));
        }
    }

    fn count(&mut self, read: usize) -> Result<(), Fault> {
        self.total += read as u64;
        if self.total > LIMIT {
            let text = format!(
                "the command wrote more than {LIMIT} bytes and was killed; redirect its output to a file"
            );
            return Err(Fault::new(ErrorCode::ProcessOutputTooLarge, text));
        }
        Ok(())
    }

    /// Moves what is in memory to the file.
    async fn spill(&mut self) -> io::Result<()> {
        let (mut memory, spool) = (std::mem::take(&mut self.memory), self.spool.take());
        let (memory, spool) = blocking(move || {
            let mut file = spool.map_or_else(|| scratch::anonymous(Path::new(SPOOL_DIR)), Ok)?;
            file.write_all(&memory)?;
            memory.clear();
            Ok::<_, io::Error>((memory, file))
        })
        .await?;
        (self.memory, self.spool) = (memory, Some(spool));
        Ok(())
    }

    async fn finish(mut self) -> io::Result<Output> {
        if self.spool.is_none() {
            return Ok(Output::Memory(self.memory));
        }
        self.spill().await?;
        let mut file = self.spool.unwrap_or_else(|| unreachable!("spill leaves a file"));
        file.rewind()?;
        Ok(Output::Spooled(file))
    }
}

/// The command is killed when its output cannot be kept: an answer that is not whole would be a lie.
fn lost(error: &io::Error) -> Fault {
    let code = match Errno::from_io_error(error) {
        Some(Errno::NOSPC | Errno::DQUOT | Errno::FBIG) => ErrorCode::DiskFull,
        _ => ErrorCode::InternalServerError,
    };
    Fault::new(code, format!("the command's output could not be kept and it was killed: {}", reason(error)))
}
