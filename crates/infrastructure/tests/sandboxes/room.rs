//! Nothing new is begun on a disk that is nearly full.

use crate::rig::{Rig, named};
use sandgate_core::{Desired, Observed, Reserve, SandboxesError, Storage};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A disk with so many MiB left.
struct Left(AtomicU64);

impl Storage for Left {
    fn free(&self) -> Option<u64> {
        Some(self.0.load(Ordering::Relaxed) << 20)
    }
}

#[tokio::test]
async fn without_room_nothing_is_begun_and_everything_can_be_ended() {
    let rig = Rig::new().await;
    let disk = Arc::new(Left(AtomicU64::new(100)));
    let reserve = Reserve { storage: disk.clone(), min_free_mib: 100 };
    let sandboxes = rig.sandboxes.clone().with_reserve(reserve);
    for name in ["stopped", "running"] {
        sandboxes.create(rig.organization, named(name)).await.expect("there is room");
    }
    sandboxes.stop(rig.organization, "stopped").await.expect("stop");
    let before = rig.rows().await;
    disk.0.store(99, Ordering::Relaxed);
    let created = sandboxes.create(rig.organization, named("late")).await.map(drop);
    let started = sandboxes.start(rig.organization, "stopped").await.map(drop);
    for refused in [created, started] {
        let Err(SandboxesError::NoRoom { free_mib: 99, wanted_mib: 100 }) = refused else {
            panic!("{refused:?}")
        };
    }
    assert_eq!(rig.rows().await, before, "no intent was written");
    sandboxes.start(rig.organization, "running").await.expect("it runs already");
    sandboxes.stop(rig.organization, "running").await.expect("stop");
    sandboxes.delete(rig.organization, "running").await.expect("delete");
    disk.0.store(100, Ordering::Relaxed);
    sandboxes.start(rig.organization, "stopped").await.expect("there is room again");
    assert_eq!(rig.rows().await, [(Desired::Started, Observed::Started)]);
    rig.finish().await;
}
