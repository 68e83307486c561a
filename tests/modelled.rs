//! The real server on a modelled provider: what it promises must be true of a provider that is far away and fails.

use sandgate_tests::{Server, World, sandgate, until};
use serde_json::{Value, json};

fn states(list: &[Value]) -> Vec<&str> {
    list.iter().map(|sandbox| sandbox["state"].as_str().expect("a state")).collect()
}

#[tokio::test]
async fn sandboxes_of_a_modelled_provider_outlive_a_killed_server() {
    let world = World::default();
    let server = Server::start_with(world.options("seed=7 latency=2ms tail=20ms")).await;
    let (one, two) = (server.create(&json!({ "name": "one" })).await, server.create(&json!({})).await);
    assert_eq!(world.sandboxes().len(), 2);
    two.stop().await;
    assert_eq!(world.sandboxes().values().filter(|running| **running).count(), 1);
    server.kill();
    assert_eq!(world.sandboxes().len(), 2, "the world goes on without its server");
    server.start_again();
    let list = server.list().await;
    assert_eq!(states(&list).len(), 2);
    assert_eq!(one.info().await["state"], "started");
    assert_eq!(two.info().await["state"], "stopped");
    two.start().await;
    one.delete().await;
    two.delete().await;
    assert_eq!(world.sandboxes().len(), 0);
}

#[test]
fn a_model_that_cannot_be_read_is_refused_with_its_fault() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut serve = sandgate(None);
    serve.args(["serve", "--listen", "127.0.0.1:0", "--data-dir"]).arg(folder.path().join("data"));
    serve.env("SANDGATE_TEST_WORLD", folder.path()).env("SANDGATE_TEST_MODEL", "seed=7 lost=2");
    let output = serve.output().expect("it ends");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && text.contains("`lost=2` is no part of a model"), "{text}");
}

/// There is nothing inside to talk to, and that is said.
#[tokio::test]
async fn a_modelled_sandbox_has_no_toolbox() {
    let world = World::default();
    let server = Server::start_with(world.options("")).await;
    let sandbox = server.create(&json!({})).await;
    let (_, message) = sandbox.execute(&json!({ "command": "true" })).await.toolbox_error(501);
    assert!(message.contains("no toolbox"), "{message}");
    sandbox.delete().await;
}

#[tokio::test]
async fn a_create_during_an_outage_answers_503_and_leaves_nothing_once_it_is_over() {
    let world = World::default();
    let server = Server::start_with(world.options("")).await;
    let kept = server.create(&json!({})).await;
    world.outage(true);
    let message = server.post_json("/api/sandbox", &json!({})).await.api_error(503);
    assert!(message.contains("unreachable"), "{message}");
    world.outage(false);
    server.kill();
    server.start_again();
    until("only what was answered is left", async || server.list().await.len() == 1).await;
    assert_eq!(world.sandboxes().len(), 1);
    assert_eq!(kept.info().await["state"], "started");
    kept.delete().await;
}

/// What a test does to the world by hand is seen by the server, and what is another installation's is let alone.
#[tokio::test]
async fn what_is_lost_behind_the_servers_back_is_noticed_by_the_next() {
    let world = World::default();
    let server = Server::start_with(world.options("")).await;
    let sandbox = server.create(&json!({})).await;
    let name = world.sandboxes().into_keys().next().expect("a sandbox");
    let foreign = "sandgate-00000000-00000000-0000-7000-8000-000000000000-a1";
    server.kill();
    world.lose(&name);
    world.plant(foreign);
    server.start_again();
    until("its loss is told", async || sandbox.info().await["state"] == "error").await;
    sandbox.delete().await;
    assert_eq!(world.sandboxes().into_keys().collect::<Vec<_>>(), [foreign]);
}
