//! A quota holds while the provider loses answers.

use crate::rig::{Rig, clients};
use sandgate_core::{Quota, Quotas};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;

const LIMIT: u64 = 10;

/// Two hundred ask at once and go on asking for a while: no more than ten ever are there, and in the end ten.
#[tokio::test(start_paused = true)]
async fn two_hundred_at_once_at_a_limit_of_ten_are_ten() {
    for seed in 1..4 {
        let model = format!("seed={seed} latency=40ms tail=1s lost=0.3 late=10s errors=0.05");
        let rig = Arc::new(Rig::new(&model).await);
        let organization = Quota { sandboxes: Some(LIMIT), ..Quota::default() };
        rig.ledger.limit(Quotas { organization, ..Quotas::default() });
        let watched = rig.clone();
        let watch = tokio::spawn(async move {
            loop {
                let living = watched.living().await.len();
                assert!(living <= 10, "{living} are there");
                sleep(Duration::from_millis(100)).await;
            }
        });
        let answers = clients(&rig, 200, 30, Duration::ZERO).await;
        let delivered = answers.iter().filter(|(sandbox, _)| sandbox.is_some()).count();
        sleep(Duration::from_mins(2)).await;
        assert!(!watch.is_finished(), "the limit was exceeded");
        watch.abort();
        assert_eq!(delivered, 10);
        assert_eq!((rig.living().await.len(), rig.service.sound().attempts().len()), (10, 10));
        assert_eq!(rig.count("SELECT sandboxes FROM reserved"), 10);
        println!("quota: seed={seed} asked=200 limit={LIMIT} delivered={delivered}");
    }
}
