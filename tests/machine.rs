//! A sandbox's machine is as large as its limits say, whichever way a program asks.

use sandgate_tests::{Sandbox, Server};
use serde_json::json;

/// What the host has.
fn processors() -> usize {
    std::thread::available_parallelism().expect("processors").get()
}

async fn says(sandbox: &Sandbox<'_>, command: &str, expected: usize) {
    assert_eq!(sandbox.sh(command).await, expected.to_string(), "{command}");
}

#[tokio::test]
async fn every_way_to_count_processors_gives_the_limit() {
    let server = Server::start().await;
    for cpu in 1..=2 {
        let sandbox = server.create(&json!({ "cpu": cpu })).await;
        let shown = cpu.min(processors());
        for command in [
            "nproc",
            "getconf _NPROCESSORS_ONLN",
            "grep -c ^processor /proc/cpuinfo",
            "grep -c '^cpu[0-9]' /proc/stat",
            "python3 -c 'import os; print(os.cpu_count())'",
            "python3 -c 'import os; print(len(os.sched_getaffinity(0)))'",
            "echo 'nproc' | bash",
        ] {
            says(&sandbox, command, shown).await;
        }
        if sandbox.run("node --version").await.code == 0 {
            says(&sandbox, "node -p 'os.cpus().length'", shown).await;
            says(&sandbox, "node -p 'os.availableParallelism()'", shown).await;
        }
        sandbox.delete().await;
    }
}

#[tokio::test]
async fn memory_is_the_limit() {
    let server = Server::start().await;
    for gibibytes in [1, 2] {
        let sandbox = server.create(&json!({ "memory": gibibytes })).await;
        says(&sandbox, "set -- $(free -b); echo $8", gibibytes << 30).await;
        says(&sandbox, "set -- $(cat /proc/meminfo); echo $2", gibibytes << 20).await;
        says(&sandbox, "set -- $(grep SwapTotal /proc/meminfo); echo $2", 0).await;
        if sandbox.run("node --version").await.code == 0 {
            says(&sandbox, "node -p 'os.totalmem()'", gibibytes << 30).await;
        }
        sandbox.delete().await;
    }
}

/// The default is no wall: the quota is. What is a wall is the toolbox's own.
#[tokio::test]
async fn a_command_may_take_other_processors_and_the_toolbox_keeps_all() {
    let server = Server::start().await;
    let sandbox = server.create(&json!({ "cpu": 1, "user": "root" })).await;
    let all = "import os; os.sched_setaffinity(0, range(os.sysconf('SC_NPROCESSORS_CONF'))); \
        print(len(os.sched_getaffinity(0)))";
    says(&sandbox, &format!("python3 -c \"{all}\""), processors()).await;
    sandbox.fails("python3 -c 'import os; os.sched_setaffinity(1, [0])'").await;
    let of_toolbox = "python3 -c 'import os; print(len(os.sched_getaffinity(1)))'";
    says(&sandbox, of_toolbox, processors()).await;
    sandbox.delete().await;
}
