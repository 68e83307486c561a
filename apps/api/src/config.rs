//! The configuration: flags win over the environment, and both over the file.

mod file;
mod quota;

use anyhow::{Context, bail};
use clap::Args;
use clap::builder::BoolishValueParser;
use file::FileConfig;
use sandgate_core::{Quotas, ResourceLimits, SnapshotName};
use sandgate_infrastructure::container::SnapshotSource;
use sandgate_infrastructure::sqlite::Retention;
use sandgate_shared::SecretString;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

const DEFAULT_LISTEN: &str = "127.0.0.1:4380";
/// Where a server keeps everything that is not told otherwise.
pub(crate) const DEFAULT_DATA_DIR: &str = "/var/lib/sandgate";

/// Room for the sandboxes that run to write, and for their ends to be noted.
const DEFAULT_MIN_FREE_MIB: u64 = 512;

/// A key that is easier to guess than this many characters allow is refused.
const MIN_KEY_LENGTH: usize = 20;

/// The flags of `sandgate serve`, each with its variable.
#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// Address and port to listen on [default: 127.0.0.1:4380]
    #[arg(long, env = "SANDGATE_LISTEN", value_name = "ADDR")]
    listen: Option<SocketAddr>,
    /// Where everything is kept; ours alone, 0700 [default: /var/lib/sandgate]
    #[arg(long, env = "SANDGATE_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// The address by which clients reach this server [default: the listen address]
    #[arg(long, env = "SANDGATE_PUBLIC_URL", value_name = "URL")]
    public_url: Option<String>,
    /// A TOML file for the rest
    #[arg(long, env = "SANDGATE_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// What to log, such as `info` or `sandgate=debug` [default: info]
    #[arg(long, env = "SANDGATE_LOG", value_name = "FILTER")]
    log: Option<String>,
    /// Start although this host cannot hold sandboxes to all of their limits; every sandbox then names those it lacks
    #[arg(long, env = "SANDGATE_ALLOW_UNENFORCED_LIMITS", num_args = 0..=1, require_equals = true,
        default_missing_value = "true", value_parser = BoolishValueParser::new(), value_name = "BOOL")]
    allow_unenforced_limits: Option<bool>,
    /// A key that is valid from the start, instead of a generated one. Only by environment: arguments are seen by all
    #[arg(skip = key_from_environment())]
    api_key: Option<SecretString>,
}

/// Everything that can be set, checked and filled in.
#[derive(Debug)]
pub(crate) struct Config {
    /// Where to listen.
    pub(crate) listen: SocketAddr,
    /// Where everything is kept.
    pub(crate) data_dir: PathBuf,
    /// How clients reach us; none means by the listen address.
    pub(crate) public_url: Option<String>,
    /// What to log.
    pub(crate) log: String,
    /// A key given from outside.
    pub(crate) api_key: Option<SecretString>,
    /// Filesystems that sandboxes may start from.
    pub(crate) snapshots: BTreeMap<SnapshotName, SnapshotSource>,
    /// How much one sandbox gets, and may ask for.
    pub(crate) limits: ResourceLimits,
    /// The longest that a sandbox may live, in minutes.
    pub(crate) max_lifetime: Option<u32>,
    /// How much there may be of all.
    pub(crate) quotas: Quotas,
    /// MiB of the data directory's disk that are kept free of new sandboxes.
    pub(crate) min_free_mib: u64,
    /// Whether to go on where a limit does not bind.
    pub(crate) allow_unenforced_limits: bool,
    /// How long what is over is kept.
    pub(crate) retention: Retention,
}

impl Config {
    /// Reads the file that `args` name, and puts all together.
    pub(crate) fn read(args: ServeArgs) -> anyhow::Result<Self> {
        let file = args.config.as_deref().map(FileConfig::read).transpose()?.unwrap_or_default();
        let listen = args.listen.or(file.listen);
        let config = Self {
            listen: listen
                .map_or_else(|| DEFAULT_LISTEN.parse(), Ok)
                .context("the default listen address")?,
            data_dir: args.data_dir.or(file.data_dir).unwrap_or_else(|| DEFAULT_DATA_DIR.into()),
            public_url: args.public_url.or(file.public_url).map(|url| public_url(&url)).transpose()?,
            log: args.log.or(file.log).unwrap_or_else(|| "info".to_owned()),
            api_key: args.api_key.map(strong_enough).transpose()?,
            snapshots: file.snapshots,
            limits: file.limits,
            max_lifetime: file.max_lifetime.filter(|minutes| *minutes > 0),
            quotas: file.quotas,
            min_free_mib: file.min_free_mib.unwrap_or(DEFAULT_MIN_FREE_MIB),
            allow_unenforced_limits: args
                .allow_unenforced_limits
                .or(file.allow_unenforced_limits)
                .unwrap_or_default(),
            retention: file.retention,
        };
        if config.listen.ip().is_unspecified() && config.public_url.is_none() {
            bail!("listening on every address, clients have to be told which one to use: give --public-url");
        }
        Ok(config)
    }
}

