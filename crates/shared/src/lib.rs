//! What every crate may name: stable error codes, secret strings and failpoints. No I/O, no domain.

mod error_code;
pub mod failpoint;

pub use error_code::ErrorCode;
pub use secrecy::{ExposeSecret, SecretString};
