//! JSON shapes of the toolbox API, grouped as its routes are.

mod error;
mod files;
mod process;
mod signal;
mod stream;
mod system;

pub use error::{ERROR_SOURCE, ErrorBody, ErrorCode};
pub use files::{BulkDownloadRequest, BulkUploadResponse, FileInfo, UploadReceipt, UploadedFile};
pub use process::{ExecuteRequest, ExecuteResponse};
pub use signal::{signal_name, signal_number};
pub use stream::{
    Exit, InvalidProgram, Program, STREAM_PATH, Source, StreamError, StreamEvent, StreamRequest,
};
pub use system::{DirResponse, SystemMetrics, VersionResponse};
