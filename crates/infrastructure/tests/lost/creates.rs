//! A thousand creates, of which three in ten are not answered.

use crate::rig::{Rig, clients};
use sandgate_core::{Attempt, Observed, Sandbox};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep};

const CREATES: usize = 1_000;
/// How long after its provider's return what nobody was told of may be there.
const GONE_WITHIN: Duration = Duration::from_mins(1);

/// What is there without being anybody's sandbox, and since when it could have been deleted.
#[derive(Default)]
struct Strays {
    since: HashMap<Attempt, Instant>,
    seen: usize,
    longest: Duration,
}

impl Strays {
    /// Looks once a second, for ever.
    async fn watch(rig: Arc<Rig>, strays: Arc<std::sync::Mutex<Self>>) {
        loop {
            // In this order: what is made between the two has a row by then.
            let there = rig.service.sound().attempts();
            let of_rows: HashSet<_> = rig.living().await.iter().map(Sandbox::current_attempt).collect();
            let stray = there.into_iter().filter(|attempt| !of_rows.contains(attempt)).collect();
            let away = rig.service.sound().world().outage.is_on();
            strays.lock().expect("no panic").note(&stray, away);
            sleep(Duration::from_secs(1)).await;
        }
    }

    fn note(&mut self, there: &HashSet<Attempt>, away: bool) {
        let now = Instant::now();
        let longest = &mut self.longest;
        self.since.retain(|attempt, since| {
            if away {
                *since = now;
            }
            *longest = (*longest).max(now.duration_since(*since));
            there.contains(attempt)
        });
        for attempt in there {
            self.since.entry(*attempt).or_insert_with(|| {
                self.seen += 1;
                now
            });
        }
    }
}

/// Two minutes without the provider, while clients ask.
async fn outage(rig: Arc<Rig>) {
    sleep(Duration::from_mins(1)).await;
    rig.service.sound().world().outage.on().expect("a switch");
    sleep(Duration::from_mins(2)).await;
    rig.service.sound().world().outage.off().expect("a switch");
}

/// Each client has its sandbox, each sandbox is one object, and there is no other object.
async fn exactly_those(rig: &Rig, delivered: &[Sandbox]) {
    let living = rig.living().await;
    let ids = |rows: &[Sandbox]| rows.iter().map(|row| row.id).collect::<HashSet<_>>();
    assert_eq!((delivered.len(), ids(delivered).len()), (CREATES, CREATES));
    let answered = ids(delivered);
    let unknown: Vec<_> = living.iter().filter(|row| !answered.contains(&row.id)).collect();
    assert!(unknown.is_empty(), "an error leaves nothing: {unknown:#?}");
    assert_eq!(living.len(), CREATES, "an answer is a sandbox");
    assert!(living.iter().all(|row| row.observed == Observed::Started), "all run");
    let objects: HashSet<_> = rig.service.sound().attempts().into_iter().collect();
    let current: HashSet<_> = living.iter().map(Sandbox::current_attempt).collect();
    assert_eq!(objects, current, "one object each");
}

async fn thousand(model: &str, waits: Duration) {
    let rig = Arc::new(Rig::new(model).await);
    let strays = Arc::new(std::sync::Mutex::new(Strays::default()));
    let watch = tokio::spawn(Strays::watch(rig.clone(), strays.clone()));
    let break_down = tokio::spawn(outage(rig.clone()));
    let answers = clients(&rig, CREATES, 200, Duration::from_millis(200)).await;
    let errors: usize = answers.iter().map(|(_, errors)| errors).sum();
    let delivered: Vec<_> = answers.into_iter().filter_map(|(sandbox, _)| sandbox).collect();
    break_down.await.expect("no panic");
    // Nothing can appear any more, and what appeared last has had its minute.
    sleep(waits + GONE_WITHIN).await;
    exactly_those(&rig, &delivered).await;
    let unsettled = "SELECT count(*) FROM attempt WHERE state = 'planned'
        OR (state = 'delivered' AND sandbox_id IN (SELECT id FROM sandbox WHERE deleted_at IS NOT NULL))";
    assert_eq!(rig.count(unsettled), 0, "no attempt is forgotten");
    let abandoned = rig.count("SELECT count(*) FROM event WHERE kind = 'sandbox.attempt-abandoned'");
    watch.abort();
    let (seen, longest) = {
        let strays = strays.lock().expect("no panic");
        (strays.seen, strays.longest)
    };
    println!(
        "lost: creates={CREATES} delivered={} errors={errors} abandoned={abandoned} strays={seen} gone_ms_max={} \
         model=\"{model}\"",
        delivered.len(),
        longest.as_millis()
    );
    assert!(seen > 0 && abandoned > 0, "the model is faulty enough to prove anything");
    assert!(longest <= GONE_WITHIN, "what nobody was told of was there for {longest:?}");
}

/// What is late appears within ten seconds.
#[tokio::test(start_paused = true)]
async fn a_thousand_creates_with_lost_answers_are_a_thousand_sandboxes() {
    thousand("seed=1 latency=40ms tail=2s lost=0.3 late=10s", Duration::from_mins(2)).await;
}

/// What is late appears within five minutes; lists lag, calls fail and hang.
#[tokio::test(start_paused = true)]
async fn so_they_are_where_everything_else_goes_wrong_too() {
    let seeds = if std::env::var_os("SANDGATE_TEST_LONG").is_some() { 2..12 } else { 2..3 };
    for seed in seeds {
        let model =
            format!("seed={seed} latency=40ms tail=2s lost=0.3 late=300s errors=0.05 lag=800ms stuck=0.01");
        thousand(&model, Duration::from_mins(7)).await;
    }
}