fn key_from_environment() -> Option<SecretString> {
    std::env::var("SANDGATE_API_KEY").ok().map(SecretString::from)
}

fn strong_enough(key: SecretString) -> anyhow::Result<SecretString> {
    use sandgate_shared::ExposeSecret;
    let text = key.expose_secret();
    if text.len() < MIN_KEY_LENGTH || !text.chars().all(|c| c.is_ascii_graphic()) {
        bail!(
            "SANDGATE_API_KEY must be at least {MIN_KEY_LENGTH} visible ASCII characters: `openssl rand -hex 32` makes a good one"
        );
    }
    Ok(key)
}

/// `http` or `https`, a host, no query; without the slash at its end.
fn public_url(url: &str) -> anyhow::Result<String> {
    let parsed: http::Uri = url.parse().with_context(|| format!("public URL {url:?}"))?;
    let known = matches!(parsed.scheme_str(), Some("http" | "https"));
    if !known || parsed.host().is_none() || parsed.query().is_some() {
        bail!("public URL {url:?} is not one: https://sandboxes.example is");
    }
    Ok(url.trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn args() -> ServeArgs {
        ServeArgs {
            listen: None,
            data_dir: None,
            public_url: None,
            config: None,
            log: None,
            allow_unenforced_limits: None,
            api_key: None,
        }
    }

    fn with_file(text: &str) -> (tempfile::NamedTempFile, ServeArgs) {
        let file = tempfile::NamedTempFile::new().expect("temporary file");
        std::fs::write(file.path(), text).expect("write");
        let path = file.path().to_owned();
        (file, ServeArgs { config: Some(path), ..args() })
    }

    #[test]
    fn defaults_listen_on_this_machine_alone() {
        let config = Config::read(args()).expect("defaults");
        assert!(config.listen.ip().is_loopback());
    }

    #[test]
    fn a_flag_wins_over_the_file() {
        let (_file, args) = with_file("listen = \"127.0.0.1:1\"\ndata_dir = \"/from-file\"\n");
        let args = ServeArgs { listen: Some("127.0.0.1:2".parse().expect("address")), ..args };
        let config = Config::read(args).expect("read");
        assert_eq!(config.listen.port(), 2);
        assert_eq!(config.data_dir, PathBuf::from("/from-file"));
    }

    #[test]
    fn an_unknown_key_is_an_error_that_names_it() {
        let (_file, args) = with_file("listne = \"127.0.0.1:1\"\n");
        let error = format!("{:#}", Config::read(args).expect_err("unknown key"));
        assert!(error.contains("listne"), "{error}");
    }

    #[test]
    fn snapshots_and_limits_come_from_the_file() {
        let (_file, args) = with_file(
            "[snapshots.tools]\npath = \"/srv/tools.tar\"\nuser = \"dev\"\n[limits.maximum]\nmemory = 32\n",
        );
        let config = Config::read(args).expect("read");
        let source = &config.snapshots[&SnapshotName::parse("tools").expect("name")];
        assert_eq!(source.user.as_ref().map(ToString::to_string).as_deref(), Some("dev"));
        assert_eq!((config.limits.maximum.memory_gib, config.limits.maximum.cpu), (32, 4));
    }

    #[test]
    fn what_is_over_is_kept_for_a_while_or_for_ever() {
        let days = |days: u64| Some(Duration::from_hours(24 * days));
        let usual = Retention { events: days(90), deleted: days(7) };
        assert_eq!(Config::read(args()).expect("defaults").retention, usual);
        let (_file, args) = with_file("[retention]\nevents_days = 0\n");
        assert_eq!(Config::read(args).expect("read").retention, Retention { events: None, ..usual });
    }

    #[test]
    fn room_is_kept_free_unless_somebody_says_otherwise() {
        assert_eq!(Config::read(args()).expect("defaults").min_free_mib, 512);
        let (_file, args) = with_file("[disk]\nmin_free_mib = 0\n");
        assert_eq!(Config::read(args).expect("read").min_free_mib, 0);
    }

    #[test]
    fn limits_bind_unless_somebody_says_otherwise() {
        assert!(!Config::read(args()).expect("defaults").allow_unenforced_limits);
        let (_file, args) = with_file("allow_unenforced_limits = true\n");
        assert!(Config::read(args).expect("read").allow_unenforced_limits);
    }

    #[test]
    fn every_address_needs_a_public_url() {
        let all = || ServeArgs { listen: Some("0.0.0.0:80".parse().expect("address")), ..args() };
        assert!(Config::read(all()).is_err());
        let told = ServeArgs { public_url: Some("https://sandboxes.example/".to_owned()), ..all() };
        assert_eq!(
            Config::read(told).expect("read").public_url.as_deref(),
            Some("https://sandboxes.example")
        );
    }

    #[test]
    fn a_weak_key_is_refused_without_being_shown() {
        let weak = ServeArgs { api_key: Some(SecretString::from("hunter2")), ..args() };
        let error = Config::read(weak).expect_err("weak").to_string();
        assert!(!error.contains("hunter2"), "{error}");
    }
}
