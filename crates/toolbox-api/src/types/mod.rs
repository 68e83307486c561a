//! JSON shapes of the toolbox API, grouped as its routes are.

mod error;
mod files;
mod process;
mod system;

pub use error::{ERROR_SOURCE, ErrorBody, ErrorCode};
pub use files::{BulkDownloadRequest, BulkUploadResponse, FileInfo, UploadReceipt, UploadedFile};
pub use process::{ExecuteRequest, ExecuteResponse};
pub use system::{DirResponse, SystemMetrics, VersionResponse};
