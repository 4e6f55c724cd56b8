//! What can be configured about a DICOMweb service.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hyper::Uri;
use hyper::header::HeaderValue;
use serde::{Deserialize, Serialize};

use crate::dicom::net::{DestinationTls, NetError, default_connect_timeout, default_response_timeout, timeout_fault};
use crate::ids::AeTitle;

/// A PACS or planning system that speaks DICOMweb.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DicomwebService {
    /// Where its resources begin, as `https://pacs.example/dicom-web`: `/studies` and the rest are added to it.
    pub url: String,
    /// What stands for it where a system has an AE title: in routes (`calling_ae`) and in the audit trail.
    #[serde(default = "default_title")]
    pub ae_title: AeTitle,
    /// How long TCP and TLS may take, each.
    #[serde(default = "default_connect_timeout")]
    pub connect_timeout_seconds: u64,
    /// How long it may take for each answer; what is larger than 16 KiB for each second of it may take longer.
    #[serde(default = "default_response_timeout")]
    pub response_timeout_seconds: u64,
    /// With `https`: whose certificates it may have, and with which of our own.
    #[serde(default)]
    pub tls: Option<DestinationTls>,
    /// A file with a token (RFC 6750), read for every connection so that it may be renewed; empty: none.
    #[serde(default)]
    pub token_file: PathBuf,
    /// A user of it (RFC 7617); empty: none.
    #[serde(default)]
    pub user: String,
    /// A file with the user's password, read for every connection.
    #[serde(default)]
    pub password_file: PathBuf,
}

fn default_title() -> AeTitle {
    AeTitle::parse("DICOMWEB").unwrap_or_default()
}

/// The parts of a URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Origin {
    pub secure: bool,
    pub host: String,
    pub port: u16,
    /// Host and port as the service was named.
    pub authority: String,
    /// Without a slash at its end.
    pub path: String,
}

impl DicomwebService {
    /// A service with the usual limits.
    pub fn new(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            ae_title: default_title(),
            connect_timeout_seconds: default_connect_timeout(),
            response_timeout_seconds: default_response_timeout(),
            tls: None,
            token_file: PathBuf::new(),
            user: String::new(),
            password_file: PathBuf::new(),
        }
    }

    /// Every fault of this section, each beginning with the key that it is about; empty when there is none. Files are not
    /// looked at.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        match self.origin() {
            Err(why) => faults.push(why),
            Ok(origin) => {
                let tls = self.tls.as_ref();
                match (origin.secure, tls) {
                    (true, None) => faults.push(
                        "tls.ca is missing: url begins with https; name the CAs that its certificate must come from (for \
                         those of the whole system: /etc/ssl/certs/ca-certificates.crt)"
                            .to_owned(),
                    ),
                    (false, Some(_)) => faults.push("tls is set, but url begins with http: write https".to_owned()),
                    (true, Some(tls)) => {
                        faults.extend(tls.faults(&origin.host).into_iter().map(|fault| format!("tls.{fault}")));
                    }
                    (false, None) => {}
                }
                let secret = self.has_token() || !self.user.is_empty();
                if secret && !origin.secure && !is_here(&origin.host) {
                    let key = if self.has_token() { "token_file" } else { "user" };
                    let why = "would be sent in the clear: url must begin with https";
                    faults.push(format!("{key} {why}, or name this computer"));
                }
            }
        }
        if self.has_token() && !self.user.is_empty() {
            faults.push("token_file stands beside user: write one of them".to_owned());
        }
        if self.user.contains(':') {
            faults.push("user has a colon, which HTTP takes for its end: leave it out".to_owned());
        }
        if self.user.is_empty() != self.password_file.as_os_str().is_empty() {
            faults.push("password_file belongs to user: write both, or none".to_owned());
        }
        timeout_fault("connect_timeout_seconds", self.connect_timeout_seconds, &mut faults);
        timeout_fault("response_timeout_seconds", self.response_timeout_seconds, &mut faults);
        faults
    }

    /// The URL in its parts.
    ///
    /// # Errors
    /// What is wrong with it, beginning with its key.
    pub(super) fn origin(&self) -> Result<Origin, String> {
        // What may hold a password is not repeated.
        let shown = if self.url.contains('@') { "url".to_owned() } else { format!("url is {:?}", self.url) };
        let wrong = |what: &str| format!("{shown}: {what}; write it as https://pacs.example/dicom-web");
        let uri: Uri = self.url.trim().parse().map_err(|e| wrong(&format!("{e}")))?;
        let secure = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(wrong("it begins neither with https:// nor with http://")),
        };
        let authority = uri.authority().ok_or_else(|| wrong("it names no host"))?;
        if authority.as_str().contains('@') {
            return Err(wrong("a user does not belong into it (user, password_file)"));
        }
        if uri.query().is_some() || self.url.contains('#') {
            return Err(wrong("it has a query or a fragment"));
        }
        if authority.port_u16().is_none() && authority.as_str() != authority.host() {
            return Err(wrong("its port is none"));
        }
        let host = authority.host().trim_matches(['[', ']']);
        if host.is_empty() {
            return Err(wrong("it names no host"));
        }
        Ok(Origin {
            secure,
            host: host.to_owned(),
            port: authority.port_u16().unwrap_or(if secure { 443 } else { 80 }),
            authority: authority.to_string(),
            path: uri.path().trim_end_matches('/').to_owned(),
        })
    }

    /// What says who we are; `None` where nothing is configured.
    ///
    /// # Errors
    /// [`NetError::Unready`] when a file cannot be used.
    pub(super) fn authorization(&self) -> Result<Option<HeaderValue>, NetError> {
        let words = if self.has_token() {
            format!("Bearer {}", secret("token_file", &self.token_file)?)
        } else if self.user.is_empty() {
            return Ok(None);
        } else {
            let both = format!("{}:{}", self.user, secret("password_file", &self.password_file)?);
            format!("Basic {}", BASE64_STANDARD.encode(both))
        };
        let unfit = |_| NetError::Unready("token_file holds what cannot be said in HTTP: one line of ASCII".to_owned());
        let mut value = HeaderValue::from_str(&words).map_err(unfit)?;
        value.set_sensitive(true);
        Ok(Some(value))
    }

    fn has_token(&self) -> bool {
        !self.token_file.as_os_str().is_empty()
    }

    pub(super) fn connect_timeout(&self) -> Duration {
        Duration::from_secs(self.connect_timeout_seconds)
    }

    pub(super) fn response_timeout(&self) -> Duration {
        Duration::from_secs(self.response_timeout_seconds)
    }
}

