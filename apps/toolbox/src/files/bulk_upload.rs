//! `POST /files/bulk-upload`: many files in one form.
//!
//! Each file has two parts, `files[KEY].path` with its path as text and `files[KEY].file` with its bytes. A path may
//! stand right before its file or all paths before all files. One file that fails does not stop the others.

use std::{collections::HashMap, path::Path, sync::Arc};

use axum::{
    Json,
    extract::{Multipart, Request, State, multipart::Field},
};
use sandgate_toolbox_api::{BulkUploadResponse, ErrorCode, UploadReceipt};

use super::{
    path::resolve,
    upload::{Upload, form, malformed, next_field},
};
use crate::{Toolbox, error::Fault};

/// Longer than any path that the kernel takes.
const MAX_PATH_BYTES: usize = 8 << 10;
/// Room for the paths that wait for their files.
const MAX_PATHS: usize = 20_000;

pub(super) async fn upload(
    State(toolbox): State<Arc<Toolbox>>,
    request: Request,
) -> Result<Json<BulkUploadResponse>, Fault> {
    let mut batch = Batch {
        work_dir: &toolbox.settings.work_dir,
        paths: HashMap::new(),
        answer: BulkUploadResponse::default(),
        faults: Vec::new(),
    };
    batch.take(form(request).await?).await?;
    batch.answer()
}

struct Batch<'a> {
    work_dir: &'a Path,
    /// Paths whose files are yet to come, by key.
    paths: HashMap<String, String>,
    answer: BulkUploadResponse,
    faults: Vec<Fault>,
}

/// What a part is, by its name.
#[derive(Debug, PartialEq, Eq)]
enum Kind {
    Path(String),
    File(String),
}

impl Batch<'_> {
    async fn take(&mut self, mut form: Multipart) -> Result<(), Fault> {
        while let Some(field) = next_field(&mut form).await? {
            match field.name().and_then(kind) {
                Some(Kind::Path(key)) => self.take_path(key, field).await?,
                Some(Kind::File(key)) => self.take_file(&key, field).await?,
                None => {}
            }
        }
        Ok(())
    }

    async fn take_path(&mut self, key: String, mut field: Field<'_>) -> Result<(), Fault> {
        let mut path = Vec::new();
        while let Some(piece) = field.chunk().await.map_err(|error| malformed(&error.body_text()))? {
            path.extend(piece);
            if path.len() > MAX_PATH_BYTES {
                return Err(Fault::bad_request(format!(
                    "files[{key}].path is longer than {MAX_PATH_BYTES} bytes"
                )));
            }
        }
        let path = String::from_utf8(path)
            .map_err(|_| Fault::bad_request(format!("files[{key}].path is not UTF-8")))?;
        self.paths.insert(key, path);
        if self.paths.len() > MAX_PATHS {
            return Err(Fault::bad_request(format!("more than {MAX_PATHS} paths without their files")));
        }
        Ok(())
    }

    /// Fails only if the form itself does: what is wrong with one file is noted.
    async fn take_file(&mut self, key: &str, mut field: Field<'_>) -> Result<(), Fault> {
        let Some(path) = self.paths.remove(key) else {
            self.faults.push(Fault::bad_request(format!(
                "files[{key}].file came without files[{key}].path before it"
            )));
            return drain(&mut field).await;
        };
        match self.store(&path, &mut field).await {
            Ok(bytes) => self.answer.files.push(UploadReceipt { path, bytes }),
            Err(fault) if fault.code == ErrorCode::InvalidRequestBody => return Err(fault),
            Err(fault) => {
                self.faults.push(fault);
                drain(&mut field).await?;
            }
        }
        Ok(())
    }

    async fn store(&self, path: &str, field: &mut Field<'_>) -> Result<u64, Fault> {
        let mut upload = Upload::begin(resolve(path, self.work_dir)?).await?;
        upload.take_field(field).await?;
        upload.finish().await
    }

    /// 400 with a line for each file that failed, or 507 if the disk was full for one of them.
    fn answer(mut self) -> Result<Json<BulkUploadResponse>, Fault> {
        for key in self.paths.keys() {
            self.faults.push(Fault::bad_request(format!("files[{key}].path came without files[{key}].file")));
        }
        let errors: Vec<_> = self.faults.iter().map(|fault| fault.message.clone()).collect();
        let Some(first) =
            self.faults.iter().find(|fault| fault.code == ErrorCode::DiskFull).or(self.faults.first())
        else {
            return Ok(Json(self.answer));
        };
        let code = if first.code.status() == 400 || first.code == ErrorCode::DiskFull {
            first.code
        } else {
            ErrorCode::BadRequest
        };
        Err(Fault { code, message: errors.join("; "), errors })
    }
}

async fn drain(field: &mut Field<'_>) -> Result<(), Fault> {
    while field.chunk().await.map_err(|error| malformed(&error.body_text()))?.is_some() {}
    Ok(())
}

/// `files[KEY].path` or `files[KEY].file`; anything else is not for us.
fn kind(name: &str) -> Option<Kind> {
    let (key, kind) = name.strip_prefix("files[")?.rsplit_once("].")?;
    match kind {
        "path" => Some(Kind::Path(key.to_owned())),
        "file" => Some(Kind::File(key.to_owned())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_known_by_their_names() {
        assert_eq!(kind("files[0].path"), Some(Kind::Path("0".to_owned())));
        assert_eq!(kind("files[a].b].file"), Some(Kind::File("a].b".to_owned())));
        for other in ["files", "files[0]", "files[0].name", "file[0].path", "path"] {
            assert_eq!(kind(other), None, "{other}");
        }
    }
}
