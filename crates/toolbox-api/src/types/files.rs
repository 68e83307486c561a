//! Files: what the `/files` routes take and give.

use serde::{Deserialize, Serialize};

/// One file, directory or other entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FileInfo {
    /// Last component of the path. Bytes that are not UTF-8 appear as U+FFFD.
    pub name: String,
    /// Whether it is a directory, or a symbolic link to one.
    pub is_dir: bool,
    /// Bytes.
    pub size: u64,
    /// Type and rights in letters, such as `-rw-r--r--`.
    pub mode: String,
    /// Time of the last change, as `2026-01-02 03:04:05.678 +0000 UTC`.
    pub mod_time: String,
    /// The same in RFC 3339.
    pub modified_at: String,
    /// User name, or the number if it has none.
    pub owner: String,
    /// Group name, or the number if it has none.
    pub group: String,
    /// Rights in octal with four digits, such as `0644`.
    pub permissions: String,
    /// Full path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

/// Answer of `POST /files/upload-v2` and `POST /files/upload`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadedFile {
    /// Last component of the path.
    pub name: String,
    /// Full path that was asked for.
    pub path: String,
    /// Always `file`.
    #[serde(rename = "type")]
    pub kind: String,
}

/// One file of a bulk upload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadReceipt {
    /// The path as the client named it.
    pub path: String,
    /// Bytes written.
    pub bytes: u64,
}

/// Answer of `POST /files/bulk-upload` when every file was written.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BulkUploadResponse {
    /// In the order in which the files arrived.
    pub files: Vec<UploadReceipt>,
}

/// `POST /files/bulk-download`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BulkDownloadRequest {
    /// Files wanted; relative ones start at the work directory.
    pub paths: Vec<String>,
}
