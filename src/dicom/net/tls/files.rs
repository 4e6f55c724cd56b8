//! Certificates and keys on disk.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use time::OffsetDateTime;
use time::macros::format_description;
use tokio_rustls::rustls::RootCertStore;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::prelude::{GeneralName, X509Certificate, parse_x509_certificate};

/// A bundle of all CAs of the world has a quarter of this.
const MOST_BYTES: u64 = 1 << 20;
/// A certificate that ends within this many days is to be renewed.
pub(super) const RENEW_DAYS: i64 = 30;

/// What is wrong with a file, and under which key it is named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    key: &'static str,
    why: String,
}

impl Fault {
    pub fn new(key: &'static str, why: String) -> Self {
        Self { key, why }
    }

    fn of(key: &'static str, path: &Path, why: impl fmt::Display) -> Self {
        Self::new(key, format!("{} {why}", path.display()))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.key, self.why)
    }
}

/// A certificate with its key.
pub(super) struct Identity {
    pub chain: Vec<CertificateDer<'static>>,
    pub key: PrivateKeyDer<'static>,
    /// Where the certificate is, for those who are to mend it.
    place: String,
}

impl Identity {
    /// Reads both. Whether they belong together is seen when they are put to use.
    ///
    /// # Errors
    /// The fault of a file.
    pub fn read(certificate: &Path, key: &Path) -> Result<Self, Fault> {
        let chain = certificates("certificate", certificate)?;
        let (bytes, mode) = contents("key", key)?;
        if mode & 0o007 != 0 {
            let why = format!("may be read by everybody on this computer (mode {:03o}): chmod o= it", mode & 0o777);
            return Err(Fault::of("key", key, why));
        }
        let why = "holds no private key in PEM form without a password";
        let key = PrivateKeyDer::from_pem_slice(&bytes).map_err(|_| Fault::of("key", key, why))?;
        Ok(Self { chain, key, place: certificate.display().to_string() })
    }

    /// Until when the certificate is good.
    ///
    /// # Errors
    /// When it is not.
    pub fn validity(&self) -> Result<String, Fault> {
        let place = &self.place;
        let broken = || Fault::new("certificate", format!("{place} is no X.509 certificate"));
        let parsed = self.chain.first().and_then(|first| parse_x509_certificate(first).ok()).ok_or_else(broken)?.1;
        let (begin, end) = (parsed.validity().not_before.to_datetime(), parsed.validity().not_after.to_datetime());
        let now = OffsetDateTime::now_utc();
        if now < begin {
            return Err(Fault::new("certificate", format!("{place} is not valid before {}", day(begin))));
        }
        if now > end {
            return Err(Fault::new("certificate", format!("{place} expired on {}: renew it", day(end))));
        }
        let left = (end - now).whole_days();
        let renew = if left < RENEW_DAYS { ": renew it" } else { "" };
        let names = names_of(&parsed);
        let names = if names.is_empty() { "no DNS name".to_owned() } else { names.join(", ") };
        Ok(format!("{place} for {names}, good until {}, {left} days{renew}", day(end)))
    }
}

/// The CAs in a file.
///
/// # Errors
/// The fault of the file.
pub(super) fn authorities(key: &'static str, path: &Path) -> Result<RootCertStore, Fault> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(key, path)? {
        roots.add(certificate).map_err(|e| Fault::of(key, path, format!("holds a certificate that is none: {e}")))?;
    }
    Ok(roots)
}

fn certificates(key: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, Fault> {
    let (bytes, _) = contents(key, path)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(Fault::of(key, path, "holds no certificate in PEM form")),
        Err(error) => Err(Fault::of(key, path, format!("is broken: {error}"))),
    }
}

/// The bytes of a file, and its mode.
fn contents(key: &'static str, path: &Path) -> Result<(Vec<u8>, u32), Fault> {
    let read = || -> std::io::Result<(Vec<u8>, u32)> {
        let file = File::open(path)?;
        let mode = file.metadata()?.mode();
        let mut bytes = Vec::new();
        file.take(MOST_BYTES).read_to_end(&mut bytes)?;
        Ok((bytes, mode))
    };
    read().map_err(|error| Fault::of(key, path, format!("cannot be read: {error}")))
}

/// DNS names in the Subject Alternative Name of a certificate. What is no such name is left out: they are logged.
pub(super) fn dns_names(certificate: &CertificateDer<'_>) -> Vec<String> {
    parse_x509_certificate(certificate).map(|(_, parsed)| names_of(&parsed)).unwrap_or_default()
}

fn names_of(parsed: &X509Certificate<'_>) -> Vec<String> {
    let alternative = parsed.subject_alternative_name().ok().flatten();
    let names = alternative.map(|extension| extension.value.general_names.as_slice()).unwrap_or_default();
    let dns = names.iter().filter_map(|name| if let GeneralName::DNSName(name) = name { Some(*name) } else { None });
    dns.filter(|name| name.len() < 254 && name.bytes().all(|b| b.is_ascii_graphic())).map(str::to_owned).collect()
}

/// The day of a time, in words that everybody reads the same way.
pub(super) fn day(time: OffsetDateTime) -> String {
    time.format(format_description!("[year]-[month]-[day]")).unwrap_or_else(|_| "an unreadable date".to_owned())
}
