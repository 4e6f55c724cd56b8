//! `contourd dataset`: clinical archives, NIfTI pairs and reviewed cases to a training store, and a look at one.

mod archive;
mod check;
mod keep;
mod pairs;
mod reviewed;

use clap::{Args, Subcommand};

use super::Failure;
use super::say::say;
use crate::training::DEFAULT_NAMES;

/// Make training stores of patients' images with structures drawn on them, and look at stores.
#[derive(Debug, Args)]
pub struct DatasetArgs {
    #[command(subcommand)]
    verb: DatasetVerb,
}

#[derive(Debug, Subcommand)]
enum DatasetVerb {
    Import(archive::ImportArgs),
    ImportNifti(pairs::ImportNiftiArgs),
    ImportReviewed(reviewed::ImportReviewedArgs),
    Check(check::CheckArgs),
    /// Print the table by which names of regions are read as organs, to be edited and given to --names.
    Names,
}

/// Runs the verb.
///
/// # Errors
/// Those of the verb below it.
pub fn run(args: DatasetArgs) -> Result<(), Failure> {
    match args.verb {
        DatasetVerb::Import(args) => archive::run(args),
        DatasetVerb::ImportNifti(args) => pairs::run(args),
        DatasetVerb::ImportReviewed(args) => reviewed::run(args),
        DatasetVerb::Check(args) => check::run(args),
        DatasetVerb::Names => say!("{}", DEFAULT_NAMES.trim_end()),
    }
}
