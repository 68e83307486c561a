//! A shelf in memory.

use super::world::{Held, Shelf};
use std::collections::BTreeMap;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

#[derive(Debug, Default)]
pub(super) struct Map(Mutex<BTreeMap<String, Held>>);

impl Map {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Held>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shelf for Map {
    fn get(&self, name: &str) -> io::Result<Option<Held>> {
        Ok(self.lock().get(name).cloned())
    }

    fn put(&self, name: &str, held: Held) -> io::Result<Held> {
        Ok(self.lock().entry(name.to_owned()).or_insert(held).clone())
    }

    fn replace(&self, name: &str, held: Held) -> io::Result<()> {
        if let Some(there) = self.lock().get_mut(name) {
            *there = held;
        }
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<bool> {
        Ok(self.lock().remove(name).is_some())
    }

    fn all(&self) -> io::Result<BTreeMap<String, Held>> {
        Ok(self.lock().clone())
    }
}
