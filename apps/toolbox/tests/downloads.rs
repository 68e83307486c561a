//! Downloads: one, many, and what cannot be had.

mod support;

use std::{
    fs::{self, OpenOptions},
    io::Write,
};

use http_body_util::BodyExt;
use sandgate_toolbox_api::{BulkDownloadRequest, ErrorBody, client::get};
use support::{Daemon, encode};

fn wanted(paths: &[&str]) -> Vec<u8> {
    let paths = paths.iter().map(|path| (*path).to_owned()).collect();
    serde_json::to_vec(&BulkDownloadRequest { paths }).expect("JSON")
}

#[tokio::test]
async fn one_file_byte_for_byte() {
    let daemon = Daemon::start().await;
    let all: Vec<u8> = (0..=255).cycle().take(1_000_003).collect();
    let name = "odd \"nämé\"\n.bin";
    fs::write(daemon.work_dir().join(name), &all).expect("write");
    let answer = daemon.get(&format!("/files/download?path={}", encode(name))).await;
    answer.is(200);
    assert_eq!(answer.header("content-type"), "application/octet-stream");
    assert_eq!(answer.header("content-length"), all.len().to_string());
    assert!(answer.header("content-disposition").starts_with("attachment; filename="));
    assert!(
        answer.header("content-disposition").ends_with("filename*=utf-8''odd%20%22n%C3%A4m%C3%A9%22%0A.bin")
    );
    assert!(answer.body == all);
    fs::write(daemon.work_dir().join("empty"), "").expect("write");
    assert_eq!(daemon.get("/files/download?path=empty").await.is(200).header("content-length"), "0");
    daemon.end().await;
}

#[tokio::test]
async fn what_is_no_file_is_refused_at_once() {
    let daemon = Daemon::start().await;
    daemon.run("mkfifo fifo; mkdir dir; ln -s loop loop").await;
    for path in ["fifo", "dir", "/dev/zero", "/dev/tty", "loop", ""] {
        daemon.get(&format!("/files/download?path={}", encode(path))).await.fails(400, "INVALID_FILE_PATH");
    }
    daemon.get("/files/download?path=missing").await.fails(404, "FILE_NOT_FOUND");
    daemon.end().await;
}

#[tokio::test]
async fn files_of_the_kernel_are_read_though_they_say_they_are_empty() {
    let daemon = Daemon::start().await;
    let answer = daemon.get("/files/download?path=/proc/version").await;
    assert_eq!(answer.is(200).body, fs::read("/proc/version").expect("read"));
    daemon.end().await;
}

#[tokio::test]
async fn two_hundred_in_one_answer() {
    let daemon = Daemon::start().await;
    let content = |key: usize| format!("content {key}\r\n--").repeat(key * 11 % 500);
    let paths: Vec<_> = (0..200).map(|key| format!("dir/ü \"{key}\"")).collect();
    fs::create_dir(daemon.work_dir().join("dir")).expect("mkdir");
    for (key, path) in paths.iter().enumerate() {
        fs::write(daemon.work_dir().join(path), content(key)).expect("write");
    }
    let paths: Vec<_> = paths.iter().map(String::as_str).collect();
    let answer = daemon.post_json("/files/bulk-download", wanted(&paths)).await;
    let parts = answer.is(200).parts();
    assert_eq!(parts.len(), 200);
    for (key, part) in parts.iter().enumerate() {
        assert_eq!((part.name.as_str(), part.filename.as_str()), ("file", paths[key]));
        assert_eq!(part.length, Some(part.content.len()));
        assert!(part.content == content(key).as_bytes(), "of {key}");
    }
    daemon.end().await;
}

#[tokio::test]
async fn what_fails_has_a_part_of_its_own() {
    let daemon = Daemon::start().await;
    daemon.run("echo good > good; : > empty; mkdir dir; mkfifo fifo").await;
    let paths = ["good", "missing\nname", "dir", "empty", "fifo", "", "/proc/version", "good"];
    let parts = daemon.post_json("/files/bulk-download", wanted(&paths)).await.is(200).parts();
    let names: Vec<_> = parts.iter().map(|part| part.name.as_str()).collect();
    assert_eq!(names, ["file", "error", "error", "file", "error", "error", "file", "file"]);
    let filenames: Vec<_> = parts.iter().map(|part| part.filename.as_str()).collect();
    assert_eq!(filenames, paths);
    let error: ErrorBody = serde_json::from_slice(&parts[1].content).expect("an error");
    assert_eq!((error.status_code, error.code.as_deref()), (404, Some("FILE_NOT_FOUND")));
    assert_eq!(parts[3].length, Some(0));
    assert_eq!(parts[6].content, fs::read("/proc/version").expect("read"));
    daemon.post_json("/files/bulk-download", wanted(&[])).await.fails(400, "BAD_REQUEST");
    daemon.end().await;
}

#[tokio::test]
async fn a_file_that_shrinks_or_grows_does_not_break_the_frame() {
    let daemon = Daemon::start().await;
    let path = daemon.work_dir().join("changing");
    fs::write(&path, vec![b'a'; 32 << 20]).expect("write");
    fs::write(daemon.work_dir().join("after"), "after").expect("write");
    let request =
        sandgate_toolbox_api::client::json_post("/files/bulk-download", wanted(&["changing", "after"]));
    let mut answer = daemon.client.send(request).await.expect("an answer");
    // The answer waits for its reader, so most of the file is yet to be read.
    let first = answer.frame().await.expect("a frame").expect("data");
    fs::write(&path, "short").expect("write");
    let rest = answer.collect().await.expect("a whole body").to_bytes();
    let tail = String::from_utf8_lossy(&rest[rest.len().saturating_sub(2000)..]).into_owned();
    assert!(first.is_data() && rest.len() < 32 << 20);
    assert!(tail.contains("name=\"error\"; filename=\"changing\""), "{tail}");
    assert!(tail.contains("\r\n\r\nafter\r\n--") && tail.ends_with("--\r\n"), "{tail}");
    daemon.end().await;
}

#[tokio::test]
async fn a_single_file_that_shrinks_is_cut_off_and_one_that_grows_is_not_longer() {
    let daemon = Daemon::start().await;
    let path = daemon.work_dir().join("changing");
    fs::write(&path, vec![b'a'; 32 << 20]).expect("write");
    let growing = daemon.client.send(get("/files/download?path=changing")).await.expect("an answer");
    OpenOptions::new()
        .append(true)
        .open(&path)
        .expect("open")
        .write_all(&vec![b'b'; 1 << 20])
        .expect("write");
    assert_eq!(growing.collect().await.expect("a whole body").to_bytes().len(), 32 << 20);
    let shrinking = daemon.client.send(get("/files/download?path=changing")).await.expect("an answer");
    fs::write(&path, "short").expect("write");
    assert!(shrinking.collect().await.is_err(), "a part is never passed off as the whole");
    daemon.end().await;
}
