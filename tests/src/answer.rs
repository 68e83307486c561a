//! What the server answered, and the two shapes an error may have.

use reqwest::header::HeaderMap;
use serde_json::Value;

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The header fields.
    pub headers: HeaderMap,
    /// The body's bytes.
    pub body: Vec<u8>,
}

impl Answer {
    /// Sends a request and reads the whole answer.
    pub async fn of(request: reqwest::RequestBuilder) -> Self {
        Self::of_one_that_may_die(request).await.expect("the server answers, to the end")
    }

    /// As [`Self::of`], of a server that may end before it has answered, or in the middle of it.
    pub async fn of_one_that_may_die(request: reqwest::RequestBuilder) -> reqwest::Result<Self> {
        let response = request.send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = response.bytes().await?.to_vec();
        Ok(Self { status, headers, body })
    }

    /// Panics unless the status is this one. Daytona's clients choose the model of the body by the exact status.
    #[must_use]
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "unexpected answer: {}", self.text());
        self
    }

    /// The body as JSON, which its content type must announce.
    #[track_caller]
    pub fn json(&self) -> Value {
        let kind =
            self.headers.get("content-type").map(|kind| kind.to_str().expect("a readable content type"));
        assert!(kind.is_some_and(|kind| kind.starts_with("application/json")), "{kind:?}: {}", self.text());
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// The body as text, for messages.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Panics unless this is an error of the control plane with this status; returns its message.
    #[track_caller]
    pub fn api_error(&self, status: u16) -> String {
        let body = self.error(status);
        assert!(body["error"].is_string(), "an error names its kind: {body}");
        message(&body)
    }

    /// Panics unless this is an error of the toolbox with this status; returns its code and message.
    #[track_caller]
    pub fn toolbox_error(&self, status: u16) -> (String, String) {
        let body = self.error(status);
        assert!(body["source"].is_string(), "an error says where it comes from: {body}");
        (body["code"].as_str().unwrap_or_else(|| panic!("a code: {body}")).to_owned(), message(&body))
    }

    #[track_caller]
    fn error(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "unexpected answer: {}", self.text());
        let body = self.json();
        assert_eq!(body["statusCode"], status, "{body}");
        assert!(body["path"].is_string() && body["timestamp"].is_string(), "{body}");
        body
    }
}

#[track_caller]
fn message(body: &Value) -> String {
    let message = body["message"].as_str().unwrap_or_else(|| panic!("a message: {body}"));
    assert!(!message.trim().is_empty(), "a message that says something: {body}");
    message.to_owned()
}
