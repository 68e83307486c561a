//! Starts the real daemon in a directory of its own, and sees to it that nothing of it is left.

#![expect(dead_code, reason = "every test file uses a part of it")]

use std::{
    fs, io,
    os::unix::fs::{MetadataExt, chown},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use rustix::process::{Pid, Signal, kill_process};
use sandgate_toolbox_api::{
    ClientError, ErrorBody, ExecuteRequest, ExecuteResponse, ToolboxBody, ToolboxClient,
    client::{empty_body, full_body, json_post},
};
use tempfile::TempDir;

/// How long a state may take to come about.
const DEADLINE: Duration = Duration::from_secs(20);
const BINARY: &str = env!("CARGO_BIN_EXE_sandgate-toolbox");
/// An ordinary user that nothing else here runs as.
const ORDINARY: u32 = 54_321;
/// In the environment of everything that a daemon starts, with the daemon's own directory as its value.
const MARK: &str = "TOOLBOX_TEST_DIR";

/// A daemon of one test. Call [`Daemon::end`] last.
pub(crate) struct Daemon {
    pub(crate) client: ToolboxClient,
    child: Child,
    dir: TempDir,
    /// Pid 1 takes no signal from us, but the program that holds its namespace does.
    end_with: Signal,
}

impl Daemon {
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    /// `change` may add to the command that starts it.
    pub(crate) async fn start_with(change: impl FnOnce(&mut Command)) -> Self {
        Self::launch(TempDir::new().expect("a directory"), Command::new(BINARY), change).await
    }

    /// As pid 1 of a namespace of its own, as uid 1000 of a user namespace of its own. That user is an ordinary one
    /// outside too: the kernel exempts the real root from limits wherever it hides.
    pub(crate) async fn start_as_init(change: impl FnOnce(&mut Command)) -> Self {
        let dir = TempDir::new().expect("a directory");
        let program = dir.path().join("toolbox");
        fs::copy(BINARY, &program).expect("a copy that everybody can reach");
        let mut command = Command::new(if is_root() { "setpriv" } else { "unshare" });
        if is_root() {
            chown(dir.path(), Some(ORDINARY), Some(ORDINARY)).expect("chown");
            command.args([
                &format!("--reuid={ORDINARY}"),
                &format!("--regid={ORDINARY}"),
                "--clear-groups",
                "unshare",
            ]);
        }
        command.args(["--user", "--map-user=1000", "--map-group=1000", "--pid", "--fork", "--kill-child"]);
        command.args(["--mount", "--mount-proc", "--"]).arg(program);
        let mut daemon = Self::launch(dir, command, change).await;
        daemon.end_with = Signal::KILL;
        daemon
    }

    async fn launch(dir: TempDir, mut command: Command, change: impl FnOnce(&mut Command)) -> Self {
        let (work, socket) = (dir.path().join("work"), dir.path().join("socket"));
        fs::create_dir(&work).expect("a work directory");
        let owner = fs::metadata(dir.path()).expect("metadata");
        chown(&work, Some(owner.uid()), Some(owner.gid())).expect("chown");
        command.arg("--listen").arg(&socket).current_dir(&work).env(MARK, dir.path()).env("HOME", "/home/me");
        command.stdin(Stdio::null());
        // What the test runner is told is not meant for the sandbox.
        for name in std::env::vars_os().map(|(name, _)| name) {
            if name.as_encoded_bytes().starts_with(b"SANDGATE_") {
                command.env_remove(name);
            }
        }
        change(&mut command);
        let child = command.spawn().expect("the daemon starts");
        let daemon = Self { client: ToolboxClient::unix(socket), child, dir, end_with: Signal::TERM };
        daemon.until("the daemon answers", async || daemon.client.health().await.is_ok()).await;
        daemon
    }

    pub(crate) fn work_dir(&self) -> PathBuf {
        self.dir.path().join("work")
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) async fn run(&self, command: &str) -> ExecuteResponse {
        self.client.execute(&ExecuteRequest::new(command)).await.expect("an answer")
    }

    /// The error that a command which cannot be tried gives.
    pub(crate) async fn refusal(&self, command: &ExecuteRequest) -> ErrorBody {
        refused(self.client.execute(command).await)
    }

    pub(crate) async fn post(&self, path_and_query: &str) -> Answer {
        self.call(Method::POST, path_and_query, empty_body(), None).await
    }

    pub(crate) async fn get(&self, path_and_query: &str) -> Answer {
        self.call(Method::GET, path_and_query, empty_body(), None).await
    }

    pub(crate) async fn delete(&self, path_and_query: &str) -> Answer {
        self.call(Method::DELETE, path_and_query, empty_body(), None).await
    }

    pub(crate) async fn post_json(&self, path: &str, json: impl Into<Vec<u8>>) -> Answer {
        read(self.client.send(json_post(path, json.into())).await.expect("an answer")).await
    }

    pub(crate) async fn post_form(&self, path_and_query: &str, form: Form) -> Answer {
        let kind = Form::content_type();
        self.call(Method::POST, path_and_query, full_body(form.close()), Some(&kind)).await
    }

    pub(crate) async fn call(
        &self,
        method: Method,
        uri: &str,
        body: ToolboxBody,
        kind: Option<&str>,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(uri);
        if let Some(kind) = kind {
            request = request.header("content-type", kind);
        }
        let request = request.body(body).expect("a request");
        read(self.client.send(request).await.expect("an answer")).await
    }

    /// Waits for a state, and fails if it does not come about.
    pub(crate) async fn until(&self, what: &str, mut is_so: impl AsyncFnMut() -> bool) {
        let begin = Instant::now();
        while !is_so().await {
            assert!(begin.elapsed() < DEADLINE, "waited in vain until {what}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Processes that this daemon started and that are alive.
    pub(crate) fn processes(&self) -> Vec<u32> {
        let mark = format!("{MARK}={}", self.dir.path().display());
        let is_other = |pid: &u32| *pid != self.pid() && !is_daemon(*pid);
        numbered("/proc").filter(|pid| is_other(pid) && has_variable(*pid, &mark)).collect()
    }

    /// Kills what [`Self::processes`] finds.
    pub(crate) fn kill_processes(&self) {
        for pid in self.processes() {
            let _ = Pid::from_raw(pid.cast_signed()).map(|pid| kill_process(pid, Signal::KILL));
        }
    }

    /// Ends the daemon and checks that neither a process nor a file of its making is left.
    pub(crate) async fn end(mut self) {
        self.until("all its processes are gone", async || self.processes().is_empty()).await;
        kill_process(Pid::from_child(&self.child), self.end_with).expect("it is there");
        let begin = Instant::now();
        while self.child.try_wait().expect("its state").is_none() {
            assert!(begin.elapsed() < DEADLINE, "it does not end");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        for directory in [self.work_dir(), PathBuf::from("/tmp")] {
            let left = fs::read_dir(directory).expect("a directory").flatten();
            let left: Vec<_> = left
                .map(|entry| entry.file_name())
                .filter(|name| name.to_string_lossy().starts_with(".sandgate-"))
                .collect();
            assert!(left.is_empty(), "left behind: {left:?}");
        }
    }
}

impl Drop for Daemon {
    /// Only matters when a test has failed.
    fn drop(&mut self) {
        self.kill_processes();
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn numbered(directory: &str) -> impl Iterator<Item = u32> {
    let entries = fs::read_dir(directory).expect("a directory").flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// Itself, not a shell that it started.
fn is_daemon(pid: u32) -> bool {
    fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|program| {
        let name = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
        name.starts_with("toolbox") || name.starts_with("sandgate-toolbox")
    })
}

fn is_root() -> bool {
    rustix::process::getuid().is_root()
}

fn has_variable(pid: u32, variable: &str) -> bool {
    let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    environment.split(|byte| *byte == 0).any(|entry| entry == variable.as_bytes())
}

/// An answer that has been read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: http::HeaderMap,
    pub(crate) body: Vec<u8>,
}

async fn read(answer: Response<Incoming>) -> Answer {
    let (head, body) = answer.into_parts();
    let body = body.collect().await.expect("a whole body").to_bytes().to_vec();
    Answer { status: head.status, headers: head.headers, body }
}

impl Answer {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("text")
    }

    pub(crate) fn json<T: serde::de::DeserializeOwned>(&self) -> T {
        assert_eq!(self.header("content-type"), "application/json");
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in {}", self.text()))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().expect("text")).unwrap_or_default()
    }

    /// Checks that it is an error of that status and code, in the one shape of errors.
    pub(crate) fn fails(&self, status: u16, code: &str) -> ErrorBody {
        assert_eq!(self.status.as_u16(), status, "{}", self.text());
        let body: ErrorBody = self.json();
        assert_eq!((body.status_code, body.code.as_deref()), (status, Some(code)), "{}", self.text());
        assert_eq!(body.source.as_deref(), Some("DAYTONA_DAEMON"));
        assert!(body.path.starts_with('/') && body.method.is_some() && body.timestamp.ends_with('Z'));
        body
    }

    /// Checks that it succeeded with that status.
    pub(crate) fn is(&self, status: u16) -> &Self {
        assert_eq!(self.status.as_u16(), status, "{}", String::from_utf8_lossy(&self.body));
        self
    }

    /// The parts of a multipart answer: name, filename (decoded), content.
    pub(crate) fn parts(&self) -> Vec<Part> {
        let kind = self.header("content-type");
        let boundary = kind.strip_prefix("multipart/form-data; boundary=").expect("a boundary");
        let separator = format!("\r\n--{boundary}");
        // The first boundary has no line end before it.
        let body = [b"\r\n", self.body.as_slice()].concat();
        let mut pieces = split(&body, separator.as_bytes()).into_iter();
        assert_eq!(pieces.next(), Some(b"".as_slice()), "nothing comes before the first part");
        let mut pieces: Vec<_> = pieces.collect();
        assert_eq!(pieces.pop(), Some(b"--\r\n".as_slice()), "the closing boundary comes last");
        pieces.into_iter().map(Part::parse).collect()
    }
}

/// One part of a multipart answer.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) name: String,
    pub(crate) filename: String,
    pub(crate) length: Option<usize>,
    pub(crate) content: Vec<u8>,
}

impl Part {
    fn parse(piece: &[u8]) -> Self {
        let at = piece.windows(4).position(|window| window == b"\r\n\r\n").expect("the end of the head");
        let head = std::str::from_utf8(&piece[..at]).expect("text");
        let parameter = |key: &str| {
            let from = head.split_once(&format!("{key}=\""))?.1;
            Some(from.split_once('"')?.0.to_owned())
        };
        let extended =
            head.split_once("filename*=utf-8''").map(|(_, rest)| decode(rest.lines().next().unwrap_or("")));
        let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
        Self {
            name: parameter("name").expect("a name"),
            filename: extended.or_else(|| parameter("filename")).expect("a filename"),
            length: length.map(|length| length.parse().expect("a number")),
            content: piece[at + 4..].to_vec(),
        }
    }
}

fn decode(encoded: &str) -> String {
    let (mut bytes, mut rest) = (Vec::new(), encoded.bytes());
    while let Some(byte) = rest.next() {
        let digits = |rest: &mut std::str::Bytes| -> String { rest.take(2).map(char::from).collect() };
        bytes.push(if byte == b'%' {
            u8::from_str_radix(&digits(&mut rest), 16).expect("hex")
        } else {
            byte
        });
    }
    String::from_utf8(bytes).expect("UTF-8")
}

fn split<'a>(mut bytes: &'a [u8], separator: &[u8]) -> Vec<&'a [u8]> {
    let mut pieces = Vec::new();
    while let Some(at) = bytes.windows(separator.len()).position(|window| window == separator) {
        pieces.push(&bytes[..at]);
        bytes = &bytes[at + separator.len()..];
    }
    pieces.push(bytes);
    pieces
}

/// A multipart form to send.
pub(crate) struct Form(Vec<u8>);

const BOUNDARY: &str = "test-boundary-7d1f";

impl Form {
    pub(crate) fn new() -> Self {
        Self(Vec::new())
    }

    pub(crate) fn content_type() -> String {
        format!("multipart/form-data; boundary={BOUNDARY}")
    }

    pub(crate) fn part(mut self, name: &str, content: impl AsRef<[u8]>) -> Self {
        let file = if name.ends_with("file") { "; filename=\"basename\"" } else { "" };
        let head = format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"{file}\r\n\r\n");
        self.0.extend(head.as_bytes());
        self.0.extend(content.as_ref());
        self.0.extend(b"\r\n");
        self
    }

    /// A file of a bulk upload, path first.
    pub(crate) fn file(self, key: usize, path: &str, content: impl AsRef<[u8]>) -> Self {
        self.part(&format!("files[{key}].path"), path).part(&format!("files[{key}].file"), content)
    }

    pub(crate) fn open(self) -> Vec<u8> {
        self.0
    }

    pub(crate) fn close(mut self) -> Vec<u8> {
        self.0.extend(format!("--{BOUNDARY}--\r\n").as_bytes());
        self.0
    }
}

/// The error behind a refusal.
pub(crate) fn refused<T: std::fmt::Debug>(result: Result<T, ClientError>) -> ErrorBody {
    match result {
        Err(ClientError::Refused { body, .. }) => *body,
        other => panic!("not refused: {other:?}"),
    }
}

/// Percent-encodes a query value.
pub(crate) fn encode(value: impl AsRef<Path>) -> String {
    use std::os::unix::ffi::OsStrExt;
    let bytes = value.as_ref().as_os_str().as_bytes().iter();
    bytes
        .map(|byte| {
            if byte.is_ascii_alphanumeric() { char::from(*byte).to_string() } else { format!("%{byte:02X}") }
        })
        .collect()
}

/// Greatest resident memory that a process has ever had, in bytes.
pub(crate) fn peak_memory(pid: u32) -> io::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>().map_or(0, |kib| kib * 1024))
}

/// Whether what needs namespaces can be tested here; says why if not.
pub(crate) fn can_unshare() -> bool {
    let tried =
        Command::new("unshare").args(["--user", "--map-user=1000", "--pid", "--fork", "true"]).status();
    let can = tried.is_ok_and(|status| status.success());
    if !can {
        eprintln!("skipped: this machine does not let us make user namespaces");
    }
    can
}
