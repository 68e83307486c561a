//! Requests that no route serves: parts of the API that this daemon does not have yet, and mistakes.

use axum::http::{Method, Uri};
use sandgate_toolbox_api::ErrorCode;

use crate::error::Fault;

/// The rest of the API. A table and not routes, so that nothing is built for it at start.
const UNSERVED: [(&str, &str); 78] = [
    ("/computeruse/a11y/find", "POST"),
    ("/computeruse/a11y/node/focus", "POST"),
    ("/computeruse/a11y/node/invoke", "POST"),
    ("/computeruse/a11y/node/value", "POST"),
    ("/computeruse/a11y/tree", "GET"),
    ("/computeruse/display/info", "GET"),
    ("/computeruse/display/windows", "GET"),
    ("/computeruse/keyboard/hotkey", "POST"),
    ("/computeruse/keyboard/key", "POST"),
    ("/computeruse/keyboard/type", "POST"),
    ("/computeruse/mouse/click", "POST"),
    ("/computeruse/mouse/drag", "POST"),
    ("/computeruse/mouse/move", "POST"),
    ("/computeruse/mouse/position", "GET"),
    ("/computeruse/mouse/scroll", "POST"),
    ("/computeruse/process-status", "GET"),
    ("/computeruse/process/{processName}/errors", "GET"),
    ("/computeruse/process/{processName}/logs", "GET"),
    ("/computeruse/process/{processName}/restart", "POST"),
    ("/computeruse/process/{processName}/status", "GET"),
    ("/computeruse/recordings", "GET"),
    ("/computeruse/recordings/start", "POST"),
    ("/computeruse/recordings/stop", "POST"),
    ("/computeruse/recordings/{id}", "DELETE GET"),
    ("/computeruse/recordings/{id}/download", "GET"),
    ("/computeruse/screenshot", "GET"),
    ("/computeruse/screenshot/compressed", "GET"),
    ("/computeruse/screenshot/region", "GET"),
    ("/computeruse/screenshot/region/compressed", "GET"),
    ("/computeruse/start", "POST"),
    ("/computeruse/status", "GET"),
    ("/computeruse/stop", "POST"),
    ("/env", "POST"),
    ("/files/find", "GET"),
    ("/files/replace", "POST"),
    ("/files/search", "GET"),
    ("/git/add", "POST"),
    ("/git/branches", "DELETE GET POST"),
    ("/git/checkout", "POST"),
    ("/git/clone", "POST"),
    ("/git/commit", "POST"),
    ("/git/config", "GET POST"),
    ("/git/config/user", "POST"),
    ("/git/credentials", "POST"),
    ("/git/history", "GET"),
    ("/git/init", "POST"),
    ("/git/pull", "POST"),
    ("/git/push", "POST"),
    ("/git/remotes", "GET POST"),
    ("/git/reset", "POST"),
    ("/git/restore", "POST"),
    ("/git/status", "GET"),
    ("/init", "POST"),
    ("/lsp/completions", "POST"),
    ("/lsp/did-close", "POST"),
    ("/lsp/did-open", "POST"),
    ("/lsp/document-symbols", "GET"),
    ("/lsp/start", "POST"),
    ("/lsp/stop", "POST"),
    ("/lsp/workspacesymbols", "GET"),
    ("/port", "GET"),
    ("/port/{port}/in-use", "GET"),
    ("/process/code-run", "POST"),
    ("/process/interpreter/context", "GET POST"),
    ("/process/interpreter/context/{id}", "DELETE"),
    ("/process/interpreter/execute", "GET"),
    ("/process/pty", "GET POST"),
    ("/process/pty/{sessionId}", "DELETE GET"),
    ("/process/pty/{sessionId}/connect", "GET"),
    ("/process/pty/{sessionId}/resize", "POST"),
    ("/process/session", "GET POST"),
    ("/process/session/entrypoint", "GET"),
    ("/process/session/entrypoint/logs", "GET"),
    ("/process/session/{sessionId}", "DELETE GET"),
    ("/process/session/{sessionId}/command/{commandId}", "GET"),
    ("/process/session/{sessionId}/command/{commandId}/input", "POST"),
    ("/process/session/{sessionId}/command/{commandId}/logs", "GET"),
    ("/process/session/{sessionId}/exec", "POST"),
];

/// 501 for a part of the API that is not served, 405 for a wrong method of it, else 404.
pub(crate) async fn fallback(method: Method, uri: Uri) -> Fault {
    match UNSERVED.iter().find(|(template, _)| matches(template, uri.path())) {
        Some((_, methods)) if methods.split(' ').any(|known| known == method.as_str()) => {
            let text = format!("{method} {} is not supported by this sandbox's toolbox", uri.path());
            Fault::new(ErrorCode::NotSupported, text)
        }
        Some(_) => method_not_allowed(method, uri).await,
        None => Fault::new(ErrorCode::NotFound, format!("no such route: {}", uri.path())),
    }
}

/// 405, for a path that exists.
pub(crate) async fn method_not_allowed(method: Method, uri: Uri) -> Fault {
    Fault::new(ErrorCode::MethodNotAllowed, format!("{} does not take {method}", uri.path()))
}

/// Whether `path` is an instance of `template`, in which `{name}` stands for one segment.
fn matches(template: &str, path: &str) -> bool {
    let (mut wanted, mut given) = (template.split('/'), path.trim_end_matches('/').split('/'));
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => return true,
            (Some(wanted), Some(given)) if wanted == given => {}
            (Some(wanted), Some(given)) if wanted.starts_with('{') && !given.is_empty() => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_placeholder_stands_for_exactly_one_segment() {
        assert!(matches("/process/pty/{sessionId}", "/process/pty/a%20b"));
        assert!(!matches("/process/pty/{sessionId}", "/process/pty/"));
        assert!(!matches("/process/pty/{sessionId}", "/process/pty/a/connect"));
        assert!(matches("/git/status", "/git/status/"));
    }
}
