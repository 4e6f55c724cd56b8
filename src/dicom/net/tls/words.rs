//! What went wrong with TLS, in words for a technician.

use std::io;
use std::time::Duration;

use time::OffsetDateTime;
use tokio_rustls::rustls::pki_types::UnixTime;
use tokio_rustls::rustls::{AlertDescription, CertificateError, Error};

use super::files::day;

/// Whether it is TLS that failed, and not what is below it.
pub(in crate::dicom::net) fn is_tls(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<Error>())
}

/// What broke a connection; with the words for it when it was TLS.
pub(in crate::dicom::net) fn of_connection(error: &io::Error) -> String {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        Some(tls) => in_words(tls),
        None if error.kind() == io::ErrorKind::UnexpectedEof => "the other side hung up".to_owned(),
        None => error.to_string(),
    }
}

/// An error of TLS in words.
fn in_words(error: &Error) -> String {
    match error {
        Error::InvalidCertificate(why) => format!("the certificate of the other side {}", certificate(why)),
        Error::NoCertificatesPresented => "the other side showed no certificate".to_owned(),
        Error::AlertReceived(alert) => alert_in_words(*alert),
        Error::InvalidMessage(_) => "what the other side sends is no TLS".to_owned(),
        Error::PeerIncompatible(_) => {
            format!("the other side has no TLS that is safe (1.2 or 1.3 with AES-GCM or ChaCha20): {error}")
        }
        other => printable(&other.to_string()),
    }
}

fn certificate(error: &CertificateError) -> String {
    match error {
        CertificateError::Expired => "has expired".to_owned(),
        CertificateError::ExpiredContext { not_after, .. } => format!("expired on {}", date(*not_after)),
        CertificateError::NotValidYet => "is not valid yet".to_owned(),
        CertificateError::NotValidYetContext { not_before, .. } => format!("is not valid before {}", date(*not_before)),
        CertificateError::UnknownIssuer => "comes from a CA that is not among those configured".to_owned(),
        CertificateError::BadSignature => "has a false signature".to_owned(),
        CertificateError::NotValidForName => "is for another name".to_owned(),
        CertificateError::NotValidForNameContext { expected, presented } => {
            let for_whom = if presented.is_empty() { "no name at all".to_owned() } else { presented.join(", ") };
            format!("is not for {} but for {}", expected.to_str(), printable(&for_whom))
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "is not made for this purpose (extended key usage)".to_owned()
        }
        other => format!("cannot be used: {}", printable(&other.to_string())),
    }
}

fn alert_in_words(alert: AlertDescription) -> String {
    let says = match alert {
        AlertDescription::CertificateExpired => "our certificate has expired",
        AlertDescription::UnknownCA => "it does not know the CA of our certificate",
        AlertDescription::CertificateRequired => "we must show a certificate",
        AlertDescription::BadCertificate
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::CertificateUnknown
        | AlertDescription::AccessDenied => "it does not accept our certificate",
        AlertDescription::HandshakeFailure => "there is no common way to encrypt, or we must show a certificate",
        AlertDescription::ProtocolVersion => "it has neither TLS 1.2 nor 1.3",
        other => return format!("the other side ended TLS with the alert {other:?}"),
    };
    format!("the other side says: {says}")
}

fn date(time: UnixTime) -> String {
    let since = Duration::from_secs(time.as_secs());
    day(OffsetDateTime::UNIX_EPOCH.saturating_add(time::Duration::try_from(since).unwrap_or(time::Duration::MAX)))
}

/// Printable and short: a stranger may have written it.
fn printable(text: &str) -> String {
    text.chars().take(300).map(|c| if (' '..='~').contains(&c) { c } else { '?' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_technician_can_read_what_went_wrong() {
        let expired = CertificateError::ExpiredContext {
            time: UnixTime::since_unix_epoch(Duration::from_secs(1_800_000_000)),
            not_after: UnixTime::since_unix_epoch(Duration::from_secs(1_700_000_000)),
        };
        for (error, words) in [
            (Error::InvalidCertificate(expired), "expired on 2023-11-14"),
            (Error::InvalidCertificate(CertificateError::UnknownIssuer), "a CA that is not among"),
            (Error::AlertReceived(AlertDescription::UnknownCA), "does not know the CA of our certificate"),
            (Error::AlertReceived(AlertDescription::InternalError), "InternalError"),
            (Error::NoCertificatesPresented, "showed no certificate"),
            (Error::General("a\nb".to_owned()), "a?b"),
        ] {
            let said = of_connection(&io::Error::new(io::ErrorKind::InvalidData, error));
            assert!(said.contains(words), "{said}");
        }
        assert_eq!(of_connection(&io::ErrorKind::UnexpectedEof.into()), "the other side hung up");
    }
}