fn is_here(host: &str) -> bool {
    host == "localhost" || host.parse().is_ok_and(|at: IpAddr| at.is_loopback())
}

fn secret(key: &str, path: &Path) -> Result<String, NetError> {
    let unready = |why: String| NetError::Unready(format!("{key} {} {why}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|e| unready(format!("cannot be read: {e}")))?;
    let text = text.trim();
    if text.is_empty() { Err(unready("is empty".to_owned())) } else { Ok(text.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart() {
        let origin = |url: &str| DicomwebService::new(url).origin();
        let there = origin("https://pacs.example/dicom-web/").unwrap();
        assert_eq!((there.secure, there.host.as_str(), there.port), (true, "pacs.example", 443));
        assert_eq!((there.authority.as_str(), there.path.as_str()), ("pacs.example", "/dicom-web"));
        let six = origin("http://[::1]:8042").unwrap();
        assert_eq!((six.secure, six.host.as_str(), six.port, six.path.as_str()), (false, "::1", 8042, ""));
        assert_eq!(six.authority, "[::1]:8042");
        for (bad, why) in [
            ("pacs.example", "begins neither"),
            ("ftp://pacs.example", "begins neither"),
            ("https://", "url is"),
            ("https://me:secret@pacs.example", "a user does not belong"),
            ("https://pacs.example:99999/a", "its port is none"),
            ("https://pacs.example:/a", "its port is none"),
            ("https://pacs.example/a?b=c", "a query"),
            ("https://pacs.example/a b", "url is"),
        ] {
            let said = origin(bad).unwrap_err();
            assert!(said.starts_with("url") && said.contains(why) && !said.contains("secret"), "{bad}: {said}");
        }
    }

    #[test]
    fn every_fault_is_told() {
        let plain = DicomwebService::new("http://127.0.0.1:8042/dicom-web");
        assert_eq!(plain.faults(), Vec::<String>::new());
        let tls = Some(DestinationTls { ca: "/ca.pem".into(), ..DestinationTls::default() });
        let with = |change: &dyn Fn(&mut DicomwebService)| {
            let mut service = DicomwebService::new("https://pacs.example/dicom-web");
            service.tls.clone_from(&tls);
            change(&mut service);
            service.faults()
        };
        assert_eq!(with(&|_| ()), Vec::<String>::new());
        assert!(with(&|s| s.tls = None)[0].starts_with("tls.ca is missing"));
        assert!(with(&|s| s.url = "http://pacs.example".into())[0].starts_with("tls is set"));
        let clear = with(&|s| {
            (s.url, s.tls, s.token_file) = ("http://pacs.example".into(), None, "/token".into());
        });
        assert!(clear[0].starts_with("token_file would be sent in the clear"), "{clear:?}");
        let both = with(&|s| (s.token_file, s.user) = ("/token".into(), "a:b".into()));
        assert_eq!(both.len(), 3, "{both:?}");
        assert_eq!(with(&|s| s.response_timeout_seconds = 0).len(), 1);
    }

    #[test]
    fn who_we_are_is_read_from_files() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secret");
        let mut service = DicomwebService::new("https://pacs.example");
        assert_eq!(service.authorization().unwrap(), None);
        service.token_file.clone_from(&file);
        let missing = service.authorization().unwrap_err();
        assert!(
            missing.to_string().contains("token_file") && missing.to_string().contains("cannot be read"),
            "{missing}"
        );
        std::fs::write(&file, " \n").unwrap();
        assert!(service.authorization().unwrap_err().to_string().contains("is empty"));
        std::fs::write(&file, "abc\n").unwrap();
        let said = service.authorization().unwrap().unwrap();
        assert_eq!((said.to_str().unwrap(), format!("{said:?}").as_str()), ("Bearer abc", "Sensitive"));
        std::fs::write(&file, "a\nb").unwrap();
        assert!(service.authorization().is_err());
        std::fs::write(&file, "open sesame\n").unwrap();
        (service.token_file, service.user, service.password_file) = (PathBuf::new(), "Aladdin".into(), file);
        // The example of RFC 7617, section 2.
        assert_eq!(service.authorization().unwrap().unwrap().to_str().unwrap(), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
    }
}
