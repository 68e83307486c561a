//! `sandgate __floor N`: for the benchmarks, how long the bare kernel takes for what a sandbox is made of.

use std::ffi::OsString;
use std::fs::File;
use std::process::ExitCode;

/// The first argument, as [`sandgate_runtime::SPAWNER_ARG`] is the spawner's.
pub(crate) const ARG: &str = "__floor";

/// Runs that many processes in new namespaces; prints the microseconds of each as a JSON array.
pub(crate) fn main(mut args: impl Iterator<Item = OsString>) -> ExitCode {
    let samples = args.next().and_then(|samples| samples.to_str()?.parse().ok()).unwrap_or(100);
    let measured =
        File::open("/usr/bin/true").and_then(|program| sandgate_runtime::measure_floor(samples, &program));
    match measured {
        Ok(times) => {
            let micros: Vec<u128> = times.iter().map(std::time::Duration::as_micros).collect();
            println!("{micros:?}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("sandgate: {error}");
            ExitCode::FAILURE
        }
    }
}
