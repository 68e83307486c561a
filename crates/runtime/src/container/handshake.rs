//! What parent and child say to each other before the child is process 1 of a sandbox. A parent that dies closes its
//! end, and the child dies of that.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::net::sockopt::{Timeout, set_socket_timeout};
use serde::{Deserialize, Serialize};

use super::machine::Machine;
use super::rootfs::Mounts;
use crate::protocol::{Received, receive, send};
use crate::{RuntimeError, sys};

/// How long the child may be silent. It takes two milliseconds; a host in trouble takes longer.
const PATIENCE: Duration = Duration::from_secs(20);

/// From parent to child.
#[derive(Serialize, Deserialize)]
enum Order {
    /// The ids are mapped and the cgroups entered: become root and prepare.
    Prepare,
    /// The mounts come beside: the overlay, the machine, and one for each of these places.
    Finish { places: Vec<String> },
}

/// From child to parent.
#[derive(Serialize, Deserialize)]
enum Report {
    /// All is set up; the next thing is the exec, which closes the socket.
    Executing,
    Failed(RuntimeError),
}

/// The parent's end.
pub(super) struct Parent {
    socket: OwnedFd,
}

impl Parent {
    pub(super) fn new(socket: OwnedFd) -> Self {
        Self { socket }
    }

    pub(super) fn go_ahead(&self) -> Result<(), RuntimeError> {
        self.order(&Order::Prepare, &[])
    }

    pub(super) fn hand_over(&self, mounts: &Mounts, machine: &Machine) -> Result<(), RuntimeError> {
        let places = mounts.extra.iter().map(|(place, _)| (*place).to_owned()).collect();
        let extra = mounts.extra.iter().map(|(_, mount)| mount.as_fd());
        let root = [mounts.root.as_fd()].into_iter();
        let handles: Vec<BorrowedFd<'_>> = root.chain(machine.handles()).chain(extra).collect();
        self.order(&Order::Finish { places }, &handles)
    }

    /// Returns when the toolbox has been executed.
    pub(super) fn wait_for_exec(&self) -> Result<(), RuntimeError> {
        set_socket_timeout(&self.socket, Timeout::Recv, Some(PATIENCE))
            .map_err(RuntimeError::io("limit the time of the setup"))?;
        match self.report()? {
            Some(Report::Executing) => {}
            Some(Report::Failed(error)) => return Err(error),
            None => {
                return Err(died("it was killed, perhaps because its memory or process limit is too low"));
            }
        }
        match self.report()? {
            Some(Report::Failed(error)) => Err(error),
            Some(Report::Executing) => Err(died("it spoke out of turn")),
            None => Ok(()),
        }
    }

    /// If the child has failed before the order came, its reason is worth more than our broken pipe.
    fn order(&self, order: &Order, handles: &[BorrowedFd<'_>]) -> Result<(), RuntimeError> {
        let Err(error) = send(self.socket.as_fd(), order, handles) else { return Ok(()) };
        match receive(self.socket.as_fd(), &mut Vec::new()) {
            Ok(Some(Received { message: Report::Failed(reason), .. })) => Err(reason),
            _ => Err(RuntimeError::io("speak with the new process")(error)),
        }
    }

    fn report(&self) -> Result<Option<Report>, RuntimeError> {
        let received = receive(self.socket.as_fd(), &mut Vec::new());
        Ok(received.map_err(RuntimeError::io("hear from the new process"))?.map(|report| report.message))
    }
}

/// Descriptors that the child's last steps still need are kept away from the low numbers, which these steps assign.
pub(super) const OUT_OF_THE_WAY: i32 = 16;

/// The mounts that the child gets, attached nowhere yet.
pub(super) struct Given {
    pub(super) root: OwnedFd,
    pub(super) machine: Machine,
    /// The others, with their places.
    pub(super) extra: Vec<(String, OwnedFd)>,
}

/// The child's end.
pub(super) struct ChildEnd {
    socket: OwnedFd,
}

impl ChildEnd {
    pub(super) fn new(socket: BorrowedFd<'_>) -> Self {
        match rustix::io::fcntl_dupfd_cloexec(socket, OUT_OF_THE_WAY) {
            Ok(socket) => Self { socket },
            Err(_) => sys::exit_now(1),
        }
    }

    /// Waits for permission to go on. Without a parent there is no point in living.
    pub(super) fn wait_for_go_ahead(&self) {
        if !matches!(self.order(), (Order::Prepare, _)) {
            sys::exit_now(1);
        }
    }

    /// Waits for the mounts.
    pub(super) fn wait_for_mounts(&self) -> Given {
        let (Order::Finish { places }, handles) = self.order() else { sys::exit_now(1) };
        let mut handles = handles.into_iter();
        let (Some(root), Some(machine)) = (handles.next(), Machine::from_handles(&mut handles)) else {
            sys::exit_now(1)
        };
        Given { root, machine, extra: places.into_iter().zip(handles).collect() }
    }

    pub(super) fn announce_exec(&self) {
        // A parent that is gone cannot hear it; the sandbox then lives on for the next spawner.
        let _ = send(self.socket.as_fd(), &Report::Executing, &[]);
    }

    /// Reports the failure and ends the process.
    pub(super) fn fail(&self, error: RuntimeError) -> ! {
        let _ = send(self.socket.as_fd(), &Report::Failed(error), &[]);
        sys::exit_now(1)
    }

    fn order(&self) -> (Order, Vec<OwnedFd>) {
        match receive(self.socket.as_fd(), &mut Vec::new()) {
            Ok(Some(received)) => (received.message, received.handles),
            Ok(None) | Err(_) => sys::exit_now(1),
        }
    }
}

fn died(how: &str) -> RuntimeError {
    RuntimeError::DiedInSetup(how.to_owned())
}
