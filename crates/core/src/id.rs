//! Ids: made by us before anything happens in the world, one type for each kind.

use std::fmt;
use std::str::FromStr;
use uuid::Uuid;

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Uuid);

        impl $name {
            /// A new id. Ids made later sort later.
            pub fn random() -> Self {
                Self(Uuid::now_v7())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::try_parse(text).map(Self)
            }
        }
    };
}

uuid_id! {
    /// A sandbox, for as long as it exists: what clients hold and what URLs carry.
    SandboxId
}
uuid_id! {
    /// The tenant that a sandbox belongs to.
    OrganizationId
}
uuid_id! {
    /// An API key. Not the key itself: safe to log.
    KeyId
}

impl SandboxId {
    /// A number that is always the same for the `n`-th draw of this sandbox, and another for every other one.
    pub(crate) fn draw(self, n: u32) -> u64 {
        use std::hash::{DefaultHasher, Hash, Hasher};
        let mut hasher = DefaultHasher::new();
        (self.0, n).hash(&mut hasher);
        hasher.finish()
    }
}

/// One installation of Sandgate: eight lower-case hexadecimal digits, made when its ledger is made.
///
/// It stands in the name of every object that a provider holds for us, so that no installation ever touches the
/// objects of another.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct InstanceId(String);

impl InstanceId {
    /// A new installation's id.
    pub fn random() -> Self {
        Self(Uuid::new_v4().simple().to_string()[..8].to_owned())
    }

    /// The eight digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for InstanceId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fits = text.len() == 8 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        fits.then(|| Self(text.to_owned())).ok_or_else(|| InvalidId(text.to_owned()))
    }
}

/// The n-th try to make a sandbox. Each try has a name of its own at the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Attempt {
    /// The sandbox to be made.
    pub sandbox: SandboxId,
    /// 1 for the first try.
    pub number: u32,
}

impl Attempt {
    /// The first try to make `sandbox`.
    pub const fn first(sandbox: SandboxId) -> Self {
        Self { sandbox, number: 1 }
    }

    /// The name under which a provider knows this attempt. Always the same for the same attempt, so that asking
    /// again meets the object that the lost answer was about.
    pub fn external_name(&self, instance: &InstanceId) -> ExternalName {
        ExternalName(format!("{PREFIX}{}-{}-a{}", instance.0, self.sandbox, self.number))
    }
}

const PREFIX: &str = "sandgate-";

/// `sandgate-<instance>-<sandbox>-a<attempt>`: what a provider's object is called.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ExternalName(String);

impl ExternalName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name of the sandbox by which a provider of `instance` tries itself out. It is no attempt's, so whoever looks
    /// for sandboxes passes it over.
    pub fn of_trial(instance: &InstanceId) -> Self {
        Self(format!("{PREFIX}{}-trial", instance.0))
    }

    /// Reads a name that `instance` gave. `None` for anybody else's: such an object is never touched.
    pub fn parse(text: &str, instance: &InstanceId) -> Option<Attempt> {
        let rest = text.strip_prefix(PREFIX)?.strip_prefix(instance.as_str())?.strip_prefix('-')?;
        let (sandbox, number) = rest.rsplit_once("-a")?;
        let attempt = Attempt { sandbox: sandbox.parse().ok()?, number: number.parse().ok()? };
        (attempt.external_name(instance).0 == text).then_some(attempt)
    }
}

impl fmt::Display for ExternalName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A provider's own name for a sandbox.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Handle(pub String);

/// A text that is not an id.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not an instance id: eight hexadecimal digits are wanted")]
pub struct InvalidId(String);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn an_external_name_leads_back_to_its_attempt(number in 1_u32.., instance in "[0-9a-f]{8}") {
            let instance: InstanceId = instance.parse().expect("eight digits");
            let attempt = Attempt { sandbox: SandboxId::random(), number };
            let name = attempt.external_name(&instance);
            prop_assert_eq!(ExternalName::parse(name.as_str(), &instance), Some(attempt));
        }
    }

    #[test]
    fn another_instances_names_are_nobodys() {
        let (ours, theirs) = (InstanceId::random(), InstanceId::random());
        let name = Attempt::first(SandboxId::random()).external_name(&theirs);
        assert_eq!(ExternalName::parse(name.as_str(), &ours), None);
    }

    #[test]
    fn a_trial_is_no_sandbox_of_anybody() {
        let instance = InstanceId::random();
        assert_eq!(ExternalName::parse(ExternalName::of_trial(&instance).as_str(), &instance), None);
    }

    #[test]
    fn look_alikes_are_nobodys() {
        let instance = InstanceId::random();
        let name = Attempt::first(SandboxId::random()).external_name(&instance).to_string();
        for changed in
            [format!("{name} "), name.replace("-a1", "-a01"), name.to_uppercase(), format!("x{name}")]
        {
            assert_eq!(ExternalName::parse(&changed, &instance), None, "{changed}");
        }
    }
}
