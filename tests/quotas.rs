//! Quotas, rates and idempotency keys, as clients meet them.

use reqwest::Method;
use reqwest::header::HeaderMap;
use sandgate_tests::{Answer, Options, Server, until};
use serde_json::{Value, json};

async fn with(config: &str) -> Server {
    Server::start_with(Options { config: Some(config.to_owned()), ..Options::default() }).await
}

async fn create(server: &Server, body: &Value) -> Answer {
    let answer = server.post_json("/api/sandbox", body).await;
    server.observe();
    answer
}

async fn create_called(server: &Server, key: &str, body: &Value) -> Answer {
    let request = server.request(Method::POST, "/api/sandbox").header("Idempotency-Key", key).json(body);
    let answer = Answer::of(request).await;
    server.observe();
    answer
}

fn number(headers: &HeaderMap, name: &str) -> Option<u64> {
    headers.get(name)?.to_str().ok()?.parse().ok()
}

fn id(answer: &Answer) -> String {
    answer.json()["id"].as_str().expect("an id").to_owned()
}

fn replayed(answer: &Answer) -> bool {
    answer.headers.get("idempotent-replayed").is_some_and(|value| value == "true")
}

async fn delete_all(server: &Server) {
    for sandbox in server.list().await {
        let _ = server
            .delete(&format!("/api/sandbox/{}", sandbox["id"].as_str().expect("an id")))
            .await
            .expect(200);
    }
}

#[tokio::test]
async fn a_quota_is_kept_across_stop_start_restart_and_delete() {
    let server = with("[quota]\ncpu = 2\nsandboxes = 3\n").await;
    let one = server.create(&json!({ "labels": { "team": "red" } })).await;
    let two = server.create(&json!({})).await;
    let refused = create(&server, &json!({})).await.api_error(400);
    assert!(refused.starts_with("Total CPU limit exceeded. Maximum allowed: 2."), "{refused}");
    assert!(refused.contains("uses 2, and 1 more"), "{refused}");
    one.stop().await;
    let three = server.create(&json!({})).await;
    let refused = server.post(&one.path("/start")).await.api_error(400);
    assert!(refused.starts_with("Total CPU limit exceeded"), "{refused}");
    let refused = create(&server, &json!({})).await.api_error(400);
    assert!(refused.starts_with("Total sandbox limit exceeded. Maximum allowed: 3."), "{refused}");
    server.kill();
    server.start_again();
    create(&server, &json!({})).await.api_error(400);
    let usage = server.get("/v1/usage?label=team").await.expect(200).json();
    let (now, limits) = (&usage["organization"]["now"], &usage["organization"]["limits"]);
    assert_eq!((&now["cpu"], &now["memory"], &now["disk"]), (&json!(2), &json!(2), &json!(9)), "{usage}");
    assert_eq!(now["sandboxesByState"], json!({ "started": 2, "stopped": 1 }));
    assert_eq!((&limits["cpu"], &limits["memory"]), (&json!(2), &Value::Null));
    assert_eq!(usage["key"]["now"], *now, "all were made by this key");
    let values = &usage["byLabel"]["values"];
    assert_eq!((&values[0]["value"], &values[0]["now"]["sandboxes"]), (&Value::Null, &json!(2)), "{usage}");
    assert_eq!((&values[1]["value"], &values[1]["now"]["cpu"]), (&json!("red"), &json!(0)), "{usage}");
    two.delete().await;
    one.start().await;
    one.delete().await;
    three.delete().await;
    let usage = server.get("/v1/usage").await.expect(200).json();
    assert_eq!(usage["organization"]["now"]["sandboxes"], 0, "{usage}");
    assert!(usage.get("byLabel").is_none(), "{usage}");
}

#[tokio::test]
async fn many_creates_at_once_give_as_many_as_the_limit() {
    let server = with("[quota]\nsandboxes = 3\n").await;
    let body = json!({});
    let answers = futures_of(20, async || create(&server, &body).await).await;
    let admitted = answers.iter().filter(|answer| answer.status == 200).count();
    assert_eq!(admitted, 3);
    for refused in answers.iter().filter(|answer| answer.status != 200) {
        let text = refused.api_error(400);
        assert!(text.starts_with("Total sandbox limit exceeded"), "{text}");
    }
    assert_eq!(server.list().await.len(), 3);
    delete_all(&server).await;
}

