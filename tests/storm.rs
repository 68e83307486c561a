//! A server that is killed at any moment, again and again, keeps what it has answered and leaves nothing behind.

use sandgate_tests::World;
use sandgate_tests::storm::{Provider, Storm};

/// How many kills: what was asked for, many where time is no matter, else a few.
fn kills() -> usize {
    let asked = sandgate_tests::setting("SANDGATE_STORM_KILLS");
    let usual = if sandgate_tests::long_checks() { 100 } else { 10 };
    asked.map_or(usual, |kills| kills.to_string_lossy().parse().expect("a number of kills"))
}

#[tokio::test]
async fn kills_at_any_moment_lose_nothing_and_leave_nothing() {
    Storm::brew(Provider::Container).await.rage(kills()).await;
}

/// A provider that is only modelled holds its sandboxes in files, so that kills come faster and nothing runs inside.
#[tokio::test]
async fn kills_lose_nothing_of_a_provider_that_is_somewhere_else() {
    Storm::brew(Provider::Modelled(World::default())).await.rage(kills()).await;
}

/// One answer in five is lost, and what was asked for may be done, or be done later, or never: what a create has made
/// although nobody was told goes again.
#[tokio::test]
async fn kills_leave_nothing_of_what_a_faulty_provider_makes_too_late() {
    let faulty = Provider::Faulty(World::default(), "seed=11 latency=2ms tail=20ms lost=0.2 late=500ms");
    Storm::brew(faulty).await.rage(kills()).await;
}
