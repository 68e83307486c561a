//! Something that is on or off, and can be turned while it is looked at.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

/// A switch in memory, or one that is on while a file is there.
#[derive(Debug)]
pub enum Switch {
    /// Turned by this process alone.
    Memory(AtomicBool),
    /// Turned by whoever makes or removes the file.
    File(PathBuf),
}

impl Default for Switch {
    fn default() -> Self {
        Self::Memory(AtomicBool::new(false))
    }
}

impl Switch {
    /// Whether it is on.
    pub fn is_on(&self) -> bool {
        match self {
            Self::Memory(on) => on.load(Ordering::SeqCst),
            Self::File(path) => path.exists(),
        }
    }

    /// Turns it on. Turning on what is on changes nothing.
    pub fn on(&self) -> io::Result<()> {
        match self {
            Self::Memory(on) => on.store(true, Ordering::SeqCst),
            Self::File(path) => fs::write(path, "")?,
        }
        Ok(())
    }

    /// Turns it off. Turning off what is off changes nothing.
    pub fn off(&self) -> io::Result<()> {
        match self {
            Self::Memory(on) => on.store(false, Ordering::SeqCst),
            Self::File(path) => match fs::remove_file(path) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => {}
            },
        }
        Ok(())
    }
}
