//! The answer of a command: JSON, made while it is sent if the output is long.

use std::{
    fs::File,
    io::{self, Read},
};

use axum::{
    body::{Body, Bytes},
    http::{HeaderValue, header::CONTENT_TYPE},
    response::Response,
};

use super::{Finished, output::Output};
use crate::stream::{PIECE, pulled};

pub(super) fn respond(finished: Finished) -> Response {
    let head = format!("{{\"exitCode\":{},\"result\":\"", finished.exit_code).into_bytes();
    let body = match finished.output {
        Output::Memory(output) => Body::from(whole(head, &output)),
        Output::Spooled(file) => pulled(pieces(head, file)),
    };
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn whole(mut json: Vec<u8>, output: &[u8]) -> Vec<u8> {
    let mut text = JsonText::default();
    json.reserve(output.len() + output.len() / 16 + 8);
    text.push(output, &mut json);
    text.finish(&mut json);
    json.extend(b"\"}");
    json
}

fn pieces(head: Vec<u8>, mut file: File) -> impl FnMut() -> io::Result<Option<Bytes>> + Send + 'static {
    let mut json = head;
    let mut text = Some(JsonText::default());
    let mut input = vec![0; PIECE];
    move || {
        let Some(open) = text.as_mut() else { return Ok(None) };
        let read = file.read(&mut input)?;
        json.reserve(read + read / 16);
        open.push(&input[..read], &mut json);
        if read == 0 {
            text.take().unwrap_or_default().finish(&mut json);
            json.extend(b"\"}");
        }
        Ok(Some(Bytes::from(std::mem::take(&mut json))))
    }
}

/// Turns bytes into the inside of a JSON string. A character may be cut between two pieces; bytes that are no UTF-8
/// become U+FFFD, just as they would in one piece.
#[derive(Default)]
struct JsonText {
    /// The beginning of a character whose rest is yet to come: three bytes at most.
    cut: Vec<u8>,
}

impl JsonText {
    fn push(&mut self, mut bytes: &[u8], json: &mut Vec<u8>) {
        while !self.cut.is_empty()
            && let [next, rest @ ..] = bytes
        {
            let mut joined = std::mem::take(&mut self.cut);
            joined.push(*next);
            self.push_joined(&joined, json);
            bytes = rest;
        }
        self.push_joined(bytes, json);
    }

    fn push_joined(&mut self, bytes: &[u8], json: &mut Vec<u8>) {
        let mut chunks = bytes.utf8_chunks().peekable();
        while let Some(chunk) = chunks.next() {
            escape(chunk.valid(), json);
            if chunk.invalid().is_empty() {
                continue;
            }
            if chunks.peek().is_none() && is_cut(chunk.invalid()) {
                self.cut = chunk.invalid().to_vec();
            } else {
                json.extend("\u{FFFD}".as_bytes());
            }
        }
    }

    fn finish(self, json: &mut Vec<u8>) {
        if !self.cut.is_empty() {
            json.extend("\u{FFFD}".as_bytes());
        }
    }
}

/// Whether `bytes` could be the beginning of a character.
fn is_cut(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_err_and(|error| error.error_len().is_none())
}

fn escape(text: &str, json: &mut Vec<u8>) {
    let mut rest = text.as_bytes();
    while let Some(at) = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20)) {
        json.extend(&rest[..at]);
        match rest[at] {
            b'\n' => json.extend(b"\\n"),
            b'\t' => json.extend(b"\\t"),
            b'\r' => json.extend(b"\\r"),
            byte @ (b'"' | b'\\') => json.extend([b'\\', byte]),
            byte => json.extend(format!("\\u{byte:04x}").as_bytes()),
        }
        rest = &rest[at + 1..];
    }
    json.extend(rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The text that a client reads when `bytes` come in pieces of `size`.
    fn decoded(bytes: &[u8], size: usize) -> String {
        let mut json = b"\"".to_vec();
        let mut text = JsonText::default();
        for piece in bytes.chunks(size) {
            text.push(piece, &mut json);
        }
        text.finish(&mut json);
        json.push(b'"');
        serde_json::from_slice(&json).expect("JSON")
    }

    #[test]
    fn pieces_of_any_size_read_as_the_whole_does() {
        let samples: [&[u8]; 9] = [
            "plain \"quoted\" \\ back\n\t\r\u{8}\u{1f}\u{7f}".as_bytes(),
            "äöü € 漢字 🦀 é".as_bytes(),
            b"\xff\xfe\x80",
            b"a\xe2\x82",
            b"\xe2\x28\xa1 \xf0\x9f\xa6",
            b"\xf0\x9f\xa6\xf0\x9f\xa6\x80",
            b"\xe2\xe2\xe2\x82\xac",
            b"\xed\xa0\x80 \xc0\xaf \xf4\x90\x80\x80",
            b"",
        ];
        for sample in samples {
            for size in 1..=8 {
                assert_eq!(decoded(sample, size), String::from_utf8_lossy(sample), "{sample:x?} by {size}");
            }
        }
    }

    #[test]
    fn every_byte_beside_every_byte() {
        let all: Vec<u8> =
            (0..=255_u8).flat_map(|first| (0..=255_u8).flat_map(move |second| [first, second])).collect();
        for size in [1, 2, 3, 5, 7, 4096] {
            assert_eq!(decoded(&all, size), String::from_utf8_lossy(&all), "by {size}");
        }
    }

    #[test]
    fn a_whole_answer_is_json() {
        let json = whole(b"{\"exitCode\":3,\"result\":\"".to_vec(), b"a\"b\0");
        let answer: sandgate_toolbox_api::ExecuteResponse = serde_json::from_slice(&json).expect("JSON");
        assert_eq!((answer.exit_code, answer.result.as_str()), (3, "a\"b\0"));
    }
}
