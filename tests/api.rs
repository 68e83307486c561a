//! The control plane as a client sees it: what is created, found, changed and deleted.

use sandgate_tests::{Answer, Server};
use serde_json::{Value, json};

/// Every key that some SDK needs to find, each with a test of its value.
fn assert_complete(sandbox: &Value) {
    for key in [
        "id",
        "organizationId",
        "name",
        "user",
        "target",
        "toolboxProxyUrl",
        "createdAt",
        "updatedAt",
        "state",
    ] {
        assert!(sandbox[key].as_str().is_some_and(|text| !text.is_empty()), "`{key}` is a text: {sandbox}");
    }
    for key in
        ["cpu", "gpu", "memory", "disk", "autoStopInterval", "autoArchiveInterval", "autoDeleteInterval"]
    {
        assert!(sandbox[key].is_i64(), "`{key}` is a whole number: {sandbox}");
    }
    for key in ["public", "networkBlockAll", "kvm"] {
        assert!(sandbox[key].is_boolean(), "`{key}` is a boolean: {sandbox}");
    }
    assert!(
        sandbox["env"].is_object() && sandbox["labels"].is_object() && sandbox["volumes"].is_array(),
        "{sandbox}"
    );
}

fn ids(sandboxes: &[Value]) -> Vec<&str> {
    sandboxes.iter().filter_map(|sandbox| sandbox["id"].as_str()).collect()
}

#[tokio::test]
async fn a_created_sandbox_is_complete_started_and_works() {
    let server = Server::start().await;
    let asked = json!({ "name": "first", "env": { "GREETING": "hello" }, "labels": { "team": "a" } });
    let sandbox = server.create(&asked).await;
    let body = sandbox.info().await;
    assert_complete(&body);
    assert_eq!(
        (&body["name"], &body["state"], &body["labels"]),
        (&json!("first"), &json!("started"), &json!({"team":"a"}))
    );
    assert_eq!(body["env"], json!({ "GREETING": "hello" }));
    assert_eq!(body["sandboxClass"], "container");
    assert_eq!(
        sandbox.sh("echo \"$GREETING from $USER in $PWD\"").await,
        "hello from daytona in /home/daytona"
    );
    assert_eq!(sandbox.sh("id -u").await, "1000");
    sandbox.delete().await;
    assert_eq!(server.list().await, Vec::<Value>::new());
}

#[tokio::test]
async fn a_sandbox_is_found_by_id_and_by_name_and_its_name_is_free_again_after_it() {
    let server = Server::start().await;
    let sandbox = server.create(&json!({ "name": "worker" })).await;
    let by_name = server.get("/api/sandbox/worker").await.expect(200).json();
    assert_eq!(by_name["id"], *sandbox.id);
    let refused = server.post_json("/api/sandbox", &json!({ "name": "worker" })).await;
    assert!(refused.api_error(409).contains("worker"), "the message names the name");
    sandbox.delete().await;
    server.get("/api/sandbox/worker").await.api_error(404);
    let again = server.create(&json!({ "name": "worker" })).await;
    again.delete().await;
}

#[tokio::test]
async fn a_sandbox_without_a_name_is_named_by_its_id() {
    let server = Server::start().await;
    let sandbox = server.create(&json!({})).await;
    assert_eq!(sandbox.info().await["name"], *sandbox.id);
    sandbox.delete().await;
}

#[tokio::test]
async fn a_list_is_paged_by_a_cursor_and_filtered_by_labels() {
    let server = Server::start().await;
    let mut sandboxes = Vec::new();
    for number in 0..3 {
        let labels = json!({ "number": number.to_string(), "kind": "listed" });
        sandboxes.push(server.create(&json!({ "labels": labels })).await);
    }
    let first = server.get("/api/sandbox?limit=2").await.expect(200).json();
    let cursor = first["nextCursor"].as_str().expect("there is more").to_owned();
    let second = server.get(&format!("/api/sandbox?limit=2&cursor={cursor}")).await.expect(200).json();
    assert_eq!(second["nextCursor"], Value::Null, "the last page says so by a null");
    let pages = [&first["items"], &second["items"]].map(|items| items.as_array().expect("items").clone());
    let pages = pages.concat();
    let mut listed = ids(&pages);
    let mut created: Vec<_> = sandboxes.iter().map(|sandbox| &*sandbox.id).collect();
    listed.sort_unstable();
    created.sort_unstable();
    assert_eq!(listed, created, "each sandbox is on one page and on one only");
    let labels = "%7B%22number%22%3A%221%22%7D"; // {"number":"1"}
    let filtered = server.get(&format!("/api/sandbox?labels={labels}")).await.expect(200).json();
    assert_eq!(ids(filtered["items"].as_array().expect("items")), [&*sandboxes[1].id]);
    for sandbox in sandboxes {
        sandbox.delete().await;
    }
}

