//! Who is who: each sandbox has 65,536 user and group ids of the host for itself.

use std::fs;
use std::os::fd::OwnedFd;

use rustix::fs::{Mode, OFlags};
use rustix::process::Pid;

use crate::RuntimeError;

/// The first host id that sandboxes use.
const FIRST_ID: u32 = 1_000_000;

/// How many ids one sandbox has.
const IDS: u32 = 65_536;

/// How many ranges fit below 2^32 - 1.
pub(crate) const SLOTS: u32 = (u32::MAX - FIRST_ID) / IDS;

/// A range of host ids, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct IdRange {
    slot: u32,
}

impl IdRange {
    /// The lowest range that is not in `taken`.
    pub(crate) fn lowest_free(taken: impl IntoIterator<Item = Self>) -> Result<Self, RuntimeError> {
        let mut taken: Vec<u32> = taken.into_iter().map(|range| range.slot).collect();
        taken.sort_unstable();
        taken.dedup();
        // In an ascending list the first number that is not its own index is behind the first gap.
        let gap = (0..SLOTS).zip(taken.iter().map(Some).chain(std::iter::repeat(None)));
        let free = gap.into_iter().find(|(slot, taken)| *taken != Some(slot)).map(|(slot, _)| Self { slot });
        free.ok_or_else(|| RuntimeError::Refused("every range of user ids is in use".into()))
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
    fn the_lowest_free_range_is_taken() {
        assert_eq!(IdRange::lowest_free([]).expect("free"), range(0));
        assert_eq!(IdRange::lowest_free([range(1), range(0), range(3), range(1)]).expect("free"), range(2));
        assert_eq!(IdRange::lowest_free((0..5).map(range)).expect("free"), range(5));
        assert!(IdRange::lowest_free((0..SLOTS).map(range)).is_err());
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
