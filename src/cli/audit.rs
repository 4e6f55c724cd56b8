//! `contourd audit`: is the audit trail whole.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::Failure;
use super::say::{aside, say};
use crate::config::Config;
use crate::store::{ChainHead, look_at_audit};

/// Look at the audit trail.
#[derive(Debug, Args)]
pub struct AuditArgs {
    #[command(subcommand)]
    verb: AuditVerb,
}

#[derive(Debug, Subcommand)]
enum AuditVerb {
    Verify(VerifyArgs),
}

/// Follow the chain of the audit trail: a line that was changed or removed shows. Changes nothing; a running daemon is not
/// disturbed.
#[derive(Debug, Args)]
#[command(
    after_help = "Who may write to the database can write the whole chain anew. What was told to a syslog server or is in the \
    files of messages cannot be changed there: give such a place of the chain with --head (the ParticipantObjectDetail of type \
    \"chain\" of a message, decoded), and a chain that was cut or written anew shows. Exit status: 0 whole, 2 broken."
)]
struct VerifyArgs {
    /// Configuration file of the daemon.
    #[arg(long, value_name = "FILE.toml")]
    config: Option<PathBuf>,
    /// A place and its digest that must be in the chain; may be given often.
    #[arg(long, value_name = "PLACE:DIGEST", value_parser = head)]
    head: Vec<ChainHead>,
}

fn head(text: &str) -> Result<ChainHead, String> {
    let parts = text.split_once(':').and_then(|(place, digest)| Some((place.parse().ok()?, digest.to_lowercase())));
    match parts {
        Some((position, digest)) if digest.len() == 64 && digest.bytes().all(|b| b.is_ascii_hexdigit()) => {
            Ok(ChainHead { position, digest })
        }
        _ => Err("must be a number, a colon and 64 hexadecimal digits".into()),
    }
}

/// Runs the verb.
///
/// # Errors
/// [`Failure::Refused`] for a broken chain, [`Failure::Other`] when it cannot be looked at.
pub fn run(args: AuditArgs) -> Result<(), Failure> {
    let AuditVerb::Verify(args) = args.verb;
    let config = Config::read(args.config.as_deref())?;
    let tokio = tokio::runtime::Runtime::new().map_err(anyhow::Error::from)?;
    let report = tokio.block_on(look_at_audit(&config.store, &args.head)).map_err(anyhow::Error::from)?;
    let report = report.map_err(|unseen| anyhow::anyhow!("the audit trail cannot be looked at: {unseen}"))?;
    match &report.head {
        None => say!("the audit trail is empty")?,
        Some(head) => say!("{} lines, the last is {}:{}", report.lines, head.position, head.digest)?,
    }
    if report.broken == 0 {
        return say!("the chain is whole");
    }
    for what in &report.breaks {
        aside!("{what}");
    }
    Err(Failure::Refused(format!("the chain is broken in {} places", report.broken)))
}
