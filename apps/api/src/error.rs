//! From a failure to an answer: the one place where codes become HTTP statuses, and the one shape of error bodies.

use crate::rate;
use crate::tasks::Panicked;
use axum::Json;
use axum::extract::{OriginalUri, Request};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use sandgate_core::{InvalidConfig, NotAdmitted, Rate, RepositoryError, SandboxesError};
use sandgate_shared::ErrorCode;
use sandgate_toolbox_api::{StreamError, StreamEvent};
use serde::Serialize;
use std::error::Error;
use utoipa::ToSchema;

/// An answer that says what went wrong, and what to do.
#[derive(Debug, Clone)]
pub(crate) struct ApiError {
    code: ErrorCode,
    message: String,
    source: &'static str,
    /// Of the rate that was exceeded.
    rate: Option<Rate>,
}

/// The source that the SDKs choose their exception classes by.
const API: &str = "DAYTONA_API";
const PROXY: &str = "DAYTONA_PROXY";

/// The shape of every error that this server answers itself.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ErrorBody {
    /// The path that was asked for.
    #[schema(example = "/api/sandbox/x")]
    path: String,
    /// When, in RFC 3339.
    timestamp: String,
    /// The HTTP status once more.
    status_code: u16,
    /// The HTTP status in words.
    error: String,
    /// What went wrong and what to do, for people.
    message: String,
    /// What went wrong, for machines.
    code: String,
    /// Who says so.
    source: String,
    /// As `path`; toolbox errors have it.
    method: String,
}

impl ApiError {
    /// An error of the control plane.
    pub(crate) fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), source: API, rate: None }
    }

    /// An error on the way to a toolbox.
    pub(crate) fn relay(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), source: PROXY, rate: None }
    }

    /// The same error, said by the relay.
    pub(crate) fn said_by_relay(self) -> Self {
        Self { source: PROXY, ..self }
    }

    /// Something that Daytona's API has and we do not.
    pub(crate) fn not_supported(what: &str) -> Self {
        Self::new(ErrorCode::NotImplemented, format!("{what} is not supported by this server"))
    }

    /// A fault of ours: logged once with its causes, and shown as nothing but an id by which to find it in the log.
    fn internal(error: &dyn Error) -> Self {
        let id = uuid::Uuid::new_v4();
        tracing::error!(error.id = %id, error.chain = chain(error), "a request failed through a fault of the server");
        Self::new(
            ErrorCode::Internal,
            format!("something went wrong on the server; its log has the cause under {id}"),
        )
    }

    /// A handler panicked; the log has what it said.
    pub(crate) fn panicked() -> Self {
        Self::new(ErrorCode::Internal, "something went wrong on the server; its log has the cause")
    }

    /// The last line of an answer that has begun already.
    pub(crate) fn event(&self) -> StreamEvent {
        StreamEvent::Error(StreamError { code: self.code.to_string(), message: self.message.clone() })
    }

    fn status(&self) -> StatusCode {
        status(self.code)
    }
}

/// The HTTP status of a code.
const fn status(code: ErrorCode) -> StatusCode {
    match code {
        ErrorCode::BadRequest | ErrorCode::InvalidRequestBody => StatusCode::BAD_REQUEST,
        ErrorCode::Unauthorized => StatusCode::UNAUTHORIZED,
        ErrorCode::Forbidden => StatusCode::FORBIDDEN,
        ErrorCode::NotFound => StatusCode::NOT_FOUND,
        ErrorCode::Conflict => StatusCode::CONFLICT,
        ErrorCode::Gone => StatusCode::GONE,
        ErrorCode::TooManyRequests => StatusCode::TOO_MANY_REQUESTS,
        ErrorCode::PayloadTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        ErrorCode::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        ErrorCode::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        ErrorCode::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
        ErrorCode::UnprocessableEntity => StatusCode::UNPROCESSABLE_ENTITY,
        ErrorCode::NotImplemented => StatusCode::NOT_IMPLEMENTED,
        ErrorCode::BadGateway => StatusCode::BAD_GATEWAY,
        ErrorCode::ServiceUnavailable => StatusCode::SERVICE_UNAVAILABLE,
        ErrorCode::InsufficientStorage => StatusCode::INSUFFICIENT_STORAGE,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

fn chain(error: &dyn Error) -> String {
    let causes = std::iter::successors(Some(error), |error| (*error).source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

impl From<SandboxesError> for ApiError {
    fn from(error: SandboxesError) -> Self {
        let rate = match &error {
            SandboxesError::NotAdmitted(NotAdmitted::Rate(rate)) => Some(*rate),
            _ => None,
        };
        match error.code() {
            ErrorCode::Internal => Self::internal(&error),
            code => Self { rate, ..Self::new(code, error.to_string()) },
        }
    }
}

impl From<RepositoryError> for ApiError {
    fn from(error: RepositoryError) -> Self {
        SandboxesError::from(error).into()
    }
}

impl From<InvalidConfig> for ApiError {
    fn from(error: InvalidConfig) -> Self {
        Self::new(ErrorCode::BadRequest, error.to_string())
    }
}

impl From<Panicked> for ApiError {
    fn from(error: Panicked) -> Self {
        Self::internal(&error)
    }
}

impl IntoResponse for ApiError {
    /// Only the status, with the error beside it: [`with_body`] knows the path and writes the body.
    fn into_response(self) -> Response {
        let mut response = self.status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// Gives every error of ours its body.
pub(crate) async fn with_body(OriginalUri(uri): OriginalUri, request: Request, next: Next) -> Response {
    let method = request.method().to_string();
    let mut response = next.run(request).await;
    let Some(error) = response.extensions_mut().remove::<ApiError>() else { return response };
    let status = error.status();
    let body = ErrorBody {
        path: uri.path().to_owned(),
        timestamp: jiff::Timestamp::now().to_string(),
        status_code: status.as_u16(),
        error: status.canonical_reason().unwrap_or_default().to_owned(),
        message: error.message,
        code: error.code.to_string(),
        source: error.source.to_owned(),
        method,
    };
    (status, error.rate.as_ref().map(rate::refusal).unwrap_or_default(), Json(body)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_a_status_of_its_own_kind() {
        for code in ErrorCode::ALL {
            let status = status(*code);
            assert!(status.is_client_error() || status.is_server_error(), "{code}");
            assert_eq!(status == StatusCode::INTERNAL_SERVER_ERROR, *code == ErrorCode::Internal, "{code}");
        }
    }

    #[test]
    fn a_fault_of_ours_shows_nothing_but_an_id() {
        let cause = RepositoryError::Broken("secret detail".into());
        let shown = ApiError::from(cause).message;
        assert!(!shown.contains("secret"), "{shown}");
    }
}
