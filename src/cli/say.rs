//! Words for people. A reader that goes away early (`contourd doctor | head -1`) is no fault of this program, so nothing
//! here panics as `println!` would.

use std::fmt::Arguments;
use std::io::{ErrorKind, Write, stderr, stdout};

use super::Failure;

/// A line to standard output.
///
/// # Errors
/// [`Failure::Unread`] when nobody reads it any more.
pub(super) fn to_stdout(text: Arguments) -> Result<(), Failure> {
    let mut out = stdout().lock();
    out.write_fmt(text).and_then(|()| out.write_all(b"\n")).and_then(|()| out.flush()).map_err(|e| match e.kind() {
        ErrorKind::BrokenPipe => Failure::Unread,
        _ => Failure::Other(anyhow::Error::new(e).context("cannot write to standard output")),
    })
}

/// A line to standard error; where nobody reads, it is lost.
pub(super) fn to_stderr(text: Arguments) {
    let mut err = stderr().lock();
    let _ = err.write_fmt(text).and_then(|()| err.write_all(b"\n"));
}

/// A line to standard output, formatted.
macro_rules! say {
    ($($text:tt)*) => { $crate::cli::say::to_stdout(format_args!($($text)*)) };
}
/// A line to standard error, formatted.
macro_rules! aside {
    ($($text:tt)*) => { $crate::cli::say::to_stderr(format_args!($($text)*)) };
}
pub(super) use {aside, say};
