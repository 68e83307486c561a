//! A shelf in a folder: one file for each object, complete or not there, so that it can be read, filled and emptied by
//! several processes at a time, and by a killed one.

use super::world::{Held, Shelf};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;
use sandgate_core::Handle;
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// What every external name begins with. Other files in the folder are no objects.
const PREFIX: &str = "sandgate-";

#[derive(Debug)]
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn open(path: PathBuf) -> io::Result<Self> {
        fs::create_dir_all(&path)?;
        Ok(Self(path))
    }

    /// Writes a file beside the others that is no object yet, and moves it to its name.
    fn write(&self, name: &str, held: &Held, how: RenameFlags) -> Result<(), Errno> {
        let draft = self.0.join(format!(".{}", uuid::Uuid::new_v4().simple()));
        let moved = fs::write(&draft, text(held))
            .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))
            .and_then(|()| renameat_with(CWD, &draft, CWD, self.0.join(name), how));
        // After an exchange this is what was there before.
        let _ = fs::remove_file(&draft);
        moved
    }
}

impl Shelf for Folder {
    fn get(&self, name: &str) -> io::Result<Option<Held>> {
        read(&self.0.join(name))
    }

    fn put(&self, name: &str, held: Held) -> io::Result<Held> {
        loop {
            match self.write(name, &held, RenameFlags::NOREPLACE) {
                Err(Errno::EXIST) => {}
                other => return Ok(other.map(|()| held)?),
            }
            if let Some(there) = self.get(name)? {
                return Ok(there);
            }
        }
    }

    fn replace(&self, name: &str, held: Held) -> io::Result<()> {
        match self.write(name, &held, RenameFlags::EXCHANGE) {
            Err(Errno::NOENT) => Ok(()),
            other => Ok(other?),
        }
    }

    fn remove(&self, name: &str) -> io::Result<bool> {
        match fs::remove_file(self.0.join(name)) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            other => other.map(|()| true),
        }
    }

    fn all(&self) -> io::Result<BTreeMap<String, Held>> {
        let mut all = BTreeMap::new();
        for entry in fs::read_dir(&self.0)? {
            let Ok(name) = entry?.file_name().into_string() else { continue };
            if name.starts_with(PREFIX)
                && let Some(held) = self.get(&name)?
            {
                all.insert(name, held);
            }
        }
        Ok(all)
    }
}

fn read(file: &Path) -> io::Result<Option<Held>> {
    match fs::read_to_string(file) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
        Ok(text) => match parse(&text) {
            None => Err(io::Error::new(ErrorKind::InvalidData, format!("`{text}` is no sandbox"))),
            held => Ok(held),
        },
    }
}

fn text(held: &Held) -> String {
    let word = if held.running { "running" } else { "stopped" };
    format!("{word} {} {}\n", held.handle.0, held.until)
}

fn parse(text: &str) -> Option<Held> {
    let mut words = text.split_whitespace();
    let running = match words.next()? {
        "running" => true,
        "stopped" => false,
        _ => return None,
    };
    let handle = Handle(words.next()?.to_owned());
    let until = words.next().map_or(Some(0), |until| until.parse().ok())?;
    Some(Held { handle, running, until })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(handle: &str, running: bool) -> Held {
        Held { handle: Handle(handle.to_owned()), running, until: 0 }
    }

    #[test]
    fn the_first_stays_and_nothing_comes_back() {
        let folder = tempfile::tempdir().expect("a folder");
        let shelf = Folder::open(folder.path().to_owned()).expect("a shelf");
        assert_eq!(shelf.put("sandgate-a", held("one", true)).expect("put"), held("one", true));
        assert_eq!(shelf.put("sandgate-a", held("two", true)).expect("put again"), held("one", true));
        shelf.replace("sandgate-a", held("one", false)).expect("replace");
        assert_eq!(shelf.get("sandgate-a").expect("get"), Some(held("one", false)));
        shelf.remove("sandgate-a").expect("remove");
        shelf.replace("sandgate-a", held("one", true)).expect("replace nothing");
        assert_eq!(shelf.all().expect("all"), BTreeMap::new());
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 0, "no drafts are left");
    }

    #[test]
    fn of_many_at_once_one_puts_and_one_removes() {
        let folder = tempfile::tempdir().expect("a folder");
        let shelf = || Folder::open(folder.path().to_owned()).expect("a shelf");
        let at_once = |work: &(dyn Fn(usize) -> String + Sync)| {
            std::thread::scope(|scope| {
                let threads: Vec<_> = (0..8).map(|n| scope.spawn(move || work(n))).collect();
                threads.into_iter().map(|thread| thread.join().expect("a thread")).collect::<Vec<_>>()
            })
        };
        for _ in 0..50 {
            let put = |n: usize| shelf().put("sandgate-a", held(&n.to_string(), true)).expect("put").handle.0;
            let handles = at_once(&put);
            assert!(handles.iter().all(|handle| *handle == handles[0]), "{handles:?}");
            let removed = at_once(&|_| shelf().remove("sandgate-a").expect("remove").to_string());
            assert_eq!(removed.iter().filter(|removed| *removed == "true").count(), 1);
        }
    }

    #[test]
    fn what_a_test_plants_is_there_and_what_it_garbles_is_an_error() {
        let folder = tempfile::tempdir().expect("a folder");
        let shelf = Folder::open(folder.path().to_owned()).expect("a shelf");
        fs::write(folder.path().join("sandgate-a"), "stopped mine").expect("planted");
        fs::write(folder.path().join("outage"), "").expect("a switch");
        let all = shelf.all().expect("all");
        assert_eq!(all, BTreeMap::from([("sandgate-a".to_owned(), held("mine", false))]));
        fs::write(folder.path().join("sandgate-a"), "rubbish").expect("garbled");
        assert!(shelf.all().is_err());
    }
}
