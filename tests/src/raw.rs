//! A request written byte by byte: every HTTP client tidies paths and headers up, and attackers do not.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const PATIENCE: Duration = Duration::from_mins(1);

/// Sends `request` as it stands to `http://HOST:PORT` and returns the status code and everything after it.
/// The request should ask the server to close the connection.
pub async fn exchange(url: &str, request: &[u8]) -> (u16, String) {
    let authority = url.strip_prefix("http://").expect("a plain address");
    let (mut from, mut to) = TcpStream::connect(authority).await.expect("the server accepts").into_split();
    let mut answer = Vec::new();
    let both = async {
        // Read while writing: a server that refuses early answers and closes before it has read everything, and its
        // answer is lost to whoever comes for it later.
        tokio::join!(to.write_all(request), from.read_to_end(&mut answer))
    };
    drop(tokio::time::timeout(PATIENCE, both).await.expect("the server answers or closes"));
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    (status.unwrap_or_else(|| panic!("a status line: {answer}")), answer)
}

/// A `GET` of exactly this path, with a key.
pub async fn get(url: &str, path: &str, key: &str) -> (u16, String) {
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\nConnection: close\r\n\r\n"
    );
    exchange(url, request.as_bytes()).await
}
