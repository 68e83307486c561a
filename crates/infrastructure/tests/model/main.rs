//! The lifecycle against a small model of it, in virtual time: a random walk of many steps, repeated by its seed.

mod dice;
mod reference;
mod walk;

use walk::Walk;

/// A walk of so many steps; says by which seed it is repeated.
async fn walk(name: &str, model: &str, steps: u64) {
    let given = std::env::var("SANDGATE_WALK_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = given.unwrap_or_else(|| uuid::Uuid::new_v4().as_u64_pair().0);
    println!("SANDGATE_WALK_SEED={seed} repeats this walk");
    let mut walk = Walk::new(seed, model).await;
    for _ in 0..steps {
        walk.step().await;
    }
    walk.finish().await;
    println!("model: walk={name} steps={steps} {} seed={seed}", walk.told());
}

fn steps() -> u64 {
    if std::env::var_os("SANDGATE_TEST_LONG").is_some() { 100_000 } else { 20_000 }
}

/// Every timer strikes in its moment, every answer is a yes.
#[tokio::test(start_paused = true)]
async fn the_lifecycle_is_what_its_model_says() {
    walk("sound", "", steps()).await;
}

/// With calls that fail and answers that are lost, what was refused did not happen, or happens later.
#[tokio::test(start_paused = true)]
async fn so_it_is_with_a_provider_that_fails() {
    walk("faulty", "seed=7 errors=0.03 lost=0.03", steps() / 2).await;
}
