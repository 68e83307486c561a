//! Who holds sandboxes to their limits, and how quickly a sandbox gets into its groups.

use std::fs;
use std::path::Path;

use rustix::fs::{Access, access};

use super::Finding;
use super::Status::{Degraded, Missing};
use super::Subject::ControlGroups;
use crate::Controller;
use crate::cgroup::{Home, Layout};

const MOUNT: &str = "mount version 2: `mount -t cgroup2 none /sys/fs/cgroup/unified`, or boot with \
                     systemd.unified_cgroup_hierarchy=1";

/// How a host that does not enforce the limits of `controller` comes to do so.
#[must_use]
pub const fn remedy(controller: Controller) -> &'static str {
    match controller {
        Controller::Memory => {
            "boot with cgroup_enable=memory (and swapaccount=1 where there is swap), or mount the controller: \
             `mount -t cgroup -o memory none /sys/fs/cgroup/memory`"
        }
        Controller::Cpu => {
            "use a kernel with CONFIG_CFS_BANDWIDTH, or mount the controller: \
             `mount -t cgroup -o cpu none /sys/fs/cgroup/cpu`"
        }
        Controller::Pids => {
            "use a kernel with CONFIG_CGROUP_PIDS, or mount the controller: \
             `mount -t cgroup -o pids none /sys/fs/cgroup/pids`"
        }
    }
}

pub(super) fn findings() -> Vec<Finding> {
    let layout = match Layout::detect() {
        Ok(layout) => layout,
        Err(error) => return vec![Finding::needed(ControlGroups, "layout", Err(error.to_string()), MOUNT)],
    };
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let mut findings = vec![self::layout(&layout), writable(&layout)];
    findings.extend(Controller::ALL.map(|controller| enforcer(controller, layout.home(controller))));
    findings.push(quick_moves(&layout, &mounts));
    findings.push(kill_file(&layout));
    findings
}

fn layout(layout: &Layout) -> Finding {
    let pure = layout.roots().count() == 1;
    let text = if pure { "version 2" } else { "version 2 for life and death, version 1 for limits" };
    Finding::ok(ControlGroups, "layout", format!("{text}, at {}", layout.unified.display()))
}

fn writable(layout: &Layout) -> Finding {
    let closed =
        layout.roots().find_map(|root| access(root, Access::WRITE_OK).err().map(|error| (root, error)));
    let seen = match closed {
        None => Ok("yes".into()),
        Some((root, error)) => Err(format!("{}: {error}", root.display())),
    };
    let remedy = "run as root, and in a container with --privileged and --cgroupns=host";
    Finding::needed(ControlGroups, "writable", seen, remedy)
}

fn enforcer(controller: Controller, home: &Home) -> Finding {
    let what = format!("{} controller", controller.name());
    match home {
        Home::Unified => Finding::ok(ControlGroups, &what, "version 2"),
        Home::Own(root) => Finding::ok(ControlGroups, &what, format!("version 1, at {}", root.display())),
        Home::Absent(why) => Finding::ok(ControlGroups, &what, why).lacking(
            Missing,
            format!("no {} limit binds; the server starts only if told so", controller.name()),
            remedy(controller),
        ),
    }
}

/// On a host with both versions a new sandbox is moved into some groups, and each move waits until every processor has
/// been through the scheduler, unless moves are favoured.
fn quick_moves(layout: &Layout, mounts: &str) -> Finding {
    let found = Finding::ok(ControlGroups, "quick moves between groups", "yes");
    if layout.roots().count() == 1 || favours_moves(mounts, &layout.unified) {
        return found;
    }
    Finding { detail: "no".into(), ..found }.lacking(
        Degraded,
        "making a sandbox takes some milliseconds more",
        format!("`mount -o remount,favordynmods {}`", layout.unified.display()),
    )
}

fn favours_moves(mounts: &str, unified: &Path) -> bool {
    mounts.lines().any(|line| {
        let fields: Vec<_> = line.split(' ').collect();
        fields.len() > 3
            && Path::new(fields[1]) == unified
            && fields[3].split(',').any(|option| option == "favordynmods")
    })
}

/// A file that only groups below the root have; any that is there shows it.
fn kill_file(layout: &Layout) -> Finding {
    let groups = fs::read_dir(&layout.unified).into_iter().flatten().flatten();
    let mut groups = groups.map(|entry| entry.path()).filter(|path| path.is_dir()).peekable();
    let found = Finding::ok(ControlGroups, "killing a whole group", "yes");
    if groups.peek().is_none() {
        return Finding { detail: "cannot be seen: there is no group yet".into(), ..found };
    }
    if groups.any(|group| group.join("cgroup.kill").exists()) {
        return found;
    }
    Finding { detail: "no (since Linux 5.14)".into(), ..found }.lacking(
        Degraded,
        "ending a sandbox relies on its first process alone",
        "use a newer kernel, 6.1 or later",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_option_counts_on_the_hierarchy_of_version_2_alone() {
        let mounts = "cgroup /sys/fs/cgroup/cpu cgroup rw,favordynmods,cpu 0 0\n\
            cgroup2 /sys/fs/cgroup/unified cgroup2 rw,relatime 0 0\n";
        let unified = Path::new("/sys/fs/cgroup/unified");
        assert!(!favours_moves(mounts, unified));
        assert!(favours_moves(&mounts.replace("rw,relatime", "rw,favordynmods"), unified));
    }

    #[test]
    fn a_missing_controller_comes_with_its_remedy() {
        let finding = enforcer(Controller::Memory, &Home::Absent("nowhere".into()));
        assert_eq!((finding.status, finding.detail.as_str()), (Missing, "nowhere"));
        assert!(finding.remedy.is_some_and(|text| text.contains("cgroup_enable=memory")));
    }
}