#[tokio::test]
async fn labels_and_intervals_are_changed_and_kept() {
    let server = Server::start().await;
    let sandbox = server.create(&json!({ "labels": { "old": "1" }, "autoStopInterval": 20 })).await;
    assert_eq!(sandbox.info().await["autoStopInterval"], 20);
    let put = server.request(reqwest::Method::PUT, &sandbox.path("/labels"));
    let body = Answer::of(put.json(&json!({ "labels": { "new": "2" } }))).await.expect(200).json();
    assert_eq!(body["labels"], json!({ "new": "2" }));
    for (route, key, value) in [
        ("autostop", "autoStopInterval", 30),
        ("autoarchive", "autoArchiveInterval", 60),
        ("autodelete", "autoDeleteInterval", -1),
    ] {
        let answer = server.post(&sandbox.path(&format!("/{route}/{value}"))).await;
        assert!([200, 201].contains(&answer.status), "{route}: {}", answer.text());
        assert_eq!(sandbox.info().await[key], value, "{route}");
    }
    let activity = server.post(&sandbox.path("/last-activity")).await;
    assert!([200, 201].contains(&activity.status), "{}", activity.text());
    assert_eq!(sandbox.info().await["labels"], json!({ "new": "2" }));
    sandbox.delete().await;
}

#[tokio::test]
async fn stop_ends_processes_and_keeps_files_and_start_brings_them_back() {
    let server = Server::start().await;
    let sandbox = server.create(&json!({})).await;
    sandbox.sh("echo kept > note; sleep 600 >/dev/null 2>&1 &").await;
    assert!(!server.sandbox_processes().is_empty());
    sandbox.stop().await;
    assert_eq!(server.sandbox_processes(), Vec::<u32>::new(), "nothing runs in a stopped sandbox");
    let refused = sandbox.execute(&json!({ "command": "true" })).await;
    assert!((400..500).contains(&refused.status), "a stopped sandbox runs nothing: {}", refused.text());
    sandbox.start().await;
    assert_eq!(sandbox.sh("cat note").await, "kept");
    assert_eq!(sandbox.run("pgrep -x sleep").await.output, "", "processes do not come back");
    sandbox.delete().await;
}

#[tokio::test]
async fn starting_what_runs_changes_nothing() {
    let server = Server::start().await;
    let sandbox = server.create(&json!({})).await;
    sandbox.sh("sleep 600 >/dev/null 2>&1 &").await;
    sandbox.start().await;
    assert_ne!(sandbox.sh("pgrep -x sleep").await, "");
    sandbox.delete().await;
}

#[tokio::test]
async fn what_does_not_exist_is_not_found_in_every_route() {
    let server = Server::start().await;
    let nobody = "/api/sandbox/00000000-0000-4000-8000-000000000000";
    server.get(nobody).await.api_error(404);
    server.delete(nobody).await.api_error(404);
    for route in ["start", "stop", "autostop/5", "autoarchive/5", "autodelete/5", "last-activity"] {
        server.post(&format!("{nobody}/{route}")).await.api_error(404);
    }
    let command = json!({ "command": "true" });
    let relayed =
        server.post_json("/toolbox/00000000-0000-4000-8000-000000000000/process/execute", &command).await;
    assert_eq!(relayed.status, 404, "{}", relayed.text());
    server.get("/api/nothing-here").await.api_error(404);
}

#[tokio::test]
async fn health_needs_no_key_and_readiness_is_told() {
    let server = Server::start().await;
    let health = Answer::of(server.anonymous(reqwest::Method::GET, "/health")).await.expect(200).json();
    assert_eq!(health["status"], "ok");
    drop(Answer::of(server.anonymous(reqwest::Method::GET, "/health/ready")).await.expect(200));
}

#[tokio::test]
async fn ten_sandboxes_at_once_are_ten_different_ones() {
    let server = Server::start().await;
    let config = json!({ "memory": 1, "disk": 1 });
    let bodies = {
        let requests: Vec<_> = (0..10)
            .map(|_| {
                tokio::spawn(Answer::of(server.request(reqwest::Method::POST, "/api/sandbox").json(&config)))
            })
            .collect();
        let mut bodies = Vec::new();
        for request in requests {
            bodies.push(request.await.expect("the request comes to its end").expect(200).json());
        }
        bodies
    };
    let mut different = ids(&bodies);
    different.sort_unstable();
    different.dedup();
    assert_eq!(different.len(), 10);
    assert!(bodies.iter().all(|body| body["state"] == "started"), "{bodies:?}");
    for id in different {
        drop(server.delete(&format!("/api/sandbox/{id}")).await.expect(200));
    }
}
