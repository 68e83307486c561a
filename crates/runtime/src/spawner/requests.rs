//! What each request does to the registry. Nothing here waits: what takes the kernel a while is answered later.

use std::path::Path;

use super::create::Given;
use super::registry::{Entry, Phase, Registry};
use crate::protocol::{Received, Reply, Request};
use crate::spec::{validate_name, validate_path};
use crate::{ContainerSpec, Lap, RuntimeError, disk};

/// How many containers one reply lists; their names are bounded, so it fits.
const PAGE: usize = 256;

/// What handling a request has led to.
pub(super) enum Step {
    Reply(Reply),
    /// The reply, with the process handle of this container.
    ReplyWithHandle(Reply, String),
    /// Nothing to say before this container has been released.
    Wait(String, Then),
}

/// What to do after a wait.
pub(super) enum Then {
    /// Handle the request as if it had come just then.
    Retry(Received<Request>),
    Reply(Reply),
}

impl Registry {
    /// Does as much of the request as can be done now.
    pub(super) fn step(&mut self, request: Received<Request>) -> Step {
        match &request.message {
            Request::Hello { .. } | Request::TakeOver | Request::Watch => {
                Step::Reply(refused("this is between the connection and us"))
            }
            Request::Ping => Step::Reply(Reply::Done),
            Request::Status { name } => Step::Reply(Reply::Status(self.status(name))),
            Request::List { after } => {
                let (containers, more) = self.list(after.as_deref(), PAGE);
                Step::Reply(Reply::Listed { containers, more })
            }
            Request::Create(spec) => {
                let spec = spec.clone();
                self.provide(&spec, request)
            }
            Request::Kill { name } => {
                let name = name.clone();
                self.remove(&name, None, request)
            }
            Request::Delete { name, disk } => {
                let (name, disk) = (name.clone(), disk.clone());
                self.remove(&name, Some(&disk), request)
            }
        }
    }

    /// Answers with the container of that name: the living one, or a new one.
    fn provide(&mut self, spec: &ContainerSpec, mut request: Received<Request>) -> Step {
        match self.entries.get(&spec.name).map(|entry| entry.phase) {
            Some(Phase::Alive) => return self.created(&spec.name, true, Vec::new()),
            Some(Phase::Ending | Phase::Releasing(_)) => {
                return Step::Wait(spec.name.clone(), Then::Retry(request));
            }
            Some(Phase::Dead(_)) | None => {}
        }
        let (Some(toolbox), Some(listener)) = (request.handles.pop(), request.handles.pop()) else {
            return Step::Reply(refused("a create comes with two handles"));
        };
        match self.create(spec, Given { listener, toolbox }) {
            Ok(laps) => self.created(&spec.name, false, laps),
            Err(error) if self.is_releasing_one(&spec.name) => {
                Step::Wait(spec.name.clone(), Then::Reply(Reply::Failed(error)))
            }
            Err(error) => Step::Reply(Reply::Failed(error)),
        }
    }

    fn created(&self, name: &str, existing: bool, laps: Vec<Lap>) -> Step {
        let pid = self.entries.get(name).map_or(0, Entry::pid);
        Step::ReplyWithHandle(Reply::Created { pid, existing, laps }, name.to_owned())
    }

    /// Ends the container, and takes its disk if one is given, once it is free.
    fn remove(&mut self, name: &str, disk: Option<&Path>, request: Received<Request>) -> Step {
        let valid =
            validate_name(name).and_then(|()| disk.map_or(Ok(()), |disk| validate_path(disk, "disk")));
        if let Err(error) = valid {
            return Step::Reply(Reply::Failed(error));
        }
        match self.entries.get_mut(name) {
            Some(entry) if !matches!(entry.phase, Phase::Dead(_)) => {
                entry.kill();
                Step::Wait(name.to_owned(), Then::Retry(request))
            }
            _ => {
                self.entries.remove(name);
                Step::Reply(disk.map_or(Ok(()), remove_disk).map_or_else(Reply::Failed, |()| Reply::Done))
            }
        }
    }
}

fn remove_disk(path: &Path) -> Result<(), RuntimeError> {
    let failed = || RuntimeError::io(format!("remove the disk {}", path.display()));
    if !disk::is_released(path).map_err(failed())? {
        return Err(RuntimeError::Refused("the disk is in use by another sandbox".into()));
    }
    disk::remove(path).map_err(failed())
}

pub(super) fn refused(why: &str) -> Reply {
    Reply::Failed(RuntimeError::Refused(why.to_owned()))
}
