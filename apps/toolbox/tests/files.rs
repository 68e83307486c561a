//! Files: list, info, folder, delete, move, permissions.

mod support;

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
};

use sandgate_toolbox_api::FileInfo;
use support::{Daemon, encode};

const ODD_NAMES: [&str; 8] =
    ["with space", "qu\"ote'", "ünï€🦀", "new\nline", "back\\slash", "%41&=+;?#", "-rf", "$(id) *"];

#[tokio::test]
async fn every_odd_name_can_be_made_listed_moved_and_deleted() {
    let daemon = Daemon::start().await;
    for name in ODD_NAMES {
        daemon.post(&format!("/files/folder?path={}&mode=700", encode(name))).await.is(201);
        let info: FileInfo = daemon.get(&format!("/files/info?path={}", encode(name))).await.is(200).json();
        assert_eq!((info.name.as_str(), info.is_dir, info.permissions.as_str()), (name, true, "0700"));
        assert_eq!(info.path.as_deref(), daemon.work_dir().join(name).to_str());
    }
    let listed: Vec<FileInfo> = daemon.get("/files").await.is(200).json();
    let names: BTreeSet<_> = listed.iter().map(|info| info.name.as_str()).collect();
    assert_eq!(names, BTreeSet::from(ODD_NAMES));
    for name in ODD_NAMES {
        let moved = format!("{name}.moved");
        daemon
            .post(&format!("/files/move?source={}&destination={}", encode(name), encode(&moved)))
            .await
            .is(200);
        daemon.delete(&format!("/files?path={}&recursive=true", encode(moved))).await.is(204);
    }
    assert_eq!(daemon.get("/files/").await.is(200).text(), "[]");
    daemon.end().await;
}

#[tokio::test]
async fn a_listing_says_what_is_there() {
    let daemon = Daemon::start().await;
    let work = daemon.work_dir();
    fs::create_dir_all(work.join("dir/below/deep")).expect("mkdir");
    fs::write(work.join("file"), "12345").expect("write");
    symlink("file", work.join("link")).expect("symlink");
    symlink("nowhere", work.join("dangling")).expect("symlink");
    let listed: Vec<FileInfo> = daemon.get("/files?path=.").await.is(200).json();
    let of = |name: &str| listed.iter().find(|info| info.name == name).expect("listed");
    assert_eq!(listed.len(), 4);
    assert_eq!((of("file").size, of("file").is_dir, of("file").mode.as_str()), (5, false, "-rw-r--r--"));
    assert_eq!((of("link").size, of("link").mode.as_str()), (5, "-rw-r--r--"), "links are followed");
    assert!(of("dangling").mode.starts_with('L'), "{}", of("dangling").mode);
    assert!(of("dir").is_dir && of("dir").mode.starts_with('d'));
    assert!(of("file").modified_at.ends_with('Z') && of("file").mod_time.ends_with("+0000 UTC"));
    let owner = daemon.run("id -un; id -gn").await.result;
    assert_eq!(owner, format!("{}\n{}\n", of("file").owner, of("file").group));
    let count = async |depth: u32| -> usize {
        daemon.get(&format!("/files?path=&depth={depth}")).await.is(200).json::<Vec<FileInfo>>().len()
    };
    assert_eq!((count(1).await, count(2).await, count(3).await, count(50).await), (4, 5, 6, 6));
    daemon.end().await;
}

#[tokio::test]
async fn a_directory_of_many_is_listed_whole() {
    let daemon = Daemon::start().await;
    daemon.run("for i in $(seq 10000 15000); do : > f$i; done").await;
    let listed: Vec<FileInfo> = daemon.get("/files").await.is(200).json();
    assert_eq!(listed.len(), 5001);
    assert!(listed.is_sorted_by(|one, two| one.name < two.name));
    daemon.end().await;
}

#[tokio::test]
async fn what_cannot_be_listed_or_told_of() {
    let daemon = Daemon::start().await;
    fs::write(daemon.work_dir().join("file"), "").expect("write");
    daemon.get("/files?path=missing").await.fails(404, "FILE_NOT_FOUND");
    daemon.get("/files?path=file").await.fails(400, "INVALID_FILE_PATH");
    daemon.get("/files?depth=0").await.fails(400, "BAD_REQUEST");
    daemon.get("/files?depth=x").await.fails(400, "BAD_REQUEST");
    daemon.get("/files/info?path=missing").await.fails(404, "FILE_NOT_FOUND");
    daemon.get("/files/info?path=").await.fails(400, "INVALID_FILE_PATH");
    daemon.get("/files/info?path=a%00b").await.fails(400, "INVALID_FILE_PATH");
    daemon.get("/files/info?path=file/x").await.fails(400, "INVALID_FILE_PATH");
    daemon.get(&format!("/files/info?path={}", "x".repeat(5000))).await.fails(400, "INVALID_FILE_PATH");
    let error = daemon.get("/files/info").await.fails(400, "BAD_REQUEST");
    assert!(error.message.contains("path"), "{}", error.message);
    assert_eq!((error.path.as_str(), error.method.as_deref()), ("/files/info", Some("GET")));
    daemon.end().await;
}

