//! Quotas and rates, kept in the transaction of the intent: however many come at once, and whatever happened before.

use crate::rig::{Rig, START, at, event, intent, next};
use proptest::prelude::*;
use sandgate_core::{
    Admitted, Desired, EventKind, KeyId, Measure, NotAdmitted, Observed, Quota, Quotas, RepositoryError,
    Reserved, Sandbox, SandboxRepository, Scope,
};
use std::time::Duration;
use tokio::task::JoinSet;

const STATES: [Observed; 5] =
    [Observed::Pending, Observed::Started, Observed::Stopped, Observed::Failed, Observed::Absent];

fn of_everybody(organization: Quota) -> Quotas {
    Quotas { organization, ..Quotas::default() }
}

fn sandboxes(most: u64) -> Quota {
    Quota { sandboxes: Some(most), ..Quota::default() }
}

/// What there would have been too much of, and whose quota that was.
fn excess(outcome: Result<Admitted, RepositoryError>) -> (Scope, Measure) {
    match outcome {
        Err(RepositoryError::NotAdmitted(NotAdmitted::Quota(excess))) => (excess.scope, excess.measure),
        other => panic!("must be refused for a quota: {other:?}"),
    }
}

/// What the ledger holds reserved for `owner`, and what its rows take by the core's own rule.
async fn reserved(rig: &Rig, owner: &str) -> (Reserved, Reserved) {
    let sum = |column: &str| {
        let sql = format!("SELECT coalesce(sum({column}), 0) FROM reserved WHERE owner = '{owner}'");
        rig.count(&sql).unsigned_abs()
    };
    let mut counted = Reserved::default();
    for sandbox in rig.ledger.all_living().await.expect("all") {
        let made_by = sandbox.created_by.map(|key| key.to_string());
        if sandbox.organization.to_string() == owner || made_by.as_deref() == Some(owner) {
            counted += Reserved::of(&sandbox);
        }
    }
    let kept = Reserved {
        sandboxes: sum("sandboxes"),
        cpu: sum("cpu"),
        memory_gib: sum("memory_gib"),
        disk_gib: sum("disk_gib"),
    };
    (kept, counted)
}

#[tokio::test]
async fn two_hundred_at_once_at_a_limit_of_ten_give_exactly_ten() {
    let rig = Rig::new().await;
    rig.ledger.limit(of_everybody(sandboxes(10)));
    let mut callers = JoinSet::new();
    for n in 0..200 {
        let (ledger, sandbox) = (rig.ledger.clone(), rig.sandbox(&format!("s{n}")));
        callers.spawn(async move { ledger.insert(&intent(&sandbox)).await.map(|_| sandbox) });
    }
    let (admitted, refused): (Vec<_>, Vec<_>) = callers.join_all().await.into_iter().partition(Result::is_ok);
    assert_eq!((admitted.len(), refused.len()), (10, 190));
    for error in refused {
        assert_eq!(excess(error.map(|_| Admitted::default())), (Scope::Organization, Measure::Sandboxes));
    }
    assert_eq!(rig.count("SELECT count(*) FROM sandbox"), 10, "what was refused is not there");
    let first = admitted.into_iter().next().and_then(Result::ok).expect("ten");
    rig.deleted(&first).await;
    rig.inserted("the eleventh").await;
    excess(rig.ledger.insert(&intent(&rig.sandbox("the twelfth"))).await);
}

#[tokio::test]
async fn each_measure_is_kept_and_the_refusal_writes_nothing() {
    let table = [
        (Quota { cpu: Some(1), ..Quota::default() }, Measure::Cpu),
        (Quota { memory_gib: Some(1), ..Quota::default() }, Measure::Memory),
        (Quota { disk_gib: Some(5), ..Quota::default() }, Measure::Disk),
        (sandboxes(1), Measure::Sandboxes),
    ];
    for (quota, measure) in table {
        let rig = Rig::new().await;
        rig.ledger.limit(of_everybody(quota));
        rig.inserted("one").await;
        let refused = rig.ledger.insert(&intent(&rig.sandbox("two"))).await;
        assert_eq!(excess(refused), (Scope::Organization, measure));
        assert_eq!(rig.count("SELECT (SELECT count(*) FROM event) + (SELECT count(*) FROM attempt)"), 2);
    }
}

#[tokio::test]
async fn a_key_has_a_quota_of_its_own() {
    let rig = Rig::new().await;
    let (mine, yours) = (KeyId::random(), KeyId::random());
    rig.ledger.limit(Quotas { key: sandboxes(1), keys: [(yours, sandboxes(2))].into(), ..Quotas::default() });
    let by = |key, name: &str| intent(&Sandbox { created_by: Some(key), ..rig.sandbox(name) });
    rig.ledger.insert(&by(mine, "one")).await.expect("within the quota");
    assert_eq!(excess(rig.ledger.insert(&by(mine, "two")).await), (Scope::Key, Measure::Sandboxes));
    for name in ["three", "four"] {
        rig.ledger.insert(&by(yours, name)).await.expect("a quota of its own");
    }
    excess(rig.ledger.insert(&by(yours, "five")).await);
    rig.inserted("nobody's").await;
}

