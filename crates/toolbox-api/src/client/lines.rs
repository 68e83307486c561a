//! An answer that comes line by line.

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Incoming;

use super::ClientError;

/// The longest line that is held. A piece of output as the toolbox reads it, with every byte escaped, is far shorter.
const LINE_LIMIT: usize = 1 << 20;

/// The lines of an answer that is still being written. Dropped, it closes the connection.
#[derive(Debug)]
pub struct Lines {
    body: Incoming,
    buffer: BytesMut,
    /// So much of the buffer has no line end in it.
    searched: usize,
}

impl Lines {
    pub(super) fn new(body: Incoming) -> Self {
        Self { body, buffer: BytesMut::new(), searched: 0 }
    }

    /// The next line with its end; `None` after the last one. What comes after the last line end is not given: it is
    /// half a line.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ClientError> {
        loop {
            if let Some(at) = self.buffer[self.searched..].iter().position(|byte| *byte == b'\n') {
                let end = self.searched + at + 1;
                self.searched = 0;
                return Ok(Some(self.buffer.split_to(end).freeze()));
            }
            self.searched = self.buffer.len();
            if self.searched > LINE_LIMIT {
                return Err(ClientError::TooLarge { limit: LINE_LIMIT });
            }
            match self.body.frame().await {
                None => return Ok(None),
                Some(Err(error)) => return Err(ClientError::interrupted(error)),
                Some(Ok(frame)) => self.buffer.extend(frame.into_data().ok()),
            }
        }
    }
}
