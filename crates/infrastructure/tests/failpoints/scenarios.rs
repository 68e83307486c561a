//! What a server does, one short story for each of its ways.

use crate::house::Server;
use sandgate_core::{
    Actor, Attempt, Change, Desired, Event, EventKind, Idempotency, IdempotencyKey, Intervals, Labels,
    NewSandbox, NotAdmitted, Observed, Operation, ResourceLimits, Sandbox, SandboxConfig, SandboxId,
    SandboxName, SandboxRepository, SandboxService, SandboxesError,
};
use sandgate_shared::failpoint::Mode::{self, Error, Lost};
use std::pin::Pin;
use std::time::Duration;

pub(crate) type Act = fn(Server) -> Pin<Box<dyn Future<Output = Result<(), SandboxesError>>>>;

/// A story about a sandbox called `one`.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    /// What was before. Nothing befalls it.
    pub(crate) prepare: fn(Server) -> Pin<Box<dyn Future<Output = ()>>>,
    /// What goes wrong anyhow: a failpoint and what happens there, passage by passage.
    pub(crate) wrong: &'static [(&'static str, &'static [Mode])],
    /// What is done.
    pub(crate) act: Act,
    /// What is asked for after that, by whom the fault is over.
    pub(crate) then: Act,
    /// How `one` may be in the end, where `act` was answered with success. None is that there is no such sandbox.
    pub(crate) done: &'static [Option<Observed>],
    /// The same where it was not.
    pub(crate) otherwise: &'static [Option<Observed>],
}

const STARTED: Option<Observed> = Some(Observed::Started);
const STOPPED: Option<Observed> = Some(Observed::Stopped);
const GONE: Option<Observed> = None;
const MINUTE: Duration = Duration::from_mins(1);
const LOOKS: usize = 10;
const HOUR: i64 = 3_600_000;

/// A scenario in four lines: its name, how `one` may be in the end if all went well, how else, and what is done.
macro_rules! scenario {
    ($name:literal, $done:expr, $otherwise:expr, $prepare:expr, $act:expr) => {
        scenario!($name, $done, $otherwise, $prepare, $act, wrong: &[])
    };
    ($name:literal, $done:expr, $otherwise:expr, $prepare:expr, $act:expr, wrong: $wrong:expr) => {
        scenario!($name, $done, $otherwise, $prepare, $act, wrong: $wrong, then: nothing_more)
    };
    ($name:literal, $done:expr, $otherwise:expr, $prepare:expr, $act:expr, then: $then:expr) => {
        scenario!($name, $done, $otherwise, $prepare, $act, wrong: &[], then: $then)
    };
    ($name:literal, $done:expr, $otherwise:expr, $prepare:expr, $act:expr, wrong: $wrong:expr, then: $then:expr) => {
        Scenario {
            name: $name,
            prepare: |server| Box::pin($prepare(server)),
            wrong: $wrong,
            act: |server| Box::pin($act(server)),
            then: |server| Box::pin($then(server)),
            done: $done,
            otherwise: $otherwise,
        }
    };
}

