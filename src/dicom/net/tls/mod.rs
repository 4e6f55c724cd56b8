//! Secure Transport Connection Profile (PS3.15 annex B.12: BCP 195): certificates from files, both ways.
//!
//! `files`: what is read and what can be wrong with it; `doors`: the listeners and the certificates in force; `words`:
//! what went wrong, for a technician.

mod doors;
mod files;
mod words;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{ClientConfig, Error, InconsistentKeys, ServerConfig, SupportedProtocolVersion};

pub(super) use doors::Door;
pub use doors::Doors;
use files::{Fault, Identity, authorities};
pub(super) use words::{is_tls, of_connection};

/// The `[scp.tls]` section: calls over TLS.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ScpTls {
    /// Address and port of a listener of its own, usually port 2762; `scp.listen` then goes on without TLS. Without this key
    /// `scp.listen` speaks TLS, and nothing listens without.
    pub listen: Option<SocketAddr>,
    /// Our certificate and what leads from it to its CA, in PEM form.
    pub certificate: PathBuf,
    /// Its private key, in PEM form, without a password.
    pub key: PathBuf,
    /// The CAs of those who call, in PEM form: then a certificate of one of them must be shown. Empty: none is asked for.
    pub client_ca: PathBuf,
}

/// `tls` of a destination.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DestinationTls {
    /// The CAs that the remote system's certificate must come from, in PEM form.
    pub ca: PathBuf,
    /// The name in its certificate, where that is not `host`.
    pub name: Option<String>,
    /// Our certificate, where the remote system asks for one, and what leads from it to its CA; in PEM form.
    pub certificate: PathBuf,
    /// Its private key, in PEM form, without a password.
    pub key: PathBuf,
}

/// TLS 1.2 and 1.3 with the suites that BCP 195 (RFC 9325, section 4.2) recommends for 1.2 and all of 1.3.
fn provider() -> Arc<CryptoProvider> {
    use ring::cipher_suite as suite;
    Arc::new(CryptoProvider {
        cipher_suites: vec![
            suite::TLS13_AES_256_GCM_SHA384,
            suite::TLS13_AES_128_GCM_SHA256,
            suite::TLS13_CHACHA20_POLY1305_SHA256,
            suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
            suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
            suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
            suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        ],
        ..ring::default_provider()
    })
}

const VERSIONS: &[&SupportedProtocolVersion] = &[&TLS13, &TLS12];

impl ScpTls {
    /// Every fault of this section, each beginning with the key that it is about; the files are not looked at.
    pub fn faults(&self) -> Vec<String> {
        let needed = [("certificate", &self.certificate), ("key", &self.key)];
        needed.into_iter().filter(|(_, path)| path.as_os_str().is_empty()).map(|(key, _)| missing(key)).collect()
    }

    /// Whether the files can be used, if not for the date.
    ///
    /// # Errors
    /// What is wrong, beginning with the key that it is about.
    pub fn usable(&self) -> Result<(), String> {
        self.server().map(|_| ()).map_err(|fault| fault.to_string())
    }

    /// As [`ScpTls::usable`]; says until when the certificate is good.
    ///
    /// # Errors
    /// What is wrong; also that the certificate is not valid today.
    pub fn look(&self) -> Result<String, String> {
        self.usable()?;
        self.identity().and_then(|identity| identity.validity()).map_err(|fault| fault.to_string())
    }

    fn identity(&self) -> Result<Identity, Fault> {
        Identity::read(&self.certificate, &self.key)
    }

    /// The certificates in force, read anew.
    fn server(&self) -> Result<ServerConfig, Fault> {
        let provider = provider();
        let unusable = |error: Error| Fault::new("certificate", format!("cannot be used: {error}"));
        let begun = ServerConfig::builder_with_provider(Arc::clone(&provider));
        let begun = begun.with_protocol_versions(VERSIONS).map_err(unusable)?;
        let begun = if self.client_ca.as_os_str().is_empty() {
            begun.with_no_client_auth()
        } else {
            let roots = Arc::new(authorities("client_ca", &self.client_ca)?);
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider).build();
            let verifier = verifier.map_err(|e| Fault::new("client_ca", format!("cannot be used: {e}")))?;
            begun.with_client_cert_verifier(verifier)
        };
        let Identity { chain, key, .. } = self.identity()?;
        let mut config = begun.with_single_cert(chain, key).map_err(|error| self.mismatch(error))?;
        // No session is resumed: the certificate of a caller is looked at every time.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(config)
    }

    fn mismatch(&self, error: Error) -> Fault {
        unfit(error, &self.key, &self.certificate)
    }

    fn paths(&self) -> [&PathBuf; 3] {
        [&self.certificate, &self.key, &self.client_ca]
    }
}

