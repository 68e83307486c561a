//! Things without a row: what is deleted at once, what after a while, and what not without being asked.

use crate::rig::Rig;
use sandgate_core::{
    Attempt, Desired, InstanceId, Observed, SandboxConfig, SandboxId, SandboxService, Swept,
};
use sandgate_infrastructure::memory::MemorySandboxService;
use std::time::Duration;

/// The grace of an orphan.
const GRACE: Duration = Duration::from_secs(30);

async fn make(service: &MemorySandboxService, config: &SandboxConfig) -> Attempt {
    let attempt = Attempt::first(SandboxId::random());
    service.create(&attempt, config).await.expect("create");
    attempt
}

async fn swept(rig: &Rig) -> Swept {
    rig.sandboxes.sweep().await.expect("sweep")
}

#[tokio::test(start_paused = true)]
async fn an_orphan_of_ours_is_deleted_after_its_grace_and_nobody_elses_is_touched() {
    let rig = Rig::new().await;
    let kept = rig.created("kept").await;
    let neighbour = rig.service.beside(InstanceId::random());
    make(&rig.service, &kept.config).await;
    let theirs = make(&neighbour, &kept.config).await;
    assert_eq!(swept(&rig).await, Swept { kept: 1, ..Swept::default() });
    tokio::time::advance(GRACE).await;
    assert_eq!(swept(&rig).await, Swept { kept: 1, orphans: 1, ..Swept::default() });
    assert_eq!(rig.service.held(), 2, "ours with a row, and theirs");
    neighbour.lose(&theirs);
    rig.finish().await;
}

/// What the ledger wrote down and has done with needs no grace.
#[tokio::test]
async fn what_the_ledger_knows_to_be_over_is_deleted_at_once() {
    let rig = Rig::new().await;
    let sandbox = rig.created("one").await;
    let ended = rig.created("two").await;
    rig.sandboxes.delete(rig.organization, "two").await.expect("delete");
    rig.service.create(&ended.current_attempt(), &ended.config).await.expect("it appears once more");
    assert_eq!(swept(&rig).await, Swept { kept: 1, leftovers: 1, ..Swept::default() });
    assert_eq!(rig.get("one").await.expect("found"), sandbox);
    rig.finish().await;
}

/// A ledger that is not the right one must not cost anybody a sandbox.
#[tokio::test(start_paused = true)]
async fn many_orphans_are_kept_until_somebody_confirms_them() {
    let rig = Rig::new().await;
    let config = rig.created("one").await.config;
    for _ in 0..6 {
        make(&rig.service, &config).await;
    }
    swept(&rig).await;
    tokio::time::advance(GRACE).await;
    assert_eq!(swept(&rig).await, Swept { kept: 1, held: 6, ..Swept::default() });
    assert_eq!((rig.sandboxes.held_orphans().len(), rig.service.held()), (6, 7));
    let deleted = rig.sandboxes.delete_orphans().await.expect("delete them");
    assert_eq!(deleted, Swept { kept: 1, orphans: 6, ..Swept::default() });
    rig.finish().await;
}

/// Whoever asks before anything is held has confirmed nothing.
#[tokio::test(start_paused = true)]
async fn a_word_that_names_nothing_lifts_no_guard() {
    let rig = Rig::new().await;
    let config = rig.created("one").await.config;
    let doubtful = rig.restored();
    make(&rig.service, &config).await;
    assert_eq!(doubtful.delete_orphans().await.expect("nothing to delete").orphans, 0);
    tokio::time::advance(GRACE).await;
    let held = Swept { kept: 1, held: 1, ..Swept::default() };
    assert_eq!(doubtful.sweep().await.expect("sweep"), held, "it was not named then");
    assert_eq!(doubtful.delete_orphans().await.expect("delete it").orphans, 1);
    make(&rig.service, &config).await;
    doubtful.sweep().await.expect("sweep");
    tokio::time::advance(GRACE).await;
    assert_eq!(
        doubtful.sweep().await.expect("sweep").orphans,
        1,
        "the ledger knows all that there is, and is trusted"
    );
    rig.finish().await;
}

/// A create that was under way when the backup was made was answered since.
#[tokio::test]
async fn what_a_backup_shows_as_under_way_is_looked_at_before_it_is_ended() {
    let rig = Rig::new().await;
    let [made, stopping] = [rig.created("made").await, rig.created("stopping").await];
    rig.left_as(&made, Desired::Started, Observed::Pending).await;
    rig.left_as(&stopping, Desired::Stopped, Observed::Started).await;
    let doubtful = rig.restored();
    doubtful.recover().await.expect("recover");
    for name in ["made", "stopping"] {
        let row = rig.get(name).await.expect("it lives");
        assert_eq!((row.desired, row.observed), (Desired::Started, Observed::Started), "{name}");
    }
    rig.finish().await;
}
