//! How much may exist at once, and how it is counted.

use crate::id::{KeyId, OrganizationId};
use crate::sandbox::Sandbox;
use crate::state::{Desired, Observed};
use std::collections::BTreeMap;
use std::fmt;
use std::ops::{Add, AddAssign};

/// The most that one organization, or one key, may have. None means no limit; zero means nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Quota {
    /// Sandboxes, whatever their state.
    pub sandboxes: Option<u64>,
    /// Cores of sandboxes that are not stopped.
    pub cpu: Option<u64>,
    /// Memory of sandboxes that are not stopped, in GiB.
    pub memory_gib: Option<u64>,
    /// Disk of all sandboxes, in GiB.
    pub disk_gib: Option<u64>,
    /// Sandboxes asked for within a minute.
    pub creates_per_minute: Option<u32>,
}

/// Every quota of an installation. One that is given by id stands in place of the general one as a whole.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Quotas {
    /// For each organization.
    pub organization: Quota,
    /// For each key, beside its organization's.
    pub key: Quota,
    /// For these organizations instead.
    pub organizations: BTreeMap<OrganizationId, Quota>,
    /// For these keys instead.
    pub keys: BTreeMap<KeyId, Quota>,
}

impl Quotas {
    /// What an organization may have.
    pub fn of_organization(&self, id: OrganizationId) -> Quota {
        self.organizations.get(&id).copied().unwrap_or(self.organization)
    }

    /// What may be made by a key.
    pub fn of_key(&self, id: KeyId) -> Quota {
        self.keys.get(&id).copied().unwrap_or(self.key)
    }
}

/// What sandboxes take of a quota.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reserved {
    /// How many there are.
    pub sandboxes: u64,
    /// Cores.
    pub cpu: u64,
    /// Memory in GiB.
    pub memory_gib: u64,
    /// Disk in GiB.
    pub disk_gib: u64,
}

impl Reserved {
    /// What a sandbox takes: until it is gone, as it uses the host until then. One at rest takes no cores and no memory;
    /// one that failed does, since its processes may still run.
    pub fn of(sandbox: &Sandbox) -> Self {
        let resources = sandbox.config.resources;
        let whole = Self {
            sandboxes: 1,
            cpu: resources.cpu.into(),
            memory_gib: resources.memory_gib.into(),
            disk_gib: resources.disk_gib.into(),
        };
        match (sandbox.desired, sandbox.observed) {
            (Desired::Deleted, Observed::Absent) => Self::default(),
            (Desired::Stopped | Desired::Deleted, Observed::Stopped) => {
                Self { cpu: 0, memory_gib: 0, ..whole }
            }
            _ => whole,
        }
    }

    /// What a sandbox takes more when it is started.
    pub fn of_start(sandbox: &Sandbox) -> Self {
        let resources = sandbox.config.resources;
        Self { cpu: resources.cpu.into(), memory_gib: resources.memory_gib.into(), ..Self::default() }
    }

    const fn amount(&self, measure: Measure) -> u64 {
        match measure {
            Measure::Sandboxes => self.sandboxes,
            Measure::Cpu => self.cpu,
            Measure::Memory => self.memory_gib,
            Measure::Disk => self.disk_gib,
        }
    }
}

impl Add for Reserved {
    type Output = Self;

    fn add(self, more: Self) -> Self {
        Self {
            sandboxes: self.sandboxes + more.sandboxes,
            cpu: self.cpu + more.cpu,
            memory_gib: self.memory_gib + more.memory_gib,
            disk_gib: self.disk_gib + more.disk_gib,
        }
    }
}

impl AddAssign for Reserved {
    fn add_assign(&mut self, more: Self) {
        *self = *self + more;
    }
}

/// Whose quota it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// The organization's.
    Organization,
    /// The API key's.
    Key,
}

/// What a quota measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Measure {
    /// The number of sandboxes.
    Sandboxes,
    /// Cores.
    Cpu,
    /// Memory.
    Memory,
    /// Disk.
    Disk,
}

impl Measure {
    const ALL: [Self; 4] = [Self::Sandboxes, Self::Cpu, Self::Memory, Self::Disk];

    /// As Daytona names it.
    const fn name(self) -> &'static str {
        match self {
            Self::Sandboxes => "sandbox",
            Self::Cpu => "CPU",
            Self::Memory => "memory",
            Self::Disk => "disk",
        }
    }

    const fn remedy(self) -> &'static str {
        match self {
            Self::Cpu | Self::Memory => "stop or delete a sandbox",
            Self::Sandboxes | Self::Disk => "delete a sandbox",
        }
    }
}

/// By how much a quota would be exceeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Excess {
    /// Whose quota it is.
    pub scope: Scope,
    /// What there would be too much of.
    pub measure: Measure,
    /// The most there may be.
    pub maximum: u64,
    /// What there is.
    pub used: u64,
    /// What is asked for beside that.
    pub asked: u64,
}

