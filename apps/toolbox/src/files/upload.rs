//! `POST /files/upload-v2` and `/files/upload`: one file, as a form field or as the body itself.

use std::{
    io::Write,
    path::{Path, PathBuf},
    sync::Arc,
};

use axum::{
    Json,
    body::Bytes,
    extract::{FromRequest, Multipart, Request, State, multipart::Field},
    http::header::CONTENT_TYPE,
};
use futures_util::StreamExt;
use sandgate_toolbox_api::{ErrorCode, UploadedFile};

use super::{
    draft::Draft,
    path::{PathQuery, resolve},
};
use crate::{
    Toolbox,
    error::Fault,
    request::Params,
    stream::{PIECE, blocking},
};

pub(super) async fn upload(
    State(toolbox): State<Arc<Toolbox>>,
    Params(query): Params<PathQuery>,
    request: Request,
) -> Result<Json<UploadedFile>, Fault> {
    let path = resolve(&query.path, &toolbox.settings.work_dir)?;
    if is_form(&request) {
        from_form(request, &path).await?;
    } else {
        from_body(request, &path).await?;
    }
    Ok(Json(UploadedFile {
        name: path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        path: path.to_string_lossy().into_owned(),
        kind: "file".to_owned(),
    }))
}

fn is_form(request: &Request) -> bool {
    let given = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    given.trim_start().to_ascii_lowercase().starts_with("multipart/form-data")
}

async fn from_form(request: Request, path: &Path) -> Result<(), Fault> {
    let mut form = form(request).await?;
    while let Some(mut field) = next_field(&mut form).await? {
        if field.name() == Some("file") {
            let mut upload = Upload::begin(path.to_owned()).await?;
            upload.take_field(&mut field).await?;
            return upload.finish().await.map(drop);
        }
    }
    Err(Fault::bad_request("the form has no field `file`"))
}

async fn from_body(request: Request, path: &Path) -> Result<(), Fault> {
    let mut upload = Upload::begin(path.to_owned()).await?;
    let mut pieces = request.into_body().into_data_stream();
    while let Some(piece) = pieces.next().await {
        upload.take(piece.map_err(|_| broken_off())?).await?;
    }
    upload.finish().await.map(drop)
}

/// The request as a multipart form.
pub(super) async fn form(request: Request) -> Result<Multipart, Fault> {
    Multipart::from_request(request, &()).await.map_err(|rejection| {
        let text = format!("the body must be multipart/form-data with a boundary: {}", rejection.body_text());
        Fault::new(ErrorCode::UnsupportedMediaType, text)
    })
}

pub(super) async fn next_field(form: &mut Multipart) -> Result<Option<Field<'_>>, Fault> {
    form.next_field().await.map_err(|error| malformed(&error.body_text()))
}

pub(super) fn malformed(why: &str) -> Fault {
    Fault::new(ErrorCode::InvalidRequestBody, format!("malformed form: {why}"))
}

fn broken_off() -> Fault {
    Fault::new(ErrorCode::InvalidRequestBody, "the body broke off")
}

/// A file on its way in. Dropped before [`Upload::finish`], it leaves nothing behind.
pub(super) struct Upload {
    path: PathBuf,
    draft: Draft,
    pending: Vec<Bytes>,
    pending_bytes: usize,
    written: u64,
}

impl Upload {
    pub(super) async fn begin(path: PathBuf) -> Result<Self, Fault> {
        let (draft, path) = blocking(move || (Draft::begin(&path), path)).await;
        Ok(Self { path, draft: draft?, pending: Vec::new(), pending_bytes: 0, written: 0 })
    }

    pub(super) async fn take_field(&mut self, field: &mut Field<'_>) -> Result<(), Fault> {
        while let Some(piece) = field.chunk().await.map_err(|error| malformed(&error.body_text()))? {
            self.take(piece).await?;
        }
        Ok(())
    }

    /// Small pieces are collected, so that the hop to the threads for files is rare.
    async fn take(&mut self, piece: Bytes) -> Result<(), Fault> {
        self.pending_bytes += piece.len();
        self.pending.push(piece);
        if self.pending_bytes >= PIECE { self.flush().await } else { Ok(()) }
    }

    async fn flush(&mut self) -> Result<(), Fault> {
        let (pending, file) = (std::mem::take(&mut self.pending), self.draft.file());
        self.written += std::mem::take(&mut self.pending_bytes) as u64;
        let written = blocking(move || pending.iter().try_for_each(|piece| (&*file).write_all(piece))).await;
        written.map_err(|error| Fault::file(&self.path, &error))
    }

    /// Puts the file where it belongs and gives its size in bytes.
    pub(super) async fn finish(mut self) -> Result<u64, Fault> {
        self.flush().await?;
        let Self { draft, written, .. } = self;
        blocking(move || draft.publish()).await.map(|()| written)
    }
}
