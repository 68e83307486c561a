//! `Content-Disposition` headers that carry any path unharmed.

use std::fmt::Write;

/// `filename` for simple parsers and, when the path is more than plain ASCII, `filename*` (RFC 5987) for the rest.
pub(super) fn disposition(kind: &str, filename: &str) -> String {
    let mut header = format!("{kind}; filename=\"{}\"", quoted(filename));
    if filename.bytes().any(|byte| !matches!(byte, b' '..=b'~') || matches!(byte, b'"' | b'\\' | b'%')) {
        let _ = write!(header, "; filename*=utf-8''{}", percent_encoded(filename));
    }
    header
}

/// Inside of a quoted string. What cannot stand there becomes `_`; `filename*` has the truth then.
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            ' '..='~' => quoted.push(character),
            _ => quoted.push('_'),
        }
    }
    quoted
}

fn percent_encoded(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len() * 3), |mut encoded, byte| {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                encoded.push(char::from(byte));
            }
            _ => drop(write!(encoded, "%{byte:02X}")),
        }
        encoded
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_paths_have_one_form() {
        assert_eq!(disposition("attachment", "/a b/c.txt"), "attachment; filename=\"/a b/c.txt\"");
    }

    #[test]
    fn odd_paths_have_two() {
        assert_eq!(
            disposition("form-data; name=\"file\"", "ü\"\\\n%.txt"),
            "form-data; name=\"file\"; filename=\"_\\\"\\\\_%.txt\"; filename*=utf-8''%C3%BC%22%5C%0A%25.txt"
        );
    }

    #[test]
    fn no_header_can_be_smuggled_in() {
        assert!(!disposition("attachment", "a\r\nX-Evil: 1").contains(['\r', '\n']));
    }
}
