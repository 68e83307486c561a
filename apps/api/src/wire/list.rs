//! Lists of sandboxes: filters, order, pages.

use super::sandbox::{STATES, Sandbox, stances};
use crate::error::ApiError;
use sandgate_core::{ListQuery, Order, SortKey};
use sandgate_shared::ErrorCode;
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

/// The most that one page holds.
const MAX_LIMIT: u32 = 200;

/// One page of sandboxes.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SandboxPage {
    /// The sandboxes.
    pub(crate) items: Vec<Sandbox>,
    /// Where the next page begins; null at the end.
    pub(crate) next_cursor: Option<String>,
}

/// Which sandboxes, in which order. Only its description: [`ListParameters::parse`] reads the pairs, since keys may
/// stand several times.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "the fields describe the query in the OpenAPI file")]
pub(crate) struct ListParameters {
    /// Where the page before ended.
    cursor: Option<String>,
    /// 1 to 200; 100 otherwise.
    limit: Option<u32>,
    /// The beginning of an id.
    id: Option<String>,
    /// The beginning of a name.
    name: Option<String>,
    /// A JSON object: every one of these labels.
    labels: Option<String>,
    /// Any of these states; may stand several times.
    states: Option<String>,
    /// name, cpu, memoryGib, diskGib, lastActivityAt or createdAt.
    sort: Option<String>,
    /// asc or desc.
    order: Option<String>,
}

impl ListParameters {
    /// Reads the query; a filter that is not known would silently return too much, and is refused.
    pub(crate) fn parse(pairs: Vec<(String, String)>) -> Result<ListQuery, ApiError> {
        let mut query = ListQuery::default();
        let mut states = Vec::new();
        for (key, value) in pairs.into_iter().filter(|(_, value)| !value.is_empty()) {
            match key.as_str() {
                "cursor" => query.cursor = Some(value),
                "limit" => query.limit = limit(&value)?,
                "id" => query.id_prefix = Some(value),
                "name" => query.name_prefix = Some(value),
                "labels" => query.labels = labels(&value)?,
                "states" => states.push(known_state(value)?),
                "sort" => query.sort = sort(&value)?,
                "order" => query.order = order(&value)?,
                // Neither kind exists here, so that leaving them out or in is the same.
                "includeErroredDeleted" | "includeWarm" => {}
                _ => return Err(ApiError::not_supported(&format!("the filter `{key}`"))),
            }
        }
        query.states = states.iter().flat_map(|word| stances(word)).collect();
        if !states.is_empty() && query.states.is_empty() {
            // States that no sandbox of ours ever has: nothing is in them, not everything.
            query.limit = 0;
        }
        Ok(query)
    }
}

fn bad(message: String) -> ApiError {
    ApiError::new(ErrorCode::BadRequest, message)
}

fn limit(text: &str) -> Result<u32, ApiError> {
    let limit = text.parse().ok().filter(|limit| (1..=MAX_LIMIT).contains(limit));
    limit.ok_or_else(|| bad(format!("limit must be a number from 1 to {MAX_LIMIT}")))
}

/// Old clients send `null` for no labels.
fn labels(text: &str) -> Result<std::collections::BTreeMap<String, String>, ApiError> {
    let labels: Option<_> = serde_json::from_str(text)
        .map_err(|error| bad(format!("labels must be a JSON object of texts: {error}")))?;
    Ok(labels.unwrap_or_default())
}

fn known_state(word: String) -> Result<String, ApiError> {
    if STATES.contains(&word.as_str()) {
        Ok(word)
    } else {
        Err(bad(format!("{word:?} is not a state of a sandbox")))
    }
}

fn sort(text: &str) -> Result<SortKey, ApiError> {
    Ok(match text {
        "name" => SortKey::Name,
        "cpu" => SortKey::Cpu,
        "memoryGib" => SortKey::Memory,
        "diskGib" => SortKey::Disk,
        "lastActivityAt" => SortKey::LastActivityAt,
        "createdAt" => SortKey::CreatedAt,
        _ => {
            return Err(bad(
                "sort must be name, cpu, memoryGib, diskGib, lastActivityAt or createdAt".to_owned()
            ));
        }
    })
}

/// `asc` or `desc`.
pub(super) fn order(text: &str) -> Result<Order, ApiError> {
    match text {
        "asc" => Ok(Order::Ascending),
        "desc" => Ok(Order::Descending),
        _ => Err(bad("order must be asc or desc".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<ListQuery, ApiError> {
        ListParameters::parse(form_urlencoded::parse(text.as_bytes()).into_owned().collect())
    }

    #[test]
    fn repeated_states_are_all_meant() {
        let query = parse("states=started&states=stopped").expect("parse");
        assert_eq!(query.states.len(), 2);
    }

    #[test]
    fn a_state_that_nothing_has_matches_nothing() {
        assert_eq!(parse("states=archived").expect("parse").limit, 0);
    }

    #[test]
    fn labels_are_json_and_may_be_null() {
        assert_eq!(parse("labels=%7B%22a%22%3A%22b%22%7D").expect("parse").labels["a"], "b");
        assert!(parse("labels=null").expect("parse").labels.is_empty());
        assert!(parse("labels=a%3Db").is_err());
    }

    #[test]
    fn limits_and_unknown_filters_are_checked() {
        for bad in ["limit=0", "limit=201", "limit=x", "states=dancing", "sort=x", "order=up", "minCpu=2"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
