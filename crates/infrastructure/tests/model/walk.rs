//! The walk: what somebody asks for, what happens, and a comparison after each step.

use crate::dice::Dice;
use crate::reference::{Expected, MINUTE, State};
use rusqlite::Connection;
use sandgate_core::{
    ApiKey, Change, Clock, Desired, Intervals, KeyHash, KeyId, KeyRepository, Labels, Ledger, NewSandbox,
    NotAdmitted, Observed, OrganizationId, Provider, ProviderKind, Quota, Quotas, ResourceLimits, Sandbox,
    SandboxConfig, SandboxId, SandboxName, SandboxRepository, Sandboxes, SandboxesError, Timestamp,
};
use sandgate_infrastructure::memory::{ManualClock, MemorySandboxService, ModelledSandboxService, World};
use sandgate_infrastructure::sqlite::{Audit, SqliteLedger};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

const LIMIT: usize = 6;
const NAMES: u32 = 8;
/// After so long a provider that has come back has done what it was asked meanwhile.
const CATCH_UP: i64 = 3 * MINUTE;

pub(crate) struct Walk {
    dir: TempDir,
    /// What a restart makes anew.
    inside: Option<(SqliteLedger, Sandboxes)>,
    service: ModelledSandboxService,
    clock: Arc<ManualClock>,
    organization: OrganizationId,
    dice: Dice,
    model: BTreeMap<SandboxId, Expected>,
    /// Milliseconds for which the host was up.
    now: i64,
    /// Since when the provider answers again, if it ever was away.
    answers_since: Option<i64>,
    /// Whether each call succeeds while it is there.
    is_sound: bool,
    counts: BTreeMap<&'static str, u64>,
}

fn facade(ledger: &SqliteLedger, service: &ModelledSandboxService, clock: &Arc<ManualClock>) -> Sandboxes {
    let provider = Provider::new(ProviderKind::Container, Arc::new(service.clone()));
    Sandboxes::new(Ledger::new(Arc::new(ledger.clone())), provider, clock.clone())
}

fn quotas() -> Quotas {
    let organization = Quota { sandboxes: Some(LIMIT as u64), ..Quota::default() };
    Quotas { organization, ..Quotas::default() }
}

