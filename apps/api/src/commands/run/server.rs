//! The server that is asked: one that is named, or one of our own for this one run.

use super::ephemeral::Ephemeral;
use anyhow::{Context, bail};
use http::Uri;
use http::uri::Authority;
use sandgate_shared::SecretString;
use std::fmt;

/// Variables with a server's address, each with the one for its key. A key goes to the address of another pair only if
/// that has none of its own.
const PAIRS: [(&str, &str); 2] =
    [("SANDGATE_URL", "SANDGATE_API_KEY"), ("DAYTONA_API_URL", "DAYTONA_API_KEY")];

/// A server that can be asked.
pub(super) enum Server {
    /// Somebody else's: it was there before and stays.
    Named(Address),
    /// Ours: it goes with us.
    Own(Ephemeral),
}

/// Where a server is, and what opens it.
pub(super) struct Address {
    /// Host and port.
    pub(super) authority: Authority,
    /// What comes before the paths of its API; without a slash at its end.
    pub(super) prefix: String,
    /// An API key.
    pub(super) key: SecretString,
}

impl Server {
    /// The server that was named here or in the environment, and otherwise a new one.
    pub(super) async fn find(named: Option<String>, allow_unenforced_limits: bool) -> anyhow::Result<Self> {
        match configured(named, |name| std::env::var(name).ok().filter(|value| !value.is_empty()))? {
            Some(address) => Ok(Self::Named(address)),
            None => Ephemeral::start(allow_unenforced_limits).await.map(Self::Own),
        }
    }

    pub(super) fn address(&self) -> &Address {
        match self {
            Self::Named(address) => address,
            Self::Own(server) => server.address(),
        }
    }

    /// Ends what is ours.
    pub(super) async fn end(self) {
        if let Self::Own(server) = self {
            server.end().await;
        }
    }
}

fn configured(
    named: Option<String>,
    variable: impl Fn(&str) -> Option<String>,
) -> anyhow::Result<Option<Address>> {
    let from_environment = || PAIRS.iter().find_map(|(url, key)| Some((variable(url)?, *key)));
    let Some((url, its_key)) = named.map(|url| (url, PAIRS[0].1)).or_else(from_environment) else {
        return Ok(None);
    };
    let key = [its_key, PAIRS[0].1, PAIRS[1].1].into_iter().find_map(variable);
    let Some(key) = key else { bail!("a server is named and no key to it: set {its_key}") };
    Address::parse(&url, key.into()).map(Some)
}

impl Address {
    /// Reads a URL such as `http://127.0.0.1:4380`; an `/api` at its end is how Daytona's clients name the same server.
    pub(super) fn parse(url: &str, key: SecretString) -> anyhow::Result<Self> {
        let parsed: Uri = url.parse().with_context(|| format!("{url:?} is not a URL"))?;
        let (Some("http"), Some(authority)) = (parsed.scheme_str(), parsed.authority()) else {
            bail!(
                "{url:?} cannot be asked: http://HOST:PORT is wanted, which for https has to be a proxy here"
            );
        };
        let path = parsed.path().trim_end_matches('/');
        let prefix = path.strip_suffix("/api").unwrap_or(path).to_owned();
        Ok(Self { authority: authority.clone(), prefix, key })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}{}", self.authority, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sandgate_shared::ExposeSecret;

    type Pairs<'a> = [(&'a str, &'a str)];

    /// The address and key that these variables lead to.
    fn found(named: Option<&str>, variables: &Pairs<'_>) -> (String, String) {
        let address = configured(named.map(ToOwned::to_owned), |name| value(variables, name));
        let address = address.expect("a good address").expect("one that is configured");
        (address.to_string(), address.key.expose_secret().to_owned())
    }

    fn value(variables: &Pairs<'_>, name: &str) -> Option<String> {
        variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
    }

    fn pair(url: &str, key: &str) -> (String, String) {
        (url.to_owned(), key.to_owned())
    }

    #[test]
    fn each_address_has_the_key_of_its_own() {
        let ours = [("SANDGATE_URL", "http://a:1/"), ("SANDGATE_API_KEY", "s")];
        let theirs = [("DAYTONA_API_URL", "http://b:2/x/api"), ("DAYTONA_API_KEY", "d")];
        assert_eq!(found(None, &ours), pair("http://a:1", "s"));
        assert_eq!(found(None, &theirs), pair("http://b:2/x", "d"));
        assert_eq!(found(None, &[ours, theirs].concat()), pair("http://a:1", "s"));
        assert_eq!(found(None, &[&ours[1..], &theirs].concat()), pair("http://b:2/x", "d"));
        assert_eq!(found(None, &[ours[0], theirs[1]]), pair("http://a:1", "d"));
        assert_eq!(found(Some("http://c:3/api/"), &[ours, theirs].concat()), pair("http://c:3", "s"));
        let keys = [ours[1], theirs[1]];
        assert!(configured(None, |name| value(&keys, name)).expect("nothing wrong").is_none());
    }

    #[test]
    fn an_address_that_cannot_be_asked_is_refused() {
        for url in ["https://a", "a:1", "/x", "", "http://"] {
            assert!(Address::parse(url, "k".into()).is_err(), "{url}");
        }
        assert!(configured(Some("http://a".to_owned()), |_| None).is_err(), "without a key");
    }
}
