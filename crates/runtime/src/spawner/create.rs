//! Making a container, with everything undone if it fails.

use std::os::fd::OwnedFd;

use super::adopt::{First, Note};
use super::registry::{Afterwards, Entry, Phase, Registry};
use crate::cgroup::Group;
use crate::container::{self, IdRange, Plan, Process};
use crate::stopwatch::Stopwatch;
use crate::{ContainerSpec, Exit, Lap, RuntimeError, disk};

/// What a client has handed over for a container.
pub(super) struct Given {
    pub(super) listener: OwnedFd,
    pub(super) toolbox: OwnedFd,
}

impl Registry {
    /// Makes the container and enters it. If that fails after something was made, the entry is one that is being
    /// released, and it forgets itself.
    pub(super) fn create(&mut self, spec: &ContainerSpec, given: Given) -> Result<Vec<Lap>, RuntimeError> {
        spec.validate()?;
        let ids = self.free_ids()?;
        let released =
            disk::is_released(&spec.disk.path).map_err(RuntimeError::io("examine the sandbox's disk"))?;
        if !released {
            return Err(RuntimeError::Refused("the disk is in use by another sandbox".into()));
        }
        let new_disk = !spec.disk.path.exists();
        let stopwatch = Stopwatch::start();
        let group = self.cgroups.group(&spec.name);
        let started = self.start(spec, (ids, given), (&group, &stopwatch));
        let failed = (Phase::Releasing(Exit::Unknown), Afterwards::Forget { remove_disk: new_disk });
        let mut entry = Entry::new(None, group, failed);
        entry.ids = Some(ids);
        entry.disk.clone_from(&spec.disk.path);
        let result = started.map(|process| {
            entry.process = Some(process);
            entry.phase = Phase::Alive;
            entry.afterwards = Afterwards::Remember;
            stopwatch.laps()
        });
        self.insert(spec.name.clone(), entry);
        result
    }

    fn start(
        &self,
        spec: &ContainerSpec,
        (ids, given): (IdRange, Given),
        (group, stopwatch): (&Group, &Stopwatch),
    ) -> Result<Process, RuntimeError> {
        self.cgroups.make(group, spec.limits)?;
        let mut note = Note { disk: spec.disk.path.clone(), first: None };
        write_note(group, &note)?;
        let doors = group.doors().map_err(RuntimeError::io("open the sandbox's cgroups"))?;
        stopwatch.lap("make its cgroups");
        let Given { listener, toolbox } = given;
        let (filter, stage) = (&self.filter, &self.stage);
        let process = container::create(&Plan {
            spec,
            ids,
            group,
            doors,
            filter,
            stage,
            listener,
            toolbox,
            stopwatch,
        })?;
        note.first = First::now(process.pid);
        if let Err(error) = write_note(group, &note) {
            process.end();
            return Err(error);
        }
        stopwatch.lap("note it down");
        Ok(process)
    }
}

fn write_note(group: &Group, note: &Note) -> Result<(), RuntimeError> {
    let note = serde_json::to_vec(note).unwrap_or_default();
    group.write_note(&note).map_err(RuntimeError::io("write the sandbox's note"))
}
