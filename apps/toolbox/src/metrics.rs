//! `GET /system/metrics`: what this sandbox uses of what it may use.
//!
//! `/proc/meminfo`, `/proc/stat` and the like tell limits or the host, but no usage, and are never read. Usage is the
//! sum over the processes of this pid namespace; limits are what the sandbox's maker said, and 0 where it said nothing.

use std::{
    fs,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use axum::{Json, extract::State};
use jiff::Timestamp;
use rustix::{
    fs::statvfs,
    param::{clock_ticks_per_second, page_size},
};
use sandgate_toolbox_api::SystemMetrics;

use crate::{Toolbox, clock, processes, settings::Limits, stream::blocking};

/// Remembers the sample before, since usage of cpu is a difference.
#[derive(Default)]
pub(crate) struct Meter {
    last: Mutex<Option<Sample>>,
}

#[derive(Clone, Copy)]
struct Sample {
    at: Instant,
    ticks: u64,
}

pub(crate) async fn metrics(State(toolbox): State<Arc<Toolbox>>) -> Json<SystemMetrics> {
    Json(blocking(move || measure(&toolbox.meter, toolbox.settings.limits)).await)
}

fn measure(meter: &Meter, limits: Limits) -> SystemMetrics {
    let sample =
        Sample { at: Instant::now(), ticks: processes::all().iter().map(|process| process.ticks).sum() };
    let cpu_millis = limits.cpu_millis.unwrap_or(0);
    let mut metrics = SystemMetrics {
        cpu_count: u32::try_from(cpu_millis.div_ceil(1000)).unwrap_or(u32::MAX),
        cpu_used_pct: meter.since_last(sample, cpu_millis),
        mem_total: limits.memory_bytes.unwrap_or(0),
        mem_used: processes::pids().filter_map(private_bytes).sum(),
        timestamp: clock::now(),
        timestamp_unix: Timestamp::now().as_second(),
        ..SystemMetrics::default()
    };
    if let Ok(disk) = statvfs("/") {
        metrics.disk_total = disk.f_blocks.saturating_mul(disk.f_frsize);
        metrics.disk_used = disk.f_blocks.saturating_sub(disk.f_bfree).saturating_mul(disk.f_frsize);
        metrics.disk_free = disk.f_bavail.saturating_mul(disk.f_frsize);
    }
    metrics
}

impl Meter {
    fn since_last(&self, now: Sample, cpu_millis: u64) -> f64 {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner).replace(now);
        last.map_or(0.0, |last| used_percent(last, now, cpu_millis))
    }
}

/// Of the cpu limit, or of one core where none was told.
#[expect(clippy::cast_precision_loss, reason = "a percentage needs no more than 52 bits")]
fn used_percent(last: Sample, now: Sample, cpu_millis: u64) -> f64 {
    let cores = if cpu_millis == 0 { 1.0 } else { cpu_millis as f64 / 1000.0 };
    let available = now.at.duration_since(last.at).as_secs_f64() * cores;
    let used = now.ticks.saturating_sub(last.ticks) as f64 / clock_ticks_per_second() as f64;
    if available > 0.0 { (used / available * 100.0).min(100.0) } else { 0.0 }
}

/// Resident memory of a process that no file backs.
fn private_bytes(pid: i32) -> Option<u64> {
    let statm = fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    let mut pages = statm.split(' ').skip(1).map(str::parse::<u64>);
    let (resident, shared) = (pages.next()?.ok()?, pages.next()?.ok()?);
    Some(resident.saturating_sub(shared) * u64::try_from(page_size()).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn usage_is_a_share_of_the_limit() {
        let last = Sample { at: Instant::now(), ticks: 1000 };
        let now = Sample { at: last.at + Duration::from_secs(1), ticks: 1000 + clock_ticks_per_second() / 2 };
        assert!((used_percent(last, now, 2000) - 25.0).abs() < 0.01);
        assert!((used_percent(last, now, 0) - 50.0).abs() < 0.01);
        assert!((used_percent(last, now, 100) - 100.0).abs() < 0.01, "never more than all");
    }

    #[test]
    fn the_first_sample_says_nothing_and_nothing_is_of_the_host() {
        let metrics = measure(&Meter::default(), Limits::default());
        assert!(metrics.cpu_used_pct.abs() < f64::EPSILON);
        assert_eq!((metrics.mem_total, metrics.cpu_count), (0, 0));
        assert!(metrics.mem_used > 0 && metrics.disk_total > 0);
    }
}