/// A stopped sandbox keeps its disk; its cores and its memory may be another's by the time it is started again.
#[tokio::test]
async fn a_start_takes_cores_and_is_refused_where_there_are_none() {
    let rig = Rig::new().await;
    rig.ledger.limit(of_everybody(Quota { cpu: Some(1), ..Quota::default() }));
    let one = rig.inserted("one").await;
    excess(rig.ledger.insert(&intent(&rig.sandbox("two"))).await);
    let stopped =
        rig.changed(&one, |s| (s.desired, s.observed) = (Desired::Stopped, Observed::Stopped)).await;
    let two = rig.inserted("two").await;
    let wanted = next(&stopped, |s| s.desired = Desired::Started);
    let refused = rig.ledger.update(&wanted, event(EventKind::StartRequested)).await;
    assert_eq!(excess(refused.map(|()| Admitted::default())), (Scope::Organization, Measure::Cpu));
    assert_eq!(rig.find("one").await, Some(stopped.clone()), "a refused start changes nothing");
    rig.ledger.update(&wanted, event(EventKind::Started)).await.expect("what is seen is a fact");
    rig.deleted(&two).await;
    rig.deleted(&wanted).await;
}

#[tokio::test]
async fn what_is_being_deleted_counts_until_it_is_gone() {
    let rig = Rig::new().await;
    rig.ledger.limit(of_everybody(sandboxes(1)));
    let one = rig.inserted("one").await;
    let doomed = rig.changed(&one, |s| s.desired = Desired::Deleted).await;
    excess(rig.ledger.insert(&intent(&rig.sandbox("two"))).await);
    rig.deleted(&doomed).await;
    rig.inserted("two").await;
}

#[tokio::test]
async fn creates_are_counted_by_the_minute_deleted_ones_too() {
    let rig = Rig::new().await;
    rig.ledger.limit(of_everybody(Quota { creates_per_minute: Some(2), ..Quota::default() }));
    let asked_at = |millis, name: &str| intent(&Sandbox { created_at: at(millis), ..rig.sandbox(name) });
    let left = |admitted: Admitted| admitted.rate.map(|rate| (rate.remaining, rate.reset_seconds()));
    let first = rig.ledger.insert(&asked_at(0, "one")).await.expect("the first");
    assert_eq!(left(first), Some((1, 60)));
    let one = rig.find("one").await.expect("one");
    rig.deleted(&one).await;
    let second = rig.ledger.insert(&asked_at(10_000, "two")).await.expect("the second");
    assert_eq!(left(second), Some((0, 50)));
    let refused = rig.ledger.insert(&asked_at(20_000, "three")).await;
    let Err(RepositoryError::NotAdmitted(NotAdmitted::Rate(rate))) = refused else { panic!("{refused:?}") };
    assert_eq!((rate.limit, rate.remaining, rate.reset), (2, 0, Duration::from_secs(40)));
    rig.ledger.insert(&asked_at(60_000, "three")).await.expect("the first has left the window");
    let refused = rig.ledger.insert(&asked_at(60_001, "four")).await;
    assert!(refused.is_err(), "{refused:?}");
}

#[tokio::test]
async fn a_clock_turned_back_locks_nobody_out() {
    const HOUR: i64 = 3_600_000;
    let rig = Rig::new().await;
    rig.ledger.limit(of_everybody(Quota { creates_per_minute: Some(1), ..Quota::default() }));
    rig.inserted("one").await;
    for hours in [-1, -24 * 365, 1, 24 * 365] {
        let name = format!("{hours} hours later");
        let asked = Sandbox { created_at: at(hours * HOUR), ..rig.sandbox(&name) };
        rig.ledger.insert(&intent(&asked)).await.expect("admitted");
        let second = Sandbox { created_at: at(hours * HOUR + 1), ..rig.sandbox("another") };
        assert!(rig.ledger.insert(&intent(&second)).await.is_err(), "the rate is kept at {hours} hours");
    }
}

