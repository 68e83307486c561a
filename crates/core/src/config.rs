//! What a sandbox is asked to be. Texts are parsed once, at the edge; whoever holds these types may trust them.

use crate::id::SandboxId;
use std::collections::BTreeMap;
use std::fmt;

/// Why a request for a sandbox cannot be carried out, in words that say what to change.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidConfig(pub String);

fn invalid<T>(text: impl Into<String>) -> Result<T, InvalidConfig> {
    Err(InvalidConfig(text.into()))
}

macro_rules! parsed_text {
    ($(#[$doc:meta])* $name:ident, $rule:expr, $says:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// Checks the text against the rule above.
            pub fn parse(text: impl Into<String>) -> Result<Self, InvalidConfig> {
                let text = text.into();
                let rule: fn(&str) -> bool = $rule;
                if rule(&text) { Ok(Self(text)) } else { invalid(format!(concat!("{:?} ", $says), shortened(&text))) }
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

/// An error names its culprit, and never grows with it.
fn shortened(text: &str) -> String {
    text.chars().take(80).collect()
}

parsed_text! {
    /// What people call a sandbox; unique within an organization. 1 to 200 visible characters, no `/`.
    SandboxName,
    |text| !matches!(text, "." | "..") && !text.contains(TURNS_TEXT) && (1..=200).contains(&text.len()) && !text.contains('/') && !text.chars().any(char::is_control) && text.trim() == text,
    "is not a sandbox name: 1 to 200 bytes are wanted, without `/`, control characters or blanks at either end"
}
parsed_text! {
    /// The name of a snapshot that the operator configured. 1 to 200 visible characters.
    SnapshotName,
    |text| (1..=200).contains(&text.len()) && !text.chars().any(|c| c.is_control() || c.is_whitespace()),
    "is not a snapshot name: 1 to 200 bytes without blanks are wanted"
}
parsed_text! {
    /// A user of the sandbox: `[a-z_][a-z0-9_-]{0,31}`.
    UserName,
    |text| {
        (1..=32).contains(&text.len())
            && text.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-')
    },
    "is not a user name: lower-case letters, digits, `_` and `-` are wanted"
}
parsed_text! {
    /// The name of an environment variable: `[A-Za-z_][A-Za-z0-9_]*`, at most 256 bytes.
    EnvName,
    |text| {
        (1..=256).contains(&text.len())
            && text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    },
    "is not a name for an environment variable: letters, digits and `_` are wanted, and no digit first"
}

impl SandboxName {
    /// What a sandbox is called that nobody named: its id.
    pub fn of(id: SandboxId) -> Self {
        Self(id.to_string())
    }
}

/// Characters that turn the direction of text around: a name with them reads as another.
const TURNS_TEXT: [char; 11] = [
    '\u{061c}', '\u{200e}', '\u{200f}', '\u{202a}', '\u{202b}', '\u{202c}', '\u{202d}', '\u{202e}',
    '\u{2066}', '\u{2067}', '\u{2069}',
];

/// All values of a sandbox's environment together, in bytes: what one `execve` takes with room to spare.
const MAX_ENV_BYTES: usize = 128 * 1024;

/// Marks by which sandboxes are found again. At most 64, keys up to 256 and values up to 1024 bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Labels(BTreeMap<String, String>);

impl Labels {
    /// The label by which Daytona's SDKs name a sandbox's language.
    pub const LANGUAGE: &'static str = "code-toolbox-language";

    /// Checks number and sizes, and that the language, if there is one, is known.
    pub fn parse(labels: BTreeMap<String, String>) -> Result<Self, InvalidConfig> {
        if labels.len() > 64 {
            return invalid(format!("{} labels are too many: at most 64 are kept", labels.len()));
        }
        if let Some((key, _)) = labels.iter().find(|(k, v)| k.is_empty() || k.len() > 256 || v.len() > 1024) {
            return invalid(format!(
                "label {:?}: a key has 1 to 256 bytes, a value up to 1024",
                shortened(key)
            ));
        }
        if let Some(text) = labels.get(Self::LANGUAGE) {
            Language::parse(text)?;
        }
        Ok(Self(labels))
    }

    /// The labels by key.
    pub const fn as_map(&self) -> &BTreeMap<String, String> {
        &self.0
    }

    /// Whether every label of `wanted` is here with the same value.
    pub fn contains_all(&self, wanted: &BTreeMap<String, String>) -> bool {
        wanted.iter().all(|(key, value)| self.0.get(key) == Some(value))
    }
}

/// The language whose tools a sandbox is made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Language {
    /// Python, also where nothing was said.
    Python,
    /// TypeScript.
    TypeScript,
    /// JavaScript.
    JavaScript,
    /// Go.
    Go,
}

impl Language {
    /// Reads the value of [`Labels::LANGUAGE`].
    pub fn parse(text: &str) -> Result<Self, InvalidConfig> {
        match text {
            "python" => Ok(Self::Python),
            "typescript" => Ok(Self::TypeScript),
            "javascript" => Ok(Self::JavaScript),
            "go" => Ok(Self::Go),
            _ => invalid(format!(
                "language {:?} is not known: python, typescript, javascript or go are",
                shortened(text)
            )),
        }
    }
}

/// How much a sandbox may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resources {
    /// Cores.
    pub cpu: u32,
    /// Memory in GiB.
    pub memory_gib: u32,
    /// Disk in GiB: what may be written, beside the snapshot.
    pub disk_gib: u32,
}

/// What one sandbox gets when it does not ask, and what it may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResourceLimits {
    /// Where the request is silent.
    pub default: Resources,
    /// The most that one sandbox may have.
    pub maximum: Resources,
}

impl Default for ResourceLimits {
    /// The figures of Daytona's container class.
    fn default() -> Self {
        Self {
            default: Resources { cpu: 1, memory_gib: 1, disk_gib: 3 },
            maximum: Resources { cpu: 4, memory_gib: 8, disk_gib: 10 },
        }
    }
}

impl ResourceLimits {
    /// Fills in what was not asked for, and refuses what is too much or nothing at all.
    pub fn admit(
        &self,
        cpu: Option<i64>,
        memory: Option<i64>,
        disk: Option<i64>,
    ) -> Result<Resources, InvalidConfig> {
        Ok(Resources {
            cpu: admit("cpu", "cores", cpu, self.default.cpu, self.maximum.cpu)?,
            memory_gib: admit("memory", "GiB", memory, self.default.memory_gib, self.maximum.memory_gib)?,
            disk_gib: admit("disk", "GiB", disk, self.default.disk_gib, self.maximum.disk_gib)?,
        })
    }
}

fn admit(
    what: &str,
    unit: &str,
    asked: Option<i64>,
    default: u32,
    maximum: u32,
) -> Result<u32, InvalidConfig> {
    let Some(asked) = asked else { return Ok(default) };
    match u32::try_from(asked) {
        Ok(value) if (1..=maximum).contains(&value) => Ok(value),
        _ => invalid(format!("{what} {asked} is not possible: 1 to {maximum} {unit} may be asked for")),
    }
}

/// When a sandbox is to be stopped, archived or deleted by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Intervals {
    /// Minutes without activity until it is stopped; 0 means never.
    pub auto_stop: u32,
    /// Minutes after the stop until it is archived; 0 means as late as possible.
    pub auto_archive: u32,
    /// Minutes after the stop until it is deleted; `None` means never, 0 means at once.
    pub auto_delete: Option<u32>,
    /// Minutes after the create until it is deleted, whatever it is doing; 0 means never.
    pub ttl: u32,
}

