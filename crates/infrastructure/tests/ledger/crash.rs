//! What is left of a ledger whose process is killed, or whose log is torn, in the middle of a write.

use crate::rig::{Rig, intent, sandbox_of};
use sandgate_core::{ApiKey, KeyHash, KeyId, KeyRepository, OrganizationId, SandboxId, SandboxRepository};
use sandgate_infrastructure::sqlite::SqliteLedger;
use std::collections::HashSet;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use tokio::task::JoinSet;

/// In the process to be killed: where its ledger is.
const VICTIM: &str = "SANDGATE_TEST_VICTIM";
const ACKNOWLEDGED: &str = "acknowledged ";

/// The test is its own victim: started again with a directory, it writes there until it is killed.
#[tokio::test]
async fn a_killed_writer_loses_nothing_that_it_acknowledged() {
    if let Some(dir) = std::env::var_os(VICTIM) {
        return write_for_ever(Path::new(&dir)).await;
    }
    let dir = tempfile::tempdir().expect("temporary directory");
    let mut acknowledged = HashSet::new();
    for round in 1..=6 {
        acknowledged.extend(killed_after(dir.path(), round * 40));
        let present = present(dir.path()).await;
        let lost: Vec<_> = acknowledged.difference(&present).collect();
        assert!(lost.is_empty(), "{} of {} are lost", lost.len(), acknowledged.len());
    }
}

/// Starts a victim, kills it in mid-write after so many acknowledgements, and returns all that it acknowledged.
fn killed_after(dir: &Path, acknowledgements: usize) -> Vec<SandboxId> {
    let mut victim = Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", "crash::a_killed_writer_loses_nothing_that_it_acknowledged", "--nocapture"])
        .env(VICTIM, dir)
        .stdout(Stdio::piped())
        .spawn()
        .expect("start the victim");
    let output = BufReader::new(victim.stdout.take().expect("a pipe")).lines().map_while(Result::ok);
    let mut seen = 0;
    let ids = output.filter_map(|line| line.strip_prefix(ACKNOWLEDGED)?.parse().ok()).inspect(|_| {
        seen += 1;
        if seen == acknowledgements {
            victim.kill().expect("kill the victim");
        }
    });
    let ids: Vec<SandboxId> = ids.collect();
    let ended = victim.wait().expect("the victim's end");
    assert!(!ended.success() && ids.len() >= acknowledgements, "it was killed, and did not end: {ended}");
    ids
}

async fn present(dir: &Path) -> HashSet<SandboxId> {
    let ledger = SqliteLedger::open(dir).expect("a sound ledger");
    let living = ledger.all_living().await.expect("living");
    living.into_iter().map(|sandbox| sandbox.id).collect()
}

/// Several writers at once, so that groups of every size are cut off.
async fn write_for_ever(dir: &Path) {
    let ledger = SqliteLedger::open(dir).expect("open");
    let organization = OrganizationId::random();
    let key = ApiKey { id: KeyId::random(), organization };
    let hash = [key.id, KeyId::random()].map(|id| id.to_string().into_bytes()).concat();
    ledger.insert_key(key, KeyHash(*hash.first_chunk().expect("32 bytes"))).await.expect("insert a key");
    let mut writers = JoinSet::new();
    for _ in 0..8 {
        writers.spawn(write_and_say_so(ledger.clone(), organization));
    }
    writers.join_all().await;
}

async fn write_and_say_so(ledger: SqliteLedger, organization: OrganizationId) {
    loop {
        let sandbox = sandbox_of(organization, &SandboxId::random().to_string());
        ledger.insert(&intent(&sandbox)).await.expect("insert");
        let line = format!("\n{ACKNOWLEDGED}{}\n", sandbox.id);
        std::io::stdout().write_all(line.as_bytes()).expect("a pipe");
    }
}

/// A power cut may tear the log anywhere: what was committed before that place is there, and nothing else.
#[tokio::test]
async fn a_torn_log_leaves_a_beginning_of_what_was_written() {
    let rig = Rig::new().await;
    let mut written = Vec::new();
    for n in 0..12 {
        written.push(rig.inserted(&format!("sandbox-{n}")).await.id);
    }
    let log = std::fs::read(rig.path().join("ledger.db-wal")).expect("the log");
    let mut counts = HashSet::new();
    for length in (0..log.len()).step_by(log.len() / 40).chain([log.len()]) {
        let dir = tempfile::tempdir().expect("temporary directory");
        for file in ["ledger.db", "seal.key"] {
            std::fs::copy(rig.path().join(file), dir.path().join(file)).expect(file);
        }
        std::fs::write(dir.path().join("ledger.db-wal"), &log[..length]).expect("a torn log");
        let present = present(dir.path()).await;
        let beginning = &written[..present.len()];
        assert_eq!(present, beginning.iter().copied().collect(), "after {length} bytes of {}", log.len());
        counts.insert(present.len());
    }
    assert_eq!(counts, (0..=written.len()).collect(), "it was torn after each of them");
}
