//! The calls that are measured, over kept-alive connections, as an SDK would have them.

use anyhow::Result;
use bytes::Bytes;
use http::{HeaderValue, Method, Request, header};
use http_body_util::BodyExt;
use sandgate_toolbox_api::client::{empty_body, full_body, json_post};
use sandgate_toolbox_api::{BodyError, ClientError, ExecuteResponse, ToolboxBody, ToolboxClient};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::server::Server;

/// A client of one server. Clones share their connections.
#[derive(Clone)]
pub(crate) struct Api {
    client: ToolboxClient,
    authorization: HeaderValue,
}

/// What is needed of the body of a sandbox.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Sandbox {
    id: String,
    state: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    items: Vec<Sandbox>,
    next_cursor: Option<String>,
}

#[derive(Deserialize)]
struct Health {
    instance: String,
}

impl Sandbox {
    pub(crate) fn id(&self) -> &str {
        &self.id
    }
}

impl Api {
    pub(crate) fn new(server: &Server) -> Result<Self> {
        let authorization = HeaderValue::try_from(format!("Bearer {}", server.key))?;
        Ok(Self { client: ToolboxClient::tcp(server.authority.parse()?), authorization })
    }

    pub(crate) async fn create(&self) -> Result<Sandbox, Failure> {
        let sandbox: Sandbox = self.fetch(json_post("/api/sandbox", "{}")).await?;
        if sandbox.state != "started" {
            return Err(Failure::wrong(format!("a created sandbox is `{}`", sandbox.state)));
        }
        Ok(sandbox)
    }

    /// Runs the shell's own `true`: no process but the shell is started for it.
    pub(crate) async fn run_true(&self, sandbox: &Sandbox) -> Result<(), Failure> {
        self.run(sandbox, "true").await
    }

    /// Runs a command that must succeed.
    pub(crate) async fn run(&self, sandbox: &Sandbox, command: &str) -> Result<(), Failure> {
        let answer: ExecuteResponse = self.fetch(execute(sandbox, command)).await?;
        match answer.exit_code {
            0 => Ok(()),
            code => Err(Failure::wrong(format!("`{command}` ended with {code}: {}", answer.result))),
        }
    }

    /// Runs a command however it ends, and reads what it writes without keeping it.
    pub(crate) async fn run_and_forget(&self, sandbox: &Sandbox, command: &str) -> Result<(), Failure> {
        let answer = self.client.send(self.signed(execute(sandbox, command))).await?;
        let mut body = answer.into_body();
        while let Some(frame) = body.frame().await {
            frame.map_err(interrupted)?;
        }
        Ok(())
    }

    pub(crate) async fn upload(&self, sandbox: &Sandbox, path: &str, bytes: Bytes) -> Result<(), Failure> {
        let uri = format!("/toolbox/{}/files/upload-v2?path={path}", sandbox.id);
        let request = Request::builder().method(Method::POST).uri(uri);
        let request = request.header(header::CONTENT_TYPE, "application/octet-stream").body(full_body(bytes));
        let _: Value = self.fetch(request.expect("a path without special characters")).await?;
        Ok(())
    }

    /// Reads a file, which must hold `expected`.
    pub(crate) async fn download(
        &self,
        sandbox: &Sandbox,
        path: &str,
        expected: &Bytes,
    ) -> Result<(), Failure> {
        let uri = format!("/toolbox/{}/files/download?path={path}", sandbox.id);
        let answer = self.client.send(self.signed(bodyless(Method::GET, &uri))).await?;
        if !answer.status().is_success() {
            return Err(Failure {
                class: answer.status().as_str().to_owned(),
                message: "no file".to_owned(),
            });
        }
        let got = answer.into_body().collect().await.map_err(interrupted)?.to_bytes();
        if got != expected {
            return Err(Failure::wrong(format!("{} bytes came back of {}", got.len(), expected.len())));
        }
        Ok(())
    }

    pub(crate) async fn delete(&self, sandbox: &Sandbox) -> Result<(), Failure> {
        let path = format!("/api/sandbox/{}", sandbox.id);
        let _: Value = self.fetch(bodyless(Method::DELETE, &path)).await?;
        Ok(())
    }

    /// All sandboxes that there are.
    pub(crate) async fn list(&self) -> Result<Vec<Sandbox>, Failure> {
        let (mut all, mut cursor) = (Vec::new(), String::new());
        loop {
            let uri = format!("/api/sandbox?limit=200{cursor}");
            let page: Page = self.fetch(bodyless(Method::GET, &uri)).await?;
            all.extend(page.items);
            let Some(next) = page.next_cursor else { return Ok(all) };
            cursor = format!("&cursor={next}");
        }
    }

    /// Which installation answers.
    pub(crate) async fn instance(&self) -> Result<String, Failure> {
        let health: Health = self.fetch(bodyless(Method::GET, "/health")).await?;
        Ok(health.instance)
    }

    async fn fetch<T: DeserializeOwned>(&self, request: Request<ToolboxBody>) -> Result<T, Failure> {
        Ok(self.client.fetch(self.signed(request)).await?)
    }

    fn signed(&self, mut request: Request<ToolboxBody>) -> Request<ToolboxBody> {
        request.headers_mut().insert(header::AUTHORIZATION, self.authorization.clone());
        request
    }
}

fn execute(sandbox: &Sandbox, command: &str) -> Request<ToolboxBody> {
    let path = format!("/toolbox/{}/process/execute", sandbox.id);
    json_post(&path, json!({ "command": command }).to_string())
}

fn bodyless(method: Method, uri: &str) -> Request<ToolboxBody> {
    let request = Request::builder().method(method).uri(uri).body(empty_body());
    request.expect("a path without special characters")
}

fn interrupted(error: impl Into<BodyError>) -> Failure {
    ClientError::Interrupted(error.into()).into()
}