impl Default for Intervals {
    fn default() -> Self {
        Self { auto_stop: 15, auto_archive: Self::WEEK, auto_delete: None, ttl: 0 }
    }
}

impl Intervals {
    const WEEK: u32 = 7 * 24 * 60;
    /// The longest that a stopped sandbox waits for its archiving: 30 days, in minutes.
    pub const MAX_ARCHIVE: u32 = 30 * 24 * 60;

    /// Whether a stop deletes the sandbox.
    pub const fn is_ephemeral(&self) -> bool {
        matches!(self.auto_delete, Some(0))
    }

    /// Reads the minutes until an automatic stop.
    pub fn parse_auto_stop(minutes: i64) -> Result<u32, InvalidConfig> {
        not_negative("auto-stop", minutes)
    }

    /// Reads the minutes until an automatic archiving; more than the maximum is brought down to it.
    pub fn parse_auto_archive(minutes: i64) -> Result<u32, InvalidConfig> {
        Ok(match not_negative("auto-archive", minutes)? {
            0 => Self::MAX_ARCHIVE,
            minutes => minutes.min(Self::MAX_ARCHIVE),
        })
    }

    /// Reads the minutes until an automatic delete; any negative number means never.
    pub fn parse_auto_delete(minutes: i64) -> Result<Option<u32>, InvalidConfig> {
        if minutes < 0 { Ok(None) } else { not_negative("auto-delete", minutes).map(Some) }
    }

    /// Reads the minutes until it is deleted in any state.
    pub fn parse_ttl(minutes: i64) -> Result<u32, InvalidConfig> {
        not_negative("ttl", minutes)
    }
}

