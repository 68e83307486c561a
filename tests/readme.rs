//! What the README promises, done as it is printed there.

use std::path::Path;
use std::process::Command;

use sandgate_tests::Server;
use serde_json::Value;

/// A block of the README that is run here has this comment above it.
const MARK: &str = "<!-- test: curl -->";

/// The shell blocks under the mark, in their order.
fn blocks(readme: &str) -> Vec<&str> {
    let marked = readme.split(MARK).skip(1);
    marked
        .filter_map(|rest| rest.split_once("```sh\n")?.1.split_once("```"))
        .map(|(block, _)| block)
        .collect()
}

#[tokio::test]
async fn the_curl_lines_work_as_they_are_printed() {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let readme = std::fs::read_to_string(readme).expect("README.md");
    let script = blocks(&readme).concat();
    assert!(script.contains("curl"), "README.md has `{MARK}` above its lines with curl");
    let server = Server::start().await;
    let output = Command::new("bash")
        .args(["-euo", "pipefail", "-c", &script])
        .env("DAYTONA_API_URL", format!("{}/api", server.url()))
        .env("DAYTONA_API_KEY", server.key())
        .output()
        .expect("bash starts");
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}");
    assert!(!said.contains("\"statusCode\""), "no line is answered by an error: {said}");
    assert_eq!(server.list().await, Vec::<Value>::new(), "the last line deletes what the first one created");
}

#[test]
fn only_marked_blocks_are_taken() {
    let readme = "```sh\nno\n```\n<!-- test: curl -->\n```sh\none\n```\ntext\n<!-- test: curl -->\n\n```sh\ntwo\n```\n";
    assert_eq!(blocks(readme), ["one\n", "two\n"]);
}
