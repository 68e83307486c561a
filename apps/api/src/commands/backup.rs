//! `sandgate backup` and `sandgate restore`: the ledger and its key, out of and into a data directory.

use clap::Args;
use sandgate_infrastructure::data_dir::DataDir;
use sandgate_infrastructure::sqlite;
use std::path::PathBuf;

/// The flags of `sandgate backup`.
#[derive(Debug, Args)]
pub(crate) struct BackupArgs {
    /// Where the server keeps its data
    #[arg(long, env = "SANDGATE_DATA_DIR", value_name = "DIR", default_value = crate::config::DEFAULT_DATA_DIR)]
    data_dir: PathBuf,
    /// The directory to make
    target: PathBuf,
}

/// The flags of `sandgate restore`.
#[derive(Debug, Args)]
pub(crate) struct RestoreArgs {
    /// Where the server keeps, or will keep, its data
    #[arg(long, env = "SANDGATE_DATA_DIR", value_name = "DIR", default_value = crate::config::DEFAULT_DATA_DIR)]
    data_dir: PathBuf,
    /// Put it in the place of the ledger that is there, which is kept aside
    #[arg(long)]
    replace: bool,
    /// The directory that `sandgate backup` made
    backup: PathBuf,
}

/// Makes a backup and says where it is.
pub(crate) fn back_up(args: &BackupArgs) -> anyhow::Result<()> {
    sqlite::backup(&args.data_dir, &args.target)?;
    println!(
        "the ledger of {} is in {}, with the key to its secrets",
        args.data_dir.display(),
        args.target.display()
    );
    Ok(())
}

/// Puts a backup back and says what became of the ledger that was there.
pub(crate) fn restore(args: &RestoreArgs) -> anyhow::Result<()> {
    let data_dir = DataDir::open(&args.data_dir)?;
    let aside = sqlite::restore(data_dir.path(), &args.backup, args.replace)?;
    println!("{} has the ledger of {}", data_dir.path().display(), args.backup.display());
    if let Some(aside) = aside {
        println!("the ledger that was there is in {}", aside.display());
    }
    Ok(())
}
