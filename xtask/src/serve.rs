//! `xtask serve`: the server in the foreground, and the lines that point an SDK at it.

use anyhow::Result;

use crate::build::{self, Profile};
use crate::project::Project;
use crate::server::{Server, Settings};
use crate::setup;

/// What `xtask serve` takes.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Address to listen on; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:4380")]
    listen: String,
}

const EXAMPLE: &str = r#"from daytona import Daytona; s = Daytona().create(); print(s.process.exec("uname -a").result); s.delete()"#;

/// Serves until interrupted. Sandboxes and the key are kept in the target folder from run to run.
pub(crate) fn run(project: &Project, args: &Args) -> Result<()> {
    setup::tools()?;
    let binary = build::server(project, Profile::Release)?;
    let settings = Settings { listen: &args.listen, log: "info" };
    let server = Server::start(&binary, &project.target.join("serve"), &settings)?;
    println!("export DAYTONA_API_URL={}/api", server.url);
    println!("export DAYTONA_API_KEY={}", server.key);
    println!("python3 -c '{EXAMPLE}'");
    server.wait()
}
