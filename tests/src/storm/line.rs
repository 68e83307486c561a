//! One life of the server as its clients see it: it may end at any moment.

use std::time::Duration;

use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::server::Server;

/// Longer than anything takes. A server that lives and does not answer is a fault.
const PATIENCE: Duration = Duration::from_mins(1);
/// The most that one page of a list holds.
const PAGE: usize = 200;

/// Nobody knows whether it was done: the server ended before it had answered, or its provider has not told it.
#[derive(Debug)]
pub(super) struct Unanswered;

/// Calls to one life of the server.
pub(super) struct Line {
    client: Client,
    url: String,
    key: String,
    faulty: bool,
}

impl Line {
    /// To the server that runs now. Where its provider is `faulty`, an answer may be that nobody knows.
    pub(super) fn to(server: &Server, faulty: bool) -> Self {
        let client = Client::builder().timeout(PATIENCE).build().expect("a client");
        Self { client, url: server.url(), key: server.key().to_owned(), faulty }
    }

    /// Sends a request; `path` starts with a slash.
    pub(super) async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Answer, Unanswered> {
        let request = self.request(&method, path);
        let request = body.into_iter().fold(request, RequestBuilder::json);
        self.send(request, &format!("{method} {path}")).await
    }

    async fn send(&self, request: RequestBuilder, what: &str) -> Result<Answer, Unanswered> {
        let answer = Answer::of_one_that_may_die(request).await.map_err(|error| {
            assert!(!error.is_timeout(), "no answer to {what} within {PATIENCE:?}");
            Unanswered
        })?;
        if self.faulty && answer.status == 503 { Err(Unanswered) } else { Ok(answer) }
    }

    fn request(&self, method: &Method, path: &str) -> RequestBuilder {
        self.client.request(method.clone(), format!("{}{path}", self.url)).bearer_auth(&self.key)
    }

    /// Asks for a sandbox. The same key makes one, however often it is sent.
    pub(super) async fn create(&self, body: &Value, key: Option<&str>) -> Result<Answer, Unanswered> {
        let request = self.request(&Method::POST, "/api/sandbox").json(body);
        let request = key.into_iter().fold(request, |request, key| request.header("Idempotency-Key", key));
        self.send(request, "a create").await
    }

    /// What the API lists.
    pub(super) async fn list(&self) -> Result<Vec<Value>, Unanswered> {
        let body = self.call(Method::GET, "/api/sandbox?limit=200", None).await?.expect(200).json();
        let items = body["items"].as_array().unwrap_or_else(|| panic!("items: {body}"));
        assert!(items.len() < PAGE, "a storm has fewer sandboxes than fit on a page");
        Ok(items.clone())
    }

    /// Runs a command in the sandbox to its end.
    pub(super) async fn execute(&self, id: &str, command: &str) -> Result<Answer, Unanswered> {
        let path = format!("/toolbox/{id}/process/execute");
        self.call(Method::POST, &path, Some(&json!({ "command": command }))).await
    }
}
