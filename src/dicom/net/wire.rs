//! PDUs over TCP, with limits on time and size. Both sides of an association use it.

use std::io;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use dicom_ul::pdu::{Pdu, read_pdu, write_pdu};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How long the last PDU of an association may take to reach a peer that keeps talking.
const FAREWELL: Duration = Duration::from_secs(2);

/// First byte of a P-DATA-TF PDU, the only one that the negotiated maximum length speaks of (PS3.8 D.1).
const P_DATA_TF: u8 = 0x04;
/// Longest PDU of any other type. A request that proposes all 128 contexts with every transfer syntax of the standard, in
/// UIDs of full length, has 400 KiB.
const LONGEST_OTHER_PDU: u32 = 512 * 1024;
/// Room that is made for each read.
const READ_BYTES: usize = 64 * 1024;

/// Why no PDU came or went.
#[derive(Debug, thiserror::Error)]
pub(super) enum WireError {
    #[error("the peer closed the connection")]
    Closed,
    #[error("the connection broke: {0}")]
    Io(#[from] io::Error),
    #[error("nothing came or went for {} s", .0.as_secs())]
    TimedOut(Duration),
    #[error("not a DICOM PDU: {0}")]
    Malformed(String),
}

/// A connection.
#[derive(Debug)]
pub(super) struct Wire {
    stream: TcpStream,
    /// Bytes that were read and belong to no PDU yet. They stay here when a read is cancelled.
    buffer: BytesMut,
    max_data_bytes: u32,
}

impl Wire {
    /// Takes a connection; P-DATA-TF PDUs with more than `max_data_bytes`, the maximum length that we offer, are refused.
    /// All others have a limit of their own: a peer whose proposal is long has not been told ours yet.
    ///
    /// # Errors
    /// When the socket takes no options: it is gone already.
    pub fn new(stream: TcpStream, max_data_bytes: u32) -> io::Result<Self> {
        // Requests and answers alternate in small segments: with Nagle's algorithm each pair costs 40 ms.
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: BytesMut::new(), max_data_bytes })
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
            self.buffer.reserve(READ_BYTES);
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
        let written = tokio::time::timeout(limit, self.stream.write_all(&bytes)).await;
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
