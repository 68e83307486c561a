//! Times of the steps that a user waits for; run by hand: `cargo test --release --test container -- __bench`.

use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use sandgate_runtime::{ContainerSpec, Lap};

use crate::world::World;

pub(crate) const BENCH_ARG: &str = "__bench";

pub(crate) fn main() -> ExitCode {
    let world = World::new();
    let runs = 200;
    let mut laps = Vec::new();
    let [mut create, mut kill, mut again, mut delete] = [const { Vec::new() }; 4];
    for run in 0..runs {
        let spec = world.spec(&format!("bench-{run}"), "sleep 1000");
        create.push(timed(|| laps.push(world.create(&spec).0.laps)));
        kill.push(timed(|| world.spawner.kill(&spec.name).expect("kill")));
        again.push(timed(|| drop(world.create(&spec))));
        delete.push(timed(|| world.spawner.delete(&spec.name, &spec.disk.path).expect("delete")));
    }
    for (name, times) in [("create", create), ("kill", kill), ("start again", again), ("delete", delete)] {
        report(name, times);
    }
    report_laps(&laps);
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

/// The median of each step of a create.
fn report_laps(creates: &[Vec<Lap>]) {
    for (number, lap) in creates[0].iter().enumerate() {
        let mut micros: Vec<u64> =
            creates.iter().filter_map(|laps| laps.get(number)).map(|lap| lap.micros).collect();
        micros.sort_unstable();
        println!("{:30} {:6} us", lap.step, micros[micros.len() / 2]);
    }
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
