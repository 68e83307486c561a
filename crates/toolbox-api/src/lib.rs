//! The toolbox API: the contract for what happens inside a sandbox. `types` are its JSON shapes, `client` speaks it.
//!
//! The daemon inside a container serves it on a unix socket, Daytona serves it over TCP; both sides and every
//! caller use the shapes of this crate.

pub mod client;
pub mod types;

pub use client::{BodyError, ClientError, Lines, ToolboxBody, ToolboxClient};
pub use types::{
    BulkDownloadRequest, BulkUploadResponse, DirResponse, ErrorBody, ErrorCode, ExecuteRequest,
    ExecuteResponse, Exit, FileInfo, Program, Source, StreamError, StreamEvent, StreamRequest, SystemMetrics,
    UploadReceipt, UploadedFile, VersionResponse,
};
