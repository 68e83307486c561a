//! The generator as a program, against the real server: what it plays, what it writes, and what it compares.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// Exit code of a run whose generator was late: a machine that runs other tests meanwhile may do that to it.
const INVALID: i32 = 3;

fn generator(args: &[&str]) -> Command {
    let mut generator = Command::new(env!("CARGO_BIN_EXE_sandgate-load"));
    generator.args(args).stdin(Stdio::null());
    generator
}

fn server() -> OsString {
    std::env::var_os("SANDGATE_BIN")
        .expect("SANDGATE_BIN names the server: run the tests with `cargo xtask test`")
}

fn text(output: &Output) -> String {
    [output.stdout.as_slice(), output.stderr.as_slice()].map(String::from_utf8_lossy).concat()
}

/// Plays all scenarios but `noisy`, which would disturb whatever else is tested now.
fn play(json: &Path, html: &Path) -> Output {
    let mut load = generator(&["load", "--quick", "--seed", "7", "--docker-socket", "/nonexistent"]);
    for scenario in ["sequential", "burst", "sustained", "mixed", "idle"] {
        load.args(["--scenario", scenario]);
    }
    load.arg("--server").arg(server()).arg("--json").arg(json).arg("--html").arg(html);
    load.output().expect("the generator starts")
}

/// How often each step of a scenario succeeded.
fn count(results: &Value, scenario: usize, step: &str) -> u64 {
    let steps = results["scenarios"][scenario]["steps"].as_array().expect("steps");
    let found = steps.iter().find(|found| found["step"] == step && found["outcome"] == "ok");
    found.unwrap_or_else(|| panic!("`{step}` among {steps:?}"))["count"].as_u64().expect("a count")
}

#[test]
fn a_quick_run_counts_every_step_leaves_nothing_and_compares_equal_to_itself() {
    let folder = tempfile::tempdir().expect("a folder");
    let (json, html) = (folder.path().join("run.json"), folder.path().join("run.html"));
    let played = play(&json, &html);
    assert!(matches!(played.status.code(), Some(0 | INVALID)), "{}: {}", played.status, text(&played));
    let results: Value = serde_json::from_slice(&std::fs::read(&json).expect("a file")).expect("JSON");
    assert_eq!((&results["schema"], &results["settings"]["seed"]), (&1.into(), &7.into()));
    for (scenario, step, expected) in [
        (0, "create", 10),
        (0, "exec", 50),
        (1, "create to first exec", 10),
        (1, "delete", 10),
        (2, "create", 20),
        (3, "exec", 40),
        (3, "upload", 4),
        (3, "download", 4),
        (4, "exec", 20),
    ] {
        assert_eq!(
            count(&results, scenario, step),
            expected,
            "{step} of {}",
            results["scenarios"][scenario]["name"]
        );
    }
    for scenario in results["scenarios"].as_array().expect("scenarios") {
        let repetition = &scenario["repetitions"][0];
        assert_eq!(repetition["leaks"], Value::Array(Vec::new()), "{}", scenario["name"]);
        let gauges = repetition["gauges"].as_array().expect("gauges");
        assert!(gauges.len() >= 2 && gauges[0]["server"]["rss_kib"].as_u64() > Some(1000), "{gauges:?}");
    }
    assert_self_contained(&std::fs::read_to_string(&html).expect("a report"));
    assert_equal_to_itself(&json);
}

/// A report must be readable where there is no network, and must not call anybody.
fn assert_self_contained(page: &str) {
    for foreign in ["<script", "<link", "<img", "<iframe", "src=", "http:", "https:", "@import", "url("] {
        assert!(!page.contains(foreign), "`{foreign}` in the report");
    }
    assert!(page.matches("<svg").count() >= 5 * 4 && page.ends_with("</html>\n"));
    for name in ["sequential", "burst", "sustained", "mixed", "idle"] {
        assert!(page.contains(&format!("<h2 id=\"{name}\">")), "a chapter about {name}");
    }
}

fn assert_equal_to_itself(json: &Path) {
    let compared = generator(&["compare"]).arg(json).arg(json).output().expect("the generator starts");
    let text = text(&compared);
    assert!(compared.status.success(), "{text}");
    let rows: Vec<_> = text.lines().filter(|line| line.starts_with("create p50 ")).collect();
    assert!(rows.len() == 5 && rows.iter().all(|row| row.ends_with("1.00?")), "{text}");
}

#[test]
fn what_is_no_result_is_not_compared() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("other.json");
    std::fs::write(&file, "{\"schema\": 1}").expect("a file");
    let compared = generator(&["compare"]).arg(&file).arg(&file).output().expect("the generator starts");
    assert!(!compared.status.success() && text(&compared).contains("is no result of `bench load`"));
}
