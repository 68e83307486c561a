//! What there is beside the rows: the things that they stand for, looked for from outside.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::host::{entries, pids, text};
use crate::server::Options;
use crate::world::World;

/// What runs a server's sandboxes.
pub enum Provider {
    /// On this machine: processes, control groups, disks, loop devices, sockets.
    Container,
    /// A model, with a file for each in the folder of its world. Nothing runs in those.
    Modelled(World),
    /// The same with what this line says going wrong, such as `lost=0.3 late=1s`.
    Faulty(World, &'static str),
}

/// An installation: its data directory, and its name among others on this machine.
pub(super) struct Place {
    pub(super) data: PathBuf,
    pub(super) instance: String,
}

/// A sandbox's row, in rest.
pub(super) struct Row<'a> {
    pub(super) id: &'a str,
    pub(super) runs: bool,
}

/// External names by the kind of thing that bears them.
type Things = BTreeMap<String, Vec<String>>;

/// More than anybody reaches: where there is a quota, its sums are kept.
const QUOTA: &str = "[quota]\nsandboxes = 1000\ncpu = 1000\nmemory = 1000\ndisk = 10000\n";

/// The kinds that outlive a stop.
const KEPT: &[&str] = &["disk", "object"];

impl Provider {
    /// How a server with this provider is started.
    pub(super) fn options(&self) -> Options {
        let options = match self {
            Self::Container => Options::default(),
            Self::Modelled(world) => world.options(""),
            Self::Faulty(world, model) => world.options(model),
        };
        Options { config: Some(QUOTA.to_owned()), ..options }
    }

    /// Its name among numbers.
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Container => "container",
            Self::Modelled(_) => "modelled",
            Self::Faulty(..) => "faulty",
        }
    }

    /// Whether it leaves some answers out.
    pub(super) const fn is_faulty(&self) -> bool {
        matches!(self, Self::Faulty(..))
    }

    /// Whether commands run in its sandboxes.
    pub(super) const fn runs_commands(&self) -> bool {
        matches!(self, Self::Container)
    }

    /// Things without a row, rows without their things, and things that are there twice.
    pub(super) fn differences(&self, place: &Place, rows: &[Row]) -> Vec<String> {
        let things = self.things(place);
        let mut found: Vec<_> =
            things.iter().flat_map(|(kind, names)| compare(place, rows, (kind, names))).collect();
        if let Self::Faulty(world, _) = self {
            found.extend(world.late().into_keys().map(|name| format!("may still come: {name}")));
        }
        found
    }

    fn things(&self, place: &Place) -> Things {
        match self {
            Self::Container => container(place),
            Self::Modelled(world) | Self::Faulty(world, _) => modelled(world),
        }
    }
}

/// What there is of one kind, against what the rows say.
fn compare(place: &Place, rows: &[Row], (kind, names): (&str, &[String])) -> Vec<String> {
    let is_there = |row: &&Row| row.runs || KEPT.contains(&kind);
    let mut wanted: Vec<_> = rows.iter().filter(is_there).map(|row| row.id).collect();
    let mut found = Vec::new();
    for name in names {
        let id = id(place, name);
        match wanted.iter().position(|wanted| Some(*wanted) == id) {
            Some(at) => drop(wanted.swap_remove(at)),
            None => found.push(format!("a {kind} without a row, or a second one: {name}")),
        }
    }
    found.extend(wanted.iter().map(|id| format!("no {kind} of {id}")));
    found
}

/// The sandbox of an external name, `sandgate-<instance>-<id>-a<attempt>`.
fn id<'a>(place: &Place, name: &'a str) -> Option<&'a str> {
    let rest = name.strip_prefix("sandgate-")?.strip_prefix(&place.instance)?.strip_prefix('-')?;
    rest.rsplit_once("-a").map(|(id, _)| id)
}

fn modelled(world: &World) -> Things {
    let sandboxes = world.sandboxes();
    let running = sandboxes.iter().filter(|(_, runs)| **runs).map(|(name, _)| name.clone()).collect();
    let all = sandboxes.into_keys().collect();
    Things::from([("object".to_owned(), all), ("running object".to_owned(), running)])
}

fn container(place: &Place) -> Things {
    let (disks, sockets) = (place.data.join("disks"), place.data.join("sockets"));
    let mut things = Things::from([
        ("disk".to_owned(), stems(&entries(&disks), ".ext4")),
        ("socket".to_owned(), stems(&entries(sockets), ".sock")),
        ("loop device".to_owned(), loops(&disks)),
        ("process".to_owned(), processes(place)),
    ]);
    let root = Path::new("/sys/fs/cgroup");
    for hierarchy in entries(root).into_iter().chain([root.to_owned()]) {
        let group = hierarchy.join(format!("sandgate-{}", place.instance));
        if group.is_dir() {
            let folders = entries(&group).into_iter().filter(|entry| entry.is_dir()).collect::<Vec<_>>();
            things.insert(format!("control group in {}", hierarchy.display()), stems(&folders, ""));
        }
    }
    things
}

/// Names of files without their end; what is kept for all sandboxes has a name that begins with a dot or our own.
fn stems(files: &[PathBuf], end: &str) -> Vec<String> {
    let names = files.iter().filter_map(|file| file.file_name()?.to_str());
    let single = names.filter(|name| !name.starts_with(".template") && !name.starts_with("spawner"));
    single.map(|name| name.strip_suffix(end).unwrap_or(name).to_owned()).collect()
}

/// Files of `disks` that are attached to a loop device.
fn loops(disks: &Path) -> Vec<String> {
    let backing = |device: PathBuf| std::fs::read_to_string(device.join("loop/backing_file")).ok();
    let files =
        entries("/sys/block").into_iter().filter_map(backing).map(|file| PathBuf::from(file.trim_end()));
    stems(&files.filter(|file| file.starts_with(disks)).collect::<Vec<_>>(), ".ext4")
}

/// The control groups that processes are in, each once.
fn processes(place: &Place) -> Vec<String> {
    let group = format!("/sandgate-{}/", place.instance);
    let name = |pid: u32| {
        let groups = text(pid, "cgroup");
        let (_, rest) = groups.split_once(&group)?;
        rest.split(['/', '\n']).next().map(str::to_owned)
    };
    let mut names: Vec<_> = pids().into_iter().filter_map(name).collect();
    names.sort_unstable();
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orphans_twins_and_losses_are_told() {
        let world = World::default();
        let place = Place { data: PathBuf::new(), instance: "i".to_owned() };
        for name in ["one-a1", "two-a1", "two-a2", "four-a1"] {
            world.plant(&format!("sandgate-i-{name}"));
        }
        let rows = [("one", true), ("two", true), ("three", true)].map(|(id, runs)| Row { id, runs });
        let found = Provider::Modelled(world).differences(&place, &rows).join("\n");
        assert!(found.contains("sandgate-i-four-a1") && found.contains("sandgate-i-two-a"), "{found}");
        assert!(found.contains("no object of three") && !found.contains("i-one"), "{found}");
        assert_eq!(found.lines().count(), 6, "{found}");
    }
}
