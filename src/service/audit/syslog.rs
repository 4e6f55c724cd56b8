//! Audit messages to a syslog server: RFC 5424 messages, counted as RFC 6587 and RFC 5425 say, over TCP or TLS
//! (PS3.15 A.6).
//!
//! Syslog answers nothing: a message that was written into a connection which breaks before the server read it is lost
//! there. The gap shows in the places of the chain; the files and the database have the message.

use std::io;
use std::time::Duration;

use serde::Deserialize;
use time::format_description::well_known::Rfc3339;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::message::{Origin, message};
use crate::dicom::net::{DestinationTls, Line, NetError, line_to};
use crate::store::AuditLine;

/// Facility 10 (security), severity 5 (notice): PS3.15 A.6.1.
const PRIORITY: u8 = 10 * 8 + 5;
/// What the server must be told in, and how long a connection may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// The `[audit.syslog]` section.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SyslogConfig {
    /// Host name or address.
    pub host: String,
    /// TCP port; 6514 is usual for TLS.
    pub port: u16,
    /// TLS, with the keys of a destination's; absent: plain TCP, which everybody on the way can read.
    #[serde(default)]
    pub tls: Option<DestinationTls>,
}

impl SyslogConfig {
    /// Every fault of this section, each beginning with the key that it is about; empty when there is none.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        if self.host.trim().is_empty() {
            faults.push("host is empty: set a name or an address".to_owned());
        }
        if self.port == 0 {
            faults.push("port is 0: set the port of the syslog server, usually 6514".to_owned());
        }
        if let Some(tls) = &self.tls {
            faults.extend(tls.faults(&self.host).into_iter().map(|fault| format!("tls.{fault}")));
        }
        faults
    }
}

/// Why the server was not told.
#[derive(Debug, thiserror::Error)]
pub(super) enum SyslogError {
    #[error("the syslog server {address}: {source}")]
    Io { address: String, source: io::Error },
    #[error("the syslog server: {0}")]
    Net(#[from] NetError),
}

/// A syslog server and the connection to it, if there is one.
pub(super) struct Syslog {
    config: SyslogConfig,
    connection: Option<Box<dyn Line>>,
}

impl Syslog {
    pub fn new(config: SyslogConfig) -> Self {
        Self { config, connection: None }
    }

    pub fn address(&self) -> String {
        format!("{}:{}", self.config.host, self.config.port)
    }

    /// Sends the messages of these lines; after an error none of them counts as sent.
    pub async fn send(&mut self, lines: &[AuditLine], origin: &Origin) -> Result<(), SyslogError> {
        let mut bytes = Vec::new();
        for line in lines {
            let message = framed(line, origin);
            bytes.extend_from_slice(message.as_bytes());
        }
        let mut connection = match self.connection.take() {
            Some(kept) => self.still_open(kept).await?,
            None => self.connect().await?,
        };
        let write = async {
            connection.write_all(&bytes).await?;
            connection.flush().await
        };
        let written = tokio::time::timeout(PATIENCE, write).await;
        written
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
            .map_err(|source| SyslogError::Io { address: self.address(), source })?;
        self.connection = Some(connection);
        Ok(())
    }

    async fn connect(&self) -> Result<Box<dyn Line>, NetError> {
        line_to(&self.config.host, self.config.port, self.config.tls.as_ref(), PATIENCE).await
    }

    /// A server says nothing: what can be read is the end of a connection that it closed while nothing was sent.
    async fn still_open(&self, mut kept: Box<dyn Line>) -> Result<Box<dyn Line>, NetError> {
        match tokio::time::timeout(Duration::ZERO, kept.read_u8()).await {
            Err(_) => Ok(kept),
            Ok(_) => self.connect().await,
        }
    }
}

/// One message with its length before it.
fn framed(line: &AuditLine, origin: &Origin) -> String {
    let at = line.at.format(&Rfc3339).unwrap_or_default();
    let text = format!(
        "<{PRIORITY}>1 {at} {} contourd {} DICOM+RFC3881 - \u{feff}{}",
        origin.host,
        std::process::id(),
        message(line, origin)
    );
    format!("{} {text}", text.len())
}
