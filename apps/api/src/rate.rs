//! The header fields that tell a rate. Never a plain `Retry-After`: Daytona's clients would ask again by themselves.

use http::{HeaderMap, HeaderName, HeaderValue};
use sandgate_core::Rate;

const LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit-sandbox-create");
const REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining-sandbox-create");
const RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset-sandbox-create");
const RETRY_AFTER: HeaderName = HeaderName::from_static("retry-after-sandbox-create");

/// Of an answer to a create that was admitted.
pub(crate) fn headers(rate: &Rate) -> HeaderMap {
    HeaderMap::from_iter([
        (LIMIT, HeaderValue::from(rate.limit)),
        (REMAINING, HeaderValue::from(rate.remaining)),
        (RESET, HeaderValue::from(rate.reset_seconds())),
    ])
}

/// Of an answer to a create that came too soon.
pub(crate) fn refusal(rate: &Rate) -> HeaderMap {
    let mut headers = headers(rate);
    headers.insert(RETRY_AFTER, HeaderValue::from(rate.reset_seconds()));
    headers
}
