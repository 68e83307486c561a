//! Docker by its own API, over its unix socket: a container from its creation to its removal.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http::{Method, Request};
use http_body_util::BodyExt;
use sandgate_toolbox_api::client::{empty_body, full_body, get, json_post};
use sandgate_toolbox_api::{ToolboxBody, ToolboxClient};
use serde::Deserialize;
use serde_json::json;

use crate::engine::{self, Measured};
use crate::series::Series;

const REPOSITORY: &str = "sandgate-bench";
const TAG: &str = "host-usr";

/// Times containers of an image that holds no more than links into the host's `/usr`, which is mounted.
pub(crate) async fn measure(socket: &Path, samples: u32) -> Result<Measured> {
    let docker = Docker(ToolboxClient::unix(socket));
    if let Err(error) = docker.call(get("/_ping")).await {
        return Ok(Err(format!("nobody answers at {}: {error:#}", socket.display())));
    }
    docker.import().await?;
    let measured = docker.series(samples).await;
    docker.call(bodyless(Method::DELETE, &format!("/images/{REPOSITORY}:{TAG}"))).await?;
    Ok(measured.map_err(|error| format!("cannot run here: {error:#}")))
}

/// The daemon.
struct Docker(ToolboxClient);

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Created {
    id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Ended {
    status_code: i64,
}

impl Docker {
    /// The first container is for nothing, as with the other engines.
    async fn series(&self, samples: u32) -> Result<Series> {
        let mut series = Series::new()?;
        for number in 0..=samples {
            let start = Instant::now();
            self.run_true().await?;
            if number > 0 {
                series.add(start.elapsed());
            }
        }
        Ok(series)
    }

    async fn run_true(&self) -> Result<()> {
        let config = json!({
            "Image": format!("{REPOSITORY}:{TAG}"),
            "Cmd": ["/usr/bin/true"],
            "HostConfig": { "NetworkMode": "none", "Binds": ["/usr:/usr:ro"] },
        });
        let created = self.call(json_post("/containers/create", config.to_string())).await?;
        let Created { id } = serde_json::from_slice(&created)?;
        let ended = self.started_and_ended(&id).await;
        // Removed in any case: nothing of ours is to stay with somebody's Docker.
        self.call(bodyless(Method::DELETE, &format!("/containers/{id}?force=1"))).await?;
        ensure!(ended? == 0, "`true` did not succeed in its container");
        Ok(())
    }

    async fn started_and_ended(&self, id: &str) -> Result<i64> {
        self.call(bodyless(Method::POST, &format!("/containers/{id}/start"))).await?;
        let ended = self.call(bodyless(Method::POST, &format!("/containers/{id}/wait"))).await?;
        Ok(serde_json::from_slice::<Ended>(&ended)?.status_code)
    }

    async fn import(&self) -> Result<()> {
        let uri = format!("/images/create?fromSrc=-&repo={REPOSITORY}&tag={TAG}");
        let request = Request::post(uri).header("Content-Type", "application/x-tar");
        self.call(request.body(full_body(engine::archive()?))?).await.map(drop)
    }

    /// The whole answer, which must be a success.
    async fn call(&self, request: Request<ToolboxBody>) -> Result<Bytes> {
        let what = format!("{} {}", request.method(), request.uri().path());
        let answer = self.0.send(request).await.with_context(|| what.clone())?;
        let status = answer.status();
        let body = answer.into_body().collect().await.with_context(|| what.clone())?.to_bytes();
        ensure!(status.is_success(), "{what}: {status}: {}", String::from_utf8_lossy(&body).trim());
        Ok(body)
    }
}

fn bodyless(method: Method, uri: &str) -> Request<ToolboxBody> {
    let request = Request::builder().method(method).uri(uri).body(empty_body());
    request.expect("ids and names of ours need no escapes")
}