impl fmt::Display for Excess {
    /// The first two sentences are Daytona's.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { maximum, used, asked, measure, .. } = self;
        let whose = match self.scope {
            Scope::Organization => "The organization",
            Scope::Key => "This API key",
        };
        write!(f, "Total {} limit exceeded. Maximum allowed: {maximum}. ", measure.name())?;
        write!(f, "{whose} uses {used}, and {asked} more were asked for: {} first", measure.remedy())
    }
}

impl Quota {
    /// Whether `more` may be had beside what is `used`. What is not asked for is never too much: a sandbox can be started
    /// where the disk's quota was lowered since.
    pub fn admit(&self, scope: Scope, used: Reserved, more: Reserved) -> Result<(), Excess> {
        for measure in Measure::ALL {
            let Some(maximum) = self.maximum(measure) else { continue };
            let (used, asked) = (used.amount(measure), more.amount(measure));
            if asked > 0 && used.saturating_add(asked) > maximum {
                return Err(Excess { scope, measure, maximum, used, asked });
            }
        }
        Ok(())
    }

    /// Whether it limits what may exist at once.
    pub fn bounds_totals(&self) -> bool {
        Measure::ALL.iter().any(|measure| self.maximum(*measure).is_some())
    }

    const fn maximum(&self, measure: Measure) -> Option<u64> {
        match measure {
            Measure::Sandboxes => self.sandboxes,
            Measure::Cpu => self.cpu,
            Measure::Memory => self.memory_gib,
            Measure::Disk => self.disk_gib,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn amounts([sandboxes, cpu, memory_gib, disk_gib]: [u64; 4]) -> Reserved {
        Reserved { sandboxes, cpu, memory_gib, disk_gib }
    }

    /// What is used, what is asked for, and what there would be too much of.
    #[test]
    fn table_of_quotas() {
        let quota = Quota {
            sandboxes: Some(3),
            cpu: Some(4),
            memory_gib: Some(8),
            disk_gib: Some(20),
            creates_per_minute: None,
        };
        let table = [
            ([0, 0, 0, 0], [1, 4, 8, 20], None),
            ([2, 3, 7, 19], [1, 1, 1, 1], None),
            ([3, 0, 0, 0], [1, 1, 1, 1], Some(Measure::Sandboxes)),
            ([2, 3, 0, 0], [1, 2, 1, 1], Some(Measure::Cpu)),
            ([2, 0, 8, 0], [1, 1, 1, 1], Some(Measure::Memory)),
            ([2, 0, 0, 18], [1, 1, 1, 3], Some(Measure::Disk)),
            // A start asks for no disk, so that none can be lacking.
            ([9, 3, 0, 99], [0, 1, 1, 0], None),
            ([9, 4, 0, 99], [0, 1, 1, 0], Some(Measure::Cpu)),
            ([0, u64::MAX, 0, 0], [1, 1, 1, 1], Some(Measure::Cpu)),
        ];
        for (used, more, expected) in table {
            let verdict = quota.admit(Scope::Key, amounts(used), amounts(more));
            assert_eq!(verdict.err().map(|excess| excess.measure), expected, "{used:?} and {more:?}");
            assert_eq!(Quota::default().admit(Scope::Key, amounts(used), amounts(more)), Ok(()));
        }
    }

    #[test]
    fn zero_means_nothing() {
        let none = Quota { sandboxes: Some(0), ..Quota::default() };
        assert!(none.admit(Scope::Organization, amounts([0; 4]), amounts([1; 4])).is_err());
        assert!(none.bounds_totals() && !Quota::default().bounds_totals());
    }

    #[test]
    fn a_refusal_says_what_is_used_and_what_to_do() {
        let excess =
            Excess { scope: Scope::Organization, measure: Measure::Cpu, maximum: 10, used: 9, asked: 2 };
        assert_eq!(
            excess.to_string(),
            "Total CPU limit exceeded. Maximum allowed: 10. The organization uses 9, and 2 more were asked for: stop or delete a sandbox first"
        );
    }

    #[test]
    fn a_quota_given_by_id_stands_in_place_of_the_general_one() {
        let (id, key) = (OrganizationId::random(), KeyId::random());
        let general = Quota { cpu: Some(1), sandboxes: Some(1), ..Quota::default() };
        let own = Quota { cpu: Some(9), ..Quota::default() };
        let quotas = Quotas {
            organization: general,
            key: general,
            organizations: [(id, own)].into(),
            keys: [(key, own)].into(),
        };
        assert_eq!((quotas.of_organization(id), quotas.of_key(key)), (own, own));
        assert_eq!(quotas.of_organization(OrganizationId::random()), general);
        assert_eq!(quotas.of_key(KeyId::random()), general);
    }
}
