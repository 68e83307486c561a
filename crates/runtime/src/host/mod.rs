//! What a host offers to sandboxes, looked at without changing anything. What really works shows only in a sandbox;
//! this is for finding out why one does not.

mod capacity;
mod control_groups;
mod disk;
mod idmap;
mod kernel;
mod surroundings;

use std::fs;
use std::path::Path;
use std::str::FromStr;

use serde::Serialize;

pub use control_groups::remedy;

/// How something is on this host.
#[derive(Serialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// As it should be.
    Ok,
    /// Not there, and nobody needs it.
    Absent,
    /// Sandboxes work, but worse.
    Degraded,
    /// Without it there are no sandboxes, or none that are held to their limits.
    Missing,
}

/// What a finding is about.
#[derive(Serialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum Subject {
    /// Rights, the kernel and its features.
    Kernel,
    /// Who enforces limits.
    ControlGroups,
    /// Where sandboxes' files go.
    Disk,
    /// How many sandboxes fit.
    Capacity,
    /// What else is on the host.
    Surroundings,
    /// What a sandbox showed that was made for trying.
    SelfTest,
}

/// One thing that was looked at.
#[derive(Serialize, Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What it is about.
    pub subject: Subject,
    /// The thing, in a few words; each once in a subject.
    pub what: String,
    /// How it is.
    pub status: Status,
    /// What was seen.
    pub detail: String,
    /// What follows from it for sandboxes; `None` where all is well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost: Option<String>,
    /// What to do about it; `None` where all is well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

impl Finding {
    /// Something that is as it should be.
    pub fn ok(subject: Subject, what: &str, detail: impl Into<String>) -> Self {
        Self {
            subject,
            what: what.into(),
            status: Status::Ok,
            detail: detail.into(),
            cost: None,
            remedy: None,
        }
    }

    /// The same thing, found to be worse.
    #[must_use]
    pub fn lacking(self, status: Status, cost: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { status, cost: Some(cost.into()), remedy: Some(remedy.into()), ..self }
    }

    /// A thing without which there are no sandboxes: seen to be there, or why it is not.
    fn needed(subject: Subject, what: &str, seen: Result<String, String>, remedy: &str) -> Self {
        match seen {
            Ok(detail) => Self::ok(subject, what, detail),
            Err(why) => {
                Self::ok(subject, what, why).lacking(Status::Missing, "no sandbox can be made", remedy)
            }
        }
    }
}

/// Looks at the host, for a server whose data are, or will be, in `data_dir`. To be called by a process with one
/// thread, or one probe is left out.
pub fn examine(data_dir: &Path) -> Vec<Finding> {
    let place = nearest(data_dir);
    [
        kernel::findings(place),
        control_groups::findings(),
        disk::findings(data_dir, place),
        capacity::findings(),
        surroundings::findings(),
    ]
    .concat()
}

/// The directory itself, or the nearest one above it that is there already.
pub fn nearest(directory: &Path) -> &Path {
    directory.ancestors().find(|path| path.is_dir()).unwrap_or(Path::new("/"))
}

/// A file that holds one value, such as those below `/proc/sys`; `None` if it is not there or holds something else.
fn value<T: FromStr>(path: &str) -> Option<T> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}
