//! A soak: many whole lives of sandboxes on one server, which must hold as much in the end as after the first tenth.

mod load;
mod sample;
mod trend;

use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::task::LocalSet;

use self::load::Lives;
use self::sample::Sample;
use self::trend::slope;
use crate::server::Server;
use crate::wait::wait_until;

pub use self::load::Load;

/// How often it is looked.
const PERIOD: Duration = Duration::from_secs(10);
/// Shorter soaks say how fast memory grew, and nothing follows from it.
const LONG: Duration = Duration::from_mins(30);
/// What memory may grow by in an hour of a long soak, in MiB.
const GROWTH: f64 = 1.0;
/// The sizes that may not grow.
const MEMORY: [&str; 2] = ["server PSS", "spawner PSS"];

/// What was seen of a server under a load.
pub struct Soak {
    server: Rc<Server>,
    start: Instant,
    before: Sample,
    samples: Vec<Sample>,
    lives: Lives,
    /// How long the load took, without what came before and after it.
    loaded: Duration,
}

impl Soak {
    /// Puts a new server under the load. Panics if something was left, or memory grew over a long time.
    pub async fn run(load: Load) {
        LocalSet::new().run_until(Self::soak(load)).await;
    }

    async fn soak(load: Load) {
        let (warm_up, rest) = load.split();
        let (server, start) = (Rc::new(Server::start().await), Instant::now());
        warm_up.run(server.clone()).await;
        let before = Sample::of(&server, start.elapsed());
        let samples = Vec::new();
        let mut soak =
            Self { server, start, before, samples, lives: Lives::default(), loaded: Duration::ZERO };
        let start = Instant::now();
        soak.watch(rest).await;
        soak.loaded = start.elapsed();
        let left = soak.left();
        soak.print();
        assert!(left.is_empty(), "more than before:\n  {}", left.join("\n  "));
        soak.check_memory();
    }

    /// Looks from time to time until the load is over.
    async fn watch(&mut self, load: Load) {
        let mut lives = std::pin::pin!(load.run(self.server.clone()));
        let mut tick = tokio::time::interval(PERIOD);
        loop {
            tokio::select! {
                lives = &mut lives => break self.lives = lives,
                _ = tick.tick() => self.look(),
            }
        }
    }

    fn look(&mut self) {
        self.samples.push(Sample::of(&self.server, self.start.elapsed()));
    }

    /// What there is more of than after the warm-up. Threads that nobody needs leave after a while.
    fn left(&mut self) -> Vec<String> {
        let mut left = Vec::new();
        let _ = wait_until(|| {
            let now = Sample::of(&self.server, self.start.elapsed());
            left = now.beyond(&self.before);
            left.is_empty()
        });
        self.look();
        left
    }

    /// MiB that a size grew by in an hour, by the second half of the samples.
    fn growth(&self, size: &str) -> Option<f64> {
        let point = |sample: &Sample| {
            let kib = u32::try_from(*sample.sizes.get(size)?).ok()?;
            Some((sample.at.as_secs_f64() / 3600.0, f64::from(kib) / 1024.0))
        };
        slope(&self.samples[self.samples.len() / 2..].iter().filter_map(point).collect::<Vec<_>>())
    }

    fn check_memory(&self) {
        for size in MEMORY {
            let growth = self.growth(size).unwrap_or_default();
            let fine = self.start.elapsed() < LONG || growth <= GROWTH;
            assert!(fine, "{size} grew by {growth:.1} MiB an hour");
        }
    }

    /// A table of what was held, and one line that a program may read.
    fn print(&self) {
        let last = self.samples.last().unwrap_or(&self.before);
        println!("{:<44} {:>10} {:>10} {:>10}", "", "before", "most", "after");
        for (name, of) in [("counts", (|s| &s.counts) as fn(&Sample) -> &_), ("KiB", |s| &s.sizes)] {
            for (what, after) in of(last) {
                let (before, most) = (of(&self.before).get(what).copied(), self.most(what, of));
                println!(
                    "{:<44} {:>10} {most:>10} {after:>10}",
                    format!("{name} {what}"),
                    before.unwrap_or(0)
                );
            }
        }
        println!("{}", self.told());
    }

    fn most(&self, what: &str, of: fn(&Sample) -> &std::collections::BTreeMap<String, u64>) -> u64 {
        self.samples.iter().filter_map(|sample| of(sample).get(what).copied()).max().unwrap_or(0)
    }

    fn told(&self) -> String {
        let mut took = self.lives.took.clone();
        took.sort_unstable();
        let at = |percent: usize| {
            took.get(took.len() * percent / 100).or(took.last()).map_or(0, Duration::as_millis)
        };
        let [server, spawner] = MEMORY.map(|size| self.growth(size).unwrap_or_default());
        format!(
            "torture: lifecycles={} seconds={} per_second={:.2} p50_ms={} p99_ms={} slowest_ms={} lag_ms={} \
             server_growth_mib_per_hour={server:.2} spawner_growth_mib_per_hour={spawner:.2}",
            took.len(),
            self.loaded.as_secs(),
            f64::from(u32::try_from(took.len()).unwrap_or(u32::MAX)) / self.loaded.as_secs_f64(),
            at(50),
            at(99),
            at(100),
            self.lives.lag.as_millis()
        )
    }
}
