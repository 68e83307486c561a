//! `GET /v1/events`: who did what to which sandbox. Ours; Daytona's API has nothing like it.

use super::ControlState;
use crate::auth::Caller;
use crate::error::{ApiError, ErrorBody};
use crate::extract::QueryPairs;
use crate::wire::{Event, EventPage, EventParameters};
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream::unfold;
use http::HeaderMap;
use http::header::{ACCEPT, CONTENT_TYPE};
use sandgate_core::{EventQuery, EventRepository, OrganizationId, Recorded, RepositoryError};
use std::sync::Arc;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

const LINES: &str = "application/x-ndjson";

pub(super) fn router() -> OpenApiRouter<ControlState> {
    OpenApiRouter::new().routes(routes!(events))
}

/// What was done to the organization's sandboxes, and by whom.
///
/// A page of events, the oldest first unless `order=desc`. With `Accept: application/x-ndjson` all of them, one JSON
/// object a line, from `after` on: an answer that breaks off is not complete, and is taken up after its last line.
#[utoipa::path(get, path = "/events", tag = "events", security(("bearer" = [])), params(EventParameters),
    responses((status = 200, content((EventPage = "application/json"), (String = "application/x-ndjson"))),
        (status = 400, body = ErrorBody), (status = 401, body = ErrorBody)))]
async fn events(
    caller: Caller,
    State(state): State<ControlState>,
    headers: HeaderMap,
    QueryPairs(pairs): QueryPairs,
) -> Result<Response, ApiError> {
    if wants_lines(&headers) {
        let query = EventParameters::parse_export(pairs)?;
        return Ok(Export { events: state.events, organization: caller.organization, query }.respond());
    }
    let query = EventParameters::parse(pairs)?;
    let page = state.events.events(caller.organization, &query).await?;
    let next = after(&page, &query);
    Ok(Json(EventPage { events: page.into_iter().map(Event::from).collect(), next }).into_response())
}

fn wants_lines(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let mut kinds = accepted.flat_map(|value| value.split(',')).filter_map(|kind| kind.split(';').next());
    kinds.any(|kind| kind.trim().eq_ignore_ascii_case(LINES))
}

/// Where the next page begins. A page that is not full was the last.
fn after(page: &[Recorded], query: &EventQuery) -> Option<u64> {
    page.last().filter(|_| page.len() == query.limit as usize).map(|last| last.seq)
}

/// All events, page by page: however many they are and however slowly they are read, one page is in memory.
struct Export {
    events: Arc<dyn EventRepository>,
    organization: OrganizationId,
    query: EventQuery,
}

impl Export {
    fn respond(self) -> Response {
        let pages = unfold(Some(self), async |export| export?.next().await);
        ([(CONTENT_TYPE, LINES)], Body::from_stream(pages)).into_response()
    }

    /// The next page, and what comes after it. An error breaks the answer off, so that nobody takes it for the whole.
    async fn next(mut self) -> Option<(Result<Bytes, RepositoryError>, Option<Self>)> {
        let page = match self.events.events(self.organization, &self.query).await {
            Ok(page) => page,
            Err(error) => {
                tracing::warn!(error = %error, "an export of events was broken off");
                return Some((Err(error), None));
            }
        };
        let after = after(&page, &self.query);
        self.query.after = after;
        Some((Ok(lines(page)), after.map(|_| self)))
    }
}

fn lines(page: Vec<Recorded>) -> Bytes {
    let mut lines = Vec::new();
    for event in page {
        serde_json::to_writer(&mut lines, &Event::from(event)).expect("an event is JSON");
        lines.push(b'\n');
    }
    lines.into()
}
