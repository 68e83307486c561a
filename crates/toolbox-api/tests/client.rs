//! The client against servers that misbehave: what it concludes, and that nothing is ever sent twice.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::StatusCode;
use sandgate_toolbox_api::{ClientError, ExecuteRequest, ToolboxClient, client::get};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{UnixListener, UnixStream},
};

const FINE: &str = r#"{"exitCode":0,"result":"fine"}"#;

/// A server that answers the nth request with the nth of `answers`, verbatim, and hangs up on any further one.
struct Server {
    client: ToolboxClient,
    requests: Arc<AtomicUsize>,
    _dir: TempDir,
}

impl Server {
    fn start(answers: Vec<String>) -> Self {
        let dir = TempDir::new().expect("a directory");
        let path = dir.path().join("socket");
        let listener = UnixListener::bind(&path).expect("a listener");
        let requests = Arc::new(AtomicUsize::new(0));
        let server = Self { client: ToolboxClient::unix(path), requests: Arc::clone(&requests), _dir: dir };
        tokio::spawn(async move {
            let answers = Arc::new(answers);
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&answers), Arc::clone(&requests)));
            }
        });
        server
    }

    fn count(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

async fn serve(mut stream: UnixStream, answers: Arc<Vec<String>>, requests: Arc<AtomicUsize>) {
    let mut buffer = [0; 4096];
    while matches!(stream.read(&mut buffer).await, Ok(read) if read > 0) {
        let Some(answer) = answers.get(requests.fetch_add(1, Ordering::SeqCst)) else { return };
        stream.write_all(answer.as_bytes()).await.expect("the client listens");
    }
}

fn answer(status: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

#[tokio::test]
async fn a_request_on_a_stale_connection_is_not_repeated() {
    let server = Server::start(vec![answer("200 OK", FINE)]);
    let command = ExecuteRequest::new("true");
    assert_eq!(server.client.execute(&command).await.expect("an answer").result, "fine");
    // The connection is pooled now, and the server takes the next request but hangs up instead of answering.
    let error = server.client.execute(&command).await.expect_err("no answer");
    assert!(matches!(error, ClientError::Interrupted(_)), "{error:?}");
    assert!(!error.never_sent());
    assert_eq!(server.count(), 2, "each was sent once");
}

#[tokio::test]
async fn refusals_are_told_from_nonsense() {
    let refusal = r#"{"statusCode":400,"message":"no","timestamp":"t","path":"/p"}"#;
    let server = Server::start(vec![
        answer("400 Bad Request", refusal),
        answer("502 Bad Gateway", "<html>"),
        answer("200 OK", "not JSON"),
        answer("200 OK", r#"{"result":"no exit code is an exit code of 0"}"#),
    ]);
    let run = async || server.client.execute(&ExecuteRequest::new("true")).await;
    match run().await {
        Err(ClientError::Refused { status, body }) => {
            assert_eq!((status, body.message.as_str(), body.code), (StatusCode::BAD_REQUEST, "no", None));
        }
        other => panic!("{other:?}"),
    }
    assert!(matches!(run().await, Err(ClientError::Malformed(_))));
    assert!(matches!(run().await, Err(ClientError::Malformed(_))));
    assert_eq!(run().await.expect("an answer").exit_code, 0);
}

#[tokio::test]
async fn half_an_answer_is_none() {
    let server =
        Server::start(vec!["HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\n{\"exitCode\":".to_owned()]);
    let answer = server.client.send(get("/version")).await.expect("the head of an answer");
    assert_eq!(answer.status(), StatusCode::OK);
    drop(answer);
    let server =
        Server::start(vec!["HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 9\r\n\r\n{}".to_owned()]);
    let command = ExecuteRequest { timeout: Some(1), ..ExecuteRequest::new("true") };
    tokio::time::pause();
    let waited = tokio::time::timeout(Duration::from_mins(1), server.client.execute(&command)).await;
    assert!(matches!(waited.expect("a deadline of its own"), Err(ClientError::Interrupted(_))));
}
