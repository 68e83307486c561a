//! Who is who: each sandbox has 65,536 user and group ids of the host for itself.

use std::collections::BTreeSet;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::fd::OwnedFd;

use rustix::fs::{Gid, Mode, OFlags, Uid};
use rustix::io::Errno;
use rustix::process::Pid;
use serde::{Deserialize, Serialize};

use rustix::thread::{
    CapabilitiesSecureBits, capabilities_secure_bits, set_capabilities_secure_bits, set_thread_res_gid,
    set_thread_res_uid,
};

use crate::{RuntimeError, sys};

/// The first host id that sandboxes use.
const FIRST_ID: u32 = 1_000_000;

/// How many ids one sandbox has.
const IDS: u32 = 65_536;

/// How many ranges fit below 2^31; some programs of the host take a larger id for a negative number.
pub(crate) const SLOTS: u32 = (i32::MAX.cast_unsigned() - FIRST_ID) / IDS;

/// A range of host ids, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct IdRange {
    slot: u32,
}

impl IdRange {
    /// Where an instance begins to look for ranges. The kernel counts by id, so two instances on one host should not
    /// use the same; they cannot see each other's, but names that differ begin at places that differ.
    pub(crate) fn first_of(instance: &str) -> Self {
        let mut hasher = DefaultHasher::new();
        instance.hash(&mut hasher);
        let slot = hasher.finish() % u64::from(SLOTS);
        Self { slot: u32::try_from(slot).unwrap_or_default() }
    }

    /// The first range from this one on that is not in `taken`; after the last comes the lowest.
    pub(crate) fn next_free(self, taken: impl IntoIterator<Item = Self>) -> Result<Self, RuntimeError> {
        let taken: BTreeSet<u32> = taken.into_iter().map(|range| range.slot).collect();
        let free = (self.slot..SLOTS).chain(0..self.slot).find(|slot| !taken.contains(slot));
        free.map(|slot| Self { slot })
            .ok_or_else(|| RuntimeError::Refused("every range of user ids is in use".into()))
    }

    /// The range that process `pid` lives in, if it is one of ours.
    pub(crate) fn of_process(pid: Pid) -> Option<Self> {
        let map = fs::read_to_string(format!("/proc/{}/uid_map", pid.as_raw_nonzero())).ok()?;
        Self::from_map(&map)
    }

    fn from_map(map: &str) -> Option<Self> {
        let mut fields = map.split_whitespace().map_while(|field| field.parse::<u32>().ok());
        let (inside, outside, count) = (fields.next()?, fields.next()?, fields.next()?);
        let offset = outside.checked_sub(FIRST_ID)?;
        (inside == 0 && count == IDS && offset.is_multiple_of(IDS)).then_some(Self { slot: offset / IDS })
    }

    /// The host's id of the sandbox's root.
    pub(crate) fn root(self) -> u32 {
        FIRST_ID + self.slot * IDS
    }

    /// Maps the range into the user namespace of a new process.
    pub(super) fn assign(self, pid: Pid) -> Result<(), RuntimeError> {
        let map = format!("0 {} {IDS}", self.root());
        ["uid_map", "gid_map"]
            .into_iter()
            .try_for_each(|file| fs::write(format!("/proc/{}/{file}", pid.as_raw_nonzero()), &map))
            .map_err(RuntimeError::io("map the sandbox's user ids"))
    }
}

/// Runs `make` with the effective ids of the sandbox's root and all our capabilities.
///
/// What the kernel makes for us meanwhile belongs to the sandbox: to its user namespace's owner it charges all that
/// the sandbox takes of what is counted by user, and the directory that overlayfs makes while it mounts would, made
/// by the host's root whom the disk does not map, fail.
pub(super) fn as_root_of<T>(ids: IdRange, make: impl FnOnce() -> T) -> Result<T, RuntimeError> {
    let failed = || RuntimeError::io("take on the ids of the sandbox's root");
    let before = capabilities_secure_bits().map_err(failed())?;
    set_capabilities_secure_bits(before | CapabilitiesSecureBits::NO_SETUID_FIXUP).map_err(failed())?;
    let result = set_effective_ids(ids.root()).map(|()| make());
    // To go on as somebody else would be worse than to end: sandboxes outlive us, and the next call starts another.
    if set_effective_ids(0).is_err() || set_capabilities_secure_bits(before).is_err() {
        sys::exit_now(1);
    }
    result.map_err(failed())
}

/// Sets the effective ids of the only thread, and with them those that file systems see. The real ids stay the
/// host's root's, who has no limit of processes.
fn set_effective_ids(id: u32) -> Result<(), Errno> {
    set_thread_res_gid(Gid::ROOT, Gid::from_raw(id), Gid::ROOT)?;
    set_thread_res_uid(Uid::ROOT, Uid::from_raw(id), Uid::ROOT)
}

/// The user namespace of a process, for idmapped mounts.
pub(super) fn user_namespace(pid: Pid) -> Result<OwnedFd, RuntimeError> {
    let path = format!("/proc/{}/ns/user", pid.as_raw_nonzero());
    rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .map_err(RuntimeError::io("open the sandbox's user namespace"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(slot: u32) -> IdRange {
        IdRange { slot }
    }

    #[test]
    fn the_next_free_range_is_taken() {
        assert_eq!(range(7).next_free([]).expect("free"), range(7));
        assert_eq!(range(0).next_free([1, 0, 3, 1].map(range)).expect("free"), range(2));
        assert_eq!(range(2).next_free((0..5).map(range)).expect("free"), range(5));
        assert_eq!(range(SLOTS - 1).next_free([range(SLOTS - 1), range(0)]).expect("free"), range(1));
        assert!(range(9).next_free((0..SLOTS).map(range)).is_err());
    }

    #[test]
    fn instances_begin_at_places_of_their_own() {
        let starts = ["default", "test", "a", "b"].map(IdRange::first_of);
        assert!(starts.iter().all(|start| start.slot < SLOTS));
        assert_eq!(starts.iter().collect::<BTreeSet<_>>().len(), starts.len());
        assert_eq!(starts[0], IdRange::first_of("default"));
    }

    #[test]
    fn the_last_range_ends_within_the_id_space() {
        assert!(range(SLOTS - 1).root().checked_add(IDS).is_some());
    }

    #[test]
    fn only_our_own_maps_are_recognised() {
        assert_eq!(IdRange::from_map("         0    1131072      65536\n"), Some(range(2)));
        for foreign in ["0 0 4294967295", "0 1000001 65536", "0 1000000 1", "1 1000000 65536", "", "x"] {
            assert_eq!(IdRange::from_map(foreign), None, "{foreign}");
        }
    }
}
