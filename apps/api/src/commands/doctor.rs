//! `sandgate doctor`: what this host supports, what is missing, what that costs, and how to get it.

use crate::toolbox_binary;
use anyhow::Context;
use clap::Args;
use sandgate_core::InstanceId;
use sandgate_infrastructure::container::{ContainerOptions, ContainerSandboxService, Limit, SelfTest};
use sandgate_infrastructure::data_dir::DataDir;
use sandgate_runtime::host::{self, Finding, Status, Subject};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The flags of `sandgate doctor`.
#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// Print JSON instead of text
    #[arg(long)]
    json: bool,
    /// Where a server keeps, or would keep, its data
    #[arg(long, env = "SANDGATE_DATA_DIR", value_name = "DIR", default_value = crate::config::DEFAULT_DATA_DIR)]
    data_dir: PathBuf,
}

/// Looks at the host, tries a sandbox out, and prints what was found. Fails if something needed is missing.
pub(crate) fn run(args: &DoctorArgs) -> anyhow::Result<ExitCode> {
    let data_dir = std::path::absolute(&args.data_dir)?;
    let mut findings = host::examine(&data_dir);
    findings.extend(self_test(&data_dir));
    let report = Report::new(findings);
    if args.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print!("{report}");
    }
    Ok(if report.usable { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// All that was found.
#[derive(Serialize)]
struct Report {
    version: &'static str,
    /// Whether sandboxes can be made that are held to all of their limits.
    usable: bool,
    findings: Vec<Finding>,
}

impl Report {
    fn new(findings: Vec<Finding>) -> Self {
        let usable = findings.iter().all(|finding| finding.status != Status::Missing);
        Self { version: env!("CARGO_PKG_VERSION"), usable, findings }
    }

    fn count(&self, status: Status) -> usize {
        self.findings.iter().filter(|finding| finding.status == status).count()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut subject = None;
        for finding in &self.findings {
            if subject.replace(finding.subject) != Some(finding.subject) {
                writeln!(f, "{}", title(finding.subject))?;
            }
            writeln!(f, "  {:<9} {:<27} {}", word(finding.status), finding.what, finding.detail)?;
            for (name, text) in [("cost", &finding.cost), ("remedy", &finding.remedy)] {
                if let Some(text) = text {
                    writeln!(f, "{:12}{name}: {text}", "")?;
                }
            }
        }
        let (missing, degraded) = (self.count(Status::Missing), self.count(Status::Degraded));
        writeln!(f)?;
        if self.usable {
            return writeln!(
                f,
                "Sandboxes can be made here and are held to all of their limits; {degraded} degraded."
            );
        }
        writeln!(
            f,
            "Sandboxes cannot be made here, or not with all of their limits: {missing} missing, {degraded} degraded.\n\
             Where it is but limits, `sandgate serve --allow-unenforced-limits` goes without."
        )
    }
}

const fn title(subject: Subject) -> &'static str {
    match subject {
        Subject::Kernel => "Kernel",
        Subject::ControlGroups => "Control groups",
        Subject::Disk => "Disk",
        Subject::Capacity => "Limits of the host",
        Subject::Surroundings => "Surroundings",
        Subject::SelfTest => "Self-test",
    }
}

const fn word(status: Status) -> &'static str {
    match status {
        Status::Ok => "ok",
        Status::Absent => "absent",
        Status::Degraded => "degraded",
        Status::Missing => "missing",
    }
}

/// One sandbox, with a server's own means, in a directory that goes with it.
fn self_test(data_dir: &Path) -> Vec<Finding> {
    match try_out(data_dir) {
        Ok(test) => seen(&test),
        Err(error) => vec![Finding::ok(Subject::SelfTest, "a sandbox", format!("{error:#}")).lacking(
            Status::Missing,
            "no sandbox can be made",
            "see what is missing above",
        )],
    }
}

fn seen(test: &SelfTest) -> Vec<Finding> {
    let took = format!("made, tried and removed in {} ms", test.took.as_millis());
    let files = Finding::ok(Subject::SelfTest, "writing", "a file was written and read");
    let limits = Limit::ALL.map(|limit| {
        let what = format!("{} limit", limit.name());
        match test.unenforced.iter().find(|(unenforced, _)| *unenforced == limit) {
            None => Finding::ok(Subject::SelfTest, &what, "binds"),
            Some((_, why)) => Finding::ok(Subject::SelfTest, &what, why).lacking(
                Status::Missing,
                "a sandbox can take it from all others; the server starts only if told so",
                limit.remedy(),
            ),
        }
    });
    [Finding::ok(Subject::SelfTest, "a sandbox", took), files].into_iter().chain(limits).collect()
}

fn try_out(data_dir: &Path) -> anyhow::Result<SelfTest> {
    // Beside the data, so that it is their file system that is tried.
    let folder = tempfile::Builder::new().prefix("sandgate-doctor-").tempdir_in(host::nearest(data_dir));
    let folder = folder.context("there is no place to try a sandbox out")?;
    let data = DataDir::open(&folder.path().join("data"))?;
    let service = ContainerSandboxService::open(ContainerOptions {
        data_dir: &data,
        instance: InstanceId::random(),
        program: "/proc/self/exe".into(),
        toolbox: &toolbox_binary::load()?,
        snapshots: &BTreeMap::new(),
        best_effort: true,
    })?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(runtime.block_on(service.self_test())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(status: Status) -> Finding {
        Finding::ok(Subject::Disk, "thing", "seen").lacking(status, "slow", "a new one")
    }

    #[test]
    fn what_is_missing_makes_the_host_unusable_and_what_is_degraded_does_not() {
        assert!(Report::new(vec![finding(Status::Degraded), finding(Status::Absent)]).usable);
        assert!(!Report::new(vec![finding(Status::Degraded), finding(Status::Missing)]).usable);
    }

    #[test]
    fn the_text_names_status_cost_and_remedy_under_their_subject() {
        let text = Report::new(vec![finding(Status::Missing), finding(Status::Degraded)]).to_string();
        assert_eq!(text.matches("Disk\n").count(), 1);
        for part in ["missing", "thing", "seen", "cost: slow", "remedy: a new one", "1 missing, 1 degraded"] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }

    #[test]
    fn a_limit_that_does_not_bind_is_missing() {
        let unenforced = vec![(Limit::Pids, "nobody counts".to_owned())];
        let findings = seen(&SelfTest { unenforced, took: std::time::Duration::from_millis(5) });
        let missing: Vec<_> = findings.iter().filter(|found| found.status == Status::Missing).collect();
        assert_eq!(missing.len(), 1);
        assert_eq!((missing[0].what.as_str(), missing[0].detail.as_str()), ("pids limit", "nobody counts"));
    }
}
