//! What is not served: known to Daytona's API, or to nobody.

use crate::error::ApiError;
use http::{Method, Uri};
use sandgate_shared::ErrorCode;

/// The areas of Daytona's API that are not served as a whole.
const AREAS: &[&str] = &[
    "admin",
    "api-keys",
    "audit",
    "config",
    "docker-registry",
    "jobs",
    "object-storage",
    "organizations",
    "preview",
    "regions",
    "runners",
    "secret",
    "shared-regions",
    "snapshots",
    "toolbox",
    "users",
    "volumes",
    "warm-pools",
    "webhooks",
];

/// What may follow a sandbox's id in Daytona's API and is not served.
const VERBS: &[&str] = &[
    "ancestors",
    "archive",
    "autopause",
    "backup",
    "build-logs",
    "build-logs-url",
    "fork",
    "forks",
    "network-settings",
    "organization",
    "parent",
    "pause",
    "ports",
    "public",
    "recover",
    "region-quota",
    "resize",
    "secrets",
    "signing-key",
    "snapshot",
    "ssh-access",
    "state",
    "telemetry",
    "toolbox-proxy-url",
];

/// 501 for what Daytona has, 404 for what nobody has.
pub(super) async fn not_served(method: Method, uri: Uri) -> ApiError {
    let path = uri.path();
    if is_daytonas(path) {
        ApiError::not_supported(&format!("{method} {path}"))
    } else {
        ApiError::new(ErrorCode::NotFound, format!("Cannot {method} {path}"))
    }
}

/// The path is served, by another method.
pub(super) async fn method_not_allowed(method: Method, uri: Uri) -> ApiError {
    ApiError::new(ErrorCode::MethodNotAllowed, format!("Cannot {method} {}", uri.path()))
}

fn is_daytonas(path: &str) -> bool {
    let mut parts = path.trim_start_matches('/').split('/');
    if parts.next() != Some("api") {
        return false;
    }
    match (parts.next(), parts.next(), parts.next()) {
        (Some("sandbox"), Some("paginated" | "for-runner"), None)
        | (Some("sandbox"), Some("ssh-access"), Some(_)) => true,
        (Some("sandbox"), Some(_), Some(verb)) => VERBS.contains(&verb),
        (Some(area), _, _) => AREAS.contains(&area),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::is_daytonas;

    #[test]
    fn what_daytona_has_is_told_apart_from_what_nobody_has() {
        for theirs in
            ["/api/snapshots", "/api/sandbox/x/archive", "/api/sandbox/x/ports/1/preview-url", "/api/config"]
        {
            assert!(is_daytonas(theirs), "{theirs}");
        }
        for nobodys in ["/", "/api", "/api/nothing", "/snapshots", "/api/sandbox/x/dance", "/admin"] {
            assert!(!is_daytonas(nobodys), "{nobodys}");
        }
    }
}