pub(crate) const SCENARIOS: &[Scenario] = &[
    scenario!("create", &[STARTED], &[STARTED, GONE], nothing, create),
    scenario!("create with a key", &[STARTED], &[STARTED], nothing, create_keyed, then: insist),
    scenario!("create that is refused", &[STARTED], &[GONE, STARTED], nothing, create,
        wrong: &[("provider.create.before", &[Error])]),
    scenario!("create whose answer is lost", &[STARTED], &[STARTED, GONE], nothing, create,
        wrong: &[("provider.create.after", &[Lost])]),
    scenario!("create that is abandoned", &[STARTED], &[STARTED, GONE], nothing, create,
        wrong: &[("provider.create.before", &[Lost])]),
    scenario!("create that is given up", &[STARTED], &[STARTED, GONE], nothing, create,
        wrong: &[("provider.create.before", &[Lost, Lost, Lost])]),
    scenario!("start", &[STARTED], &[STARTED, STOPPED], stopped, start),
    scenario!("start that fails", &[STARTED], &[STARTED, STOPPED], stopped, start,
        wrong: &[("provider.start.before", &[Error])]),
    scenario!("stop", &[STOPPED], &[STARTED, STOPPED], created, stop),
    scenario!("stop whose answer is lost", &[STOPPED], &[STARTED, STOPPED], created, stop,
        wrong: &[("provider.stop.after", &[Lost])]),
    scenario!("stop of an ephemeral one", &[GONE], &[STARTED, GONE], ephemeral, stop),
    scenario!("delete", &[GONE], &[STARTED, GONE], created, delete),
    scenario!("delete of a stopped one", &[GONE], &[STOPPED, GONE], stopped, delete),
    scenario!("delete whose clean-up fails", &[GONE], &[STARTED, GONE], created, delete,
        wrong: &[("provider.delete.before", &[Error])]),
    scenario!("delete that is given up", &[GONE], &[GONE], tried_nineteen_times, pass_a_minute,
        wrong: &[("provider.delete.before", &[Error])], then: delete_again),
    scenario!("delete that is tried later", &[GONE], &[GONE], left_deleting, pass_a_minute,
        wrong: &[("provider.delete.before", &[Error, Error])]),
    scenario!("delete that is tried often", &[GONE], &[GONE], tried_twice, pass_a_minute,
        wrong: &[("provider.delete.before", &[Error])]),
    scenario!("auto-stop", &[STOPPED], &[STOPPED], created, pass_auto_stop),
    scenario!("auto-delete", &[GONE], &[GONE], unwanted, pass_an_hour),
    scenario!("end of life", &[GONE], &[GONE], mortal, pass_an_hour),
    scenario!("archive clock", &[STOPPED], &[STOPPED], to_be_archived, pass_an_hour),
    scenario!("settings", &[STARTED], &[STARTED], created, set_labels),
    scenario!("use", &[STARTED], &[STARTED], created, note_use),
    scenario!("keys that expire", &[STARTED], &[STARTED], created_keyed, forget_keys),
    scenario!("death", &[STOPPED], &[STOPPED], created, note_death),
    scenario!("orphan", &[GONE], &[GONE], orphans::<1>, sweep),
    scenario!("many orphans", &[GONE], &[GONE], orphans::<6>, delete_orphans, then: delete_orphans),
    scenario!("leftover", &[GONE], &[GONE], leftover, sweep),
    scenario!("abandoned attempts", &[GONE], &[GONE], abandoned, pass_a_minute),
    scenario!("recovery of a create", &[GONE], &[GONE], left_creating, recover),
    scenario!("recovery of a start", &[STARTED, STOPPED], &[STARTED, STOPPED], left_starting, recover),
    scenario!("recovery of a stop", &[STOPPED, STARTED], &[STOPPED, STARTED], left_stopping, recover),
    scenario!("recovery of a delete", &[GONE], &[GONE], left_deleting, recover),
    scenario!("recovery of a lost sandbox", &[GONE], &[GONE], lost, recover, then: delete_again),
    scenario!("clock that leaps", &[STARTED], &[STARTED], anchored, leap),
    scenario!("clock that goes on", &[STARTED], &[STARTED], anchored, pass_a_minute),
];

/// How the sandbox called `name` is; `None` if there is none.
pub(crate) async fn state_of(server: &Server, name: &str) -> Option<Observed> {
    server.ledger.find(server.organization, name).await.expect("find").map(|sandbox| sandbox.observed)
}

fn one() -> NewSandbox {
    let config = SandboxConfig::new(ResourceLimits::default().default);
    let name = Some(SandboxName::parse("one").expect("a name"));
    NewSandbox { name, config, idempotency: None }
}

fn living(intervals: Intervals) -> NewSandbox {
    let mut new = one();
    new.config.intervals = intervals;
    new
}

fn keyed() -> NewSandbox {
    let key = IdempotencyKey::parse("the-same").expect("a key");
    NewSandbox { idempotency: Some(Idempotency { key, request: [7; 32] }), ..one() }
}

