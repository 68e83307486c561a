//! What the kernel would say in `/proc` and `/sys` of a machine of a sandbox's size, made of what it says of the host.

use std::fs;
use std::io;

use rustix::thread::sched_getaffinity;

use crate::Limits;

/// How large a machine looks, before the host has had a say.
#[derive(Clone, Copy)]
pub(super) struct Size {
    pub(super) processors: usize,
    pub(super) memory_kib: u64,
}

impl Size {
    pub(super) fn of(limits: Limits) -> Self {
        let processors = usize::try_from(limits.cpu_millis.div_ceil(1000)).unwrap_or(usize::MAX);
        Self { processors, memory_kib: limits.memory_bytes >> 10 }
    }
}

/// What the kernel says of the host.
pub(super) struct Host {
    /// How many processors we may use ourselves.
    usable: usize,
    cpuinfo: String,
    meminfo: String,
    stat: String,
    online: String,
    possible: String,
}

impl Host {
    pub(super) fn read() -> io::Result<Self> {
        let usable = usize::try_from(sched_getaffinity(None)?.count()).unwrap_or(usize::MAX);
        let cpu = |name| fs::read_to_string(format!("/sys/devices/system/cpu/{name}"));
        Ok(Self {
            usable,
            cpuinfo: fs::read_to_string("/proc/cpuinfo")?,
            meminfo: fs::read_to_string("/proc/meminfo")?,
            stat: fs::read_to_string("/proc/stat")?,
            online: cpu("online")?,
            possible: cpu("possible")?,
        })
    }

    /// As many as the sandbox may use, and no more than there are.
    fn processors(&self, size: Size) -> usize {
        size.processors.min(self.usable).min(self.blocks().count())
    }

    fn blocks(&self) -> impl Iterator<Item = &str> {
        self.cpuinfo.split("\n\n").filter(|block| !block.trim().is_empty())
    }

    /// `/proc/cpuinfo`: the blocks of the first processors.
    pub(super) fn cpuinfo(&self, size: Size) -> String {
        let count = self.processors(size);
        let line = |line: &str| match line.split_once(':') {
            Some((name, value)) if matches!(name.trim_end(), "siblings" | "cpu cores") => {
                format!("{name}: {}\n", value.trim().parse().unwrap_or(count).min(count))
            }
            _ => format!("{line}\n"),
        };
        self.blocks().take(count).map(|block| block.lines().map(line).collect::<String>() + "\n").collect()
    }

    /// `/proc/meminfo`: all of it free, as what is used is not followed. Sizes that are the kernel's own stay.
    pub(super) fn meminfo(&self, size: Size) -> String {
        let total = self.memory_kib().map_or(size.memory_kib, |host| host.min(size.memory_kib));
        let line = |line: &str| {
            let Some((name, rest)) = line.split_once(':') else { return String::new() };
            let value = match name {
                "MemTotal" | "MemFree" | "MemAvailable" | "CommitLimit" => total,
                "VmallocTotal" | "Hugepagesize" => return format!("{line}\n"),
                _ => 0,
            };
            let unit = if rest.ends_with(" kB") { " kB" } else { "" };
            format!("{:<16}{value:>8}{unit}\n", format!("{name}:"))
        };
        self.meminfo.lines().map(line).collect()
    }

    fn memory_kib(&self) -> Option<u64> {
        let line = self.meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
        line.trim().strip_suffix(" kB")?.parse().ok()
    }

    /// `/proc/stat`: the true time of the start, and processors that have been idle since.
    pub(super) fn stat(&self, size: Size) -> String {
        let (count, idle) = (self.processors(size) as u64, self.ticks_of_one());
        let line = |name: &str, ticks: u64| format!("{name} 0 0 0 {ticks} 0 0 0 0 0 0\n");
        let sum = line("cpu ", idle * count);
        let each = (0..count).map(|number| line(&format!("cpu{number}"), idle));
        let rest = self.stat.lines().filter(|line| !line.starts_with("cpu")).map(counters);
        [sum].into_iter().chain(each).chain(rest).collect()
    }

    /// How long a processor has been there: the first eight numbers are its time, the others are part of them.
    fn ticks_of_one(&self) -> u64 {
        let first = self.stat.lines().find_map(|line| line.strip_prefix("cpu0 ")).unwrap_or_default();
        first.split_whitespace().take(8).filter_map(|ticks| ticks.parse::<u64>().ok()).sum()
    }

    /// `/sys/devices/system/cpu/online`, and `present`.
    pub(super) fn online(&self, size: Size) -> String {
        match self.processors(size) {
            all if all == self.blocks().count() => self.online.clone(),
            0 | 1 => "0\n".to_owned(),
            count => format!("0-{}\n", count - 1),
        }
    }

