//! `contourd check-config`: every fault of a configuration at once.

use std::path::PathBuf;

use clap::Args;

use super::Failure;
use crate::config::Config;

/// Check a configuration file and report every fault at once, with the path of its key.
#[derive(Debug, Args)]
pub struct CheckConfigArgs {
    /// Configuration file; without it the defaults are checked.
    #[arg(long, value_name = "FILE.toml")]
    config: Option<PathBuf>,
}

/// Runs the verb.
///
/// # Errors
/// [`Failure::Usage`] with the list of faults.
pub fn run(args: CheckConfigArgs) -> Result<(), Failure> {
    Config::read(args.config.as_deref())?;
    println!("the configuration has no faults");
    Ok(())
}
