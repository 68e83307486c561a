//! Each modelled fault is what it says, as often as it says, and the same for the same seed.

use sandgate_core::{
    Attempt, InstanceId, Inventory, Observed, ResourceLimits, SandboxConfig, SandboxInfo, SandboxRef,
    SandboxService, ServiceError, StartStop,
};
use sandgate_infrastructure::memory::{MemorySandboxService, ModelledSandboxService, World};
use std::path::Path;
use std::time::Duration;
use tokio::time::{Instant, sleep};

fn instance() -> InstanceId {
    "0badcafe".parse().expect("eight digits")
}

fn provider(model: &str) -> ModelledSandboxService {
    over(World::default(), model)
}

fn over(world: World, model: &str) -> ModelledSandboxService {
    let sound = MemorySandboxService::in_world(instance(), world);
    ModelledSandboxService::new(sound, model.parse().expect("a model"))
}

fn world(folder: &Path) -> World {
    World::in_folder(folder).expect("a world")
}

/// The same ids in every run, so that the same faults befall them.
fn attempt(n: u32) -> Attempt {
    Attempt::first(format!("00000000-0000-7000-8000-{n:012}").parse().expect("an id"))
}

fn by_name(n: u32) -> SandboxRef {
    SandboxRef { attempt: attempt(n), handle: None }
}

async fn create(provider: &ModelledSandboxService, n: u32) -> Result<SandboxInfo, ServiceError> {
    provider.create(&attempt(n), &SandboxConfig::new(ResourceLimits::default().default)).await
}

async fn status(provider: &ModelledSandboxService, n: u32) -> Observed {
    provider.status(&by_name(n)).await.expect("status")
}

fn is_lost<T>(answer: &Result<T, ServiceError>) -> bool {
    matches!(answer, Err(ServiceError::OutcomeUnknown { .. }))
}

