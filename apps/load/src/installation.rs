//! Where the things of one server are on this machine: its processes, its control groups, its files.

use std::path::{Path, PathBuf};

use crate::proc;

/// One server and all that belongs to it.
#[derive(Clone)]
pub(crate) struct Installation {
    pub(crate) data: PathBuf,
    /// Name of the control group that all its sandboxes share.
    pub(crate) cgroup: String,
    pub(crate) server: u32,
    /// The process that holds the sandboxes; none where none was found.
    pub(crate) spawner: Option<u32>,
}

impl Installation {
    /// Looks for what belongs to the server process `server` with this data directory and instance.
    pub(crate) fn new(data: &Path, instance: &str, server: u32) -> Self {
        let mut found =
            Self { data: data.to_owned(), cgroup: format!("sandgate-{instance}"), server, spawner: None };
        found.spawner = found.processes().into_iter().find(|pid| *pid != server);
        found
    }

    pub(crate) fn data_text(&self) -> String {
        self.data.to_string_lossy().into_owned()
    }

    /// Processes that were started with the data directory: the server, and the holder of its sandboxes.
    pub(crate) fn processes(&self) -> Vec<u32> {
        let data = self.data_text();
        let own = std::process::id();
        let pids = proc::pids().into_iter().filter(|pid| *pid != own);
        pids.filter(|pid| proc::command_line(*pid).contains(&data)).collect()
    }

    /// Processes in sandboxes.
    pub(crate) fn sandbox_processes(&self) -> Vec<u32> {
        let group = format!("/{}", self.cgroup);
        proc::pids().into_iter().filter(|pid| proc::of(*pid, "cgroup").contains(&group)).collect()
    }

    /// The control groups of this installation, one in each hierarchy that has one.
    pub(crate) fn cgroups(&self) -> Vec<PathBuf> {
        let root = Path::new("/sys/fs/cgroup");
        let hierarchies = proc::entries(root).into_iter().chain([root.to_owned()]);
        hierarchies.map(|hierarchy| hierarchy.join(&self.cgroup)).filter(|folder| folder.is_dir()).collect()
    }

    /// The control groups of single sandboxes.
    pub(crate) fn sandbox_cgroups(&self) -> Vec<PathBuf> {
        let all = self.cgroups().into_iter().flat_map(proc::entries);
        all.filter(|entry| entry.is_dir()).collect()
    }

    /// Disks and sockets of single sandboxes. What is kept for all of them has a name of its own.
    pub(crate) fn sandbox_files(&self) -> Vec<PathBuf> {
        let folders = ["disks", "run", "sockets"].map(|folder| proc::entries(self.data.join(folder)));
        let single = folders.into_iter().flatten().filter(|file| {
            let name = file.file_name().unwrap_or_default().to_string_lossy();
            !name.starts_with(".template") && !name.starts_with("spawner")
        });
        single.collect()
    }
}
