//! What the server does to sandboxes without being asked.

use std::time::{Duration, Instant};

use sandgate_tests::{Options, Server, long_checks};
use serde_json::{Value, json};

/// Minutes between two moments of a sandbox.
async fn minutes(server: &Server, sandbox: &Value, from: &str, to: &str) -> i64 {
    let body = server
        .get(&format!("/api/sandbox/{}", sandbox["id"].as_str().expect("an id")))
        .await
        .expect(200)
        .json();
    let at = |field: &str| -> i64 {
        let text = body[field].as_str().unwrap_or_else(|| panic!("{field}: {body}"));
        let (days, time) = text.split_once('T').expect("RFC 3339");
        let day: i64 = days.rsplit('-').next().and_then(|day| day.parse().ok()).expect("a day");
        let mut time = time.split(':').map(|part| part.parse::<i64>().unwrap_or_default());
        let (hours, minutes) = (time.next().unwrap_or_default(), time.next().unwrap_or_default());
        (day * 24 + hours) * 60 + minutes
    };
    at(to) - at(from)
}

#[tokio::test]
async fn a_time_to_live_is_told_changed_and_kept() {
    let config = Some("[limits]\nmax_lifetime = 600\n".to_owned());
    let server = Server::start_with(Options { config, ..Options::default() }).await;
    let short = server.create(&json!({ "ttlMinutes": 1, "autoStopInterval": 0 })).await;
    let long = server.create(&json!({ "ttlMinutes": 100_000 })).await;
    let silent = server.create(&json!({})).await;
    for (sandbox, expected) in [(&short, 1), (&long, 600), (&silent, 600)] {
        let told = minutes(&server, &sandbox.info().await, "createdAt", "autoDestroyAt").await;
        // A month that ends meanwhile is not reckoned with.
        assert!(told == expected || told < 0, "{told} instead of {expected}");
    }
    let set = |id: &str, ttl: &str| format!("/api/sandbox/{id}/ttl/{ttl}");
    drop(server.post(&set(&long.id, "30")).await.expect(200));
    let told = minutes(&server, &long.info().await, "createdAt", "autoDestroyAt").await;
    assert!((30..=32).contains(&told) || told < 0, "{told}");
    let refused = server.post(&set(&long.id, "-1")).await.expect(400).json();
    assert!(refused["message"].as_str().is_some_and(|text| text.contains("ttl")), "{refused}");
    if long_checks() {
        ends_in_its_minute(&server, &short.id).await;
    } else {
        short.delete().await;
    }
    long.delete().await;
    silent.delete().await;
}

/// A sandbox that was made a moment ago goes when a minute is over, give or take the reconciler's own pauses.
async fn ends_in_its_minute(server: &Server, id: &str) {
    let begun = Instant::now();
    while server.get(&format!("/api/sandbox/{id}")).await.status == 200 {
        assert!(begun.elapsed() < Duration::from_secs(80), "it outlives its time");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert!(begun.elapsed() > Duration::from_secs(45), "it ends before its time");
}