async fn made(server: &Server, new: NewSandbox) -> Sandbox {
    server.sandboxes.create(server.organization, new).await.expect("create").sandbox
}

fn nothing(_: Server) -> std::future::Ready<()> {
    std::future::ready(())
}

fn nothing_more(_: Server) -> std::future::Ready<Result<(), SandboxesError>> {
    std::future::ready(Ok(()))
}

async fn created(server: Server) {
    made(&server, one()).await;
}

async fn created_keyed(server: Server) {
    made(&server, keyed()).await;
}

async fn stopped(server: Server) {
    made(&server, one()).await;
    stop(server).await.expect("stop");
}

async fn ephemeral(server: Server) {
    made(&server, living(Intervals { auto_delete: Some(0), ..Intervals::default() })).await;
}

async fn unwanted(server: Server) {
    made(&server, living(Intervals { auto_delete: Some(60), ..Intervals::default() })).await;
    stop(server).await.expect("stop");
}

async fn mortal(server: Server) {
    made(&server, living(Intervals { auto_stop: 0, ttl: 60, ..Intervals::default() })).await;
}

async fn to_be_archived(server: Server) {
    made(&server, living(Intervals { auto_archive: 60, ..Intervals::default() })).await;
    stop(server).await.expect("stop");
}

async fn anchored(server: Server) {
    made(&server, one()).await;
    server.sandboxes.reconcile().await.expect("reconcile");
}

/// Six are too many to be deleted without somebody's word.
async fn orphans<const COUNT: usize>(server: Server) {
    for _ in 0..COUNT {
        let attempt = Attempt::first(SandboxId::random());
        server.service.create(&attempt, &one().config).await.expect("create");
    }
    server.sandboxes.sweep().await.expect("sweep");
    server.pass(MINUTE).await;
    if COUNT > 1 {
        server.sandboxes.sweep().await.expect("sweep");
    }
}

async fn leftover(server: Server) {
    let sandbox = made(&server, one()).await;
    delete(server.clone()).await.expect("delete");
    server.service.create(&sandbox.current_attempt(), &sandbox.config).await.expect("it appears once more");
}

async fn abandoned(server: Server) {
    server.failpoints.plan("provider.create.before", [Lost, Lost, Lost]);
    create(server.clone()).await.expect_err("no attempt is answered");
}

/// Writes `one` as a server that was killed in between leaves it.
async fn left_as(server: &Server, desired: Desired, observed: Observed) {
    let sandbox = made(server, one()).await;
    if (desired, observed) == (Desired::Started, Observed::Stopped) {
        server.service.crash(&sandbox.current_attempt());
    }
    let operation = Some(Operation::begun(server.now()));
    left(server, Sandbox { desired, observed, operation, ..sandbox }).await;
}

async fn left(server: &Server, sandbox: Sandbox) {
    let changed = Sandbox { generation: sandbox.generation + 1, ..sandbox };
    let event = Event { kind: EventKind::Changed, at: server.now(), actor: Actor::Server, detail: None };
    server.ledger.update(&changed, event).await.expect("update");
}

async fn left_creating(server: Server) {
    left_as(&server, Desired::Started, Observed::Pending).await;
}

async fn left_starting(server: Server) {
    left_as(&server, Desired::Started, Observed::Stopped).await;
}

async fn left_stopping(server: Server) {
    left_as(&server, Desired::Stopped, Observed::Started).await;
}

async fn left_deleting(server: Server) {
    left_as(&server, Desired::Deleted, Observed::Started).await;
}

/// Another try in vain is told in the log of events for every power of two.
async fn tried_twice(server: Server) {
    tried(server, 2).await;
}

async fn tried_nineteen_times(server: Server) {
    tried(server, Operation::TRIES - 1).await;
}

async fn tried(server: Server, tries: u32) {
    let sandbox = made(&server, one()).await;
    let operation = Some(Operation { tries, ..Operation::begun(server.now()) });
    left(&server, Sandbox { desired: Desired::Deleted, operation, ..sandbox }).await;
}