impl DestinationTls {
    /// As [`ScpTls::faults`]; `host` is what the certificate must be for unless `name` says otherwise.
    pub fn faults(&self, host: &str) -> Vec<String> {
        let mut faults = Vec::new();
        if self.ca.as_os_str().is_empty() {
            faults.push(missing("ca"));
        }
        match (self.certificate.as_os_str().is_empty(), self.key.as_os_str().is_empty()) {
            (false, true) => faults.push(missing("key")),
            (true, false) => faults.push(missing("certificate")),
            _ => {}
        }
        if self.server_name(host).is_err() {
            faults.push("name is no DNS name or address: set the name that is in the certificate".to_owned());
        }
        faults
    }

    /// As [`ScpTls::usable`].
    ///
    /// # Errors
    /// As [`ScpTls::usable`].
    pub fn usable(&self) -> Result<(), String> {
        self.client().map(|_| ()).map_err(|fault| fault.to_string())
    }

    /// As [`ScpTls::look`].
    ///
    /// # Errors
    /// As [`ScpTls::look`].
    pub fn look(&self) -> Result<String, String> {
        self.usable()?;
        match self.identity().transpose() {
            None => Ok("no certificate of ours is shown".to_owned()),
            Some(identity) => identity.and_then(|identity| identity.validity()).map_err(|fault| fault.to_string()),
        }
    }

    fn identity(&self) -> Result<Option<Identity>, Fault> {
        if self.certificate.as_os_str().is_empty() {
            return Ok(None);
        }
        Identity::read(&self.certificate, &self.key).map(Some)
    }

    fn server_name(&self, host: &str) -> Result<ServerName<'static>, Fault> {
        let name = self.name.as_deref().unwrap_or(host).trim().to_owned();
        ServerName::try_from(name).map_err(|e| Fault::new("name", e.to_string()))
    }

    fn client(&self) -> Result<ClientConfig, Fault> {
        let unusable = |error: Error| Fault::new("certificate", format!("cannot be used: {error}"));
        let begun = ClientConfig::builder_with_provider(provider());
        let begun = begun.with_protocol_versions(VERSIONS).map_err(unusable)?;
        let begun = begun.with_root_certificates(authorities("ca", &self.ca)?);
        match self.identity()? {
            None => Ok(begun.with_no_client_auth()),
            Some(Identity { chain, key, .. }) => {
                begun.with_client_auth_cert(chain, key).map_err(|error| unfit(error, &self.key, &self.certificate))
            }
        }
    }

    /// TLS over a connection to `host`. The files are read for every association, so that new ones count at once.
    ///
    /// # Errors
    /// What a technician can do something about.
    pub(super) async fn connect(&self, host: &str, stream: TcpStream) -> Result<TlsStream<TcpStream>, String> {
        let fault = |fault: Fault| format!("tls.{fault}");
        let (client, name) = (self.client().map_err(fault)?, self.server_name(host).map_err(fault)?);
        TlsConnector::from(Arc::new(client)).connect(name, stream).await.map_err(|error| {
            let doubt = if is_tls(&error) { "" } else { "; does it speak TLS on this port?" };
            format!("{}{doubt}", of_connection(&error))
        })
    }
}

fn missing(key: &str) -> String {
    format!("{key} is missing: name a file in PEM form")
}

fn unfit(error: Error, key: &Path, certificate: &Path) -> Fault {
    match error {
        Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
            Fault::new("key", format!("{} does not belong to the certificate {}", key.display(), certificate.display()))
        }
        Error::InvalidCertificate(_) => {
            Fault::new("certificate", format!("{} cannot be used: it is no certificate for TLS", certificate.display()))
        }
        other => Fault::new("key", format!("{} cannot be used: {other}", key.display())),
    }
}
