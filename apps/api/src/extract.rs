//! Reading requests: bodies and queries, with errors that say which field is wrong.

use crate::error::ApiError;
use crate::routes::MAX_BODY;
use axum::body::{Bytes, HttpBody};
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, FromRequestParts, Request};
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderMap, StatusCode};
use sandgate_shared::ErrorCode;
use serde::de::DeserializeOwned;
use std::time::Duration;

/// A body of the control plane is small; whoever takes longer to send it holds a connection for nothing.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// A JSON body.
pub(crate) struct Json<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        if !is_json(request.headers()) {
            return Err(ApiError::new(
                ErrorCode::UnsupportedMediaType,
                "the body must be sent as application/json",
            ));
        }
        // Refused by the length that it announces: whoever announces more than is read here may never send it.
        if request.body().size_hint().lower() > MAX_BODY as u64 {
            return Err(too_large());
        }
        let bytes = tokio::time::timeout(BODY_TIMEOUT, Bytes::from_request(request, state)).await;
        let bytes = bytes.map_err(|_| too_slow())?.map_err(|rejection| unreadable(&rejection))?;
        let mut json = serde_json::Deserializer::from_slice(&bytes);
        let value = serde_path_to_error::deserialize(&mut json).map_err(|error| invalid(&error))?;
        json.end().map_err(|error| ApiError::new(ErrorCode::InvalidRequestBody, error.to_string()))?;
        Ok(Self(value))
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = value.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
}

fn unreadable(rejection: &BytesRejection) -> ApiError {
    if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
        return too_large();
    }
    ApiError::new(ErrorCode::InvalidRequestBody, "the body ended before it was complete")
}

fn too_slow() -> ApiError {
    ApiError::new(ErrorCode::RequestTimeout, "the body did not arrive within 30 seconds")
}

fn too_large() -> ApiError {
    ApiError::new(ErrorCode::PayloadTooLarge, "the body is larger than 1 MiB, the most that is read here")
}

fn invalid(error: &serde_path_to_error::Error<serde_json::Error>) -> ApiError {
    let path = error.path().to_string();
    let message = if path == "." { error.inner().to_string() } else { format!("{path}: {}", error.inner()) };
    ApiError::new(ErrorCode::InvalidRequestBody, message)
}

/// The parameters of the path.
pub(crate) struct Path<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Path<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match axum::extract::Path::from_request_parts(parts, state).await {
            Ok(axum::extract::Path(value)) => Ok(Self(value)),
            Err(rejection) => Err(ApiError::new(ErrorCode::BadRequest, rejection.body_text())),
        }
    }
}

/// The pairs of the query string, decoded and in order; keys may stand several times.
pub(crate) struct QueryPairs(pub Vec<(String, String)>);

impl<S: Send + Sync> FromRequestParts<S> for QueryPairs {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let query = parts.uri.query().unwrap_or_default();
        Ok(Self(form_urlencoded::parse(query.as_bytes()).into_owned().collect()))
    }
}
