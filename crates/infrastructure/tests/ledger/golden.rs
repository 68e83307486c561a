//! Ledgers that earlier versions wrote, kept in `tests/golden`: each is opened by this version and read back.

use crate::rig::{at, env, event, intent, labels, next, sandbox_of};
use rusqlite::Connection;
use sandgate_core::{
    ApiKey, Desired, EventKind, Handle, Intent, Intervals, KeyHash, KeyRepository, ListQuery, Observed,
    OrganizationId, Resources, Sandbox, SandboxRepository, SnapshotName, UserName,
};
use sandgate_infrastructure::sqlite::SqliteLedger;
use std::path::{Path, PathBuf};

/// One file for each format that was ever released. They are never made anew: a later format adds its own.
const FORMATS: [&str; 2] = ["format-1.db", "format-2.db"];

/// A key of each organization, and what it hashes to.
const KEYS: [(&str, &str, KeyHash); 2] = [
    ("01900000-0000-7000-8000-0000000000a1", RED, KeyHash([0xa1; 32])),
    ("01900000-0000-7000-8000-0000000000a2", BLUE, KeyHash([0xa2; 32])),
];
const RED: &str = "01900000-0000-7000-8000-0000000000b1";
const BLUE: &str = "01900000-0000-7000-8000-0000000000b2";

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden").join(name)
}

/// A sandbox as it came to be in the file: every state that it went through, the last one last.
struct Life(Vec<Sandbox>);

impl Life {
    fn new(number: u32, organization: &str, name: &str, config: impl FnOnce(&mut Sandbox)) -> Self {
        let mut sandbox = sandbox_of(organization.parse().expect("an id"), name);
        sandbox.id = format!("01900000-0000-7000-8000-{number:012}").parse().expect("an id");
        sandbox.operation = None;
        config(&mut sandbox);
        Self(vec![sandbox])
    }

    fn then(mut self, desired: Desired, observed: Observed) -> Self {
        let changed = next(self.end(), |s| {
            (s.desired, s.observed) = (desired, observed);
            s.updated_at = at(s.generation.cast_signed() * 1000);
            s.stopped_at = (observed == Observed::Stopped).then_some(s.updated_at);
            s.handle = Some(Handle(format!("handle/{}", s.id)));
            s.cause = (observed == Observed::Failed).then(|| "a cause, “quoted”".to_owned());
        });
        self.0.push(changed);
        self
    }

    fn end(&self) -> &Sandbox {
        self.0.last().expect("a beginning")
    }

    fn is_gone(&self) -> bool {
        self.end().observed == Observed::Absent
    }
}

/// What the files hold.
fn lives() -> Vec<Life> {
    use {Desired as D, Observed as O};
    vec![
        Life::new(1, RED, "running", |s| {
            s.config.labels = labels([("team", "red"), ("a'b\"c", "d\\e"), ("empty", "")]);
            s.config.env = [env("TOKEN", "the golden secret"), env("MULTILINE", "x\ny\t\"z\"")].into();
        })
        .then(D::Started, O::Started),
        Life::new(2, RED, "stopped", |s| {
            s.config.snapshot = Some(SnapshotName::parse("ubuntu:24.04").expect("a name"));
            s.config.user = Some(UserName::parse("daytona").expect("a name"));
            s.config.resources = Resources { cpu: 4, memory_gib: 8, disk_gib: 10 };
            s.config.intervals = Intervals { auto_stop: 0, auto_archive: 7, auto_delete: Some(60), ttl: 0 };
        })
        .then(D::Started, O::Started)
        .then(D::Stopped, O::Started)
        .then(D::Stopped, O::Stopped),
        Life::new(3, BLUE, "running", |_| ()).then(D::Started, O::Failed),
        Life::new(4, BLUE, "to be deleted", |_| ()).then(D::Started, O::Started).then(D::Deleted, O::Failed),
        Life::new(5, RED, "never delivered", |_| ()).then(D::Deleted, O::Pending),
        Life::new(6, RED, "deleted", |s| s.config.env = [env("TOKEN", "gone")].into())
            .then(D::Started, O::Started)
            .then(D::Deleted, O::Started)
            .then(D::Deleted, O::Absent),
        Life::new(7, RED, "asked for", |_| ()),
    ]
}

#[tokio::test]
async fn every_released_format_opens_with_all_that_it_holds() {
    for format in FORMATS {
        let dir = tempfile::tempdir().expect("temporary directory");
        std::fs::copy(golden(format), dir.path().join("ledger.db")).expect(format);
        std::fs::copy(golden("seal.key"), dir.path().join("seal.key")).expect("the key");
        // The second time it is of the latest format already.
        for _ in 0..2 {
            let ledger = SqliteLedger::open(dir.path()).expect(format);
            assert_eq!(ledger.instance().as_str(), "901de001", "{format}");
            assert_living(&ledger).await;
            assert_keys(&ledger).await;
            assert_history(&dir.path().join("ledger.db"));
        }
    }
}

