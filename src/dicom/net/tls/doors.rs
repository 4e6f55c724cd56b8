//! The listeners, and the certificates in force at the one for TLS.

use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tracing::{info, warn};

use super::ScpTls;
use super::files::{Fault, dns_names};
use super::words::of_connection;
use crate::dicom::net::ScpConfig;
use crate::dicom::net::wire::Wire;

/// How often the files are looked at for a change.
const LOOK: Duration = Duration::from_secs(2);

/// Where callers come in: without TLS, over it, or both.
#[derive(Debug)]
pub struct Doors {
    pub(in crate::dicom::net) plain: Option<TcpListener>,
    pub(in crate::dicom::net) secure: Option<(TcpListener, Arc<Certificates>)>,
}

/// By which door a caller came.
#[derive(Debug, Clone)]
pub(in crate::dicom::net) enum Door {
    Plain,
    Secure(Arc<Certificates>),
}

impl Door {
    /// Lets a caller in; gives the DNS names of its certificate, if it showed one.
    ///
    /// # Errors
    /// Words for the log.
    pub async fn open(self, stream: TcpStream, max_pdu_bytes: u32) -> Result<(Wire, Option<Vec<String>>), String> {
        stream.set_nodelay(true).map_err(|error| error.to_string())?;
        let Self::Secure(certificates) = self else { return Ok((Wire::new(stream, max_pdu_bytes), None)) };
        let in_force = Arc::clone(&certificates.in_force.read().unwrap_or_else(PoisonError::into_inner));
        let opened = TlsAcceptor::from(in_force).accept(stream).await;
        let secure = opened.map_err(|error| format!("no TLS: {}", of_connection(&error)))?;
        let shown = secure.get_ref().1.peer_certificates().and_then(|chain| chain.first());
        let certified = shown.map(dns_names);
        Ok((Wire::new(secure, max_pdu_bytes), certified))
    }
}

impl Doors {
    /// Reads the certificates and opens the listeners that the configuration asks for.
    ///
    /// # Errors
    /// What a technician can do something about.
    pub async fn open(config: &ScpConfig) -> Result<Self, String> {
        let bind = |at: SocketAddr| async move {
            let bound = TcpListener::bind(at).await;
            bound.map_err(|e| format!("the DICOM listener cannot listen on {at}: {e}; is another contourd running?"))
        };
        let Some(tls) = &config.tls else { return Ok(Self::plain(bind(config.listen).await?)) };
        let certificates = Certificates::read(tls).map_err(|fault| format!("scp.tls.{fault}"))?;
        let secure = Some((bind(tls.listen.unwrap_or(config.listen)).await?, Arc::new(certificates)));
        let plain = if tls.listen.is_some() { Some(bind(config.listen).await?) } else { None };
        Ok(Self { plain, secure })
    }

    /// One listener, without TLS.
    pub fn plain(listener: TcpListener) -> Self {
        Self { plain: Some(listener), secure: None }
    }

    /// Where the listeners are: the one without TLS, the one with.
    pub fn addresses(&self) -> (Option<SocketAddr>, Option<SocketAddr>) {
        let of = |listener: &TcpListener| listener.local_addr().ok();
        (self.plain.as_ref().and_then(of), self.secure.as_ref().and_then(|(listener, _)| of(listener)))
    }

    /// The next connection, at whichever door. Safe to cancel.
    pub(in crate::dicom::net) async fn accept(&self) -> io::Result<(TcpStream, SocketAddr, Door)> {
        let plain = async {
            match &self.plain {
                Some(listener) => listener.accept().await,
                None => std::future::pending().await,
            }
        };
        let secure = async {
            match &self.secure {
                Some((listener, certificates)) => Ok((listener.accept().await?, Arc::clone(certificates))),
                None => std::future::pending::<io::Result<_>>().await,
            }
        };
        tokio::select! {
            accepted = plain => accepted.map(|(stream, peer)| (stream, peer, Door::Plain)),
            accepted = secure => accepted.map(|((stream, peer), with)| (stream, peer, Door::Secure(with))),
        }
    }
}

/// Our certificate and the CAs of callers, as last read without fault.
#[derive(Debug)]
pub(in crate::dicom::net) struct Certificates {
    settings: ScpTls,
    /// Of the files that were read first.
    first: [Stamp; 3],
    in_force: RwLock<Arc<ServerConfig>>,
}

/// What tells that a file is another than before: when it was written, how long it is, which it is.
type Stamp = Option<(SystemTime, u64, u64)>;

impl Certificates {
    fn read(settings: &ScpTls) -> Result<Self, Fault> {
        let first = stamps(settings);
        let in_force = RwLock::new(Arc::new(settings.server()?));
        let certificates = Self { settings: settings.clone(), first, in_force };
        certificates.tell_validity();
        Ok(certificates)
    }

    /// Puts new files in force when they change, for those who call from then on. Never ends.
    pub async fn watch(self: Arc<Self>) {
        let mut last = self.first;
        loop {
            tokio::time::sleep(LOOK).await;
            let now = stamps(&self.settings);
            if now == last {
                continue;
            }
            last = now;
            match self.settings.server() {
                Ok(config) => {
                    *self.in_force.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
                    info!("new certificates are in force for those who call from now on");
                    self.tell_validity();
                }
                // Certificate and key are seldom exchanged in one moment: the next look may find both.
                Err(fault) => warn!("scp.tls.{fault}; the certificates that were read before stay in force"),
            }
        }
    }

    /// An expired certificate stops no daemon, which has other things to do; its callers will not like it.
    fn tell_validity(&self) {
        match self.settings.identity().and_then(|identity| identity.validity()) {
            Ok(good) => info!("scp.tls.certificate {good}"),
            Err(fault) => warn!("scp.tls.{fault}"),
        }
    }
}

fn stamps(settings: &ScpTls) -> [Stamp; 3] {
    settings.paths().map(|path| {
        let file = std::fs::metadata(path).ok()?;
        Some((file.modified().ok()?, file.len(), file.ino()))
    })
}
