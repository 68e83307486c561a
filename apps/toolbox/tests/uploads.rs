//! Uploads: one, many, large, broken off.

mod support;

use std::{
    fs,
    os::unix::{
        fs::{MetadataExt, PermissionsExt, symlink},
        net::UnixListener,
    },
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::BodyExt;
use hyper::body::{Body, Frame};
use sandgate_toolbox_api::{BodyError, BulkUploadResponse, ToolboxBody, UploadedFile, client::full_body};
use support::{Daemon, Form, encode, peak_memory};

const BINARY: Option<&str> = Some("application/octet-stream");

/// A body of `left` pieces, made while it is sent; then it ends well, or breaks off.
struct Pieces {
    piece: Bytes,
    left: usize,
    breaks_off: bool,
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.left.checked_sub(1) {
            Some(left) => {
                self.left = left;
                Poll::Ready(Some(Ok(Frame::data(self.piece.clone()))))
            }
            None if self.breaks_off => Poll::Ready(Some(Err("broken off".into()))),
            None => Poll::Ready(None),
        }
    }
}

fn pieces(piece: impl Into<Bytes>, left: usize, breaks_off: bool) -> ToolboxBody {
    Pieces { piece: piece.into(), left, breaks_off }.boxed_unsync()
}

fn names(directory: impl AsRef<std::path::Path>) -> Vec<String> {
    let entries = fs::read_dir(directory).expect("a directory").flatten();
    let mut names: Vec<_> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn one_file_as_a_form_or_as_it_is() {
    let daemon = Daemon::start().await;
    let all: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    for (route, path) in [("upload-v2", "a/form ü.bin"), ("upload", "b/form.bin")] {
        let form = Form::new().part("other", "x").part("file", &all);
        let answer = daemon.post_form(&format!("/files/{route}?path={}", encode(path)), form).await;
        let uploaded: UploadedFile = answer.is(200).json();
        let full = daemon.work_dir().join(path);
        assert_eq!(uploaded.path, full.to_str().expect("text"));
        assert_eq!(
            (Some(uploaded.name.as_str()), uploaded.kind.as_str()),
            (full.file_name().and_then(|name| name.to_str()), "file")
        );
        assert_eq!(fs::read(&full).expect("read"), all);
        assert_eq!(fs::metadata(&full).expect("metadata").mode() & 0o7777, 0o644);
    }
    daemon.call(Method::POST, "/files/upload-v2?path=raw", full_body(all.clone()), BINARY).await.is(200);
    assert_eq!(fs::read(daemon.work_dir().join("raw")).expect("read"), all);
    daemon.call(Method::POST, "/files/upload-v2?path=empty", full_body(""), None).await.is(200);
    assert_eq!(fs::metadata(daemon.work_dir().join("empty")).expect("metadata").len(), 0);
    daemon.end().await;
}

#[tokio::test]
async fn old_files_keep_their_mode_and_links_are_followed() {
    let daemon = Daemon::start().await;
    let work = daemon.work_dir();
    fs::write(work.join("old"), "old and much longer").expect("write");
    fs::set_permissions(work.join("old"), fs::Permissions::from_mode(0o751)).expect("chmod");
    symlink("old", work.join("link")).expect("symlink");
    symlink("sub/new", work.join("dangling")).expect("symlink");
    for path in ["link", "dangling"] {
        daemon
            .call(Method::POST, &format!("/files/upload-v2?path={path}"), full_body("new"), BINARY)
            .await
            .is(200);
    }
    assert_eq!(fs::read_to_string(work.join("old")).expect("read"), "new");
    assert_eq!(fs::metadata(work.join("old")).expect("metadata").mode() & 0o7777, 0o751);
    assert_eq!(fs::read_to_string(work.join("sub/new")).expect("read"), "new");
    assert!(work.join("link").is_symlink() && work.join("dangling").is_symlink());
    assert_eq!(names(&work), ["dangling", "link", "old", "sub"]);
    daemon.end().await;
}

#[tokio::test]
async fn targets_that_are_no_files_are_refused() {
    let daemon = Daemon::start().await;
    let work = daemon.work_dir();
    fs::create_dir(work.join("dir")).expect("mkdir");
    fs::write(work.join("file"), "").expect("write");
    daemon.run("mkfifo fifo").await;
    let _socket = UnixListener::bind(work.join("socket")).expect("a socket");
    for path in ["dir", "dir/", "fifo", "socket", "/dev/null", "/", "new/", "file/below", ""] {
        let uri = format!("/files/upload-v2?path={}", encode(path));
        daemon.call(Method::POST, &uri, full_body("x"), BINARY).await.fails(400, "INVALID_FILE_PATH");
    }
    assert_eq!(names(&work), ["dir", "fifo", "file", "socket"]);
    assert_eq!(names(work.join("dir")).len(), 0);
    daemon.end().await;
}

#[tokio::test]
async fn a_form_without_the_file_and_what_is_no_form() {
    let daemon = Daemon::start().await;
    daemon
        .post_form("/files/upload-v2?path=x", Form::new().part("other", "x"))
        .await
        .fails(400, "BAD_REQUEST");
    let no_boundary = Some("multipart/form-data");
    daemon
        .call(Method::POST, "/files/upload-v2?path=x", full_body("x"), no_boundary)
        .await
        .fails(415, "UNSUPPORTED_MEDIA_TYPE");
    daemon
        .call(Method::POST, "/files/bulk-upload", full_body("{}"), Some("application/json"))
        .await
        .fails(415, "UNSUPPORTED_MEDIA_TYPE");
    let kind = Form::content_type();
    daemon
        .call(Method::POST, "/files/bulk-upload", full_body("no form at all"), Some(&kind))
        .await
        .fails(400, "INVALID_REQUEST_BODY");
    assert_eq!(names(daemon.work_dir()).len(), 0);
    daemon.end().await;
}

#[tokio::test]
async fn two_hundred_at_once_in_either_order() {
    let daemon = Daemon::start().await;
    let content = |key: usize| format!("content {key}\n").repeat(key * 7 % 400);
    let mut paths_first = Form::new();
    for key in 0..200 {
        paths_first = paths_first.part(&format!("files[{key}].path"), format!("first/{}/f {key}", key % 10));
    }
    for key in 0..200 {
        paths_first = paths_first.part(&format!("files[{key}].file"), content(key));
    }
    let interleaved = (0..200)
        .fold(Form::new(), |form, key| form.file(key, &format!("second/{}/f {key}", key % 10), content(key)));
    for (directory, form) in [("first", paths_first), ("second", interleaved)] {
        let answer: BulkUploadResponse = daemon.post_form("/files/bulk-upload", form).await.is(200).json();
        assert_eq!(answer.files.len(), 200);
        for (key, receipt) in answer.files.iter().enumerate() {
            assert_eq!(receipt.path, format!("{directory}/{}/f {key}", key % 10));
            assert_eq!(receipt.bytes, content(key).len() as u64);
            assert_eq!(
                fs::read_to_string(daemon.work_dir().join(&receipt.path)).expect("read"),
                content(key)
            );
        }
    }
    daemon.end().await;
}

#[tokio::test]
async fn one_that_fails_does_not_stop_the_others() {
    let daemon = Daemon::start().await;
    fs::create_dir(daemon.work_dir().join("dir")).expect("mkdir");
    let form = Form::new()
        .file(0, "good", "0")
        .file(1, "dir", "1")
        .part("files[2].file", "without a path")
        .file(3, "also/good", "3")
        .part("files[4].path", "without-a-file");
    let error = daemon.post_form("/files/bulk-upload", form).await.fails(400, "INVALID_FILE_PATH");
    assert_eq!(error.errors.len(), 3, "{:?}", error.errors);
    assert!(error.errors.iter().any(|line| line.contains("files[2].path")), "{:?}", error.errors);
    assert_eq!(fs::read_to_string(daemon.work_dir().join("also/good")).expect("read"), "3");
    assert_eq!(names(daemon.work_dir()), ["also", "dir", "good"]);
    daemon.end().await;
}

#[tokio::test]
async fn what_breaks_off_leaves_nothing_and_keeps_the_old() {
    let daemon = Daemon::start().await;
    fs::write(daemon.work_dir().join("old"), "old").expect("write");
    let form = Form::new().part("files[0].path", "new/dir/file").part("files[0].file", "begin");
    let kind = Form::content_type();
    let (open, half) = (form.open(), 40);
    let bodies = [
        (
            "/files/upload-v2?path=new/dir/file",
            BINARY.unwrap_or_default(),
            pieces(vec![7; 1 << 20], half, true),
        ),
        ("/files/upload-v2?path=old", BINARY.unwrap_or_default(), pieces(vec![7; 1 << 20], half, true)),
        ("/files/bulk-upload", kind.as_str(), pieces(open.clone(), 1, true)),
    ];
    for (uri, kind, body) in bodies {
        let request = Request::post(uri).header("content-type", kind).body(body).expect("a request");
        assert!(daemon.client.send(request).await.is_err(), "{uri}");
    }
    // The same form, ended without its last boundary, is an error that can be answered.
    daemon
        .call(Method::POST, "/files/bulk-upload", full_body(open), Some(&kind))
        .await
        .fails(400, "INVALID_REQUEST_BODY");
    let work = daemon.work_dir();
    daemon.until("nothing is left", async || names(&work) == ["old"]).await;
    assert_eq!(fs::read_to_string(work.join("old")).expect("read"), "old");
    daemon.end().await;
}

#[tokio::test]
async fn a_gibibyte_goes_in_and_out_in_constant_memory() {
    const PIECE: usize = 1 << 20;
    const COUNT: usize = 1024;
    let daemon = Daemon::start().await;
    let piece: Vec<u8> = (0..PIECE).map(|index| u8::try_from(index % 251).expect("small")).collect();
    let body = pieces(piece.clone(), COUNT, false);
    daemon.call(Method::POST, "/files/upload-v2?path=large", body, BINARY).await.is(200);
    let path = daemon.work_dir().join("large");
    assert_eq!(fs::metadata(&path).expect("metadata").len(), (PIECE * COUNT) as u64);
    let request = sandgate_toolbox_api::client::get("/files/download?path=large");
    let mut answer = daemon.client.send(request).await.expect("an answer");
    let mut at = 0;
    while let Some(frame) = answer.frame().await {
        let data = frame.expect("a whole body").into_data().expect("data");
        let mut rest = &data[..];
        while !rest.is_empty() {
            let expected = &piece[at % PIECE..];
            let length = rest.len().min(expected.len());
            assert!(rest[..length] == expected[..length], "at {at}");
            (at, rest) = (at + length, &rest[length..]);
        }
    }
    assert_eq!(at, PIECE * COUNT);
    let peak = peak_memory(daemon.pid()).expect("its memory");
    assert!(peak < 24 << 20, "peak of {peak} bytes");
    daemon.end().await;
}

#[tokio::test]
async fn a_refusal_is_heard_by_a_client_that_is_still_sending() {
    let daemon = Daemon::start().await;
    fs::create_dir(daemon.work_dir().join("dir")).expect("mkdir");
    for _ in 0..5 {
        let body = pieces(vec![7; 1 << 20], 64, false);
        let uri = "/files/upload-v2?path=dir";
        daemon.call(Method::POST, uri, body, BINARY).await.fails(400, "INVALID_FILE_PATH");
    }
    daemon.end().await;
}
