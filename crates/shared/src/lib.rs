//! What every crate may name: stable error codes and secret strings. No I/O, no domain.

mod error_code;

pub use error_code::ErrorCode;
pub use secrecy::{ExposeSecret, SecretString};
