//! A server of a test's own: the real binary, a free port, a data directory that goes with it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output};
use std::sync::{Mutex, MutexGuard, PoisonError};

use reqwest::{Client, Method, RequestBuilder};
use serde_json::Value;
use tempfile::TempDir;

use crate::answer::Answer;
use crate::leaks::LeakGuard;
use crate::process::{self, Running};
use crate::rows;
use crate::sandbox::Sandbox;
use crate::wait::wait_until;

/// How a server is started, where that differs from its defaults.
#[derive(Default)]
pub struct Options {
    /// Text of the configuration file.
    pub config: Option<String>,
    /// Environment variables.
    pub env: Vec<(String, String)>,
    /// Another binary than the one under test.
    pub binary: Option<OsString>,
    /// A cgroup controller that it does not see, such as `memory`.
    pub hidden: Option<&'static str>,
    /// The directory that its own is made in, such as one on a small disk.
    pub parent: Option<PathBuf>,
}

/// A server that runs. When it is dropped, it is stopped, and the test fails if anything is left behind.
pub struct Server {
    folder: TempDir,
    options: Options,
    running: Mutex<Option<Running>>,
    key: String,
    client: Client,
    guard: LeakGuard,
}

impl Server {
    /// Starts a server with its defaults.
    pub async fn start() -> Self {
        Self::start_with(Options::default()).await
    }

    /// Starts a server in a new data directory.
    pub async fn start_with(options: Options) -> Self {
        let parent = options.parent.clone().unwrap_or_else(std::env::temp_dir);
        let folder = tempfile::Builder::new().prefix("sandgate-test-").tempdir_in(parent);
        let folder = folder.expect("a temporary folder");
        let data = folder.path().join("data");
        let running = Running::start(serve(folder.path(), &options));
        let given =
            options.env.iter().find(|(name, _)| name == "SANDGATE_API_KEY").map(|(_, key)| key.clone());
        let key = given.unwrap_or_else(|| {
            std::fs::read_to_string(data.join("api-key")).expect("the first start leaves a key")
        });
        let client = Client::new();
        let health = Answer::of(client.get(format!("{}/health", running.url))).await.expect(200).json();
        let instance = health["instance"].as_str().unwrap_or_else(|| panic!("an instance: {health}"));
        let guard = LeakGuard::new(&data, instance, running.pid());
        let (running, key) = (Mutex::new(Some(running)), key.trim().to_owned());
        Self { folder, options, running, key, client, guard }
    }

    /// Where it listens now, such as `http://127.0.0.1:4321`.
    pub fn url(&self) -> String {
        self.running().as_ref().expect("the server runs").url.clone()
    }