    /// `/sys/devices/system/cpu/possible`: the host's own, since this is no count but a promise. No processor that a
    /// thread finds itself on has a higher number, and programs make their tables as large as that.
    pub(super) fn possible(&self) -> &str {
        &self.possible
    }
}

/// A line of `/proc/stat` that is not of a processor.
fn counters(line: &str) -> String {
    let (name, numbers) = line.split_once(' ').unwrap_or((line, ""));
    match name {
        "btime" => format!("{line}\n"),
        "processes" | "procs_running" => format!("{name} 1\n"),
        // The total; what follows it is for each interrupt of the host.
        "intr" => format!("{name} 0\n"),
        _ => format!("{name}{}\n", " 0".repeat(numbers.split_whitespace().count())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host() -> Host {
        let block = |number| {
            format!(
                "processor\t: {number}\nmodel name\t: A\nsiblings\t: 4\ncpu cores\t: 4\nflags\t\t: fpu\n\n"
            )
        };
        Host {
            usable: 4,
            cpuinfo: (0..4).map(block).collect(),
            meminfo:
                "MemTotal:       24684084 kB\nMemFree:        20995440 kB\nMemAvailable:   23755320 kB\n\
                Buffers:           25240 kB\nActive(anon):       3720 kB\nHugePages_Total:       7\n\
                Hugepagesize:       2048 kB\n"
                    .into(),
            stat: "cpu  4 4 4 4 4 4 4 4 0 0\ncpu0 1 2 3 4 5 6 7 8 9 9\ncpu1 1 1 1 1 1 1 1 1 0 0\n\
                cpu2 1 1 1 1 1 1 1 1 0 0\ncpu3 1 1 1 1 1 1 1 1 0 0\nintr 99 1 2\nctxt 5\nbtime 1700000000\n\
                processes 77\nprocs_running 9\nprocs_blocked 3\nsoftirq 6 1 2 3\n"
                .into(),
            online: "0-3\n".into(),
            possible: "0-7\n".into(),
        }
    }

    fn size(processors: usize) -> Size {
        Size { processors, memory_kib: 1 << 20 }
    }

    #[test]
    fn a_part_of_a_processor_counts_as_one() {
        for (cpu_millis, processors) in [(10, 1), (1000, 1), (1001, 2), (2500, 3)] {
            let limits = Limits { memory_bytes: 3 << 20, cpu_millis, pids: 9, best_effort: false };
            assert_eq!((Size::of(limits).processors, Size::of(limits).memory_kib), (processors, 3 << 10));
        }
    }

    #[test]
    fn processors_are_as_many_as_the_limit_and_no_more_than_there_are() {
        for (limit, shown, online) in [(1, 1, "0\n"), (3, 3, "0-2\n"), (4, 4, "0-3\n"), (64, 4, "0-3\n")] {
            let text = host().cpuinfo(size(limit));
            assert_eq!(text.matches("processor\t").count(), shown, "{text}");
            assert!(text.contains(&format!("\ncpu cores\t: {shown}\n")), "{text}");
            assert!(text.ends_with("flags\t\t: fpu\n\n"), "{text}");
            assert_eq!(host().online(size(limit)), online);
        }
        assert_eq!(Host { usable: 2, ..host() }.online(size(4)), "0-1\n");
    }

    #[test]
    fn a_host_is_shown_as_it_is_to_whom_all_of_it_belongs() {
        assert_eq!(host().cpuinfo(size(4)), host().cpuinfo);
    }

    #[test]
    fn all_memory_is_free_and_no_more_than_there_is() {
        let expected = "MemTotal:        1048576 kB\nMemFree:         1048576 kB\nMemAvailable:    1048576 kB\n\
            Buffers:               0 kB\nActive(anon):          0 kB\nHugePages_Total:       0\n\
            Hugepagesize:       2048 kB\n";
        assert_eq!(host().meminfo(size(1)), expected);
        let large = Size { memory_kib: u64::MAX, ..size(1) };
        assert!(
            host().meminfo(large).starts_with("MemTotal:       24684084 kB\nMemFree:        24684084 kB\n")
        );
    }

    #[test]
    fn the_statistics_tell_the_start_and_nothing_of_the_host() {
        let expected = "cpu  0 0 0 72 0 0 0 0 0 0\ncpu0 0 0 0 36 0 0 0 0 0 0\ncpu1 0 0 0 36 0 0 0 0 0 0\n\
            intr 0\nctxt 0\nbtime 1700000000\nprocesses 1\nprocs_running 1\nprocs_blocked 0\n\
            softirq 0 0 0 0\n";
        assert_eq!(host().stat(size(2)), expected);
    }
}
