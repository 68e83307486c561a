//! The JSON that Daytona's clients read and write.

mod create;
mod event;
mod list;
mod run;
mod sandbox;
mod usage;

pub(crate) use create::CreateSandbox;
pub(crate) use event::{Event, EventPage, EventParameters};
pub(crate) use list::{ListParameters, SandboxPage};
pub(crate) use run::{RunCommand, RunEvent, RunOrder, RunSandbox};
pub(crate) use sandbox::{Sandbox, SandboxLabels, View};
pub(crate) use usage::{Usage, UsageParameters};
