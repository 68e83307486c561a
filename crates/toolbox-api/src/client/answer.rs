//! Reading an answer into memory, with a limit.

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use serde::de::DeserializeOwned;

use super::ClientError;
use crate::types::ErrorBody;

pub(super) async fn json<T: DeserializeOwned>(
    answer: Response<Incoming>,
    limit: usize,
) -> Result<T, ClientError> {
    if !answer.status().is_success() {
        return Err(refusal(answer, limit).await);
    }
    let bytes = whole(answer.into_body(), limit).await?;
    serde_json::from_slice(&bytes).map_err(ClientError::malformed)
}

/// The error that an answer with an error status stands for.
pub(super) async fn refusal(answer: Response<Incoming>, limit: usize) -> ClientError {
    let status = answer.status();
    match whole(answer.into_body(), limit).await {
        Ok(bytes) => refused(status, &bytes),
        Err(error) => error,
    }
}

fn refused(status: StatusCode, bytes: &[u8]) -> ClientError {
    match serde_json::from_slice::<ErrorBody>(bytes) {
        Ok(body) => ClientError::Refused { status, body: Box::new(body) },
        Err(error) => {
            ClientError::malformed(format!("status {status} with a body that is no error: {error}"))
        }
    }
}

async fn whole(body: Incoming, limit: usize) -> Result<Bytes, ClientError> {
    match Limited::new(body, limit).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(ClientError::TooLarge { limit }),
        Err(error) => Err(ClientError::interrupted(error)),
    }
}
