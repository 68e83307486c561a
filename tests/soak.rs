//! Thousands of sandboxes come and go, and nothing of them stays.

use std::time::Duration;

use sandgate_tests::soak::{Load, Soak};

fn number(name: &str) -> Option<f64> {
    sandgate_tests::setting(name).map(|text| text.to_string_lossy().parse().expect("a number"))
}

/// On a schedule where a time was asked for, and else as many lives as there is patience for.
fn load() -> Load {
    let usual = Load::Closed(if sandgate_tests::long_checks() { 2000 } else { 200 });
    let rate = number("SANDGATE_SOAK_RATE").unwrap_or(10.0);
    number("SANDGATE_SOAK_SECONDS").map_or(usual, |time| Load::Open(rate, Duration::from_secs_f64(time)))
}

#[tokio::test]
async fn many_lives_leave_nothing() {
    Soak::run(load()).await;
}
