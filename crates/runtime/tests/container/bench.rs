//! Times of the steps that a user waits for; run by hand: `cargo test --release --test container -- __bench`.

use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use sandgate_runtime::ContainerSpec;

use crate::world::World;

pub(crate) const BENCH_ARG: &str = "__bench";

pub(crate) fn main() -> ExitCode {
    let world = World::new();
    let runs = 200;
    let [mut create, mut kill, mut again, mut delete] = [const { Vec::new() }; 4];
    for run in 0..runs {
        let spec = world.spec(&format!("bench-{run}"), "sleep 1000");
        create.push(timed(|| drop(world.create(&spec))));
        kill.push(timed(|| world.spawner.kill(&spec.name).expect("kill")));
        again.push(timed(|| drop(world.create(&spec))));
        delete.push(timed(|| world.spawner.delete(&spec.name, &spec.disk.path).expect("delete")));
    }
    for (name, times) in [("create", create), ("kill", kill), ("start again", again), ("delete", delete)] {
        report(name, times);
    }
    many(&world);
    world.end();
    ExitCode::SUCCESS
}

/// Two hundred that live at the same time, made by eight at once.
fn many(world: &World) {
    let specs: Vec<_> = (0..200).map(|n| world.spec(&format!("many-{n}"), "sleep 1000")).collect();
    let each = |work: &(dyn Fn(&ContainerSpec) + Sync)| {
        timed(|| {
            thread::scope(|scope| {
                for part in specs.chunks(specs.len() / 8) {
                    scope.spawn(|| part.iter().for_each(work));
                }
            });
        })
    };
    println!("create 200   {:?}", each(&|spec| drop(world.create(spec))));
    println!("delete 200   {:?}", each(&|spec| world.delete(spec)));
}

fn timed(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

fn report(name: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let at = |percent: usize| times[(times.len() - 1) * percent / 100];
    println!("{name:12} min {:?} p10 {:?} p50 {:?} p95 {:?}", at(0), at(10), at(50), at(95));
}
