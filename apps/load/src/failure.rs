//! Why a call did not do what it was asked to, in classes that can be counted.

use std::error::Error;
use std::fmt;

use rustix::io::Errno;
use sandgate_toolbox_api::ClientError;

/// The class of failures that are the generator's own: it ran out of descriptors or of ports.
pub(crate) const OWN: &str = "generator";

/// What this machine says when it is the client that has no room.
const OWN_ERRORS: [Errno; 4] = [Errno::MFILE, Errno::NFILE, Errno::ADDRNOTAVAIL, Errno::NOBUFS];

/// A call that failed.
#[derive(Debug)]
pub(crate) struct Failure {
    /// Short and the same for all of a kind, such as `503 RESOURCE_EXHAUSTED` or `timeout`.
    pub(crate) class: String,
    /// One sentence about this one.
    pub(crate) message: String,
}

impl Failure {
    /// An answer that came, and is not what the command gives.
    pub(crate) fn wrong(message: impl Into<String>) -> Self {
        Self { class: "wrong answer".to_owned(), message: message.into() }
    }

    /// No answer within the time that the generator waits.
    pub(crate) fn timeout() -> Self {
        Self { class: "timeout".to_owned(), message: "no answer".to_owned() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.class, self.message)
    }
}

impl Error for Failure {}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        Self { class: class(&error), message: chain(&error) }
    }
}

fn class(error: &ClientError) -> String {
    if is_own(error) {
        return OWN.to_owned();
    }
    match error {
        ClientError::Refused { status, body } => {
            let code = body.code.as_deref().unwrap_or_default();
            format!("{} {code}", status.as_u16()).trim_end().to_owned()
        }
        ClientError::Unreachable(_) => "unreachable".to_owned(),
        ClientError::Interrupted(_) => "interrupted".to_owned(),
        ClientError::TooLarge { .. } => "too large".to_owned(),
        ClientError::Malformed(_) => "malformed".to_owned(),
    }
}

fn is_own(error: &ClientError) -> bool {
    causes(error).any(|cause| {
        let code = cause.downcast_ref::<std::io::Error>().and_then(std::io::Error::raw_os_error);
        code.is_some_and(|code| OWN_ERRORS.iter().any(|own| own.raw_os_error() == code))
    })
}

fn chain(error: &ClientError) -> String {
    causes(error).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

fn causes<'e>(error: &'e (dyn Error + 'static)) -> impl Iterator<Item = &'e (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| (*error).source())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_counted_by_status_and_code() {
        let body = r#"{"statusCode":507,"message":"full","code":"DISK_FULL","timestamp":"t","path":"/p"}"#;
        let body = Box::new(serde_json::from_str(body).unwrap());
        let refused = ClientError::Refused { status: http::StatusCode::INSUFFICIENT_STORAGE, body };
        assert_eq!(Failure::from(refused).class, "507 DISK_FULL");
    }

    #[test]
    fn what_the_client_lacks_is_not_the_servers_failure() {
        let of = |code: i32| ClientError::Unreachable(std::io::Error::from_raw_os_error(code).into());
        assert_eq!(Failure::from(of(Errno::MFILE.raw_os_error())).class, OWN);
        assert_eq!(Failure::from(of(Errno::CONNREFUSED.raw_os_error())).class, "unreachable");
    }
}
