//! Reading what the kernel tells about itself and its processes. What is gone reads as nothing.

use std::fs;
use std::path::{Path, PathBuf};

/// Processor time is told in hundredths of a second, on every Linux that has this interface.
const TICK_MS: u64 = 10;
const PAGE_KIB: u64 = 4;

/// The first value of that name in one of the kernel's `name: value` files; empty if there is none.
pub(crate) fn field(file: &str, name: &str) -> String {
    value(&text(file), name)
}

/// The same of a text that was read already.
pub(crate) fn value(text: &str, name: &str) -> String {
    let value = text.lines().filter_map(|line| line.split_once(':')).find(|(key, _)| key.trim() == name);
    value.map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
}

/// A value that the kernel gives in kB, which are KiB.
pub(crate) fn kib(file: &str, name: &str) -> u64 {
    kib_of(&text(file), name)
}

/// The same of a text that was read already.
pub(crate) fn kib_of(text: &str, name: &str) -> u64 {
    value(text, name).trim_end_matches(" kB").parse().unwrap_or_default()
}

/// Milliseconds of processor time that a process has used, its own and the kernel's for it.
pub(crate) fn cpu_ms(pid: u32) -> u64 {
    let stat = text(format!("/proc/{pid}/stat"));
    // The name in brackets may hold anything, brackets as well.
    let fields = stat.rsplit_once(") ").map(|(_, rest)| rest).unwrap_or_default();
    let ticks = fields.split(' ').skip(11).take(2).filter_map(|number| number.parse::<u64>().ok());
    ticks.sum::<u64>() * TICK_MS
}

/// Resident memory of a process in KiB.
pub(crate) fn rss_kib(pid: u32) -> u64 {
    let pages = text(format!("/proc/{pid}/statm"));
    pages.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or_default() * PAGE_KIB
}

/// Milliseconds of processor time that the whole machine has used.
pub(crate) fn busy_ms() -> u64 {
    let stat = text("/proc/stat");
    let times = stat.lines().next().unwrap_or_default().split_whitespace().skip(1).take(8);
    let times: Vec<u64> = times.filter_map(|number| number.parse().ok()).collect();
    // The fourth is idle, the fifth waiting for disks, the eighth what the hypervisor took.
    let idle = [3, 4, 7].iter().filter_map(|index| times.get(*index)).sum::<u64>();
    times.iter().sum::<u64>().saturating_sub(idle) * TICK_MS
}

/// The ids of all processes.
pub(crate) fn pids() -> Vec<u32> {
    entries("/proc").iter().filter_map(|entry| entry.file_name()?.to_str()?.parse().ok()).collect()
}

/// A file of the process's folder.
pub(crate) fn of(pid: u32, file: &str) -> String {
    text(format!("/proc/{pid}/{file}"))
}

/// The arguments of a process, separated by spaces.
pub(crate) fn command_line(pid: u32) -> String {
    of(pid, "cmdline").replace('\0', " ").trim_end().to_owned()
}

/// What is in a folder.
pub(crate) fn entries(folder: impl AsRef<Path>) -> Vec<PathBuf> {
    fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

/// The loop devices whose file begins with `path`.
pub(crate) fn loops(path: &str) -> Vec<PathBuf> {
    let of_path = |device: &PathBuf| text(device.join("loop/backing_file")).starts_with(path);
    entries("/sys/block").into_iter().filter(of_path).collect()
}

/// A file as text, whatever its bytes are.
pub(crate) fn text(file: impl AsRef<Path>) -> String {
    String::from_utf8_lossy(&fs::read(file).unwrap_or_default()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    #[test]
    fn our_own_process_uses_what_the_kernel_says() {
        let pid = std::process::id();
        let (start, before) = (Instant::now(), cpu_ms(pid));
        while start.elapsed() < Duration::from_secs(10) && cpu_ms(pid) < before + 50 {}
        assert!(cpu_ms(pid) >= before + 50, "the time of a busy process goes on");
        assert!(rss_kib(pid) > 500 && busy_ms() >= cpu_ms(pid));
        assert!(pids().contains(&pid));
    }

    #[test]
    fn what_is_gone_reads_as_nothing() {
        assert_eq!((cpu_ms(u32::MAX), rss_kib(u32::MAX)), (0, 0));
        assert_eq!((command_line(u32::MAX), kib("/proc/no-such", "MemTotal")), (String::new(), 0));
    }
}
