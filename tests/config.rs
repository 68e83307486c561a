//! What an operator sets: flags over the environment over a file, and filesystems of their own.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use sandgate_tests::{Options, Server};
use serde_json::json;

/// A root filesystem with bash, `cat` and what they are linked with: far less than a distribution, and enough.
fn root_filesystem(root: &Path) {
    let programs = ["/usr/bin/bash", "/usr/bin/cat", "/usr/bin/id"];
    for file in programs.iter().map(PathBuf::from).chain(libraries(&programs)) {
        let copy = root.join(file.strip_prefix("/").expect("an absolute path"));
        fs::create_dir_all(copy.parent().expect("a folder")).expect("a folder");
        fs::copy(&file, &copy).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    }
    symlink("usr/bin", root.join("bin")).expect("a link");
    symlink("bash", root.join("usr/bin/sh")).expect("a link");
    fs::create_dir_all(root.join("etc")).expect("a folder");
    let accounts = "root:x:0:0:root:/root:/bin/bash\nworker:x:1234:1234::/home/worker:/bin/bash\n";
    fs::write(root.join("etc/passwd"), accounts).expect("accounts");
    fs::write(root.join("etc/group"), "root:x:0:\nworker:x:1234:\n").expect("groups");
    fs::create_dir_all(root.join("home/worker")).expect("a folder");
    chown(root.join("home/worker"), Some(1234), Some(1234)).expect("an owner");
    fs::write(root.join("etc/marker"), "of this image\n").expect("a file");
}

/// The libraries of these programs, under the names by which the loader looks for them.
fn libraries(programs: &[&str]) -> BTreeSet<PathBuf> {
    let listed = Command::new("ldd").args(programs).output().expect("ldd starts");
    let listed = String::from_utf8(listed.stdout).expect("text");
    listed.split_whitespace().filter(|word| word.starts_with("/lib")).map(PathBuf::from).collect()
}

#[tokio::test]
async fn a_directory_and_an_archive_serve_as_snapshots() {
    let folder = tempfile::tempdir().expect("a folder");
    let (directory, archive) = (folder.path().join("image"), folder.path().join("image.tar.gz"));
    fs::create_dir(&directory).expect("a folder");
    root_filesystem(&directory);
    let packed = Command::new("tar").arg("-C").arg(&directory).arg("-czf").arg(&archive).arg(".").status();
    assert!(packed.expect("tar starts").success());
    let config = format!(
        "[snapshots.directory]\npath = {:?}\nuser = \"worker\"\n\n[snapshots.archive]\npath = {:?}\nuser = \"worker\"\n",
        directory.display().to_string(),
        archive.display().to_string()
    );
    let server = Server::start_with(Options { config: Some(config), ..Options::default() }).await;
    for name in ["directory", "archive"] {
        let sandbox = server.create(&json!({ "snapshot": name })).await;
        assert_eq!(sandbox.info().await["snapshot"], name);
        assert_eq!(sandbox.sh("cat /etc/marker").await, "of this image", "{name}");
        assert_eq!(sandbox.sh("echo $HOME; id -u").await, "/home/worker\n1234", "{name}");
        sandbox.sh("echo mine > ~/note; echo changed > /tmp/x || true").await;
        let again = server.create(&json!({ "snapshot": name })).await;
        again.fails("cat ~/note").await;
        again.delete().await;
        sandbox.stop().await;
        sandbox.start().await;
        assert_eq!(sandbox.sh("cat ~/note").await, "mine", "{name}");
        sandbox.delete().await;
    }
    assert!(!directory.join("home/worker/note").exists(), "an image is never written to");
}

/// Panics unless this configuration is refused with these words.
async fn refused(config: &str, words: &[&str]) {
    let server = Server::start().await;
    server.terminate();
    let ended = server.start_second_with(config);
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(!ended.status.success(), "it must not start with `{config}`: {said}");
    for word in words {
        assert!(said.contains(word), "it says `{word}`: {said}");
    }
    server.start_again();
}

#[tokio::test]
async fn an_unknown_key_is_an_error() {
    refused("lisssten = \"127.0.0.1:0\"\n", &["lisssten"]).await;
}

#[tokio::test]
async fn a_snapshot_that_is_not_there_is_an_error_at_the_start() {
    refused("[snapshots.absent]\npath = \"/no/such/image\"\n", &["/no/such/image"]).await;
}

#[tokio::test]
async fn flags_win_over_the_environment_and_that_over_the_file() {
    let config = "public_url = \"http://file.example\"\nlisten = \"127.0.0.1:1\"\n".to_owned();
    let env = vec![
        ("SANDGATE_PUBLIC_URL".to_owned(), "http://environment.example".to_owned()),
        ("SANDGATE_LISTEN".to_owned(), "127.0.0.1:2".to_owned()),
    ];
    // It listens where the flag says, or it would not have started.
    let server = Server::start_with(Options { config: Some(config), env, ..Options::default() }).await;
    let sandbox = server.create(&json!({})).await;
    assert_eq!(sandbox.info().await["toolboxProxyUrl"], "http://environment.example/toolbox");
    sandbox.delete().await;
}
