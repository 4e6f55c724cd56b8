//! The one binary: parses the command line and turns the outcome into an exit status.

use std::process::ExitCode;

fn main() -> ExitCode {
    contourd::cli::main()
}
