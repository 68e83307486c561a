//! The micro benchmark: one client, one sandbox at a time, every step timed by itself.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Result, ensure};

use crate::api::Api;
use crate::report::{Line, Report};
use crate::series::Series;
use crate::server::Server;
use crate::{docker, engine, floor};

/// What `sandgate-load micro` takes.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The server's binary
    #[arg(long)]
    server: PathBuf,
    /// Sandboxes to create and delete
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    samples: u32,
    /// Also write the numbers to this file, as JSON
    #[arg(long)]
    json: Option<PathBuf>,
    /// Where Docker listens
    #[arg(long, default_value = "/var/run/docker.sock")]
    docker_socket: PathBuf,
}

/// Sandboxes that are created first and not counted: the first of all makes the disk that the others are copied from.
const WARM_UP: u32 = 10;
/// Commands in each sandbox after the first.
const COMMANDS: u32 = 5;
/// An engine that takes a quarter of a second does not need as many.
const ENGINE_SAMPLES: u32 = 50;

/// Starts the server, measures, prints, and fails if a sandbox is left.
pub(crate) async fn run(args: &Args) -> Result<()> {
    let server = Server::start(&args.server).await?;
    let api = Api::new(&server)?;
    let mut steps = Steps::new()?;
    for _ in 0..WARM_UP {
        Steps::new()?.cycle(&api).await?;
    }
    for _ in 0..args.samples {
        steps.cycle(&api).await?;
    }
    ensure!(api.list().await?.is_empty(), "sandboxes are left after the last one was deleted");
    server.stop().await?;
    let mut lines = steps.lines();
    lines.extend(engines(args).await?);
    let report = Report::new(WARM_UP, lines);
    report.print();
    args.json.as_deref().map_or(Ok(()), |file| report.write(file))
}

/// What each cycle adds to.
struct Steps {
    create: Series,
    first_true: Series,
    exec: Series,
    bash: Series,
    delete: Series,
}

impl Steps {
    fn new() -> Result<Self> {
        Ok(Self {
            create: Series::new()?,
            first_true: Series::new()?,
            exec: Series::new()?,
            bash: Series::new()?,
            delete: Series::new()?,
        })
    }

    /// One sandbox from its creation to its end. The floor is measured between the commands that it is compared
    /// with, so that a busy moment of the machine slows both.
    async fn cycle(&mut self, api: &Api) -> Result<()> {
        let start = Instant::now();
        let sandbox = api.create().await?;
        self.create.add(start.elapsed());
        api.run_true(&sandbox).await?;
        self.first_true.add(start.elapsed());
        for _ in 0..COMMANDS {
            let start = Instant::now();
            api.run_true(&sandbox).await?;
            self.exec.add(start.elapsed());
            self.bash.add(floor::bash().await?);
        }
        let start = Instant::now();
        api.delete(&sandbox).await?;
        self.delete.add(start.elapsed());
        Ok(())
    }

    fn lines(&self) -> Vec<Line> {
        vec![
            Line::with_goals("create to first answered `true`", &self.first_true, Some(8.0), Some(15.0)),
            Line::plain("create", &self.create),
            Line::with_goals("exec `true`", &self.exec, Some(2.0), None),
            Line::plain("floor: bash on the host reads `true`", &self.bash),
            Line::plain("delete", &self.delete),
        ]
    }
}

/// What there is to compare with, measured in the same run.
async fn engines(args: &Args) -> Result<Vec<Line>> {
    let samples = args.samples.min(ENGINE_SAMPLES);
    Ok(vec![
        Line::engine("floor: clone3, exec, wait", floor::clone3(&args.server, args.samples)?),
        Line::engine("crun run", engine::crun(samples)?),
        Line::engine("docker create to remove", docker::measure(&args.docker_socket, samples).await?),
    ])
}
