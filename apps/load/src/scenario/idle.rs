//! Many sandboxes that nobody uses: what each costs, and whether all are still there in the end.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::Played;
use crate::api::Sandbox;
use crate::gauges::Sample;
use crate::results::{Figure, Settings, exact};
use crate::stage::{Stage, closed, step};

/// Clients that create, ask and delete at the same time.
const CLIENTS: usize = 8;
/// After so many failures there is no use in going on: the first of them says which limit was met.
const ENOUGH_FAILURES: usize = 20;
/// What the kernel frees later, and what a new sandbox does at first, is over by then.
const SETTLE: Duration = Duration::from_secs(3);
/// In MiB, the kernel's part and the loop device included.
const MEMORY_GOAL: f64 = 2.0;
/// In percent of one core, for everything of ours.
const CPU_GOAL: f64 = 1.0;

pub(super) async fn play(stage: &Arc<Stage>, settings: &Settings) -> Played {
    let before = stage.probe.sample();
    let sandboxes = Arc::new(fill(stage, settings.idle).await);
    stage.clock.reach(Instant::now() + SETTLE).await;
    let quiet = stage.probe.sample();
    stage.clock.reach(Instant::now() + Duration::from_secs(settings.seconds)).await;
    let after = stage.probe.sample();
    let mut figures = vec![Figure::new("live in the end, by the API", listed(stage).await, "")];
    figures.extend(memory(&before, &after));
    figures.extend(cpu(&quiet, &after));
    each(stage, &sandboxes, |stage, sandbox| async move {
        stage.step(step::EXEC, Instant::now(), stage.api.run_true(&sandbox)).await;
    })
    .await;
    figures.push(grown("no longer available, after a command", &before, &stage.probe.sample()));
    each(stage, &sandboxes, |stage, sandbox| async move { stage.delete(&sandbox, Instant::now()).await })
        .await;
    Played { figures, ..Played::default() }
}

/// Creates `count` sandboxes, or as many as there can be.
async fn fill(stage: &Arc<Stage>, count: usize) -> Vec<Sandbox> {
    let (made, failed) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicUsize::new(0)));
    let (all, failures) = (made.clone(), failed.clone());
    closed(stage, CLIENTS, count, move |stage, _| {
        let (all, failures) = (all.clone(), failures.clone());
        async move {
            if failures.load(Ordering::Relaxed) >= ENOUGH_FAILURES {
                return;
            }
            match stage.step(step::CREATE, Instant::now(), stage.api.create()).await {
                Some(sandbox) => all.lock().unwrap_or_else(PoisonError::into_inner).push(sandbox),
                None => _ = failures.fetch_add(1, Ordering::Relaxed),
            }
        }
    })
    .await;
    std::mem::take(&mut *made.lock().unwrap_or_else(PoisonError::into_inner))
}

async fn each<F>(
    stage: &Arc<Stage>,
    sandboxes: &Arc<Vec<Sandbox>>,
    work: impl Fn(Arc<Stage>, Sandbox) -> F + Clone + Send + 'static,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let all = sandboxes.clone();
    closed(stage, CLIENTS, sandboxes.len(), move |stage, number| work(stage, all[number].clone())).await;
}

/// A list that fails is seen as none: the count is compared with what was asked for.
async fn listed(stage: &Stage) -> f64 {
    stage.api.list().await.map_or(0.0, |all| exact(all.len() as u64))
}

/// What one sandbox takes: of the whole machine first, then by whom it is held. The parts overlap.
fn memory(before: &Sample, after: &Sample) -> Vec<Figure> {
    let live = exact(after.sandboxes.live as u64).max(1.0);
    let each = |name: &str, before: u64, after: u64| {
        let growth = exact(after) - exact(before);
        Figure::new(format!("memory of each: {name}"), growth / live / 1024.0, "MiB")
    };
    let (old, new) = (&before.memory, &after.memory);
    vec![
        Figure::new("live in the end, by control groups", exact(after.sandboxes.live as u64), ""),
        grown("no longer available", before, after).with_goal(MEMORY_GOAL),
        each("no longer free, caches included", new.free, old.free),
        each("anonymous", old.anonymous, new.anonymous),
        each("slab, unreclaimable", old.slab_unreclaimable, new.slab_unreclaimable),
        each("slab, reclaimable", old.slab_reclaimable, new.slab_reclaimable),
        each("page tables", old.page_tables, new.page_tables),
        each("kernel stacks", old.kernel_stack, new.kernel_stack),
        each("per cpu", old.percpu, new.percpu),
        each("charged to its group", before.sandboxes.memory_kib, after.sandboxes.memory_kib),
        each("in the server", before.server.pss_kib, after.server.pss_kib),
        each("in the spawner", before.spawner.pss_kib, after.spawner.pss_kib),
    ]
}

/// What is no longer available of the whole machine's memory, for each living sandbox.
fn grown(name: &str, before: &Sample, after: &Sample) -> Figure {
    let live = exact(after.sandboxes.live as u64).max(1.0);
    let growth = exact(before.memory.available) - exact(after.memory.available);
    Figure::new(format!("memory of each: {name}"), growth / live / 1024.0, "MiB")
}

fn cpu(from: &Sample, to: &Sample) -> Vec<Figure> {
    let lasted = exact(to.at_ms.saturating_sub(from.at_ms)).max(1.0);
    let share = |name: &str, from: u64, to: u64| {
        let used = exact(to.saturating_sub(from));
        Figure::new(format!("cpu while idle: {name}"), used / lasted * 100.0, "% of a core")
    };
    let ours = |sample: &Sample| sample.server.cpu_ms + sample.spawner.cpu_ms + sample.sandboxes.cpu_ms;
    vec![
        share("everything of ours", ours(from), ours(to)).with_goal(CPU_GOAL),
        share("server", from.server.cpu_ms, to.server.cpu_ms),
        share("spawner", from.spawner.cpu_ms, to.spawner.cpu_ms),
        share("sandboxes", from.sandboxes.cpu_ms, to.sandboxes.cpu_ms),
        share("the whole machine", from.busy_ms, to.busy_ms),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(figures: &[Figure], name: &str) -> f64 {
        figures.iter().find(|figure| figure.name.ends_with(name)).expect("a figure of that name").value
    }

    #[test]
    fn memory_is_what_became_less_for_each_sandbox() {
        let (mut before, mut after) = (Sample::default(), Sample::default());
        (before.memory.available, after.memory.available) = (100 * 1024, 90 * 1024);
        (before.memory.page_tables, after.memory.page_tables) = (1024, 6 * 1024);
        after.sandboxes.live = 5;
        let figures = memory(&before, &after);
        assert!((value(&figures, "no longer available") - 2.0).abs() < 1e-9);
        assert!((value(&figures, "page tables") - 1.0).abs() < 1e-9);
        assert_eq!(figures[1].met(), Some(true));
    }

    #[test]
    fn processor_time_is_a_share_of_one_core() {
        let (mut from, mut to) = (Sample::default(), Sample::default());
        (from.at_ms, to.at_ms) = (1000, 11_000);
        (from.server.cpu_ms, to.server.cpu_ms) = (500, 550);
        to.sandboxes.cpu_ms = 150;
        let figures = cpu(&from, &to);
        assert!((value(&figures, "everything of ours") - 2.0).abs() < 1e-9);
        assert_eq!(figures[0].met(), Some(false));
    }
}
