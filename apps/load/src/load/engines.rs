//! Other ways to start `true` in a container, measured in the same run: what a sandbox has to be compared with.

use anyhow::Result;

use super::Args;
use crate::engine::{self, Measured};
use crate::records::Records;
use crate::results::Settings;
use crate::{docker, floor};

/// Measures each; returns why those that are absent are.
pub(super) async fn beside(records: &Records, settings: &Settings, args: &Args) -> Result<Vec<String>> {
    let samples = settings.engine_samples;
    let measured = [
        ("floor: clone3 with all namespaces, exec, wait", floor::clone3(&args.server, samples * 5)?),
        ("crun run", engine::crun(samples)?),
        (
            "docker: create, start, wait, remove by its API",
            docker::measure(&args.docker_socket, samples).await?,
        ),
    ];
    Ok(measured.into_iter().filter_map(|(name, measured)| note(records, name, measured)).collect())
}

fn note(records: &Records, name: &str, measured: Measured) -> Option<String> {
    match measured {
        Ok(series) => {
            records.add_series(name, &series);
            None
        }
        Err(reason) => Some(format!("{name}: {reason}")),
    }
}
