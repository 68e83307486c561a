//! A storm of crashes: workers ask for whatever their dice say, a killer ends the server at a moment that chance decides, and
//! after each restart what was answered must hold.

mod check;
mod dice;
mod journal;
mod line;
mod provider;
mod worker;

use std::time::{Duration, Instant};

use reqwest::Method;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use self::dice::Dice;
use self::line::Line;
use self::provider::Place;
use self::worker::{Tally, Worker};
use crate::answer::Answer;
use crate::server::Server;

pub use self::provider::Provider;

const WORKERS: usize = 4;
/// How long the load goes on at most before it is cut off, in microseconds.
const LOAD: u64 = 2_000_000;
/// A create takes about as long.
const CREATE: u64 = 25_000;
/// In so many of a hundred crashes the process that holds the sandboxes is killed as well.
const SPAWNER: u64 = 15;

/// A server in a storm, with those who work on it.
pub struct Storm {
    server: Server,
    provider: Provider,
    place: Place,
    seed: u64,
    dice: Dice,
    workers: [Worker; WORKERS],
    numbers: Numbers,
}

/// What a storm was like.
#[derive(Debug, Clone, Copy, Default)]
struct Numbers {
    kills: usize,
    /// Kills of a server that had not yet said that it listens.
    kills_while_starting: usize,
    /// Kills that took the process that holds the sandboxes along.
    kills_of_spawner: usize,
    /// How long the last start took until the server listened.
    start: Duration,
    slowest_recovery: Duration,
}

impl Storm {
    /// A new server in a data directory of its own. Says by which seed the storm is repeated.
    pub async fn brew(provider: Provider) -> Self {
        let seed = dice::seed();
        println!("SANDGATE_STORM_SEED={seed} repeats this storm");
        let start = Instant::now();
        let server = Server::start_with(provider.options()).await;
        let numbers = Numbers { start: start.elapsed(), ..Numbers::default() };
        let health = Answer::of(server.anonymous(Method::GET, "/health")).await.expect(200).json();
        let instance = health["instance"].as_str().expect("an instance").to_owned();
        let place = Place { data: server.data(), instance };
        let mut dice = Dice::new(seed);
        let workers =
            std::array::from_fn(|number| Worker::new(number, dice.fork(), provider.runs_commands()));
        Self { server, provider, place, seed, dice, workers, numbers }
    }

    /// Kills the server so many times, and looks after each time; then takes everything away and says the numbers.
    pub async fn rage(mut self, kills: usize) {
        while self.numbers.kills < kills {
            self.round().await;
        }
        self.calm().await;
        println!("{}", self.told());
    }

    fn line(&self) -> Line {
        Line::to(&self.server, self.provider.is_faulty())
    }

    /// Load, a kill in it, at times more kills while the server comes back, and a look at what is there.
    async fn round(&mut self) {
        let create = self.dice.chance(30);
        let moment = self.dice.below(if create { CREATE } else { LOAD });
        self.kill_under_load(create, Duration::from_micros(moment)).await;
        while self.dice.chance(25) {
            self.kill_while_starting();
        }
        check::ledger(&self.place);
        let start = Instant::now();
        self.server.start_again();
        self.numbers.start = start.elapsed();
        let line = self.line();
        let rows = check::rest(&line, &self.provider, &self.place, start).await;
        self.numbers.slowest_recovery = self.numbers.slowest_recovery.max(start.elapsed());
        self.server.observe();
        check::journals(&mut self.workers, &rows, &line, self.provider.is_faulty()).await;
        check::usage(&line).await;
        self.server.observe();
    }

    async fn kill_under_load(&mut self, create: bool, moment: Duration) {
        let line = self.line();
        let victims = self.victims();
        // A thread of its own: the runtime's clock knows milliseconds only.
        let killer = std::thread::spawn(move || {
            std::thread::sleep(moment);
            for pid in victims {
                // Who holds no sandboxes may just have left by itself.
                let _ = kill_process(pid, Signal::KILL);
            }
        });
        let [first, second, third, fourth] = &mut self.workers;
        tokio::join!(
            first.work(&line, create),
            second.work(&line, create),
            third.work(&line, create),
            fourth.work(&line, create)
        );
        killer.join().expect("the killer ends");
        self.server.kill();
        self.numbers.kills += 1;
    }

    /// The server, and at times the process that holds its sandboxes, in either order.
    fn victims(&mut self) -> Vec<Pid> {
        let spawner = self.server.spawner().filter(|_| self.dice.chance(SPAWNER));
        self.numbers.kills_of_spawner += usize::from(spawner.is_some());
        let mut victims: Vec<_> = [Some(self.server.pid()), spawner].into_iter().flatten().collect();
        if self.dice.chance(50) {
            victims.reverse();
        }
        victims.iter().filter_map(|pid| Pid::from_raw(pid.cast_signed())).collect()
    }

    /// At a moment of a start that takes as long as the last one did.
    fn kill_while_starting(&mut self) {
        let start = u64::try_from(self.numbers.start.as_micros()).unwrap_or(u64::MAX);
        let moment = Duration::from_micros(self.dice.below(start.max(1)));
        let start = Instant::now();
        self.server.kill_while_starting(|_| start.elapsed() >= moment);
        self.numbers.kills += 1;
        self.numbers.kills_while_starting += 1;
    }

    /// Deletes what is left, so that the server's guard may find nothing.
    async fn calm(&mut self) {
        let line = self.line();
        for row in line.list().await.expect("nobody kills it now") {
            let path = format!("/api/sandbox/{}", row["id"].as_str().expect("an id"));
            // Where nobody knows whether it was done, it is done soon.
            if let Ok(answer) = line.call(Method::DELETE, &path, None).await {
                let _ = answer.expect(200);
            }
        }
        let left = check::rest(&line, &self.provider, &self.place, Instant::now()).await;
        assert_eq!(left, Vec::<Value>::new(), "all were deleted");
    }

    /// One line that a program may read.
    fn told(&self) -> String {
        let Numbers { kills, kills_while_starting, kills_of_spawner, slowest_recovery, .. } = self.numbers;
        let sum =
            |count: fn(&Tally) -> u64| self.workers.iter().map(|worker| count(&worker.tally)).sum::<u64>();
        let (answered, unanswered) = (sum(|tally| tally.answered), sum(|tally| tally.unanswered));
        format!(
            "torture: provider={} kills={kills} kills_while_starting={kills_while_starting} \
             kills_of_spawner={kills_of_spawner} operations={} answered={answered} \
             unanswered={unanswered} slowest_recovery_ms={} seed={}",
            self.provider.name(),
            answered + unanswered,
            slowest_recovery.as_millis(),
            self.seed
        )
    }
}
