//! The folder of a modelled provider, seen from outside: a file for each sandbox, named as the provider names it, whose
//! text is `running HANDLE` or `stopped HANDLE`. Only a debug build of the server knows such a provider.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::server::Options;

/// What every sandbox's name begins with; other files are none.
const PREFIX: &str = "sandgate-";

/// A provider's world of a test's own, which goes with it. It must outlive the server.
pub struct World(TempDir);

impl Default for World {
    fn default() -> Self {
        let folder = tempfile::Builder::new().prefix("sandgate-world-").tempdir();
        Self(folder.expect("a temporary folder"))
    }
}

impl World {
    /// How a server is started on it. The model is a line such as `seed=7 lost=0.3 late=2s`; empty means no faults.
    pub fn options(&self, model: &str) -> Options {
        let folder = self.0.path().to_string_lossy().into_owned();
        let env = [("SANDGATE_TEST_WORLD", folder), ("SANDGATE_TEST_MODEL", model.to_owned())];
        Options { env: env.map(|(name, value)| (name.to_owned(), value)).to_vec(), ..Options::default() }
    }

    /// The sandboxes that exist, by name: whether each runs.
    pub fn sandboxes(&self) -> BTreeMap<String, bool> {
        sandboxes(self.0.path())
    }

    /// Those whose create got no answer and that will appear when somebody looks after their time has come.
    pub fn late(&self) -> BTreeMap<String, bool> {
        sandboxes(&self.0.path().join("late"))
    }

    /// Puts a sandbox there that runs and that no server asked for.
    pub fn plant(&self, name: &str) {
        assert!(name.starts_with(PREFIX), "{name} is no sandbox's name");
        // Not in its place at once: a server must not read half of it.
        let draft = self.0.path().join(format!(".{name}"));
        fs::write(&draft, "running planted\n").expect("the world can be written");
        fs::rename(draft, self.0.path().join(name)).expect("the world can be written");
    }

    /// Loses a sandbox behind the server's back.
    pub fn lose(&self, name: &str) {
        remove(self.0.path().join(name));
    }

    /// While there is an outage, no call reaches the provider.
    pub fn outage(&self, on: bool) {
        self.switch("outage", on);
    }

    /// While calls are released, none is stuck.
    pub fn release(&self, on: bool) {
        self.switch("release", on);
    }

    fn switch(&self, name: &str, on: bool) {
        let file = self.0.path().join(name);
        if on {
            fs::write(file, "").expect("the world can be written");
        } else {
            remove(file);
        }
    }
}

fn remove(file: PathBuf) {
    match fs::remove_file(file) {
        Err(error) if error.kind() != ErrorKind::NotFound => panic!("the world can be written: {error}"),
        _ => {}
    }
}

/// A file that goes while the folder is read was no sandbox any more.
fn sandboxes(folder: &Path) -> BTreeMap<String, bool> {
    let entries = fs::read_dir(folder).expect("a world that a server was started on").flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let sandboxes = names.filter(|name| name.starts_with(PREFIX)).filter_map(|name| {
        let text = fs::read_to_string(folder.join(&name)).ok()?;
        Some((name, text.starts_with("running")))
    });
    sandboxes.collect()
}
