//! Where sandboxes' files would go.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{Access, Mode, OFlags, access, open, statfs, statvfs};

use super::Finding;
use super::Status::{Degraded, Missing};
use super::Subject::Disk;
use crate::disk::formatter;

const GIB: u64 = 1 << 30;
/// Less than a few sandboxes fill.
const LITTLE: u64 = 10 * GIB;

/// Kinds of file systems by the number that the kernel gives them.
const KINDS: [(u64, &str); 9] = [
    (0xEF53, "ext4"),
    (0x5846_5342, "xfs"),
    (0x9123_683E, "btrfs"),
    (0x0102_1994, "tmpfs"),
    (0x794C_7630, "overlay"),
    (0x2FC1_2FC1, "zfs"),
    (0xF2F5_2010, "f2fs"),
    (0x6969, "nfs"),
    (0x6573_5546, "fuse"),
];

pub(super) fn findings(data_dir: &Path, place: &Path) -> Vec<Finding> {
    let loops = access("/dev/loop-control", Access::READ_OK | Access::WRITE_OK)
        .map(|()| "available".into())
        .map_err(|error| format!("/dev/loop-control: {error}"));
    let mkfs = formatter().map(Into::into).ok_or("found in none of the usual places".into());
    vec![
        Finding::needed(Disk, "loop devices", loops, "`modprobe loop`; in a container, --privileged"),
        Finding::needed(Disk, "mkfs.ext4", mkfs, "install e2fsprogs"),
        file_system(place),
        unnamed_files(place),
        room(place),
        owner(data_dir),
    ]
}

fn file_system(place: &Path) -> Finding {
    let number = statfs(place).map_or(0, |found| found.f_type.cast_unsigned() & 0xFFFF_FFFF);
    let kind = KINDS.iter().find(|(magic, _)| *magic == number).map_or("unknown", |(_, name)| *name);
    let found = Finding::ok(Disk, "file system", format!("{kind}, at {}", place.display()));
    match kind {
        "tmpfs" => found.lacking(
            Degraded,
            "disks of sandboxes take the host's memory, and are gone after a reboot",
            "put the data directory on a disk: --data-dir",
        ),
        "nfs" | "fuse" | "overlay" => found.lacking(
            Degraded,
            "disks of sandboxes may be slow or refused",
            "put the data directory on a local ext4, xfs or btrfs: --data-dir",
        ),
        _ => found,
    }
}

/// A new disk gets its name when it is whole, so it begins without one. Such a file goes when it is closed.
fn unnamed_files(place: &Path) -> Finding {
    let flags = OFlags::RDWR | OFlags::TMPFILE | OFlags::CLOEXEC;
    let seen = open(place, flags, Mode::RUSR | Mode::WUSR);
    let seen = seen.map(|_| "available".into()).map_err(|error| format!("{}: {error}", place.display()));
    let remedy = "put the data directory where you may write, on ext4, xfs or btrfs: --data-dir";
    Finding::needed(Disk, "files without a name", seen, remedy)
}

fn room(place: &Path) -> Finding {
    let free = statvfs(place).map_or(0, |found| found.f_bavail.saturating_mul(found.f_frsize));
    #[expect(clippy::cast_precision_loss, reason = "one digit after the point is shown")]
    let found = Finding::ok(Disk, "free space", format!("{:.1} GiB", free as f64 / GIB as f64));
    if free >= LITTLE {
        return found;
    }
    found.lacking(
        Degraded,
        "disks are sparse, so sandboxes are made; once the host's is full, writes in them fail",
        "free some, or put the data directory elsewhere: --data-dir",
    )
}

fn owner(data_dir: &Path) -> Finding {
    let what = "data directory";
    let Ok(found) = data_dir.metadata() else {
        return Finding::ok(Disk, what, format!("{} will be made", data_dir.display()));
    };
    let (owner, mode) = (found.uid(), found.mode() & 0o7777);
    let seen = Finding::ok(Disk, what, format!("{}, owner {owner}, mode {mode:04o}", data_dir.display()));
    if owner == 0 && mode.trailing_zeros() >= 6 {
        return seen;
    }
    let remedy = format!("`chown 0 {0}; chmod 0700 {0}`, or name another", data_dir.display());
    seen.lacking(Missing, "the server refuses a directory that others may enter", remedy)
}

#[cfg(test)]
mod tests {
    use std::fs::{Permissions, set_permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::host::Status;

    #[test]
    fn a_directory_that_others_may_enter_is_found() {
        let directory = tempfile::tempdir().expect("a directory");
        set_permissions(directory.path(), Permissions::from_mode(0o750)).expect("permissions");
        assert_eq!(owner(directory.path()).status, Missing);
        assert_eq!(owner(&directory.path().join("absent")).status, Status::Ok);
    }
}
