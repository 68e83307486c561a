//! One sandbox of a test's own, and the calls that tests make to it.

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::server::Server;
use crate::wait::until;

/// A sandbox that was created by a test, which must delete it.
pub struct Sandbox<'a> {
    server: &'a Server,
    /// Its id.
    pub id: String,
}

/// How a command ended.
#[derive(Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The exit code, -1 if the shell was killed.
    pub code: i64,
    /// What it wrote to both outputs.
    pub output: String,
}

impl<'a> Sandbox<'a> {
    /// From the body that `POST /api/sandbox` answered.
    pub fn new(server: &'a Server, body: &Value) -> Self {
        let id = body["id"].as_str().unwrap_or_else(|| panic!("an id: {body}"));
        Self { server, id: id.to_owned() }
    }

    /// The path of a control-plane route of this sandbox; `rest` starts with a slash or is empty.
    pub fn path(&self, rest: &str) -> String {
        format!("/api/sandbox/{}{rest}", self.id)
    }

    /// A request to its toolbox; `path` starts with a slash.
    pub fn toolbox(&self, method: Method, path: &str) -> RequestBuilder {
        self.server.request(method, &format!("/toolbox/{}{path}", self.id))
    }

    /// What the API says about it.
    pub async fn info(&self) -> Value {
        self.server.get(&self.path("")).await.expect(200).json()
    }

    /// The answer to `process/execute`, whatever it is.
    pub async fn execute(&self, request: &Value) -> Answer {
        Answer::of(self.toolbox(Method::POST, "/process/execute").json(request)).await
    }

    /// Runs a command to its end.
    pub async fn run(&self, command: &str) -> Outcome {
        let body = self.execute(&json!({ "command": command })).await.expect(200).json();
        let code = body["exitCode"].as_i64().unwrap_or_else(|| panic!("an exit code: {body}"));
        let output = body["result"].as_str().unwrap_or_else(|| panic!("a result: {body}"));
        Outcome { code, output: output.to_owned() }
    }

    /// Runs a command that must end well; returns its output without the last line break.
    pub async fn sh(&self, command: &str) -> String {
        let outcome = self.run(command).await;
        assert_eq!(outcome.code, 0, "`{command}` failed: {}", outcome.output);
        outcome.output.trim_end().to_owned()
    }

    /// Runs a command that must not end well; returns its output.
    pub async fn fails(&self, command: &str) -> String {
        let outcome = self.run(command).await;
        assert_ne!(outcome.code, 0, "`{command}` ended well: {}", outcome.output);
        outcome.output
    }

    /// Puts a file there.
    pub async fn upload(&self, path: &str, content: &[u8]) -> Answer {
        let query = [("path", path)];
        Answer::of(self.toolbox(Method::POST, "/files/upload-v2").query(&query).body(content.to_vec())).await
    }

    /// Fetches a file.
    pub async fn download(&self, path: &str) -> Answer {
        Answer::of(self.toolbox(Method::GET, "/files/download").query(&[("path", path)])).await
    }

    /// Stops it; its files stay.
    pub async fn stop(&self) {
        let answer = self.server.post(&self.path("/stop")).await.expect(200);
        assert_eq!(answer.json()["id"], self.id);
        until("it is stopped", async || self.info().await["state"] == "stopped").await;
    }

    /// Starts it again.
    pub async fn start(&self) {
        let body = self.server.post(&self.path("/start")).await.expect(200).json();
        assert_eq!(body["state"], "started", "{body}");
    }

    /// Ends it; afterwards nobody knows it.
    pub async fn delete(self) {
        let body = self.server.delete(&self.path("")).await.expect(200).json();
        assert_eq!(body["id"], self.id, "{body}");
        self.server.get(&self.path("")).await.api_error(404);
    }
}
