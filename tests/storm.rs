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