/// So many calls at once, and their answers.
async fn futures_of<F: AsyncFn() -> Answer>(number: usize, call: F) -> Vec<Answer> {
    futures_util::future::join_all((0..number).map(|_| call())).await
}

#[tokio::test]
async fn a_rate_is_told_and_kept_without_a_plain_retry_after() {
    let server = with("[quota.key]\ncreates_per_minute = 2\n").await;
    for left in [1, 0] {
        let answer = create(&server, &json!({})).await.expect(200);
        assert_eq!(number(&answer.headers, "x-ratelimit-limit-sandbox-create"), Some(2));
        assert_eq!(number(&answer.headers, "x-ratelimit-remaining-sandbox-create"), Some(left));
    }
    delete_all(&server).await;
    let refused = create(&server, &json!({})).await;
    assert_eq!(refused.api_error(429), "ThrottlerException: Too Many Requests");
    assert_eq!(refused.json()["code"], "TOO_MANY_REQUESTS");
    let wait = number(&refused.headers, "retry-after-sandbox-create").expect("when to ask again");
    assert!((1..=60).contains(&wait), "{wait}");
    assert_eq!(number(&refused.headers, "x-ratelimit-reset-sandbox-create"), Some(wait));
    assert!(!refused.headers.contains_key("retry-after"), "clients would ask again by themselves");
    let run = server.post_json("/v1/run", &json!({ "command": "true" })).await;
    assert_eq!(run.status, 429, "a run is a create");
}

#[tokio::test]
async fn one_key_makes_one_sandbox_however_often_it_is_sent() {
    let server = Server::start().await;
    let body = json!({ "name": "only", "env": { "SECRET": "hush" } });
    let answers = futures_of(50, async || create_called(&server, "k-1", &body).await.expect(200)).await;
    assert_eq!(answers.iter().filter(|answer| !replayed(answer)).count(), 1);
    let first = id(&answers[0]);
    assert!(answers.iter().all(|answer| id(answer) == first));
    server.kill();
    server.start_again();
    let again = create_called(&server, "k-1", &body).await.expect(200);
    assert_eq!((id(&again), replayed(&again)), (first.clone(), true));
    assert_eq!(server.list().await.len(), 1);
    create_called(&server, "k-1", &json!({})).await.api_error(422);
    create(&server, &body).await.api_error(409);
    delete_all(&server).await;
    create_called(&server, "k-1", &body).await.api_error(410);
    for bad in ["", "a b", &"k".repeat(256)] {
        create_called(&server, bad, &body).await.api_error(400);
    }
}

#[tokio::test]
async fn a_create_that_failed_frees_its_key() {
    let server = Server::start().await;
    let body = json!({ "snapshot": "no-such-snapshot" });
    for _ in 0..2 {
        let refused = create_called(&server, "k", &body).await;
        assert!(!replayed(&refused) && refused.status >= 400, "{}", refused.text());
        assert_ne!(refused.status, 410);
    }
    let _ = create_called(&server, "k", &json!({})).await.expect(200);
    delete_all(&server).await;
}

/// Killed at moments all over a create, whose answer nobody gets: sending it again gives one sandbox, and only that.
#[tokio::test]
async fn a_create_that_a_kill_cut_short_is_made_once_by_its_retry() {
    let server = Server::start().await;
    for round in 0..8_u64 {
        let (key, body) = (format!("round-{round}"), json!({ "labels": { "round": round.to_string() } }));
        let request =
            server.request(Method::POST, "/api/sandbox").header("Idempotency-Key", &key).json(&body);
        let sent = tokio::spawn(request.send());
        // This waits for nothing: it says at which moment of the create the kill falls.
        tokio::time::sleep(std::time::Duration::from_millis(round * 6)).await;
        server.kill();
        drop(sent.await);
        server.start_again();
        let answer = create_called(&server, &key, &body).await.expect(200);
        until("the only one", async || {
            let left = server.list().await;
            left.len() == 1 && left[0]["id"] == id(&answer)
        })
        .await;
        assert_eq!(answer.json()["state"], "started");
        delete_all(&server).await;
    }
}