/// What a thousand creates are answered.
async fn answers(model: &str) -> Vec<String> {
    let provider = provider(model);
    let mut answers = Vec::new();
    for n in 0..1_000 {
        let answer = create(&provider, n).await.map(|_| ());
        answers.push(format!("{answer:?}"));
    }
    answers
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_leads_to_the_same_faults_and_another_to_others() {
    let model = "latency=5ms tail=1s errors=0.1 lost=0.3 late=2s";
    let first = answers(&format!("seed=7 {model}")).await;
    assert_eq!(answers(&format!("seed=7 {model}")).await, first);
    assert_ne!(answers(&format!("seed=8 {model}")).await, first);
}

#[tokio::test(start_paused = true)]
async fn what_befalls_a_call_does_not_depend_on_what_happens_beside_it() {
    let model = "seed=7 latency=5ms tail=1s errors=0.1 lost=0.3";
    let provider = provider(model);
    let calls: Vec<_> = (0..1_000)
        .rev()
        .map(|n| {
            let provider = provider.clone();
            tokio::spawn(async move { create(&provider, n).await.map(|_| ()) })
        })
        .collect();
    let mut together = Vec::new();
    for call in calls {
        together.push(format!("{:?}", call.await.expect("a call")));
    }
    together.reverse();
    assert_eq!(together, answers(model).await);
}

#[tokio::test]
async fn a_call_that_fails_did_nothing() {
    let provider = provider("seed=7 errors=0.2");
    let mut failed = 0;
    for n in 0..1_000 {
        match create(&provider, n).await {
            Ok(_) => provider.sound().lose(&attempt(n)),
            Err(ServiceError::Unreachable(_) | ServiceError::Failed { .. }) => failed += 1,
            Err(other) => panic!("{other:?}"),
        }
    }
    assert!((160..240).contains(&failed), "{failed}");
    assert_eq!(provider.sound().held(), 0, "what failed made nothing");
}

/// Of a thousand creates with three in ten answers lost: some are there, some will be, some never.
#[tokio::test(start_paused = true)]
async fn a_lost_create_is_there_or_appears_late_or_never() {
    let provider = provider("seed=7 lost=0.3 late=2s");
    let (mut answered, mut lost) = (0, 0);
    for n in 0..1_000 {
        match create(&provider, n).await {
            Ok(_) => answered += 1,
            answer => {
                assert!(is_lost(&answer), "{answer:?}");
                lost += 1;
            }
        }
    }
    let at_once = provider.sound().held() - answered;
    sleep(Duration::from_secs(2)).await;
    let late = provider.sound().held() - answered - at_once;
    let never = lost - at_once - late;
    assert!((250..350).contains(&lost), "{lost}");
    for share in [at_once, late, never] {
        assert!(share * 5 > lost, "each is common: {at_once} at once, {late} late, {never} never");
    }
}

/// The n of a create that appears late, and the provider that it was asked of.
async fn a_late_create(folder: &Path) -> (ModelledSandboxService, u32) {
    let provider = over(world(folder), "seed=7 lost=1 late=1000s");
    for n in 0..100 {
        assert!(is_lost(&create(&provider, n).await));
        let there = provider.sound().status(&by_name(n)).await.expect("status");
        if there == Observed::Absent && folder.join("late").join(name(n)).exists() {
            return (provider, n);
        }
    }
    panic!("no create is late");
}

fn name(n: u32) -> String {
    attempt(n).external_name(&instance()).to_string()
}

#[tokio::test(start_paused = true)]
async fn a_delete_does_not_reach_what_is_yet_to_appear_and_a_restart_does_not_either() {
    let folder = tempfile::tempdir().expect("a folder");
    let (provider, n) = a_late_create(folder.path()).await;
    provider.sound().delete(&by_name(n)).await.expect("delete");
    drop(provider);
    let restarted = over(world(folder.path()), "");
    assert_eq!(status(&restarted, n).await, Observed::Absent);
    sleep(Duration::from_secs(1_000)).await;
    assert_eq!(status(&restarted, n).await, Observed::Started);
    restarted.delete(&by_name(n)).await.expect("delete");
    assert_eq!(status(&restarted, n).await, Observed::Absent, "it appears once");
}

#[tokio::test(start_paused = true)]
async fn asking_again_for_what_is_late_makes_one_sandbox() {
    let folder = tempfile::tempdir().expect("a folder");
    let (late, n) = a_late_create(folder.path()).await;
    let provider = ModelledSandboxService::new(late.sound().clone(), "".parse().expect("a model"));
    let first = create(&provider, n).await.expect("create");
    sleep(Duration::from_secs(1_000)).await;
    assert_eq!(create(&provider, n).await.expect("create again").handle, first.handle);
}

#[tokio::test]
async fn a_lost_stop_or_delete_was_carried_out_or_not() {
    let provider = provider("seed=7 lost=1");
    let (mut stopped, mut deleted) = (0, 0);
    for n in 0..200 {
        provider
            .sound()
            .create(&attempt(n), &SandboxConfig::new(ResourceLimits::default().default))
            .await
            .expect("create");
        assert!(is_lost(&provider.stop(&by_name(n)).await));
        stopped += usize::from(status(&provider, n).await == Observed::Stopped);
        assert!(is_lost(&provider.delete(&by_name(n)).await));
        deleted += usize::from(status(&provider, n).await == Observed::Absent);
    }
    assert!((100..180).contains(&stopped), "{stopped}");
    assert!((100..180).contains(&deleted), "{deleted}");
}

#[tokio::test(start_paused = true)]
async fn lists_and_status_lag_behind() {
    let provider = provider("seed=7 lag=300ms");
    let (short, long) = (Duration::from_millis(200), Duration::from_millis(301));
    create(&provider, 1).await.expect("create");
    sleep(short).await;
    assert_eq!(status(&provider, 1).await, Observed::Absent);
    assert_eq!(provider.list().await.expect("list").len(), 0);
    assert_eq!(provider.sound().held(), 1, "it is there all the same");
    sleep(long).await;
    assert_eq!(status(&provider, 1).await, Observed::Started);
    assert_eq!(provider.list().await.expect("list").len(), 1);
    provider.delete(&by_name(1)).await.expect("delete");
    sleep(short).await;
    assert_eq!(status(&provider, 1).await, Observed::Absent);
    assert_eq!(provider.list().await.expect("list").len(), 1, "deleted and still listed");
    sleep(long).await;
    assert_eq!(provider.list().await.expect("list").len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_stuck_create_hangs_until_it_is_released() {
    let provider = provider("seed=7 stuck=1");
    let call = {
        let provider = provider.clone();
        tokio::spawn(async move { create(&provider, 1).await })
    };
    sleep(Duration::from_mins(1)).await;
    assert!(!call.is_finished());
    assert_eq!(status(&provider, 1).await, Observed::Absent, "other calls are answered");
    provider.sound().world().release.on().expect("a switch");
    call.await.expect("a call").expect("create");
    assert_eq!(status(&provider, 1).await, Observed::Started);
}

#[tokio::test(start_paused = true)]
async fn calls_take_their_time() {
    let provider = provider("seed=7 latency=10ms tail=1s");
    let mut times = Vec::new();
    for n in 0..1_000 {
        let asked = Instant::now();
        create(&provider, n).await.expect("create");
        times.push(asked.elapsed().as_millis());
    }
    times.sort_unstable();
    assert!((8..14).contains(&times[500]), "the median is {} ms", times[500]);
    assert!((100..1_020).contains(&times[990]), "one in a hundred takes {} ms", times[990]);
}

async fn ends(provider: &ModelledSandboxService) {
    create(provider, 1).await.expect("create");
    provider.sound().world().outage.on().expect("a switch");
    let refused = |error| matches!(error, ServiceError::Unreachable(_));
    assert!(create(provider, 2).await.is_err_and(refused));
    assert!(provider.list().await.is_err_and(refused));
    assert!(provider.status(&by_name(1)).await.is_err_and(refused));
    assert!(provider.delete(&by_name(1)).await.is_err_and(refused));
    provider.sound().world().outage.off().expect("a switch");
    assert_eq!(provider.list().await.expect("list").len(), 1, "nothing was done meanwhile");
    assert_eq!(status(provider, 1).await, Observed::Started);
}

#[tokio::test]
async fn an_outage_ends() {
    ends(&provider("")).await;
    let folder = tempfile::tempdir().expect("a folder");
    ends(&over(world(folder.path()), "")).await;
}

#[tokio::test]
async fn a_folder_is_turned_by_hand_and_outlives_its_process() {
    let folder = tempfile::tempdir().expect("a folder");
    create(&over(world(folder.path()), ""), 1).await.expect("create");
    let next = over(world(folder.path()), "");
    assert_eq!(status(&next, 1).await, Observed::Started);
    std::fs::write(folder.path().join(name(2)), "stopped mine").expect("planted");
    std::fs::remove_file(folder.path().join(name(1))).expect("removed");
    std::fs::write(folder.path().join("sandgate-deadbeef-of-another"), "running theirs").expect("planted");
    assert_eq!(status(&next, 1).await, Observed::Absent);
    let listed = next.list().await.expect("list");
    assert_eq!(listed.len(), 1, "what is another installation's is not listed");
    assert_eq!((listed[0].attempt, listed[0].observed), (attempt(2), Observed::Stopped));
    std::fs::write(folder.path().join("outage"), "").expect("switched on");
    assert!(next.list().await.is_err());
}