#[tokio::test]
async fn folders() {
    let daemon = Daemon::start().await;
    let mode = |path: &str| fs::metadata(daemon.work_dir().join(path)).expect("metadata").mode() & 0o7777;
    daemon.post("/files/folder?path=a/b/c&mode=0750").await.is(201);
    assert_eq!((mode("a"), mode("a/b/c")), (0o755, 0o750));
    daemon.post("/files/folder?path=a/b/c&mode=0777").await.is(201);
    assert_eq!(mode("a/b/c"), 0o750, "one that is there stays as it is");
    daemon.post("/files/folder?path=plain").await.is(201);
    assert_eq!(mode("plain"), 0o755);
    fs::write(daemon.work_dir().join("file"), "").expect("write");
    daemon.post("/files/folder?path=file&mode=755").await.fails(400, "INVALID_FILE_PATH");
    daemon.post("/files/folder?path=file/x&mode=755").await.fails(400, "INVALID_FILE_PATH");
    daemon.post("/files/folder?path=x&mode=rwx").await.fails(400, "BAD_REQUEST");
    assert!(!daemon.work_dir().join("x").exists());
    daemon.end().await;
}

#[tokio::test]
async fn deletes() {
    let daemon = Daemon::start().await;
    let work = daemon.work_dir();
    fs::create_dir_all(work.join("dir/below")).expect("mkdir");
    fs::write(work.join("dir/below/file"), "").expect("write");
    symlink(work.join("dir"), work.join("link")).expect("symlink");
    daemon.delete("/files?path=dir").await.fails(400, "INVALID_FILE_PATH");
    daemon.delete("/files?path=dir&recursive=false").await.fails(400, "INVALID_FILE_PATH");
    daemon.delete("/files?path=dir&recursive=maybe").await.fails(400, "BAD_REQUEST");
    daemon.delete("/files?path=missing&recursive=true").await.fails(404, "FILE_NOT_FOUND");
    daemon.delete("/files?path=/&recursive=true").await.fails(400, "INVALID_FILE_PATH");
    daemon.delete("/files?path=link&recursive=true").await.is(204);
    assert!(work.join("dir/below/file").exists(), "only the link is gone");
    daemon.delete("/files?path=dir&recursive=True").await.is(204);
    assert_eq!(fs::read_dir(&work).expect("a directory").count(), 0);
    daemon.end().await;
}

#[tokio::test]
async fn moves() {
    let daemon = Daemon::start().await;
    let work = daemon.work_dir();
    fs::write(work.join("one"), "1").expect("write");
    fs::write(work.join("two"), "2").expect("write");
    fs::create_dir(work.join("dir")).expect("mkdir");
    daemon.post("/files/move?source=one&destination=two").await.fails(409, "CONFLICT");
    daemon.post("/files/move?source=one&destination=dir").await.fails(409, "CONFLICT");
    daemon.post("/files/move?source=missing&destination=x").await.fails(404, "FILE_NOT_FOUND");
    daemon.post("/files/move?source=one&destination=no/where").await.fails(404, "FILE_NOT_FOUND");
    daemon.post("/files/move?source=dir&destination=dir/inside").await.fails(400, "INVALID_FILE_PATH");
    daemon.post("/files/move?source=one").await.fails(400, "BAD_REQUEST");
    daemon.post("/files/move?source=one&destination=dir/uno").await.is(200);
    assert_eq!(fs::read_to_string(work.join("dir/uno")).expect("read"), "1");
    assert!(!work.join("one").exists());
    daemon.end().await;
}

#[tokio::test]
async fn a_move_to_another_filesystem_copies() {
    let daemon = Daemon::start().await;
    let elsewhere = tempfile::tempdir_in("/dev/shm").expect("a directory on another filesystem");
    daemon.run("mkdir -p tree/sub && echo text > tree/sub/file && chmod 640 tree/sub/file && ln -s file tree/sub/link").await;
    let target = elsewhere.path().join("tree");
    daemon.post(&format!("/files/move?source=tree&destination={}", encode(&target))).await.is(200);
    assert!(!daemon.work_dir().join("tree").exists());
    assert_eq!(fs::read_to_string(target.join("sub/link")).expect("read"), "text\n");
    assert_eq!(fs::metadata(target.join("sub/file")).expect("metadata").mode() & 0o777, 0o640);
    daemon.end().await;
}

#[tokio::test]
async fn permissions() {
    let daemon = Daemon::start().await;
    let file = daemon.work_dir().join("file");
    fs::write(&file, "").expect("write");
    daemon.post("/files/permissions?path=file&mode=4711").await.is(200);
    let info: FileInfo = daemon.get("/files/info?path=file").await.is(200).json();
    assert_eq!((info.permissions.as_str(), info.mode.as_str()), ("4711", "urwx--x--x"));
    daemon.post("/files/permissions?path=file&mode=9").await.fails(400, "BAD_REQUEST");
    daemon.post("/files/permissions?path=file&owner=no-such-user&mode=600").await.fails(400, "BAD_REQUEST");
    daemon.post("/files/permissions?path=missing&mode=600").await.fails(404, "FILE_NOT_FOUND");
    assert_eq!(fs::metadata(&file).expect("metadata").mode() & 0o7777, 0o4711, "refusals change nothing");
    let own = daemon.run("id -un; id -g").await.result;
    let own: Vec<_> = own.lines().collect();
    daemon
        .post(&format!("/files/permissions?path=file&owner={}&group={}&mode=600", own[0], own[1]))
        .await
        .is(200);
    assert_eq!(fs::metadata(&file).expect("metadata").permissions().mode() & 0o7777, 0o600);
    daemon.end().await;
}
