//! Every way in which a request can fail, and the one place that turns it into an answer.

use std::{io, path::Path};

use axum::{
    Json,
    extract::Request,
    http::StatusCode,
    middleware::Next,
    response::{IntoResponse, Response},
};
use rustix::io::Errno;
use sandgate_toolbox_api::{ErrorBody, ErrorCode, types::ERROR_SOURCE};

use crate::clock;

/// Why a request was not carried out.
#[derive(Debug, Clone)]
pub(crate) struct Fault {
    pub(crate) code: ErrorCode,
    pub(crate) message: String,
    /// Bulk uploads: one line for each file.
    pub(crate) errors: Vec<String>,
}

impl Fault {
    pub(crate) fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), errors: Vec::new() }
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::BadRequest, message)
    }

    /// What the kernel said of `path`.
    pub(crate) fn file(path: &Path, error: &io::Error) -> Self {
        Self::new(code_of(error), format!("{}: {}", path.display(), reason(error)))
    }

    /// The shape on the wire, for a request to `path`.
    pub(crate) fn body(self, method: &str, path: &str) -> ErrorBody {
        ErrorBody {
            status_code: self.code.status(),
            message: self.message,
            code: Some(self.code.as_str().to_owned()),
            source: Some(ERROR_SOURCE.to_owned()),
            timestamp: clock::now(),
            path: path.to_owned(),
            method: Some(method.to_owned()),
            errors: self.errors,
        }
    }
}

/// The body names the request, which is not known here: [`render`] writes it.
impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let mut response = status(self.code).into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// Middleware: writes the body of an answer that is a [`Fault`].
pub(crate) async fn render(request: Request, next: Next) -> Response {
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let mut response = next.run(request).await;
    match response.extensions_mut().remove::<Fault>() {
        Some(fault) => (status(fault.code), Json(fault.body(method.as_str(), uri.path()))).into_response(),
        None => response,
    }
}

fn status(code: ErrorCode) -> StatusCode {
    StatusCode::from_u16(code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

fn code_of(error: &io::Error) -> ErrorCode {
    match Errno::from_io_error(error) {
        Some(Errno::NOENT) => ErrorCode::FileNotFound,
        Some(Errno::ACCESS | Errno::PERM | Errno::ROFS) => ErrorCode::FileAccessDenied,
        Some(Errno::NOSPC | Errno::DQUOT) => ErrorCode::DiskFull,
        Some(Errno::FBIG) => ErrorCode::PayloadTooLarge,
        Some(Errno::EXIST | Errno::NOTEMPTY | Errno::BUSY | Errno::TXTBSY) => ErrorCode::Conflict,
        Some(Errno::NOTDIR | Errno::ISDIR | Errno::LOOP | Errno::NAMETOOLONG | Errno::INVAL) => {
            ErrorCode::InvalidFilePath
        }
        Some(Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::AGAIN) => ErrorCode::ResourceExhausted,
        _ => ErrorCode::FileReadFailed,
    }
}

/// The system's text without its number.
pub(crate) fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error") {
        Some((reason, _)) => reason.to_lowercase(),
        None => text,
    }
}
