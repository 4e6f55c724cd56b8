//! `contourd check-config`: every fault of a configuration at once.

use std::path::PathBuf;

use clap::Args;

use super::Failure;
use super::say::say;
use crate::config::Config;

/// Check a configuration file and report every fault at once, with the path of its key.
#[derive(Debug, Args)]
pub struct CheckConfigArgs {
    /// Configuration file of the daemon; without it the defaults are checked.
    #[arg(long, value_name = "FILE.toml")]
    config: Option<PathBuf>,
}

/// Runs the verb.
///
/// # Errors
/// [`Failure::Usage`] with the list of faults.
pub fn run(args: CheckConfigArgs) -> Result<(), Failure> {
    match args.config {
        Some(file) => {
            let config = Config::read_for_daemon(Some(&file))?;
            let mut unfit = Vec::new();
            for (place, seen) in config.look_at_certificates() {
                match seen {
                    Ok(good) => say!("{place}: {good}")?,
                    Err(why) => unfit.push(format!("{place}.{why}")),
                }
            }
            if !unfit.is_empty() {
                return Err(Failure::Usage(unfit.join("\n  ")));
            }
            say!("the configuration has no faults")?;
        }
        None => {
            Config::read(None)?;
            say!("the defaults have no faults; the daemon needs a file with at least one [[route]]")?;
        }
    }
    Ok(())
}
