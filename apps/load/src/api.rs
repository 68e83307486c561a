//! The calls that are measured, over one kept-alive connection, as an SDK would have it.

use anyhow::{Result, ensure};
use http::{HeaderValue, Method, Request, header};
use sandgate_toolbox_api::client::{empty_body, json_post};
use sandgate_toolbox_api::{ExecuteResponse, ToolboxBody, ToolboxClient};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::server::Server;

/// A client of one server.
pub(crate) struct Api {
    client: ToolboxClient,
    authorization: HeaderValue,
}

/// What is needed of the body of a sandbox.
#[derive(Deserialize)]
pub(crate) struct Sandbox {
    id: String,
    state: String,
}

#[derive(Deserialize)]
struct List {
    items: Vec<Value>,
}

impl Api {
    pub(crate) fn new(server: &Server) -> Result<Self> {
        let authorization = HeaderValue::try_from(format!("Bearer {}", server.key))?;
        Ok(Self { client: ToolboxClient::tcp(server.authority.parse()?), authorization })
    }

    pub(crate) async fn create(&self) -> Result<Sandbox> {
        let request = json_post("/api/sandbox", "{}");
        let sandbox: Sandbox = self.client.fetch(self.signed(request)).await?;
        ensure!(sandbox.state == "started", "a created sandbox is `{}`", sandbox.state);
        Ok(sandbox)
    }

    /// Runs the shell's own `true`: no process but the shell is started for it.
    pub(crate) async fn run_true(&self, sandbox: &Sandbox) -> Result<()> {
        let path = format!("/toolbox/{}/process/execute", sandbox.id);
        let request = json_post(&path, json!({ "command": "true" }).to_string());
        let answer: ExecuteResponse = self.client.fetch(self.signed(request)).await?;
        ensure!(answer.exit_code == 0, "`true` ended with {}: {}", answer.exit_code, answer.result);
        Ok(())
    }

    pub(crate) async fn delete(&self, sandbox: &Sandbox) -> Result<()> {
        let path = format!("/api/sandbox/{}", sandbox.id);
        let request = Request::builder().method(Method::DELETE).uri(path).body(empty_body())?;
        let _: Value = self.client.fetch(self.signed(request)).await?;
        Ok(())
    }

    /// How many sandboxes there are.
    pub(crate) async fn count(&self) -> Result<usize> {
        let request = Request::builder().uri("/api/sandbox").body(empty_body())?;
        let list: List = self.client.fetch(self.signed(request)).await?;
        Ok(list.items.len())
    }

    fn signed(&self, mut request: Request<ToolboxBody>) -> Request<ToolboxBody> {
        request.headers_mut().insert(header::AUTHORIZATION, self.authorization.clone());
        request
    }
}