    /// The key of its first organization.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Where it keeps everything.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.running().as_ref().expect("the server runs").pid()
    }

    /// The host's ids of all processes in its sandboxes.
    pub fn sandbox_processes(&self) -> Vec<u32> {
        self.guard.sandbox_processes()
    }

    /// The process that holds its sandboxes.
    pub fn spawner(&self) -> Option<u32> {
        self.guard.spawner()
    }

    /// What it may leave behind.
    pub(crate) const fn guard(&self) -> &LeakGuard {
        &self.guard
    }

    /// Remembers the sandboxes that live now, which [`Self::create`] does of its own: whatever is left of them is found.
    pub fn observe(&self) {
        self.guard.observe();
    }

    /// A request without a key. The path may hold a query.
    pub fn anonymous(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url()))
    }

    /// A request with the server's own key.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.anonymous(method, path).bearer_auth(&self.key)
    }

    /// `GET` and the whole answer.
    pub async fn get(&self, path: &str) -> Answer {
        Answer::of(self.request(Method::GET, path)).await
    }

    /// `POST` without a body.
    pub async fn post(&self, path: &str) -> Answer {
        Answer::of(self.request(Method::POST, path)).await
    }

    /// `POST` with a JSON body.
    pub async fn post_json(&self, path: &str, body: &Value) -> Answer {
        Answer::of(self.request(Method::POST, path).json(body)).await
    }

    /// `DELETE` and the whole answer.
    pub async fn delete(&self, path: &str) -> Answer {
        Answer::of(self.request(Method::DELETE, path)).await
    }

    /// Creates a sandbox, which must be started at once.
    pub async fn create(&self, config: &Value) -> Sandbox<'_> {
        let body = self.post_json("/api/sandbox", config).await.expect(200).json();
        assert_eq!(body["state"], "started", "a created sandbox is started: {body}");
        self.guard.observe();
        Sandbox::new(self, &body)
    }

    /// All sandboxes that the API lists.
    pub async fn list(&self) -> Vec<Value> {
        let body = self.get("/api/sandbox").await.expect(200).json();
        body["items"].as_array().unwrap_or_else(|| panic!("items: {body}")).clone()
    }

    /// Stops the process as an operator does. Sandboxes live on.
    pub fn terminate(&self) -> ExitStatus {
        self.running().take().expect("the server runs").terminate()
    }

    /// Ends the process as a crash does. Sandboxes live on.
    pub fn kill(&self) {
        self.running().take().expect("the server runs").kill();
    }

    /// Starts it anew on the same data. It listens on another port then.
    pub fn start_again(&self) {
        *self.running() = Some(Running::start(serve(self.folder.path(), &self.options)));
    }

    /// As [`Self::start_again`], with one more variable in its environment.
    pub fn start_again_with(&self, name: &str, value: &str) {
        let mut env = self.options.env.clone();
        env.push((name.to_owned(), value.to_owned()));
        let options = Options { env, config: self.options.config.clone(), ..Options::default() };
        *self.running() = Some(Running::start(serve(self.folder.path(), &options)));
    }

    /// As [`Self::start_again`], by another binary.
    pub fn start_again_as(&self, binary: &Path) {
        let options =
            Options { binary: Some(binary.into()), env: self.options.env.clone(), ..Options::default() };
        *self.running() = Some(Running::start(serve(self.folder.path(), &options)));
    }

    /// Starts it anew on the same data, and ends it as a crash does as soon as `reached` is true.
    pub fn kill_while_starting(&self, reached: impl Fn(&Path) -> bool) {
        let mut child = serve(self.folder.path(), &self.options).spawn().expect("the server starts");
        while !reached(&self.data()) {
            let ended = child.try_wait().expect("the server is our child");
            assert!(ended.is_none(), "the server ended before that: {ended:?}");
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        child.kill().expect("the server can be killed");
        child.wait().expect("the server is our child");
    }

    /// Tries to start a second process on the same data and returns how that ended.
    pub fn start_second(&self) -> Output {
        serve(self.folder.path(), &self.options)
            .stderr(std::process::Stdio::piped())
            .output()
            .expect("it ends")
    }

    /// As [`Self::start_second`], with another configuration file.
    pub fn start_second_with(&self, config: &str) -> Output {
        let options =
            Options { config: Some(config.to_owned()), env: self.options.env.clone(), ..Options::default() };
        let output = serve(self.folder.path(), &options).stderr(std::process::Stdio::piped()).output();
        output.expect("it ends")
    }

    /// As [`Self::start_second`], with one more variable in its environment.
    pub fn start_second_in(&self, name: &str, value: &str) -> Output {
        let mut command = serve(self.folder.path(), &self.options);
        command.env(name, value).stderr(std::process::Stdio::piped()).output().expect("it ends")
    }

    fn running(&self) -> MutexGuard<'_, Option<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nothing of its sandboxes may be left while it runs on, and nothing at all once it is stopped.
    fn check(&self) {
        if let Some(running) = self.running().take() {
            let mut left = Vec::new();
            let clean = wait_until(|| {
                left = self.guard.of_sandboxes(running.pid());
                left.extend(rows::listed(&running.url, &self.key));
                left.is_empty()
            });
            let status = running.terminate();
            assert!(clean, "left behind by sandboxes:\n  {}", left.join("\n  "));
            assert!(status.success(), "the server ended with {status}");
        }
        let mut left = Vec::new();
        let clean = wait_until(|| {
            left = self.guard.of_server();
            let files = std::fs::read_dir(temporary(self.folder.path())).into_iter().flatten().flatten();
            left.extend(files.map(|file| format!("temporary file {}", file.path().display())));
            left.is_empty()
        });
        assert!(clean, "left behind by the server:\n  {}", left.join("\n  "));
    }

    /// After a failed test: ends everything, asks nothing.
    fn clear(&self) {
        if let Some(running) = self.running().take() {
            running.kill();
        }
        let _ = wait_until(|| {
            self.guard.kill_sandboxes();
            self.guard.of_server().is_empty()
        });
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return self.clear();
        }
        let checked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.check()));
        if let Err(failure) = checked {
            self.clear();
            std::panic::resume_unwind(failure);
        }
    }
}

/// The command that serves from `folder`, with the options' configuration beside the data.
fn serve(folder: &Path, options: &Options) -> Command {
    let binary = options.binary.clone().unwrap_or_else(process::binary);
    let mut command = process::command(&binary, &folder.join("data"), options.hidden);
    if let Some(config) = &options.config {
        let file = folder.join("sandgate.toml");
        std::fs::write(&file, config).expect("the configuration can be written");
        command.arg("--config").arg(file);
    }
    let temporary = temporary(folder);
    std::fs::create_dir_all(&temporary).expect("a folder for what is temporary");
    command.env("TMPDIR", temporary).envs(options.env.iter().map(|(name, value)| (name, value)));
    command
}

/// Where a server in `folder` may put what it needs for a moment.
fn temporary(folder: &Path) -> PathBuf {
    folder.join("tmp")
}
