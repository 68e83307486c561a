//! Events as JSON: pages of them, lines of them, and the questions that lead there. Ours; Daytona has no such thing.

use super::list;
use super::sandbox::rfc3339;
use crate::error::ApiError;
use sandgate_core::{EventQuery, InvalidHead, Recorded, Timestamp};
use sandgate_shared::ErrorCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// The most that one page holds.
pub(crate) const MAX_LIMIT: u32 = 1000;

/// Who did what to which sandbox, bound to everything before it by its hash.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Event {
    /// Its place among all events of this server; 1 is the first, and there are no gaps.
    seq: u64,
    /// When, in RFC 3339.
    at: String,
    /// Whose sandbox.
    organization_id: String,
    /// Which sandbox.
    sandbox_id: String,
    /// What happened.
    #[schema(example = "sandbox.stop-requested")]
    kind: String,
    /// Who did it: `key:ID`, `timer`, `reconciler`, `provider`, `server`, or `unknown` in events of an old version.
    actor: String,
    /// One clause more, such as the cause of a failure.
    detail: Option<String>,
    /// SHA-256 over this event and the hash of the one before it.
    hash: String,
}

/// One page of events.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EventPage {
    /// The events.
    pub(crate) events: Vec<Event>,
    /// What to give as `after` for the next page; null at the end.
    pub(crate) next: Option<u64>,
}

/// An event that cannot be what a server wrote.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InvalidEvent {
    /// No moment.
    #[error("{0:?} is not a time")]
    Time(String),
    /// No hash.
    #[error("{0:?} is not a hash")]
    Hash(String),
}

impl From<Recorded> for Event {
    fn from(event: Recorded) -> Self {
        Self {
            seq: event.seq,
            at: rfc3339(event.at),
            organization_id: event.organization,
            sandbox_id: event.sandbox,
            kind: event.kind,
            actor: event.actor,
            detail: event.detail,
            hash: event.hash.to_string(),
        }
    }
}

impl TryFrom<Event> for Recorded {
    type Error = InvalidEvent;

    fn try_from(event: Event) -> Result<Self, InvalidEvent> {
        let at: jiff::Timestamp = event.at.parse().map_err(|_| InvalidEvent::Time(event.at.clone()))?;
        let hash = event.hash.parse().map_err(|_: InvalidHead| InvalidEvent::Hash(event.hash.clone()))?;
        Ok(Self {
            seq: event.seq,
            at: Timestamp::from_millis(at.as_millisecond()),
            organization: event.organization_id,
            sandbox: event.sandbox_id,
            kind: event.kind,
            actor: event.actor,
            detail: event.detail,
            hash,
        })
    }
}

/// Which events, in which order. Only its description: [`EventParameters::parse`] reads the pairs.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "the fields describe the query in the OpenAPI file")]
pub(crate) struct EventParameters {
    /// The `seq` or `next` where the page before ended.
    after: Option<u64>,
    /// 1 to 1000; 100 otherwise. Not for an export, which has all.
    limit: Option<u32>,
    /// The id of a sandbox, which may be gone.
    sandbox: Option<String>,
    /// The beginning of a kind, such as `sandbox.` or `sandbox.deleted`.
    kind: Option<String>,
    /// asc, the oldest first, or desc.
    order: Option<String>,
}

impl EventParameters {
    /// Reads the query; what is not known would silently return too much, and is refused.
    pub(crate) fn parse(pairs: Vec<(String, String)>) -> Result<EventQuery, ApiError> {
        let mut query = EventQuery::default();
        for (key, value) in pairs.into_iter().filter(|(_, value)| !value.is_empty()) {
            match key.as_str() {
                "after" => {
                    let seq = value.parse().map_err(|_| bad("after must be the `seq` of an event"))?;
                    query.after = Some(seq);
                }
                "limit" => query.limit = limit(&value)?,
                "sandbox" => {
                    let id = value.parse().map_err(|_| bad("sandbox must be the id of a sandbox, a UUID"))?;
                    query.sandbox = Some(id);
                }
                "kind" => query.kind_prefix = Some(value),
                "order" => query.order = list::order(&value)?,
                _ => return Err(bad(&format!("`{key}` is not one of after, limit, sandbox, kind, order"))),
            }
        }
        Ok(query)
    }

    /// As [`Self::parse`], for all events at once.
    pub(crate) fn parse_export(pairs: Vec<(String, String)>) -> Result<EventQuery, ApiError> {
        if pairs.iter().any(|(key, _)| key == "limit") {
            return Err(bad("limit is for pages: an export has all events, from `after` on"));
        }
        Ok(EventQuery { limit: MAX_LIMIT, ..Self::parse(pairs)? })
    }
}

fn limit(text: &str) -> Result<u32, ApiError> {
    let limit = text.parse().ok().filter(|limit| (1..=MAX_LIMIT).contains(limit));
    limit.ok_or_else(|| bad(&format!("limit must be a number from 1 to {MAX_LIMIT}")))
}

fn bad(message: &str) -> ApiError {
    ApiError::new(ErrorCode::BadRequest, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sandgate_core::{EventHash, Order};

    fn pairs(text: &str) -> Vec<(String, String)> {
        form_urlencoded::parse(text.as_bytes()).into_owned().collect()
    }

    #[test]
    fn a_query_is_read_whole() {
        let id = "0198c0de-0000-7000-8000-000000000001";
        let text = format!("after=7&limit=1000&sandbox={id}&kind=sandbox.st&order=desc");
        let query = EventParameters::parse(pairs(&text)).expect("parse");
        let sandbox = Some(id.parse().expect("an id"));
        let kind_prefix = Some("sandbox.st".to_owned());
        assert_eq!(
            query,
            EventQuery { limit: 1000, after: Some(7), sandbox, kind_prefix, order: Order::Descending }
        );
    }

    #[test]
    fn what_is_wrong_or_unknown_is_refused() {
        for wrong in ["after=-1", "after=x", "limit=0", "limit=1001", "sandbox=one", "order=up", "kinds=a"] {
            assert!(EventParameters::parse(pairs(wrong)).is_err(), "{wrong}");
        }
        assert!(EventParameters::parse_export(pairs("limit=5")).is_err());
    }

    #[test]
    fn a_line_leads_back_to_its_event() {
        let event = Recorded {
            seq: u64::MAX,
            at: Timestamp::from_millis(1_800_000_000_007),
            organization: "o".to_owned(),
            sandbox: "s".to_owned(),
            kind: "k".to_owned(),
            actor: "a".to_owned(),
            detail: Some("\u{0}\n“ü”".to_owned()),
            hash: EventHash([0xab; 32]),
        };
        let line = serde_json::to_string(&Event::from(event.clone())).expect("JSON");
        let read: Event = serde_json::from_str(&line).expect("an event");
        assert_eq!(Recorded::try_from(read).expect("an event"), event);
    }
}
