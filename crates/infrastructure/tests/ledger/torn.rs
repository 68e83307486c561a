//! A write-ahead log that is cut or flipped anywhere, as by a power cut or a bad disk.

use crate::rig::{Rig, event, intent, next, sandbox_of};
use rusqlite::{Connection, OpenFlags};
use sandgate_core::{EventKind, Observed, OrganizationId, SandboxRepository};
use sandgate_infrastructure::sqlite::SqliteLedger;
use std::collections::BTreeMap;
use std::path::Path;
use tempfile::TempDir;
use tokio::task::JoinSet;

/// Asks for a run again.
const SEED: &str = "SANDGATE_TEST_SEED";
/// So few that the log is not emptied in between.
const EACH: usize = 12;
const HEADER: usize = 32;
const FRAME: usize = 24 + 4096;

/// Everything that was noted, in its order: number, sandbox, what happened.
type History = Vec<(i64, String, String)>;

#[tokio::test]
async fn a_log_damaged_anywhere_gives_a_beginning_of_what_was_written() {
    let seed =
        std::env::var(SEED).map_or_else(|_| u64::from(std::process::id()), |seed| seed.parse().expect(SEED));
    println!("{SEED}={seed}");
    let places = if std::env::var_os("SANDGATE_TEST_LONG").is_some() { 1000 } else { 200 };
    let image = Image::under_load().await;
    let mut random = Random(seed);
    let mut beginnings = std::collections::BTreeSet::new();
    for place in 0..places {
        let at = random.below(image.log.len());
        let mut log = image.log.clone();
        if place % 2 == 0 {
            log.truncate(at);
        } else {
            log[at] ^= 1 << random.below(8);
        }
        let what = format!("{SEED}={seed}: place {place}, byte {at} of {}", log.len());
        beginnings.insert(image.assert_opens_to_what_was_before(at, &log, &what).await);
    }
    println!("{places} damaged logs opened to {} beginnings", beginnings.len());
    assert!(beginnings.len() > 3, "it was damaged at the beginning, in the middle and at the end");
}

/// A ledger as it is on disk in the middle of its work.
struct Image {
    dir: TempDir,
    log: Vec<u8>,
    history: History,
    /// How much of the history is there after so many bytes of the log.
    commits: BTreeMap<usize, usize>,
}

impl Image {
    async fn under_load() -> Self {
        let rig = Rig::new().await;
        let mut writers = JoinSet::new();
        for writer in 0..8 {
            writers.spawn(write(rig.ledger.clone(), rig.organization, writer));
        }
        let acknowledged: usize = writers.join_all().await.into_iter().sum();
        let dir = tempfile::tempdir().expect("temporary directory");
        for file in ["ledger.db", "seal.key"] {
            std::fs::copy(rig.path().join(file), dir.path().join(file)).expect(file);
        }
        let log = std::fs::read(rig.path().join("ledger.db-wal")).expect("the log");
        let mut image = Self { dir, log, history: Vec::new(), commits: BTreeMap::new() };
        image.history = history(image.copy(&image.log).path());
        assert_eq!(image.history.len(), acknowledged, "all that was acknowledged is in the image");
        image.commits = image.ends_of_commits().map(|end| (end, image.length_after(end))).collect();
        image
    }

    /// Frames of this round that say how large the database is after them.
    fn ends_of_commits(&self) -> impl Iterator<Item = usize> {
        let salt = &self.log[16..24];
        let frames = self.log[HEADER..].chunks_exact(FRAME).enumerate();
        let current = frames.take_while(move |(_, frame)| &frame[8..16] == salt);
        current.filter(|(_, frame)| frame[4..8] != [0; 4]).map(|(n, _)| HEADER + (n + 1) * FRAME)
    }

    fn length_after(&self, end: usize) -> usize {
        history(self.copy(&self.log[..end]).path()).len()
    }

    /// The same ledger with another log.
    fn copy(&self, log: &[u8]) -> TempDir {
        let dir = tempfile::tempdir().expect("temporary directory");
        for file in ["ledger.db", "seal.key"] {
            std::fs::copy(self.dir.path().join(file), dir.path().join(file)).expect(file);
        }
        std::fs::write(dir.path().join("ledger.db-wal"), log).expect("a log");
        dir
    }

    /// Opens it with a `log` that is damaged at `at`; returns how much of the history is left.
    async fn assert_opens_to_what_was_before(&self, at: usize, log: &[u8], what: &str) -> usize {
        let dir = self.copy(log);
        let ledger = SqliteLedger::open(dir.path()).unwrap_or_else(|error| panic!("{what}: {error}"));
        let found = history(dir.path());
        let before = self.commits.range(..=at).next_back().map_or_else(|| self.length_after(0), |(_, n)| *n);
        assert_eq!(found, self.history[..before], "{what}");
        let mut generations = BTreeMap::new();
        for (_, sandbox, _) in &found {
            *generations.entry(sandbox.clone()).or_default() += 1;
        }
        let living = ledger.all_living().await.expect("living");
        let living: BTreeMap<_, u64> = living.iter().map(|s| (s.id.to_string(), s.generation)).collect();
        assert_eq!(living, generations, "{what}: rows and events agree");
        before
    }
}

/// What is noted in the ledger in `dir`, which must not contradict itself.
fn history(dir: &Path) -> History {
    let access = OpenFlags::SQLITE_OPEN_READ_WRITE;
    let connection = Connection::open_with_flags(dir.join("ledger.db"), access).expect("open");
    let verdict: String =
        connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).expect("a verdict");
    assert_eq!(verdict, "ok");
    let mut statement =
        connection.prepare("SELECT seq, sandbox_id, kind FROM event ORDER BY seq").expect("a question");
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).expect("rows");
    rows.collect::<Result<_, _>>().expect("rows")
}

/// Makes sandboxes and changes them; returns how much was acknowledged.
async fn write(ledger: SqliteLedger, organization: OrganizationId, writer: usize) -> usize {
    for n in 0..EACH {
        let sandbox = sandbox_of(organization, &format!("sandbox-{writer}-{n}"));
        ledger.insert(&intent(&sandbox)).await.expect("insert");
        let started = next(&sandbox, |s| s.observed = Observed::Started);
        ledger.update(&started, event(EventKind::Started)).await.expect("update");
    }
    2 * EACH
}

/// Splitmix64: the same numbers for the same seed.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let end = u64::try_from(end).expect("a length");
        usize::try_from((mixed ^ (mixed >> 31)) % end).expect("less than a length")
    }
}
