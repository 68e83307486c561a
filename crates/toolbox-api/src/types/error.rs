//! The one shape of every error answer, and the codes that clients know.

use serde::{Deserialize, Serialize};

/// `source` of errors that come from inside a sandbox. Clients pick their exception class by it.
pub const ERROR_SOURCE: &str = "DAYTONA_DAEMON";

/// Body of every answer with an error status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ErrorBody {
    /// The HTTP status again.
    pub status_code: u16,
    /// One sentence for people.
    pub message: String,
    /// For programs; see [`ErrorCode`]. Daytona adds codes of its own, hence a string.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Who says so: [`ERROR_SOURCE`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// RFC 3339, UTC.
    pub timestamp: String,
    /// Path of the request.
    pub path: String,
    /// Method of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// Bulk uploads: one line for each file that failed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<String>,
}

/// Codes that our daemon gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ErrorCode {
    /// 400, the request makes no sense.
    BadRequest,
    /// 400, the body cannot be understood.
    InvalidRequestBody,
    /// 415, the body is of a type that the route does not take.
    UnsupportedMediaType,
    /// 400, a path that cannot be used.
    InvalidFilePath,
    /// 403, the sandbox's user lacks the right.
    FileAccessDenied,
    /// 404, no such file.
    FileNotFound,
    /// 404, no such route.
    NotFound,
    /// 405, the route exists for other methods.
    MethodNotAllowed,
    /// 408, the command was killed because its time was over.
    ProcessExecutionTimeout,
    /// 413, the command wrote more than can be answered.
    ProcessOutputTooLarge,
    /// 409, something is there already.
    Conflict,
    /// 413, the request is larger than can be taken.
    PayloadTooLarge,
    /// 500, a file could not be read or written for a reason of the machine's.
    FileReadFailed,
    /// 500, our fault.
    InternalServerError,
    /// 501, a route of the API that this daemon does not serve.
    NotSupported,
    /// 503, the sandbox has no process or memory left for it.
    ResourceExhausted,
    /// 507, the sandbox's disk is full.
    DiskFull,
}

impl ErrorCode {
    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BadRequest => "BAD_REQUEST",
            Self::InvalidRequestBody => "INVALID_REQUEST_BODY",
            Self::UnsupportedMediaType => "UNSUPPORTED_MEDIA_TYPE",
            Self::InvalidFilePath => "INVALID_FILE_PATH",
            Self::FileAccessDenied => "FILE_ACCESS_DENIED",
            Self::FileNotFound => "FILE_NOT_FOUND",
            Self::NotFound => "NOT_FOUND",
            Self::MethodNotAllowed => "METHOD_NOT_ALLOWED",
            Self::ProcessExecutionTimeout => "PROCESS_EXECUTION_TIMEOUT",
            Self::ProcessOutputTooLarge => "PROCESS_OUTPUT_TOO_LARGE",
            Self::Conflict => "CONFLICT",
            Self::PayloadTooLarge => "PAYLOAD_TOO_LARGE",
            Self::FileReadFailed => "FILE_READ_FAILED",
            Self::InternalServerError => "INTERNAL_SERVER_ERROR",
            Self::NotSupported => "NOT_SUPPORTED",
            Self::ResourceExhausted => "RESOURCE_EXHAUSTED",
            Self::DiskFull => "DISK_FULL",
        }
    }

    /// The HTTP status that goes with it.
    pub const fn status(self) -> u16 {
        match self {
            Self::BadRequest | Self::InvalidRequestBody | Self::InvalidFilePath => 400,
            Self::FileAccessDenied => 403,
            Self::FileNotFound | Self::NotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::ProcessExecutionTimeout => 408,
            Self::Conflict => 409,
            Self::ProcessOutputTooLarge | Self::PayloadTooLarge => 413,
            Self::UnsupportedMediaType => 415,
            Self::FileReadFailed | Self::InternalServerError => 500,
            Self::NotSupported => 501,
            Self::ResourceExhausted => 503,
            Self::DiskFull => 507,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_is_the_same_wherever_it_is_written() {
        for code in [ErrorCode::BadRequest, ErrorCode::FileNotFound, ErrorCode::ProcessExecutionTimeout] {
            let serialized = serde_json::to_value(code).expect("JSON");
            assert_eq!(serialized, code.as_str());
        }
    }

    #[test]
    fn what_clients_require_is_all_that_is_required() {
        let body: ErrorBody =
            serde_json::from_str(r#"{"statusCode":404,"message":"m","timestamp":"t","path":"/p"}"#)
                .expect("an error");
        assert_eq!((body.status_code, body.code, body.errors.len()), (404, None, 0));
    }
}