#[tokio::test]
async fn sums_that_do_not_agree_are_counted_anew_at_the_next_start() {
    let rig = Rig::new().await;
    rig.inserted("one").await;
    let (organization, path) = (rig.organization.to_string(), rig.database());
    let dir = rig.close();
    let meddler = rusqlite::Connection::open(path).expect("open");
    meddler
        .execute_batch("UPDATE reserved SET cpu = 77; INSERT INTO reserved VALUES ('x', 1, 1, 1, 1)")
        .expect("meddle");
    drop(meddler);
    let ledger = sandgate_infrastructure::sqlite::SqliteLedger::open(dir.path()).expect("open again");
    let read = |sql: &str| {
        let look = rusqlite::Connection::open(dir.path().join("ledger.db")).expect("look");
        look.query_row(sql, [], |row| row.get::<_, i64>(0)).expect("a number")
    };
    assert_eq!(read(&format!("SELECT cpu FROM reserved WHERE owner = '{organization}'")), 1);
    assert_eq!(read("SELECT count(*) FROM reserved"), 1);
    drop(ledger);
}

/// A ledger of format 1 with a sandbox that runs and one that is stopped.
fn first_format(dir: &std::path::Path) -> String {
    let rig = rusqlite::Connection::open(dir.join("ledger.db")).expect("open");
    rig.execute_batch(include_str!("../../src/sqlite/schema.sql")).expect("format 1");
    let organization = sandgate_core::OrganizationId::random().to_string();
    let sql = "INSERT INTO sandbox SELECT ?1, ?2, ?1, NULL, NULL, NULL, '{}', 2, 3, 5, 15, 0, NULL, 'none', 'container',
        1, NULL, ?3, ?3, NULL, 1, 0, 0, 0, NULL";
    rig.execute("INSERT INTO organization VALUES (?, 0)", [&organization]).expect("an organization");
    for state in ["started", "stopped"] {
        let id = sandgate_core::SandboxId::random().to_string();
        rig.execute(sql, [&id, &organization, state]).expect("a sandbox");
    }
    rig.execute_batch("INSERT INTO meta VALUES ('instance', '0123abcd'); PRAGMA application_id = 0x736e6467")
        .expect("meta");
    rig.pragma_update(None, "user_version", 1).expect("version");
    organization
}

#[tokio::test]
async fn sandboxes_of_the_first_format_are_counted() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let organization = first_format(dir.path());
    let ledger = sandgate_infrastructure::sqlite::SqliteLedger::open(dir.path()).expect("open");
    let living = ledger.all_living().await.expect("all");
    assert_eq!((living.len(), living[0].created_by), (2, None));
    let look = rusqlite::Connection::open(dir.path().join("ledger.db")).expect("look");
    let sums = look.query_row("SELECT * FROM reserved", [], |row| {
        Ok((row.get(0)?, [row.get::<_, i64>(1)?, row.get(2)?, row.get(3)?, row.get(4)?]))
    });
    assert_eq!(sums.expect("one owner"), (organization, [2, 2, 3, 10]));
}

/// One step of a random history.
#[derive(Debug, Clone)]
enum Step {
    Insert { cpu: u32, by_key: bool },
    Change { which: usize, desired: Desired, observed: Observed },
    Touch { which: usize },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let desired = prop::sample::select(vec![Desired::Started, Desired::Stopped, Desired::Deleted]);
    let observed = prop::sample::select(STATES.to_vec());
    let step = prop_oneof![
        (1..5_u32, any::<bool>()).prop_map(|(cpu, by_key)| Step::Insert { cpu, by_key }),
        (any::<usize>(), desired, observed).prop_map(|(which, desired, observed)| Step::Change {
            which,
            desired,
            observed
        }),
        any::<usize>().prop_map(|which| Step::Touch { which }),
    ];
    prop::collection::vec(step, 1..40)
}

async fn take(rig: &Rig, key: KeyId, n: usize, step: &Step) {
    let living = rig.ledger.all_living().await.expect("all");
    let pick = |which: usize| living.get(which.checked_rem(living.len()).unwrap_or_default());
    match *step {
        Step::Insert { cpu, by_key } => {
            let mut sandbox = Sandbox { created_by: by_key.then_some(key), ..rig.sandbox(&format!("s{n}")) };
            sandbox.config.resources.cpu = cpu;
            rig.insert(&sandbox).await.expect("insert");
        }
        Step::Change { which, desired, observed } => {
            let Some(sandbox) = pick(which).filter(|s| s.desired != Desired::Deleted) else { return };
            rig.changed(sandbox, |s| (s.desired, s.observed) = (desired, observed)).await;
        }
        Step::Touch { which } => {
            let Some(sandbox) = pick(which) else { return };
            rig.ledger.touch(sandbox.id, START).await.expect("touch");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn what_is_reserved_is_what_the_rows_take(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(async {
            let (rig, key) = (Rig::new().await, KeyId::random());
            for (n, step) in steps.iter().enumerate() {
                take(&rig, key, n, step).await;
                for owner in [rig.organization.to_string(), key.to_string()] {
                    let (kept, counted) = reserved(&rig, &owner).await;
                    assert_eq!(kept, counted, "after {step:?}");
                }
            }
        });
    }
}
