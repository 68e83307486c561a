//! The n-th flush, write or open of the ledger's files, made to fail by `strace`, for every n: no acknowledged write is
//! lost, nothing is damaged, no file, descriptor or lock stays behind, every error says what failed, and the next try works.

use crate::rig::{event, intent, next, sandbox_of};
use sandgate_core::{
    ApiKey, Desired, EventKind, KeyHash, KeyId, KeyRepository, Observed, OrganizationId, SandboxRepository,
};
use sandgate_infrastructure::sqlite::SqliteLedger;
use std::collections::BTreeSet;
use std::error::Error;
use std::path::Path;
use std::process::Command;

/// In the process whose calls fail: where its ledger is.
const VICTIM: &str = "SANDGATE_TEST_FAILING";
const FILES: [&str; 10] = [
    "",
    "ballast",
    "ballast.new",
    "ledger.db",
    "ledger.db-shm",
    "ledger.db-wal",
    "ledger.db.new",
    "ledger.lock",
    "seal.key",
    "seal.key.new",
];
/// More flushes than faults.
const SANDBOXES: usize = 70;

#[tokio::test]
async fn any_flush_may_fail() {
    any("any_flush_may_fail", "fsync,fdatasync", "EIO").await;
}

#[tokio::test]
async fn any_write_may_find_the_disk_full() {
    any("any_write_may_find_the_disk_full", "pwrite64", "ENOSPC").await;
}

#[tokio::test]
async fn any_write_may_fail() {
    any("any_write_may_fail", "pwrite64", "EIO").await;
}

#[tokio::test]
async fn any_open_may_find_no_descriptor() {
    any("any_open_may_find_no_descriptor", "openat", "EMFILE").await;
}

#[tokio::test]
async fn any_making_and_removing_may_fail() {
    any("any_making_and_removing_may_fail", "ftruncate,fallocate,rename,unlink", "EIO").await;
}

/// The test named `test` is its own victim.
async fn any(test: &'static str, call: &'static str, error: &'static str) {
    if let Some(dir) = std::env::var_os(VICTIM) {
        return Victim::new(Path::new(&dir)).live().await;
    }
    if Command::new("strace").arg("-V").output().is_err() {
        println!("\nSKIPPED: failing system calls need strace\n");
        return;
    }
    let step = if std::env::var_os("SANDGATE_TEST_LONG").is_some() { 1 } else { 10 };
    let (mut injected, mut refused) = (0, 0);
    for number in (1..=100).step_by(step) {
        let told = Fault { test, call, error, number }.suffer().await;
        injected += usize::from(told.injected);
        refused += told.errors.len();
    }
    println!("{call} {error}: {injected} times, {refused} errors");
    assert!(injected > 0, "{call} is never called");
}

/// One call that fails once in each thread.
struct Fault {
    test: &'static str,
    call: &'static str,
    error: &'static str,
    number: usize,
}

/// What the process said whose call failed.
#[derive(Default)]
struct Told {
    injected: bool,
    made: BTreeSet<String>,
    deleted: BTreeSet<String>,
    tried: BTreeSet<String>,
    errors: Vec<String>,
}

impl Fault {
    async fn suffer(&self) -> Told {
        let dir = tempfile::tempdir().expect("temporary directory");
        let told = self.run(dir.path());
        let what = format!("{} {} {}", self.call, self.error, self.number);
        for error in &told.errors {
            let names_it = ["could not be", "cannot be", "is full"].iter().any(|words| error.contains(words));
            assert!(names_it, "{what}: {error}");
        }
        assert_sound(dir.path(), &what);
        let ledger = SqliteLedger::open(dir.path()).unwrap_or_else(|error| panic!("{what}: {error}"));
        let living = ledger.all_living().await.expect("living");
        let living: BTreeSet<_> = living.iter().map(|sandbox| sandbox.id.to_string()).collect();
        let lost: Vec<_> = told.made.difference(&told.deleted).filter(|id| !living.contains(*id)).collect();
        // A delete whose answer was an error may have happened; it was the last thing said of its sandbox.
        let lost: Vec<_> = lost.into_iter().filter(|id| !told.tried.contains(*id)).collect();
        assert!(lost.is_empty(), "{what}: lost {lost:?}");
        assert!(told.deleted.is_disjoint(&living), "{what}: what was deleted is back");
        assert!(told.made.len() + 2 >= SANDBOXES, "{what}: it does not go on: {:?}", told.errors.last());
        told
    }

