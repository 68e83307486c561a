//! Which headers pass, in either direction.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};

/// Between two hops alone; never passed on.
const HOP_BY_HOP: &[HeaderName] = &[
    header::CONNECTION,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// Ours, or about who asks: nothing that runs in a sandbox may learn it.
const PRIVATE: &[HeaderName] = &[header::AUTHORIZATION, header::COOKIE, header::HOST, header::FORWARDED];

/// The beginnings of names that proxies, this server and Daytona's own proxy use among themselves.
const INTERNAL: &[&str] = &["x-forwarded-", "x-real-ip", "x-sandgate-", "x-daytona-", "keep-alive", "proxy-"];

/// The toolbox chooses the format of its answers by these.
const KEPT: &[&str] = &["x-daytona-sdk-version", "x-daytona-source", "x-daytona-split-output"];

/// What a toolbox may say about its answer.
const OUTBOUND: &[HeaderName] = &[
    header::ACCEPT_RANGES,
    header::ALLOW,
    header::CACHE_CONTROL,
    header::CONTENT_DISPOSITION,
    header::CONTENT_LENGTH,
    header::CONTENT_RANGE,
    header::CONTENT_TYPE,
    header::ETAG,
    header::LAST_MODIFIED,
    header::RETRY_AFTER,
];

/// Takes from a request what must not reach a sandbox.
pub(super) fn clean_inbound(headers: &mut HeaderMap) {
    for name in named_by_connection(headers) {
        headers.remove(name);
    }
    for name in HOP_BY_HOP.iter().chain(PRIVATE) {
        headers.remove(name);
    }
    let internal: Vec<HeaderName> =
        headers.keys().filter(|name| is_internal(name.as_str())).cloned().collect();
    for name in internal {
        headers.remove(name);
    }
}

fn is_internal(name: &str) -> bool {
    !KEPT.contains(&name) && INTERNAL.iter().any(|prefix| name.starts_with(prefix))
}

/// `Connection: x` makes `x` a matter between two hops.
fn named_by_connection(headers: &HeaderMap) -> Vec<HeaderName> {
    let values = headers.get_all(header::CONNECTION).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).filter_map(|name| name.trim().parse().ok()).collect()
}

/// Keeps of an answer what is allowed, and sees to it that no browser runs what is in it as a page of ours.
pub(super) fn clean_outbound(headers: &HeaderMap, path: &str) -> HeaderMap {
    let mut clean = HeaderMap::new();
    for name in OUTBOUND {
        if let Some(value) = headers.get(name) {
            clean.insert(name, value.clone());
        }
    }
    clean.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    clean.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox"));
    if path.ends_with("/files/download") && !is_attachment(&clean) {
        clean.insert(header::CONTENT_DISPOSITION, HeaderValue::from_static("attachment"));
    }
    clean
}

fn is_attachment(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_DISPOSITION).is_some_and(|value| value.as_bytes().starts_with(b"attachment"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect()
    }

    #[test]
    fn what_is_ours_does_not_go_in() {
        let mut inbound = headers(&[
            ("authorization", "Bearer secret"),
            ("cookie", "a=b"),
            ("connection", "close, x-mine"),
            ("x-mine", "1"),
            ("x-forwarded-for", "1.2.3.4"),
            ("x-daytona-organization-id", "o"),
            ("x-daytona-sdk-version", "0.226.1"),
            ("transfer-encoding", "chunked"),
            ("content-type", "application/json"),
            ("content-length", "3"),
        ]);
        clean_inbound(&mut inbound);
        let mut left: Vec<_> = inbound.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["content-length", "content-type", "x-daytona-sdk-version"]);
    }

    #[test]
    fn a_sandbox_cannot_set_cookies_or_be_a_page() {
        let outbound = headers(&[("set-cookie", "a=b"), ("content-type", "text/html"), ("location", "/")]);
        let clean = clean_outbound(&outbound, "/files/download");
        assert!(!clean.contains_key("set-cookie") && !clean.contains_key("location"));
        assert_eq!(clean["content-type"], "text/html");
        assert_eq!(clean["content-security-policy"], "sandbox");
        assert_eq!(clean["content-disposition"], "attachment");
    }
}