async fn assert_living(ledger: &SqliteLedger) {
    let mut expected: Vec<_> =
        lives().iter().filter(|life| !life.is_gone()).map(|life| life.end().clone()).collect();
    expected.sort_by_key(|sandbox| sandbox.id);
    let mut living = ledger.all_living().await.expect("living");
    living.sort_by_key(|sandbox| sandbox.id);
    assert_eq!(living, expected);
    let red = RED.parse().expect("an id");
    let query = ListQuery { labels: [("team".into(), "red".into())].into(), ..ListQuery::default() };
    let page = ledger.list(red, &query).await.expect("list");
    assert_eq!(page.items, expected[..1], "labels lead to their sandbox");
    assert_eq!(ledger.find(red, "deleted").await.expect("find"), None);
}

async fn assert_keys(ledger: &SqliteLedger) {
    for (id, organization, hash) in KEYS {
        let key = ledger.find_key(hash).await.expect("find").expect(id);
        assert_eq!((key.id.to_string().as_str(), key.organization.to_string().as_str()), (id, organization));
    }
    let first: OrganizationId = RED.parse().expect("an id");
    assert_eq!(ledger.first_organization().await.expect("first"), Some(first));
}

/// Events and attempts, which are looked at in the file.
fn assert_history(database: &Path) {
    let connection = Connection::open_with_flags(database, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY);
    let connection = connection.expect("look");
    let texts = |sql: &str| -> Vec<String> {
        let mut statement = connection.prepare(sql).expect(sql);
        let rows = statement.query_map([], |row| row.get(0)).expect(sql);
        rows.collect::<Result<_, _>>().expect(sql)
    };
    for life in lives() {
        let id = life.end().id;
        let kinds = texts(&format!("SELECT kind FROM event WHERE sandbox_id = '{id}' ORDER BY seq"));
        assert_eq!(kinds, life.0.iter().map(|s| kind(s).as_str()).collect::<Vec<_>>(), "{id}");
    }
    let states = texts("SELECT state FROM attempt ORDER BY sandbox_id");
    let expected = ["delivered", "delivered", "delivered", "delivered", "abandoned", "gone", "planned"];
    assert_eq!(states, expected);
    assert_eq!(texts("PRAGMA integrity_check"), ["ok"]);
}

/// What is noted when a sandbox comes to be as it is here.
fn kind(sandbox: &Sandbox) -> EventKind {
    match (sandbox.desired, sandbox.observed) {
        (Desired::Started, Observed::Pending) => EventKind::Requested,
        (Desired::Started, Observed::Started) => EventKind::Started,
        (Desired::Stopped, Observed::Started) => EventKind::StopRequested,
        (Desired::Stopped, Observed::Stopped) => EventKind::Stopped,
        (Desired::Deleted, Observed::Started | Observed::Pending) => EventKind::DeleteRequested,
        (Desired::Deleted, Observed::Absent) => EventKind::Deleted,
        _ => EventKind::Failed,
    }
}

#[tokio::test]
#[ignore = "writes tests/golden/format-N.db by this version's code: run once for each released format"]
async fn make_the_golden_ledger_of_this_version() {
    let dir = tempfile::tempdir().expect("temporary directory");
    if golden("seal.key").exists() {
        std::fs::copy(golden("seal.key"), dir.path().join("seal.key")).expect("the key");
    }
    drop(SqliteLedger::open(dir.path()).expect("open"));
    let name = stamp(&dir.path().join("ledger.db"));
    assert!(!golden(&name).exists(), "{name} is there, and is never made anew");
    let ledger = SqliteLedger::open(dir.path()).expect("open again");
    for (id, organization, hash) in KEYS {
        let (id, organization) = (id.parse().expect("an id"), organization.parse().expect("an id"));
        ledger.insert_key(ApiKey { id, organization }, hash).await.expect("insert a key");
    }
    for Life(states) in lives() {
        let intent = Intent { event: event(kind(&states[0])), ..intent(&states[0]) };
        ledger.insert(&intent).await.expect("insert");
        for state in &states[1..] {
            ledger.update(state, event(kind(state))).await.expect("update");
        }
    }
    drop(ledger);
    for (from, to) in [("ledger.db", name.as_str()), ("seal.key", "seal.key")] {
        std::fs::copy(dir.path().join(from), golden(to)).expect(to);
    }
}

/// Gives a new ledger the instance that all of them have, and returns what its format is called.
fn stamp(database: &Path) -> String {
    let connection = Connection::open(database).expect("open");
    connection.execute("UPDATE meta SET value = '901de001' WHERE key = 'instance'", []).expect("stamp");
    let format: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0)).expect("format");
    format!("format-{format}.db")
}