    fn run(&self, dir: &Path) -> Told {
        let log = tempfile::NamedTempFile::new().expect("a log");
        let mut strace = Command::new("strace");
        strace.args(["-f", "-qq", "--seccomp-bpf", "-o"]).arg(log.path());
        strace.args(["-e", &format!("trace={}", self.call)]);
        strace.args(["-e", &format!("inject={}:error={}:when={}", self.call, self.error, self.number)]);
        for file in FILES {
            strace.arg("-P").arg(if file.is_empty() { dir.to_owned() } else { dir.join(file) });
        }
        let output = strace
            .arg(std::env::current_exe().expect("this test"))
            .args(["--exact", &format!("failing::{}", self.test), "--nocapture"])
            .env(VICTIM, dir)
            .output()
            .expect("strace");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
        let mut told = Told {
            injected: std::fs::read_to_string(log.path()).expect("a log").contains("(INJECTED)"),
            ..Told::default()
        };
        for line in said.lines() {
            told.hear(line);
        }
        told
    }
}

impl Told {
    fn hear(&mut self, line: &str) {
        let Some((word, rest)) = line.split_once(": ") else { return };
        match word {
            "made" => drop(self.made.insert(rest.to_owned())),
            "deleted" => drop(self.deleted.insert(rest.to_owned())),
            "not deleted" => drop(self.tried.insert(rest.to_owned())),
            "error" => self.errors.push(rest.to_owned()),
            "left" => panic!("left open: {rest}"),
            _ => {}
        }
    }
}

/// Nothing half made is left, and the database does not contradict itself.
fn assert_sound(dir: &Path, what: &str) {
    for entry in std::fs::read_dir(dir).expect("list") {
        let name = entry.expect("an entry").file_name().into_string().expect("a name");
        let half_made = name.strip_suffix(".new").is_some();
        assert!(FILES.contains(&name.as_str()) && !half_made, "{what}: {name} is left");
    }
    let connection = rusqlite::Connection::open(dir.join("ledger.db")).expect("open");
    let verdict: String =
        connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).expect("a verdict");
    assert_eq!(verdict, "ok", "{what}");
}

/// The process whose calls fail. It says what it was told.
struct Victim<'d> {
    dir: &'d Path,
    organization: OrganizationId,
}

impl<'d> Victim<'d> {
    fn new(dir: &'d Path) -> Self {
        Self { dir, organization: OrganizationId::random() }
    }

    async fn live(&self) {
        for _ in 0..4 {
            drop(self.open());
        }
        let ledger = self.open();
        let key = ApiKey { id: KeyId::random(), organization: self.organization };
        while let Err(error) = ledger.insert_key(key, KeyHash([7; 32])).await {
            say_error(&error);
        }
        for n in 0..SANDBOXES {
            self.make_and_delete(&ledger, n).await;
        }
        drop(ledger);
        self.say_what_is_open();
    }

    /// A failure must not keep the next try from its turn.
    fn open(&self) -> SqliteLedger {
        for _ in 0..5 {
            match SqliteLedger::open(self.dir) {
                Ok(ledger) => return ledger,
                Err(error) => say_error(&error),
            }
        }
        panic!("it is never opened");
    }

    /// Every second one lives on.
    async fn make_and_delete(&self, ledger: &SqliteLedger, n: usize) {
        let sandbox = sandbox_of(self.organization, &format!("sandbox-{n}"));
        if let Err(error) = ledger.insert(&intent(&sandbox)).await {
            return say_error(&error);
        }
        println!("\nmade: {}", sandbox.id);
        if n.is_multiple_of(2) {
            let gone = next(&sandbox, |s| (s.desired, s.observed) = (Desired::Deleted, Observed::Absent));
            match ledger.update(&gone, event(EventKind::Deleted)).await {
                Ok(()) => println!("\ndeleted: {}", sandbox.id),
                Err(error) => {
                    println!("\nnot deleted: {}", sandbox.id);
                    say_error(&error);
                }
            }
        }
    }

    fn say_what_is_open(&self) {
        for entry in std::fs::read_dir("/proc/self/fd").expect("list").flatten() {
            let file = std::fs::read_link(entry.path()).unwrap_or_default();
            if file.starts_with(self.dir) {
                println!("\nleft: {}", file.display());
            }
        }
    }
}

/// The error with its causes, in one line.
fn say_error(error: &dyn Error) {
    let causes = std::iter::successors(Some(error), |error| (*error).source());
    let line = causes.map(ToString::to_string).collect::<Vec<_>>().join(": ");
    println!("\nerror: {line}");
}
