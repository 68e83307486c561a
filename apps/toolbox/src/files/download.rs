//! `GET /files/download`, and how a file is opened to be sent.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read},
    os::unix::fs::OpenOptionsExt,
    path::Path,
    sync::Arc,
};

use axum::{
    body::{Body, Bytes},
    extract::State,
    http::{
        HeaderValue,
        header::{CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_TYPE},
    },
    response::Response,
};
use rustix::fs::OFlags;

use super::{
    disposition::disposition,
    path::{PathQuery, invalid, resolve},
};
use crate::{
    Toolbox,
    error::Fault,
    request::Params,
    stream::{PIECE, blocking, pulled},
};

pub(super) async fn download(
    State(toolbox): State<Arc<Toolbox>>,
    Params(query): Params<PathQuery>,
) -> Result<Response, Fault> {
    let path = resolve(&query.path, &toolbox.settings.work_dir)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let source = blocking(move || Source::open(&path)).await?;
    let length = source.length;
    let mut response = Response::new(body(source));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    if let Ok(value) = HeaderValue::try_from(disposition("attachment", &name)) {
        headers.insert(CONTENT_DISPOSITION, value);
    }
    if let Some(length) = length {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    Ok(response)
}

fn body(mut source: Source) -> Body {
    pulled(move || {
        let mut piece = Vec::new();
        source.read(PIECE, &mut piece)?;
        // A body that ends before its announced length: the connection is cut and the client sees why.
        if piece.is_empty() && source.left.is_some_and(|left| left > 0) {
            return Err(io::Error::other("the file has become shorter while it was sent"));
        }
        Ok((!piece.is_empty()).then(|| Bytes::from(piece)))
    })
}

/// A regular file on its way out.
pub(super) struct Source {
    file: File,
    /// Bytes it had when it was opened; unknown for files that the kernel makes up while they are read.
    pub(super) length: Option<u64>,
    /// How much of that is still to come.
    pub(super) left: Option<u64>,
}

impl Source {
    /// Only of regular files: to open a device may have effects, and to read a FIFO may take for ever.
    pub(super) fn open(path: &Path) -> Result<Self, Fault> {
        let failed = |error: io::Error| Fault::file(path, &error);
        let refused = || invalid(format!("{}: is not a regular file", path.display()));
        if !fs::metadata(path).map_err(failed)?.is_file() {
            return Err(refused());
        }
        let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits();
        let file =
            OpenOptions::new().read(true).custom_flags(flags.cast_signed()).open(path).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        if !metadata.is_file() {
            return Err(refused());
        }
        let length = Some(metadata.len()).filter(|length| *length > 0 || !is_made_up(&file));
        Ok(Self { file, length, left: length })
    }

    /// Appends up to `most` bytes to `piece`; none at the end. What the file gained since it was opened is left out.
    pub(super) fn read(&mut self, most: usize, piece: &mut Vec<u8>) -> io::Result<usize> {
        let most = self.left.map_or(most as u64, |left| left.min(most as u64));
        let read = (&self.file).take(most).read_to_end(piece)?;
        self.left = self.left.map(|left| left - read as u64);
        Ok(read)
    }
}

/// Files of `/proc` and the like say that they are empty, which they are not.
fn is_made_up(file: &File) -> bool {
    const PROC: i64 = 0x9fa0;
    const SYSFS: i64 = 0x6265_6572;
    const CGROUP2: i64 = 0x6367_7270;
    rustix::fs::fstatfs(file).is_ok_and(|fs| [PROC, SYSFS, CGROUP2].contains(&fs.f_type))
}
