//! The error codes that clients and operators may rely on: stable words, listed once.

use std::fmt;

macro_rules! error_codes {
    ($($(#[$doc:meta])* $variant:ident => $text:literal,)+) => {
        /// What went wrong, for machines. The text of a code never changes once released.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum ErrorCode { $($(#[$doc])* $variant,)+ }

        impl ErrorCode {
            /// Every code, in the order in which they are documented.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The stable text, as it stands in error bodies.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }
        }
    };
}

error_codes! {
    /// The request cannot be carried out as it stands; its text says what to change.
    BadRequest => "BAD_REQUEST",
    /// The body is not what the route reads.
    InvalidRequestBody => "INVALID_REQUEST_BODY",
    /// No key, or one that is not known.
    Unauthorized => "UNAUTHORIZED",
    /// The key is known and may not do this.
    Forbidden => "FORBIDDEN",
    /// There is no such thing, or it belongs to somebody else.
    NotFound => "NOT_FOUND",
    /// The name is taken, or a change is already under way.
    Conflict => "CONFLICT",
    /// The body is larger than the route accepts.
    PayloadTooLarge => "PAYLOAD_TOO_LARGE",
    /// The route reads another content type.
    UnsupportedMediaType => "UNSUPPORTED_MEDIA_TYPE",
    /// The path is known, the method is not.
    MethodNotAllowed => "METHOD_NOT_ALLOWED",
    /// There was such a thing, and there will not be again.
    Gone => "GONE",
    /// A deadline passed before the work was done.
    RequestTimeout => "REQUEST_TIMEOUT",
    /// The thing exists and cannot do this by its nature.
    UnprocessableEntity => "UNPROCESSABLE_ENTITY",
    /// Asked for too often; the header fields say when to ask again.
    TooManyRequests => "TOO_MANY_REQUESTS",
    /// Known to Daytona's API, not offered here.
    NotImplemented => "NOT_IMPLEMENTED",
    /// The provider answered something that cannot be read.
    BadGateway => "BAD_GATEWAY",
    /// The provider cannot be reached now; asking later may help.
    ServiceUnavailable => "SERVICE_UNAVAILABLE",
    /// The disk of the sandbox or of the host is full.
    InsufficientStorage => "INSUFFICIENT_STORAGE",
    /// A fault of ours.
    Internal => "INTERNAL_SERVER_ERROR",
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::ErrorCode;
    use std::collections::HashSet;

    #[test]
    fn codes_are_distinct_and_shouted() {
        let texts: HashSet<_> = ErrorCode::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(texts.len(), ErrorCode::ALL.len());
        assert!(texts.iter().all(|text| text.chars().all(|c| c.is_ascii_uppercase() || c == '_')));
    }

    /// A released code that changes breaks somebody's error handling.
    #[test]
    fn codes_keep_their_texts() {
        let listed: Vec<_> = ErrorCode::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(
            listed,
            [
                "BAD_REQUEST",
                "INVALID_REQUEST_BODY",
                "UNAUTHORIZED",
                "FORBIDDEN",
                "NOT_FOUND",
                "CONFLICT",
                "PAYLOAD_TOO_LARGE",
                "UNSUPPORTED_MEDIA_TYPE",
                "METHOD_NOT_ALLOWED",
                "GONE",
                "REQUEST_TIMEOUT",
                "UNPROCESSABLE_ENTITY",
                "TOO_MANY_REQUESTS",
                "NOT_IMPLEMENTED",
                "BAD_GATEWAY",
                "SERVICE_UNAVAILABLE",
                "INSUFFICIENT_STORAGE",
                "INTERNAL_SERVER_ERROR",
            ]
        );
    }
}
