//! `xtask ci`: what a submission must pass, in the order in which it fails soonest.

use anyhow::Result;

use crate::project::Project;
use crate::report::Report;
use crate::{lint, test};

/// Runs all of it, prints the table, and fails if any part failed.
pub(crate) fn run(project: &Project) -> Result<()> {
    let mut report = Report::default();
    report.step("lint", || lint::run(project, &lint::Args::default()));
    report.step("test", || test::run(project, &test::Args::default()));
    report.step("test --ci", || test::run(project, &test::Args::ci()));
    report.finish()
}