impl Walk {
    pub(crate) async fn new(seed: u64, model: &str) -> Self {
        let dir = tempfile::tempdir_in("/dev/shm").expect("a folder");
        let ledger = SqliteLedger::open(dir.path()).expect("a new ledger");
        ledger.limit(quotas());
        let key = ApiKey { id: KeyId::random(), organization: OrganizationId::random() };
        ledger.insert_key(key, KeyHash([1; 32])).await.expect("a key");
        let sound = MemorySandboxService::in_world(ledger.instance().clone(), World::default());
        let service = ModelledSandboxService::new(sound, model.parse().expect("a model"));
        let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_800_000_000_000)));
        let sandboxes = facade(&ledger, &service, &clock);
        sandboxes.recover().await.expect("recover");
        Self {
            dir,
            inside: Some((ledger, sandboxes)),
            service,
            clock,
            organization: key.organization,
            dice: Dice(seed),
            model: BTreeMap::new(),
            now: 0,
            answers_since: None,
            is_sound: model.is_empty(),
            counts: BTreeMap::new(),
        }
    }

    pub(crate) async fn step(&mut self) {
        let step = self.dice.below(100);
        let name = match step {
            0..15 => self.create().await,
            15..25 => self.start().await,
            25..35 => self.stop().await,
            35..39 => self.delete().await,
            39..44 => self.change_labels().await,
            44..50 => self.change_intervals().await,
            50..54 => self.change_ttl().await,
            54..60 => self.use_one().await,
            60..64 => self.crash().await,
            64..66 => self.lose().await,
            66..68 => self.outage(),
            68..70 => self.restart().await,
            70..73 => self.leap().await,
            73..78 => self.sweep().await,
            _ => self.time_passes().await,
        };
        *self.counts.entry(name).or_default() += 1;
        self.compare(name).await;
    }

    /// How often each step was taken.
    pub(crate) fn told(&self) -> String {
        self.counts.iter().map(|(name, count)| format!("{name}={count}")).collect::<Vec<_>>().join(" ")
    }

    fn is_away(&self) -> bool {
        self.service.sound().world().outage.is_on()
    }

    /// Whether all that was begun must have come to its end.
    fn has_caught_up(&self) -> bool {
        let answers = self.answers_since.is_none_or(|since| self.now >= since + CATCH_UP);
        self.is_sound && !self.is_away() && answers
    }

    fn any(&mut self) -> Option<SandboxId> {
        let ids: Vec<_> = self.model.keys().copied().collect();
        (!ids.is_empty()).then(|| self.dice.pick(&ids))
    }

    async fn create(&mut self) -> &'static str {
        let name = format!("s-{}", self.dice.below(NAMES));
        let intervals = Intervals {
            auto_stop: self.dice.pick(&[0, 1, 15]),
            auto_delete: self.dice.pick(&[None, Some(0), Some(1), Some(60)]),
            ttl: self.dice.pick(&[0, 0, 5, 90]),
            ..Intervals::default()
        };
        let config = SandboxConfig { intervals, ..SandboxConfig::new(ResourceLimits::default().default) };
        let name = Some(SandboxName::parse(name).expect("a name")).filter(|_| self.dice.below(2) == 0);
        let rows = self.ledger().all_living().await.expect("rows");
        let taken =
            rows.iter().any(|row| Some(&row.name) == name.as_ref() && row.desired != Desired::Deleted);
        let full = rows.len() >= LIMIT;
        let new = NewSandbox { name, config, idempotency: None };
        match self.sandboxes().create(self.organization, new).await {
            Ok(created) => {
                assert!(!full && !taken && !self.is_away(), "full: {full}, taken: {taken}");
                self.model.insert(created.sandbox.id, self.expected(intervals));
            }
            Err(SandboxesError::NameTaken(_)) => assert!(taken),
            Err(SandboxesError::NotAdmitted(NotAdmitted::Quota(_))) => assert!(full),
            Err(error) => self.excused(&error),
        }
        "create"
    }

    fn expected(&self, intervals: Intervals) -> Expected {
        Expected {
            state: State::Running,
            auto_stop: intervals.auto_stop.into(),
            auto_delete: intervals.auto_delete.map(i64::from),
            used: self.now,
            stopped: self.now,
            end: (intervals.ttl > 0).then(|| self.now + i64::from(intervals.ttl) * MINUTE),
        }
    }

    /// An error is the provider's, and a sound one has none.
    fn excused(&self, error: &SandboxesError) {
        let is_providers = matches!(error, SandboxesError::Provider(_) | SandboxesError::Busy);
        assert!(is_providers && (self.is_away() || !self.is_sound), "{error}");
    }

    async fn start(&mut self) -> &'static str {
        let Some(id) = self.any() else { return "nothing" };
        let outcome = self.sandboxes().start(self.organization, &id.to_string()).await;
        let started = |expected: &Expected| match expected.state {
            State::Stopped => State::Running,
            as_before => as_before,
        };
        self.asked(id, outcome, started).await;
        "start"
    }

    async fn stop(&mut self) -> &'static str {
        let Some(id) = self.any() else { return "nothing" };
        let outcome = self.sandboxes().stop(self.organization, &id.to_string()).await;
        self.asked(id, outcome, Expected::when_stopped).await;
        "stop"
    }

    async fn delete(&mut self) -> &'static str {
        let Some(id) = self.any() else { return "nothing" };
        let outcome = self.sandboxes().delete(self.organization, &id.to_string()).await;
        self.asked(id, outcome, |_| State::Gone).await;
        "delete"
    }

    /// What was answered with success has happened; what was refused for its state has not; after any other error it is as
    /// before or as asked for.
    async fn asked(
        &mut self,
        id: SandboxId,
        outcome: Result<Sandbox, SandboxesError>,
        then: impl Fn(&Expected) -> State,
    ) {
        let (before, wanted) = (self.model[&id].state, then(&self.model[&id]));
        match outcome {
            Ok(_) => self.becomes(id, wanted),
            Err(SandboxesError::WrongState(_)) => assert_eq!(before, State::Lost),
            Err(SandboxesError::NotFound | SandboxesError::Busy) if before == State::Dying => {}
            Err(error) => {
                self.excused(&error);
                let seen = self.seen(id).await;
                let is_wished = wanted == State::Gone && seen == State::Dying;
                assert!(seen == before || seen == wanted || is_wished, "{before:?} to {wanted:?}: {seen:?}");
                self.becomes(id, seen);
            }
        }
    }

    fn becomes(&mut self, id: SandboxId, state: State) {
        let now = self.now;
        self.model.get_mut(&id).expect("one of the model's").becomes(state, now);
    }

    /// What the ledger says.
    async fn seen(&self, id: SandboxId) -> State {
        let row = self.ledger().living(id).await.expect("a row");
        match row.map(|row| (row.desired, row.observed)) {
            None => State::Gone,
            Some((Desired::Deleted, _)) => State::Dying,
            Some((_, Observed::Started)) => State::Running,
            Some((_, Observed::Stopped)) => State::Stopped,
            Some((_, Observed::Failed | Observed::Absent | Observed::Pending)) => State::Lost,
        }
    }

    async fn change_labels(&mut self) -> &'static str {
        let Some(id) = self.any() else { return "nothing" };
        let labels = Labels::parse([("turn".to_owned(), self.now.to_string())].into()).expect("labels");
        let outcome = self.sandboxes().set_labels(self.organization, &id.to_string(), labels).await;
        self.asked(id, outcome, |expected| expected.state).await;
        "labels"
    }

    async fn change_intervals(&mut self) -> &'static str {
        let Some(id) = self.any() else { return "nothing" };
        let (stop, delete) = (self.dice.pick(&[0, 1, 30]), self.dice.pick(&[None, Some(0), Some(30)]));
        let change = move |intervals: &mut Intervals| {
            (intervals.auto_stop, intervals.auto_delete) = (stop, delete);
        };
        let outcome = self.sandboxes().set_intervals(self.organization, &id.to_string(), change).await;
        if outcome.is_ok() {
            let expected = self.model.get_mut(&id).expect("one of the model's");
            (expected.auto_stop, expected.auto_delete) = (stop.into(), delete.map(i64::from));
        }
        self.asked(id, outcome, |expected| expected.state).await;
        "intervals"
    }

    async fn change_ttl(&mut self) -> &'static str {
        let Some(id) = self.any() else { return "nothing" };
        let minutes = self.dice.pick(&[0, 3, 90]);
        let outcome = self.sandboxes().set_ttl(self.organization, &id.to_string(), minutes).await;
        if outcome.is_ok() {
            let end = (minutes > 0).then(|| self.now + i64::from(minutes) * MINUTE);
            self.model.get_mut(&id).expect("one of the model's").end = end;
        }
        self.asked(id, outcome, |expected| expected.state).await;
        "ttl"
    }

    async fn use_one(&mut self) -> &'static str {
        let Some(id) = self.any() else { return "nothing" };
        self.sandboxes().record_activity(id).await.expect("a use");
        self.model.get_mut(&id).expect("one of the model's").used = self.now;
        "use"
    }

    /// Something happens to a sandbox, and is noticed where the provider can be asked.
    async fn befalls(&mut self, then: State, befall: impl Fn(&MemorySandboxService, &Sandbox)) -> bool {
        let Some(id) = self.any() else { return false };
        let before = self.model[&id].state;
        if self.is_away() || !self.is_sound || before == State::Dying || before == then {
            return false;
        }
        let row = self.ledger().living(id).await.expect("a row").expect("one of the model's");
        befall(self.service.sound(), &row);
        self.sandboxes().note(Change::One(row.current_attempt())).await.expect("it is noted");
        self.becomes(id, if before == State::Lost { State::Lost } else { then });
        true
    }

    async fn crash(&mut self) -> &'static str {
        let did = self.befalls(State::Stopped, |provider, row| provider.crash(&row.current_attempt())).await;
        if did { "crash" } else { "nothing" }
    }

    async fn lose(&mut self) -> &'static str {
        let did = self.befalls(State::Lost, |provider, row| provider.lose(&row.current_attempt())).await;
        if did { "loss" } else { "nothing" }
    }

    fn outage(&mut self) -> &'static str {
        let outage = &self.service.sound().world().outage;
        if outage.is_on() {
            outage.off().expect("a switch");
            self.answers_since = Some(self.now);
        } else {
            outage.on().expect("a switch");
        }
        "outage"
    }

    /// Another server takes over, at once or after a while.
    async fn restart(&mut self) -> &'static str {
        let pause = self.dice.pick(&[0, 0, 1, 10]) * MINUTE;
        self.advance_by(pause);
        self.inside = None;
        let ledger = SqliteLedger::open(self.dir.path()).expect("the ledger opens");
        ledger.limit(quotas());
        let sandboxes = facade(&ledger, &self.service, &self.clock);
        self.inside = Some((ledger, sandboxes));
        // A provider that is away is recovered from later.
        let _ = self.sandboxes().recover().await;
        self.reconcile().await;
        "restart"
    }

    async fn leap(&mut self) -> &'static str {
        const HOUR: i64 = 60 * MINUTE;
        const YEAR: i64 = 365 * 24 * HOUR;
        let leap = self.dice.pick(&[HOUR, -HOUR, YEAR, -YEAR, 2 * MINUTE]);
        self.clock.set(Clock::now(self.clock.as_ref()).shifted(leap));
        self.reconcile().await;
        "leap"
    }

    async fn sweep(&mut self) -> &'static str {
        let swept = self.sandboxes().sweep().await;
        assert!(swept.is_ok() || self.is_away() || !self.is_sound);
        "sweep"
    }

    async fn time_passes(&mut self) -> &'static str {
        let by = self.dice.pick(&[1_000, 20_000, MINUTE, 3 * MINUTE, 16 * MINUTE]);
        self.advance_by(by);
        self.reconcile().await;
        "time"
    }

    fn advance_by(&mut self, millis: i64) {
        self.clock.advance(Duration::from_millis(millis.unsigned_abs()));
        self.now += millis;
    }

    /// Lets the reconciler do what is due, and what becomes due by that, and sees that it was neither more nor less.
    async fn reconcile(&mut self) {
        for _ in 0..3 {
            self.sandboxes().reconcile().await.expect("reconcile");
        }
        let ids: Vec<_> = self.model.keys().copied().collect();
        for id in ids {
            let (before, due) = (self.model[&id].state, self.model[&id].after(self.now));
            let seen = self.seen(id).await;
            let is_late =
                seen == before || (due == State::Gone && matches!(seen, State::Dying | State::Stopped));
            let may_be_late = !self.has_caught_up();
            let is_done = before == State::Dying && (seen == State::Gone || may_be_late);
            assert!(
                seen == due || (is_late && may_be_late) || is_done || self.is_found_out(before, seen),
                "{seen:?} and not {due:?} at {}: {:?}",
                self.now,
                self.model[&id]
            );
            self.becomes(id, seen);
        }
    }

    /// A start or stop that was answered with an error, and was done all the same, is found out some time.
    fn is_found_out(&self, before: State, seen: State) -> bool {
        let runs_or_not = |state| matches!(state, State::Running | State::Stopped);
        !self.is_sound && runs_or_not(before) && runs_or_not(seen)
    }

    async fn compare(&mut self, step: &str) {
        let rows = self.ledger().all_living().await.expect("rows");
        let ids: Vec<_> = self.model.keys().copied().collect();
        for id in ids {
            let (seen, expected) = (self.seen(id).await, &self.model[&id]);
            let is_so = seen == expected.state || self.is_found_out(expected.state, seen);
            assert!(is_so, "{seen:?} after {step} at {}: {expected:?}", self.now);
            self.becomes(id, seen);
        }
        self.model.retain(|_, expected| expected.state != State::Gone);
        let unknown = rows.iter().filter(|row| !self.model.contains_key(&row.id));
        let mut kept = unknown.filter(|row| row.desired != Desired::Deleted);
        assert!(kept.next().is_none(), "after {step}: a sandbox that nobody was told of");
    }

    fn ledger(&self) -> &SqliteLedger {
        &self.inside.as_ref().expect("it is open").0
    }

    fn sandboxes(&self) -> &Sandboxes {
        &self.inside.as_ref().expect("it is open").1
    }

    /// Everything goes in the end; sums, log and provider hold nothing that they should not.
    pub(crate) async fn finish(&mut self) {
        self.service.sound().world().outage.off().expect("a switch");
        self.answers_since = Some(self.now);
        for _ in 0..40 {
            self.advance_by(MINUTE);
            self.reconcile().await;
            let _ = self.sandboxes().sweep().await;
        }
        let rows = self.ledger().all_living().await.expect("rows").len();
        assert_eq!(rows, self.model.values().filter(|expected| expected.state != State::Gone).count());
        let database = Connection::open(self.dir.path().join("ledger.db")).expect("the ledger");
        let sum = "SELECT coalesce(sum(sandboxes), 0) FROM reserved";
        let sum: i64 = database.query_row(sum, [], |row| row.get(0)).expect("a sum");
        assert_eq!(usize::try_from(sum), Ok(rows), "the quota's sum");
        let lost = self.model.values().filter(|expected| expected.state == State::Lost).count();
        assert_eq!(self.service.sound().held(), rows - lost, "the provider holds what has a row");
        Audit::open(self.dir.path()).expect("the log").verify(None).expect("a whole chain");
    }
}
