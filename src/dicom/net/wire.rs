//! PDUs over a connection, with limits on time and size. Both sides of an association use it.

use std::io;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use dicom_ul::pdu::{Pdu, read_pdu, write_pdu};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::tls::of_connection;

/// How long the last PDU of an association may take to reach a peer that keeps talking.
const FAREWELL: Duration = Duration::from_secs(2);

/// First byte of a P-DATA-TF PDU, the only one that the negotiated maximum length speaks of (PS3.8 D.1).
const P_DATA_TF: u8 = 0x04;
/// Longest PDU of any other type. A request that proposes all 128 contexts with every transfer syntax of the standard, in
/// UIDs of full length, has 400 KiB.
const LONGEST_OTHER_PDU: u32 = 512 * 1024;
/// Room that is made for a read when nothing is known of what comes, and the most that is made at once of what a PDU says
/// that it still has: memory grows with what has come, not with what was announced.
const READ_BYTES: std::ops::RangeInclusive<usize> = 4096..=64 * 1024;
/// Type, a reserved byte, length.
const HEADER_BYTES: usize = 6;
/// How a record of TLS begins: a handshake or an alert, then the version.
const TLS_RECORDS: [[u8; 2]; 2] = [[0x16, 0x03], [0x15, 0x03]];

/// TCP, or TLS over it.
pub trait Line: AsyncRead + AsyncWrite + Send + Sync + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Sync + Unpin> Line for T {}

/// Why no PDU came or went.
#[derive(Debug, thiserror::Error)]
pub(super) enum WireError {
    #[error("the peer closed the connection")]
    Closed,
    #[error("the connection broke: {}", of_connection(.0))]
    Io(#[source] io::Error),
    #[error("no whole PDU came or went within {} s", .0.as_secs())]
    TimedOut(Duration),
    #[error("not a DICOM PDU: {0}")]
    Malformed(String),
}

impl From<io::Error> for WireError {
    fn from(error: io::Error) -> Self {
        // A peer that hangs up without the farewell of TLS has hung up all the same.
        if error.kind() == io::ErrorKind::UnexpectedEof { Self::Closed } else { Self::Io(error) }
    }
}

/// A connection.
pub(super) struct Wire {
    stream: Box<dyn Line>,
    /// Bytes that were read and belong to no PDU yet. They stay here when a read is cancelled.
    buffer: BytesMut,
    max_data_bytes: u32,
}

impl Wire {
    /// Takes a connection; P-DATA-TF PDUs with more than `max_data_bytes`, the maximum length that we offer, are refused.
    /// All others have a limit of their own: a peer whose proposal is long has not been told ours yet.
    ///
    /// The socket below must have TCP_NODELAY: requests and answers alternate in small segments, and with Nagle's
    /// algorithm each pair costs 40 ms.
    pub fn new(stream: impl Line + 'static, max_data_bytes: u32) -> Self {
        Self { stream: Box::new(stream), buffer: BytesMut::new(), max_data_bytes }
    }

    /// The next PDU, within `limit`. Safe to cancel: what was read so far is kept.
    ///
    /// # Errors
    /// [`WireError`].
    pub async fn receive(&mut self, limit: Duration) -> Result<Pdu, WireError> {
        tokio::time::timeout(limit, self.read()).await.map_err(|_| WireError::TimedOut(limit))?
    }

    async fn read(&mut self) -> Result<Pdu, WireError> {
        loop {
            if TLS_RECORDS.iter().any(|record| self.buffer.starts_with(record)) {
                return Err(WireError::Malformed("it is TLS, which is not spoken here".to_owned()));
            }
            // The length in the header is judged as soon as the header is there, before its bytes are awaited.
            let mut unread = self.buffer.as_ref();
            let limit = if unread.first() == Some(&P_DATA_TF) { self.max_data_bytes } else { LONGEST_OTHER_PDU };
            let pdu = read_pdu(&mut unread, limit, true)
                .map_err(|e| WireError::Malformed(e.to_string().chars().take(200).collect()))?;
            if let Some(pdu) = pdu {
                let used = self.buffer.len() - unread.remaining();
                self.buffer.advance(used);
                return Ok(pdu);
            }
            let announced = self.buffer.get(2..HEADER_BYTES).and_then(|length| length.try_into().ok());
            let whole = announced.map_or(0, |length| u32::from_be_bytes(length) as usize + HEADER_BYTES);
            let rest = whole.saturating_sub(self.buffer.len());
            self.buffer.reserve(rest.clamp(*READ_BYTES.start(), *READ_BYTES.end()));
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(WireError::Closed);
            }
        }
    }

    /// Sends one PDU, within `limit`. After an error or a cancellation the connection is of no more use.
    ///
    /// # Errors
    /// [`WireError`].
    pub async fn send(&mut self, pdu: &Pdu, limit: Duration) -> Result<(), WireError> {
        let mut bytes = Vec::new();
        write_pdu(&mut bytes, pdu).map_err(|e| WireError::Malformed(e.to_string()))?;
        let written = async {
            self.stream.write_all(&bytes).await?;
            // TLS keeps back what the socket did not take at once.
            self.stream.flush().await
        };
        let written = tokio::time::timeout(limit, written).await;
        Ok(written.map_err(|_| WireError::TimedOut(limit))??)
    }

    /// Sends a last PDU, if there is one, and closes.
    ///
    /// What the peer still sends is read and dropped for a moment: closing over unread bytes would reset the
    /// connection, and the peer would not see the last PDU.
    pub async fn close(mut self, last: Option<Pdu>) {
        let farewell = async {
            if let Some(pdu) = last {
                self.send(&pdu, FAREWELL).await?;
            }
            self.stream.shutdown().await?;
            self.buffer.clear();
            while self.stream.read_buf(&mut self.buffer).await? > 0 {
                self.buffer.clear();
            }
            Ok::<(), WireError>(())
        };
        // A peer that is gone, or that does not stop, loses its farewell: there is nobody to tell.
        let _ = tokio::time::timeout(FAREWELL, farewell).await;
    }
}
