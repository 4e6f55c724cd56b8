//! The command line, one file per verb.
//!
//! Exit status: 0 done; 2 the input was refused, with the reasons on standard error; 64 bad configuration or usage
//! (sysexits' EX_USAGE); 1 anything else, a fault of this program among them. When the reader of standard output goes
//! away early, the verb ends with 1 and says nothing.

mod audit;
mod backup;
mod check_config;
mod conformance;
mod dataset;
mod demo_series;
mod doctor;
mod evaluate;
mod export;
mod files;
mod phantom;
mod route_test;
mod say;
mod segment;
mod serve;
mod validate;

use std::panic::{AssertUnwindSafe, catch_unwind, set_hook};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::ConfigError;

/// Auto-contouring for brain radiotherapy: DICOM MR in, RT Structure Set out. Research use only.
#[derive(Debug, Parser)]
#[command(name = "contourd", version, max_term_width = 110)]
#[command(after_help = "Exit status: 0 done; 2 the input was refused (reasons on standard error); \
    64 bad configuration or usage; 1 anything else (without words when standard output is closed early).")]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Segment(segment::SegmentArgs),
    Serve(serve::ServeArgs),
    CheckConfig(check_config::CheckConfigArgs),
    Conformance(conformance::ConformanceArgs),
    RouteTest(route_test::RouteTestArgs),
    Doctor(doctor::DoctorArgs),
    Audit(audit::AuditArgs),
    Backup(backup::BackupArgs),
    Export(export::ExportArgs),
    Restore(backup::RestoreArgs),
    Phantom(phantom::PhantomArgs),
    DemoSeries(demo_series::DemoSeriesArgs),
    Dataset(dataset::DatasetArgs),
    Evaluate(evaluate::EvaluateArgs),
    Validate(validate::ValidateArgs),
}

/// Why a verb did not do its work.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The input is not fit; the text lists every reason.
    #[error("{0}")]
    Refused(String),
    /// The configuration or the command line is wrong.
    #[error("{0}")]
    Usage(String),
    /// Nobody reads standard output any more.
    #[error("standard output was closed")]
    Unread,
    /// Anything else.
    #[error("{0:#}")]
    Other(#[from] anyhow::Error),
}

impl From<ConfigError> for Failure {
    fn from(e: ConfigError) -> Self {
        match e {
            ConfigError::Unreadable { .. } | ConfigError::Faults { .. } | ConfigError::UnknownModel { .. } => {
                Failure::Usage(e.to_string())
            }
            ConfigError::Inference(e) => Failure::Other(e.into()),
        }
    }
}

impl Failure {
    fn exit_code(&self) -> u8 {
        match self {
            Failure::Refused(_) => 2,
            Failure::Usage(_) => 64,
            Failure::Unread | Failure::Other(_) => 1,
        }
    }
}

/// Runs the command line; the only place that chooses an exit status.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(e) => {
            // Help and version are not errors; everything else is bad usage, which clap itself would call 2.
            let code = if e.use_stderr() { 64 } else { 0 };
            let _ = e.print();
            return ExitCode::from(code);
        }
    };
    // A fault in any thread is one line like every other failure, without the marks of a debugger.
    set_hook(Box::new(|fault| {
        let words: Vec<String> = fault.to_string().lines().map(str::to_owned).collect();
        say::to_stderr(format_args!("contourd: a fault of this program: {}", words.join(" ")));
    }));
    ExitCode::from(ended(|| run(cli.verb)))
}

/// The exit status of a verb; says why it failed. A fault that comes up through it was said where it happened.
fn ended(verb: impl FnOnce() -> Result<(), Failure>) -> u8 {
    match catch_unwind(AssertUnwindSafe(verb)) {
        Ok(Ok(())) => 0,
        Ok(Err(failure)) => {
            if !matches!(failure, Failure::Unread) {
                say::to_stderr(format_args!("contourd: {failure}"));
            }
            failure.exit_code()
        }
        Err(_) => 1,
    }
}

fn run(verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::Segment(args) => segment::run(args),
        Verb::Serve(args) => serve::run(args),
        Verb::CheckConfig(args) => check_config::run(args),
        Verb::Conformance(args) => conformance::run(args),
        Verb::RouteTest(args) => route_test::run(args),
        Verb::Doctor(args) => doctor::run(args),
        Verb::Audit(args) => audit::run(args),
        Verb::Backup(args) => backup::run_backup(args),
        Verb::Export(args) => export::run(args),
        Verb::Restore(args) => backup::run_restore(args),
        Verb::Phantom(args) => phantom::run(args),
        Verb::DemoSeries(args) => demo_series::run(args),
        Verb::Dataset(args) => dataset::run(args),
        Verb::Evaluate(args) => evaluate::run(args),
        Verb::Validate(args) => validate::run(args),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_end_has_its_exit_status() {
        assert_eq!(ended(|| Ok(())), 0);
        assert_eq!(ended(|| Err(Failure::Refused("too few slices".into()))), 2);
        assert_eq!(ended(|| Err(Failure::Usage("no such profile".into()))), 64);
        assert_eq!(ended(|| Err(Failure::Other(anyhow::anyhow!("disk full")))), 1);
        assert_eq!(ended(|| Err(Failure::Unread)), 1);
        assert_eq!(ended(|| panic!("a fault for this test")), 1);
    }
}