async fn lost(server: Server) {
    let sandbox = made(&server, one()).await;
    server.service.lose(&sandbox.current_attempt());
}

async fn create(server: Server) -> Result<(), SandboxesError> {
    server.sandboxes.create(server.organization, one()).await.map(drop)
}

async fn create_keyed(server: Server) -> Result<(), SandboxesError> {
    server.sandboxes.create(server.organization, keyed()).await.map(drop)
}

/// As a client does that is told to send the same again.
async fn insist(server: Server) -> Result<(), SandboxesError> {
    for _ in 0..LOOKS {
        match create_keyed(server.clone()).await {
            Err(SandboxesError::NotAdmitted(NotAdmitted::KeyInUse(_))) => {
                reconcile_after(server.clone(), MINUTE / 4).await?;
            }
            answer => return answer,
        }
    }
    create_keyed(server).await
}

async fn start(server: Server) -> Result<(), SandboxesError> {
    server.sandboxes.start(server.organization, "one").await.map(drop)
}

async fn stop(server: Server) -> Result<(), SandboxesError> {
    server.sandboxes.stop(server.organization, "one").await.map(drop)
}

async fn delete(server: Server) -> Result<(), SandboxesError> {
    server.sandboxes.delete(server.organization, "one").await.map(drop)
}

/// Whoever asks for its end wants it gone: that it is gone already is no error. Nobody sees what is being deleted under
/// its name, so that it is asked for by its id.
async fn delete_again(server: Server) -> Result<(), SandboxesError> {
    for row in server.ledger.all_living().await? {
        server.sandboxes.delete(server.organization, &row.id.to_string()).await?;
    }
    Ok(())
}

async fn set_labels(server: Server) -> Result<(), SandboxesError> {
    let labels = Labels::parse([("team".to_owned(), "red".to_owned())].into())?;
    server.sandboxes.set_labels(server.organization, "one", labels).await.map(drop)
}

async fn note_use(server: Server) -> Result<(), SandboxesError> {
    let sandbox = server.sandboxes.get(server.organization, "one").await?;
    server.sandboxes.record_activity(sandbox.id).await
}

async fn forget_keys(server: Server) -> Result<(), SandboxesError> {
    server.sandboxes.forget_expired().await
}

async fn note_death(server: Server) -> Result<(), SandboxesError> {
    let attempt = server.sandboxes.get(server.organization, "one").await?.current_attempt();
    server.service.crash(&attempt);
    server.sandboxes.note(Change::One(attempt)).await.map(drop)
}

async fn sweep(server: Server) -> Result<(), SandboxesError> {
    server.sandboxes.sweep().await.map(drop)
}

/// Orphans are known to be such only after a while, also to a server that was just started.
async fn delete_orphans(server: Server) -> Result<(), SandboxesError> {
    server.sandboxes.sweep().await?;
    server.pass(MINUTE).await;
    server.sandboxes.sweep().await?;
    server.sandboxes.delete_orphans().await.map(drop)
}

async fn recover(server: Server) -> Result<(), SandboxesError> {
    server.sandboxes.recover().await.map(drop)
}

async fn reconcile_after(server: Server, time: Duration) -> Result<(), SandboxesError> {
    server.pass(time).await;
    server.sandboxes.reconcile().await.map(drop)
}

async fn pass_a_minute(server: Server) -> Result<(), SandboxesError> {
    reconcile_after(server, MINUTE).await
}

async fn pass_auto_stop(server: Server) -> Result<(), SandboxesError> {
    reconcile_after(server, MINUTE * 15).await
}

async fn pass_an_hour(server: Server) -> Result<(), SandboxesError> {
    reconcile_after(server, MINUTE * 60).await
}

async fn leap(server: Server) -> Result<(), SandboxesError> {
    server.clock.set(server.now().shifted(HOUR));
    server.sandboxes.reconcile().await.map(drop)
}
