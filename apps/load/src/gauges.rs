//! What is read from the machine while a scenario runs, and how often.

use std::path::PathBuf;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use serde::{Deserialize, Serialize};

use crate::installation::Installation;
use crate::proc;

/// The time between two samples,
const PERIOD: Duration = Duration::from_millis(250);
/// or so many times what one has taken, since reading a thousand loop devices is work that would be measured as well,
const PART: u32 = 20;
/// but not longer than this.
const LONGEST: Duration = Duration::from_secs(2);

/// The machine and the server at one moment. Times are totals since the start of whatever they are of.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Sample {
    /// Milliseconds since the sampling began.
    pub(crate) at_ms: u64,
    pub(crate) server: Usage,
    pub(crate) spawner: Usage,
    pub(crate) sandboxes: Group,
    pub(crate) memory: Memory,
    /// Loop devices on files of this server.
    pub(crate) loops: usize,
    /// Load average of the last minute.
    pub(crate) load: f64,
    /// Processor time of the whole machine.
    pub(crate) busy_ms: u64,
}

/// What one process has.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Usage {
    pub(crate) cpu_ms: u64,
    pub(crate) rss_kib: u64,
    /// Resident memory with what is shared divided among those who share it.
    pub(crate) pss_kib: u64,
    pub(crate) fds: usize,
}

/// What all sandboxes have together, by their common control group.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Group {
    pub(crate) live: usize,
    pub(crate) cpu_ms: u64,
    /// What is charged to them: their own pages, the cache of their files, and the kernel's memory for them.
    pub(crate) memory_kib: u64,
}

/// Memory of the whole machine, in KiB, by the kernel's own names.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Memory {
    pub(crate) free: u64,
    pub(crate) available: u64,
    pub(crate) anonymous: u64,
    pub(crate) slab_reclaimable: u64,
    pub(crate) slab_unreclaimable: u64,
    pub(crate) page_tables: u64,
    pub(crate) kernel_stack: u64,
    pub(crate) percpu: u64,
}

/// Where the numbers of one server are read.
#[derive(Clone)]
pub(crate) struct Probe {
    installation: Installation,
    /// The sandboxes' group in the hierarchy of version 2, which counts processor time on every host.
    unified: PathBuf,
    start: Instant,
}

impl Probe {
    pub(crate) fn new(installation: Installation) -> Self {
        let unified = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"].map(PathBuf::from);
        let unified = unified.into_iter().find(|root| root.join("cgroup.procs").exists()).unwrap_or_default();
        Self { unified: unified.join(&installation.cgroup), installation, start: Instant::now() }
    }

    /// The same, with times from now on.
    pub(crate) fn restarted(&self) -> Self {
        Self { start: Instant::now(), ..self.clone() }
    }

    pub(crate) fn sample(&self) -> Sample {
        Sample {
            at_ms: u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX),
            server: usage(Some(self.installation.server)),
            spawner: usage(self.installation.spawner),
            sandboxes: self.sandboxes(),
            memory: memory(),
            loops: proc::loops(&self.installation.data_text()).len(),
            load: proc::text("/proc/loadavg")
                .split(' ')
                .next()
                .and_then(|load| load.parse().ok())
                .unwrap_or(0.0),
            busy_ms: proc::busy_ms(),
        }
    }

    fn sandboxes(&self) -> Group {
        let stat = proc::text(self.unified.join("cpu.stat"));
        let micros = stat.lines().find_map(|line| line.strip_prefix("usage_usec ")?.parse::<u64>().ok());
        let live = proc::entries(&self.unified).into_iter().filter(|entry| entry.is_dir()).count();
        Group { live, cpu_ms: micros.unwrap_or_default() / 1000, memory_kib: self.memory_kib() }
    }

    fn memory_kib(&self) -> u64 {
        let old = PathBuf::from("/sys/fs/cgroup/memory").join(&self.installation.cgroup);
        let files = [self.unified.join("memory.current"), old.join("memory.usage_in_bytes")];
        let bytes = files.iter().find_map(|file| proc::text(file).trim().parse::<u64>().ok());
        bytes.unwrap_or_default() / 1024
    }
}

fn usage(pid: Option<u32>) -> Usage {
    let Some(pid) = pid else { return Usage::default() };
    Usage {
        cpu_ms: proc::cpu_ms(pid),
        rss_kib: proc::rss_kib(pid),
        pss_kib: proc::kib(&format!("/proc/{pid}/smaps_rollup"), "Pss"),
        fds: proc::entries(format!("/proc/{pid}/fd")).len(),
    }
}

fn memory() -> Memory {
    let text = proc::text("/proc/meminfo");
    let of = |name| proc::kib_of(&text, name);
    Memory {
        free: of("MemFree"),
        available: of("MemAvailable"),
        anonymous: of("AnonPages"),
        slab_reclaimable: of("SReclaimable"),
        slab_unreclaimable: of("SUnreclaim"),
        page_tables: of("PageTables"),
        kernel_stack: of("KernelStack"),
        percpu: of("Percpu"),
    }
}

/// Samples on a thread of its own until it is stopped.
pub(crate) struct Sampler {
    stop: Sender<()>,
    thread: JoinHandle<Vec<Sample>>,
}

impl Sampler {
    pub(crate) fn start(probe: &Probe) -> Result<Self> {
        let (stop, stopped) = mpsc::channel();
        let probe = probe.restarted();
        let thread = thread::Builder::new().name("gauges".to_owned()).spawn(move || {
            let mut samples = Vec::new();
            loop {
                let begun = Instant::now();
                samples.push(probe.sample());
                let pause = (begun.elapsed() * PART).clamp(PERIOD, LONGEST);
                if stopped.recv_timeout(pause) != Err(RecvTimeoutError::Timeout) {
                    samples.push(probe.sample());
                    return samples;
                }
            }
        })?;
        Ok(Self { stop, thread })
    }

    pub(crate) fn stop(self) -> Result<Vec<Sample>> {
        drop(self.stop);
        self.thread.join().map_err(|_| anyhow!("the sampling of gauges has failed"))
    }
}