fn not_negative(what: &str, minutes: i64) -> Result<u32, InvalidConfig> {
    match u32::try_from(minutes) {
        Ok(minutes) if minutes <= i32::MAX.unsigned_abs() => Ok(minutes),
        _ => invalid(format!("{what} interval {minutes} is not possible: minutes from 0 on are wanted")),
    }
}

/// What a sandbox may reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Network {
    /// Nothing but itself.
    None,
}

/// All that was asked for. What stands here is valid; whether a provider can do it is the provider's to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SandboxConfig {
    /// The filesystem it starts from; none means the provider's default.
    pub snapshot: Option<SnapshotName>,
    /// Who runs the commands; none means the snapshot's own user.
    pub user: Option<UserName>,
    /// Variables that every command sees.
    pub env: BTreeMap<EnvName, String>,
    /// Marks by which it is found again.
    pub labels: Labels,
    /// How much it may use.
    pub resources: Resources,
    /// When it ends by itself.
    pub intervals: Intervals,
    /// What it may reach.
    pub network: Network,
}

impl SandboxConfig {
    /// A config with nothing but `resources` and defaults.
    pub fn new(resources: Resources) -> Self {
        Self {
            snapshot: None,
            user: None,
            env: BTreeMap::new(),
            labels: Labels::default(),
            resources,
            intervals: Intervals::default(),
            network: Network::None,
        }
    }

    /// The language it is made for.
    pub fn language(&self) -> Language {
        let label = self.labels.as_map().get(Labels::LANGUAGE);
        label.and_then(|text| Language::parse(text).ok()).unwrap_or(Language::Python)
    }

    /// Checks names, values and total size of an environment.
    pub fn parse_env(env: BTreeMap<String, String>) -> Result<BTreeMap<EnvName, String>, InvalidConfig> {
        let size: usize = env.iter().map(|(name, value)| name.len() + value.len() + 2).sum();
        if size > MAX_ENV_BYTES {
            return invalid(format!(
                "an environment of {size} bytes is too large: {MAX_ENV_BYTES} are the most"
            ));
        }
        env.into_iter().map(parse_variable).collect()
    }
}

fn parse_variable((name, value): (String, String)) -> Result<(EnvName, String), InvalidConfig> {
    let name = EnvName::parse(name)?;
    if value.contains('\0') {
        return invalid(format!("the value of {name} holds a NUL byte, which no environment can carry"));
    }
    Ok((name, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn env_names_follow_the_shell() {
        for good in ["A", "_", "a1", "PATH_2"] {
            assert!(EnvName::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "1A", "A-B", "A=B", "A B", "Ä", "A\0"] {
            assert!(EnvName::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn sizes_outside_the_limits_are_refused_with_the_limit() {
        let limits = ResourceLimits::default();
        assert_eq!(limits.admit(None, None, None), Ok(limits.default));
        for cpu in [0, -1, 5, i64::MAX, i64::MIN] {
            let error = limits.admit(Some(cpu), None, None).expect_err("too much");
            assert!(error.to_string().contains("1 to 4 cores"), "{error}");
        }
    }

    #[test]
    fn intervals_read_as_daytona_writes_them() {
        assert_eq!(Intervals::parse_auto_archive(0), Ok(Intervals::MAX_ARCHIVE));
        assert_eq!(Intervals::parse_auto_archive(999_999), Ok(Intervals::MAX_ARCHIVE));
        assert_eq!(Intervals::parse_auto_delete(-1), Ok(None));
        assert_eq!(Intervals::parse_auto_delete(0), Ok(Some(0)));
        assert!(Intervals::parse_auto_stop(-1).is_err());
    }

    #[test]
    fn an_unknown_language_is_refused() {
        let labels = BTreeMap::from([(Labels::LANGUAGE.to_owned(), "cobol".to_owned())]);
        assert!(Labels::parse(labels).is_err());
    }

    #[test]
    fn a_name_is_trimmed_text_of_one_line() {
        for bad in ["", " a", "a ", "a/b", "a\nb", ".", "..", "a\u{202e}b", &"a".repeat(201)] {
            assert!(SandboxName::parse(bad).is_err(), "{bad:?}");
        }
        assert!(SandboxName::parse("My sandbox №1").is_ok());
    }

    #[test]
    fn an_env_too_large_for_execve_is_refused() {
        let env = BTreeMap::from([("A".to_owned(), "x".repeat(MAX_ENV_BYTES))]);
        assert!(SandboxConfig::parse_env(env).is_err());
    }
}
