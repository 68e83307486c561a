//! `POST /files/bulk-download`: many files in one multipart answer, with an `error` part for each that failed.

use std::{collections::VecDeque, io, path::PathBuf, sync::Arc};

use axum::{
    body::Bytes,
    extract::State,
    http::{HeaderValue, header::CONTENT_TYPE},
    response::Response,
};
use sandgate_toolbox_api::{BulkDownloadRequest, ErrorCode};

use super::{disposition::disposition, download::Source, path::resolve};
use crate::{
    Toolbox,
    error::{Fault, reason},
    request::JsonBody,
    scratch::random_hex,
    stream::{PIECE, pulled},
};

pub(super) async fn download(
    State(toolbox): State<Arc<Toolbox>>,
    JsonBody(request): JsonBody<BulkDownloadRequest>,
) -> Result<Response, Fault> {
    if request.paths.is_empty() {
        return Err(Fault::bad_request("paths is empty"));
    }
    let unmade = |error: io::Error| Fault::new(ErrorCode::InternalServerError, reason(&error));
    let boundary = random_hex().map_err(unmade)?;
    let content_type = HeaderValue::try_from(format!("multipart/form-data; boundary={boundary}"));
    let mut bundle = Bundle {
        paths: request.paths.into(),
        work_dir: toolbox.settings.work_dir.clone(),
        boundary,
        open: None,
        is_closed: false,
    };
    let mut response = Response::new(pulled(move || Ok(bundle.piece())));
    if let Ok(value) = content_type {
        response.headers_mut().insert(CONTENT_TYPE, value);
    }
    Ok(response)
}

/// The answer as it is being made. Files are opened one after the other, so their number does not matter.
struct Bundle {
    paths: VecDeque<String>,
    work_dir: PathBuf,
    boundary: String,
    open: Option<Part>,
    is_closed: bool,
}

/// The file whose part is being written.
struct Part {
    path: String,
    source: Source,
}

impl Bundle {
    /// The next bytes. Small files share a piece.
    fn piece(&mut self) -> Option<Bytes> {
        let mut piece = Vec::new();
        while !self.is_closed && piece.len() < PIECE {
            if let Some(part) = self.open.take() {
                self.go_on(part, &mut piece);
            } else if let Some(path) = self.paths.pop_front() {
                self.begin(path, &mut piece);
            } else {
                piece.extend(format!("--{}--\r\n", self.boundary).as_bytes());
                self.is_closed = true;
            }
        }
        (!piece.is_empty()).then(|| Bytes::from(piece))
    }

    fn begin(&mut self, path: String, piece: &mut Vec<u8>) {
        match resolve(&path, &self.work_dir).and_then(|resolved| Source::open(&resolved)) {
            Ok(source) => {
                self.head(&path, ("file", "application/octet-stream"), source.length, piece);
                self.open = Some(Part { path, source });
            }
            Err(fault) => self.refusal(&path, fault, piece),
        }
    }

    /// A file that turns out shorter than its part's head has said ends where it ends, and a part of its own says so:
    /// the boundary is what frames a part, its length only informs.
    fn go_on(&mut self, mut part: Part, piece: &mut Vec<u8>) {
        match part.source.read(PIECE, piece) {
            Ok(read) if read > 0 => self.open = Some(part),
            Ok(_) if part.source.left.unwrap_or(0) == 0 => piece.extend(b"\r\n"),
            ended => {
                piece.extend(b"\r\n");
                let why = ended.map_or_else(|error| reason(&error), |_| "it has become shorter".to_owned());
                let text = format!("{}: could not be read to its end: {why}", part.path);
                self.refusal(&part.path, Fault::new(ErrorCode::FileReadFailed, text), piece);
            }
        }
    }

    fn refusal(&self, path: &str, fault: Fault, piece: &mut Vec<u8>) {
        let body = serde_json::to_vec(&fault.body("POST", "/files/bulk-download")).unwrap_or_default();
        self.head(path, ("error", "application/json"), Some(body.len() as u64), piece);
        piece.extend(&body);
        piece.extend(b"\r\n");
    }

    /// `kind` is the part's name and the type of its content.
    fn head(&self, path: &str, kind: (&str, &str), length: Option<u64>, piece: &mut Vec<u8>) {
        let disposition = disposition(&format!("form-data; name=\"{}\"", kind.0), path);
        let length = length.map(|length| format!("Content-Length: {length}\r\n")).unwrap_or_default();
        let head = format!(
            "--{}\r\nContent-Disposition: {disposition}\r\nContent-Type: {}\r\n{length}\r\n",
            self.boundary, kind.1
        );
        piece.extend(head.as_bytes());
    }
}
