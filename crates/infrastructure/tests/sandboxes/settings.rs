//! Labels and intervals may be changed by many at once.

use crate::rig::{Rig, red};
use sandgate_core::{Labels, SandboxesError};
use tokio::task::JoinSet;

/// Twenty callers, of whom nobody is turned away.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_set_labels_at_once_and_all_succeed() {
    let rig = Rig::new().await;
    let created = rig.created("one").await;
    let mut callers = JoinSet::new();
    for n in 0..20 {
        let (sandboxes, organization) = (rig.sandboxes.clone(), rig.organization);
        let labels = Labels::parse([("n".to_owned(), n.to_string())].into()).expect("labels");
        callers.spawn(async move { sandboxes.set_labels(organization, "one", labels).await });
    }
    for outcome in callers.join_all().await {
        outcome.expect("set labels");
    }
    let sandbox = rig.get("one").await.expect("found");
    assert_eq!(sandbox.generation, created.generation + 20, "each of them was written");
    rig.finish().await;
}

#[tokio::test]
async fn a_change_of_settings_leaves_everything_else() {
    let rig = Rig::new().await;
    let created = rig.created("one").await;
    rig.sandboxes.set_labels(rig.organization, "one", red()).await.expect("set labels");
    let changed =
        rig.sandboxes.set_intervals(rig.organization, "one", |i| i.auto_stop = 7).await.expect("set");
    let mut expected = created;
    expected.config.labels = red();
    expected.config.intervals.auto_stop = 7;
    expected.generation += 2;
    assert_eq!(changed, expected);
    assert_eq!(rig.get("one").await.expect("found"), expected);
    rig.finish().await;
}

#[tokio::test]
async fn what_is_gone_has_no_settings() {
    let rig = Rig::new().await;
    let sandbox = rig.created("one").await;
    rig.sandboxes.delete(rig.organization, "one").await.expect("delete");
    let refused = rig.sandboxes.set_labels(rig.organization, &sandbox.id.to_string(), red()).await;
    assert!(matches!(refused, Err(SandboxesError::NotFound)), "{refused:?}");
    rig.nothing_left().await;
}
