//! What a part has shown, as a dated section at the end of `docs/reliability.md`.

use std::fmt::Write as _;
use std::process::Command;

use anyhow::{Context, Result};

use crate::project::Project;
use crate::{bench, invoke};

const PAGE: &str = "docs/reliability.md";

/// One part that was carried out to its end.
pub(super) struct Record<'a> {
    pub(super) part: &'a str,
    /// The lines of numbers that its test printed, such as `kills=1000 slowest_recovery_ms=412`.
    pub(super) numbers: &'a [String],
}

impl Record<'_> {
    /// Adds the section.
    pub(super) fn write(&self, project: &Project) -> Result<()> {
        let page = project.root.join(PAGE);
        let text = std::fs::read_to_string(&page).with_context(|| format!("{PAGE} cannot be read"))?;
        let date = invoke::text(Command::new("date").args(["-u", "+%F"]))?;
        let section = self.section(date.trim(), &bench::commit(project)?, &machine()?);
        std::fs::write(&page, format!("{}\n\n{section}", text.trim_end()))?;
        eprintln!("written to {PAGE}");
        Ok(())
    }

    fn section(&self, date: &str, commit: &str, machine: &str) -> String {
        let mut text = format!(
            "### {date}: {}\n\n`cargo xtask torture {}` at {commit}; {machine}.\n",
            self.part, self.part
        );
        for line in self.numbers {
            text.push_str("\n| | |\n|---|---|\n");
            for (name, value) in line.split(' ').filter_map(|pair| pair.split_once('=')) {
                // Writing to a string does not fail.
                let _ = writeln!(text, "| {} | {value} |", name.replace('_', " "));
            }
        }
        text
    }
}

/// The kernel, the processors and the memory, in words.
fn machine() -> Result<String> {
    let kernel = invoke::text(Command::new("uname").arg("-sr"))?;
    let cores = std::thread::available_parallelism()?;
    let memory = std::fs::read_to_string("/proc/meminfo")?;
    let total = memory.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kib: u64 =
        total.and_then(|rest| rest.trim().strip_suffix(" kB")?.parse().ok()).context("a size of memory")?;
    Ok(format!("{}, {cores} cores, {} GiB", kernel.trim(), kib.div_ceil(1 << 20)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_names_date_command_commit_machine_and_each_number() {
        let numbers = ["kills=3 slowest_recovery_ms=7".to_owned()];
        let text = Record { part: "kills", numbers: &numbers }.section(
            "2026-11-23",
            "abc",
            "Linux 6.1, 2 cores, 24 GiB",
        );
        let wanted = "### 2026-11-23: kills\n\n`cargo xtask torture kills` at abc; Linux 6.1, 2 cores, 24 GiB.\n\n\
                      | | |\n|---|---|\n| kills | 3 |\n| slowest recovery ms | 7 |\n";
        assert_eq!(text, wanted);
    }

    #[test]
    fn this_machine_has_a_kernel_processors_and_memory() {
        let words = machine().expect("this machine");
        assert!(
            words.starts_with("Linux ") && words.contains(" cores, ") && !words.ends_with(" 0 GiB"),
            "{words}"
        );
    }
}
