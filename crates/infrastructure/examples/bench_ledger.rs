//! What the ledger costs on this disk, as two tables in Markdown: durable writes by one and by many, and how ten, ten
//! thousand and a hundred thousand rows change an insert, a look-up and the first page of a list. `cargo xtask bench
//! ledger` runs it.

use sandgate_core::{
    Actor, ApiKey, Desired, Event, EventKind, Intent, KeyHash, KeyId, KeyRepository, ListQuery, NewSandbox,
    Observed, OrganizationId, ProviderKind, ResourceLimits, Sandbox, SandboxConfig, SandboxRepository,
    Timestamp,
};
use sandgate_infrastructure::sqlite::{OpenError, SqliteLedger};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::task::JoinSet;

/// How often each thing is done.
const SAMPLES: usize = 500;

type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

#[tokio::main]
async fn main() -> Outcome<()> {
    println!("| writers | creates/s | p50 | p99 |\n|---|---|---|---|");
    for writers in [1, 16, 64] {
        let (took, mut times) = Subject::new().await?.written_by(writers).await?;
        let per_second = SAMPLES as u128 * writers as u128 * 1_000_000 / took.as_micros();
        println!("| {writers} | {per_second} | {} | {} |", percent(&mut times, 50), percent(&mut times, 99));
    }
    println!("\n| rows | insert p50 | find p50 | first page p50 |\n|---|---|---|---|");
    let subject = Subject::new().await?;
    for rows in [10, 10_000, 100_000] {
        subject.grow_to(rows).await?;
        let [mut insert, mut find, mut page] = subject.measured().await?;
        let cells = [&mut insert, &mut find, &mut page].map(|times| percent(times, 50));
        println!("| {rows} | {} |", cells.join(" | "));
    }
    Ok(())
}

/// A ledger in a directory that goes with it.
struct Subject {
    ledger: SqliteLedger,
    organization: OrganizationId,
    _dir: TempDir,
}

impl Subject {
    async fn new() -> Outcome<Self> {
        // Where it was started, and not in `/tmp`, which may be in memory.
        let dir = tempfile::tempdir_in(".")?;
        let path = dir.path().to_owned();
        let ledger: Result<_, OpenError> = SqliteLedger::open(&path);
        let (ledger, organization) = (ledger?, OrganizationId::random());
        ledger.insert_key(ApiKey { id: KeyId::random(), organization }, KeyHash([1; 32])).await?;
        Ok(Self { ledger, organization, _dir: dir })
    }

    /// How long it takes in all, and each of them.
    async fn written_by(&self, writers: usize) -> Outcome<(Duration, Vec<Duration>)> {
        let (start, mut tasks) = (Instant::now(), JoinSet::new());
        for _ in 0..writers {
            tasks.spawn(insert(self.ledger.clone(), self.organization, SAMPLES));
        }
        let times = tasks.join_all().await.into_iter().collect::<Outcome<Vec<_>>>()?;
        Ok((start.elapsed(), times.concat()))
    }

    async fn grow_to(&self, rows: usize) -> Outcome<()> {
        let missing = rows.saturating_sub(self.ledger.all_living().await?.len());
        let mut tasks = JoinSet::new();
        for writer in 0..64 {
            let share = missing / 64 + usize::from(writer < missing % 64);
            tasks.spawn(insert(self.ledger.clone(), self.organization, share));
        }
        tasks.join_all().await.into_iter().try_for_each(|times| times.map(drop))
    }

    /// Inserts, look-ups by name, and first pages. What was inserted goes again.
    async fn measured(&self) -> Outcome<[Vec<Duration>; 3]> {
        let (mut inserts, mut finds, mut pages) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..SAMPLES / 5 {
            let intent = intent(self.organization);
            let start = Instant::now();
            self.ledger.insert(&intent).await?;
            inserts.push(start.elapsed());
            let start = Instant::now();
            self.ledger.find(self.organization, intent.sandbox.name.as_str()).await?.ok_or("it is found")?;
            finds.push(start.elapsed());
            let start = Instant::now();
            self.ledger.list(self.organization, &ListQuery::default()).await?;
            pages.push(start.elapsed());
            let (desired, observed) = (Desired::Deleted, Observed::Absent);
            let gone = Sandbox { desired, observed, generation: 2, ..intent.sandbox };
            self.ledger.update(&gone, event(EventKind::Deleted)).await?;
        }
        Ok([inserts, finds, pages])
    }
}

async fn insert(ledger: SqliteLedger, organization: OrganizationId, count: usize) -> Outcome<Vec<Duration>> {
    let mut times = Vec::with_capacity(count);
    for _ in 0..count {
        let intent = intent(organization);
        let start = Instant::now();
        ledger.insert(&intent).await?;
        times.push(start.elapsed());
    }
    Ok(times)
}

fn event(kind: EventKind) -> Event {
    Event { kind, at: Timestamp::from_millis(0), actor: Actor::Server, detail: None }
}

fn sandbox(organization: OrganizationId) -> Sandbox {
    let now = Timestamp::from_millis(jiff::Timestamp::now().as_millisecond());
    let config = SandboxConfig::new(ResourceLimits::default().default);
    let new = NewSandbox { name: None, config, idempotency: None };
    new.asked_for(organization, ProviderKind::Container, now)
}

fn intent(organization: OrganizationId) -> Intent {
    Intent { sandbox: sandbox(organization), event: event(EventKind::Requested), idempotency: None }
}

/// In microseconds, for people.
fn percent(times: &mut [Duration], percent: usize) -> String {
    times.sort_unstable();
    format!("{} µs", times[(times.len() - 1) * percent / 100].as_micros())
}
