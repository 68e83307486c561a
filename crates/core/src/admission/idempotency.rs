//! One request, however often it is sent.

use crate::config::InvalidConfig;

/// What a client calls a request of its own, so that sending it again has no further effect: 1 to 255 visible ASCII
/// characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// Checks the text against the rule above.
    pub fn parse(text: impl Into<String>) -> Result<Self, InvalidConfig> {
        let text = text.into();
        if (1..=255).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic()) {
            return Ok(Self(text));
        }
        Err(InvalidConfig("an Idempotency-Key has 1 to 255 visible ASCII characters".to_owned()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A request that is to have its effect once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idempotency {
    /// What the client calls it.
    pub key: IdempotencyKey,
    /// The SHA-256 of what it asks for: another request by the same name is a mistake.
    pub request: [u8; 32],
}

impl Idempotency {
    /// How long a key is remembered, in milliseconds: a day.
    pub const KEPT_MILLIS: i64 = 24 * 60 * 60 * 1000;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_visible_ascii() {
        for good in ["a", "7b1c-~!", &"k".repeat(255)] {
            assert!(IdempotencyKey::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "a b", "a\n", "ü", &"k".repeat(256)] {
            assert!(IdempotencyKey::parse(bad).is_err(), "{bad:?}");
        }
    }
}
