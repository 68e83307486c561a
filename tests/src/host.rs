//! Readings of this machine's kernel, from outside and without a word to the server.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// One column of a kernel table, of the rows that are wanted.
pub(crate) fn column(table: &str, column: usize, wanted: impl Fn(&[&str]) -> bool) -> BTreeSet<String> {
    let rows = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    rows.filter(|row| row.len() > column && wanted(row)).map(|row| row[column].to_owned()).collect()
}

/// Every process of this machine.
pub(crate) fn pids() -> Vec<u32> {
    entries("/proc").iter().filter_map(|entry| entry.file_name()?.to_str()?.parse().ok()).collect()
}

/// The network namespace of a process.
pub(crate) fn namespace(pid: u32) -> Option<PathBuf> {
    fs::read_link(format!("/proc/{pid}/ns/net")).ok()
}

/// What the process was started as.
pub(crate) fn command_line(pid: u32) -> String {
    text(pid, "cmdline").replace('\0', " ")
}

/// A file of the process's folder in /proc; empty once the process is gone.
pub(crate) fn text(pid: u32, file: &str) -> String {
    String::from_utf8_lossy(&fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default()).into_owned()
}

/// What is in a folder; nothing once that is gone.
pub(crate) fn entries(folder: impl AsRef<Path>) -> Vec<PathBuf> {
    fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}
