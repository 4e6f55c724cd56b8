//! Names of things, parsed once: DICOM UIDs, AE titles, and values that must not reach a log.
//!
//! A UID that came from a peer is checked here before anything else sees it: after [`SeriesUid::parse`] it holds
//! digits and dots only and can never be a path (DICOM PS3.5 section 9.1).

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Why a name was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Not a UID by PS3.5: the kind and the offending text (UIDs are not patient data).
    #[error("{kind} {text:?} is not a DICOM UID (1 to 64 characters, digits and single dots)")]
    Uid { kind: &'static str, text: String },
    /// Not an application entity title (PS3.8, PS3.5 VR AE).
    #[error("{0:?} is not an AE title (1 to 16 printable ASCII characters, no backslash)")]
    AeTitle(String),
}

fn parse_uid(kind: &'static str, text: &str) -> Result<String, IdError> {
    let trimmed = text.trim_matches(|c: char| c == '\0' || c == ' ');
    let well_formed = !trimmed.is_empty()
        && trimmed.len() <= 64
        && trimmed.split('.').all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()));
    if well_formed { Ok(trimmed.to_owned()) } else { Err(IdError::Uid { kind, text: text.chars().take(80).collect() }) }
}

macro_rules! uid {
    ($(#[$doc:meta])* $name:ident, $kind:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Trims DICOM padding and checks the text.
            ///
            /// # Errors
            /// [`IdError::Uid`] when it is not a UID.
            pub fn parse(text: &str) -> Result<Self, IdError> {
                parse_uid($kind, text).map(Self)
            }

            /// The UID as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// A reproducible UID below 2.25 (PS3.5 B.2), the same for the same parts in the same order.
            pub fn derive(parts: &[&str]) -> Self {
                Self(derive_uid($kind, parts))
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                Self::parse(&text)
            }
        }

        impl From<$name> for String {
            fn from(uid: $name) -> String {
                uid.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

uid!(
    /// Study Instance UID (0020,000D).
    StudyUid, "StudyInstanceUID");
uid!(
    /// Series Instance UID (0020,000E).
    SeriesUid, "SeriesInstanceUID");
uid!(
    /// SOP Instance UID (0008,0018).
    InstanceUid, "SOPInstanceUID");
uid!(
    /// Frame of Reference UID (0020,0052).
    FrameOfReferenceUid, "FrameOfReferenceUID");
uid!(
    /// Transaction UID (0008,1195) of a storage commitment.
    TransactionUid, "TransactionUID");

impl TransactionUid {
    /// One that was never used before.
    pub fn fresh() -> Self {
        Self(format!("2.25.{}", uuid::Uuid::new_v4().as_u128()))
    }
}

/// 2.25 + a version 8 UUID as a decimal number: at most 44 characters, no leading zero.
fn derive_uid(kind: &str, parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    hash.update(b"contourd\0");
    hash.update(kind.as_bytes());
    for part in parts {
        // The length goes in first, so that ("ab","c") and ("a","bc") differ.
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part.as_bytes());
    }
    let digest = hash.finalize();
    let mut bytes = [0u8; 16];
    bytes.copy_from_slice(&digest[..16]);
    format!("2.25.{}", uuid::Uuid::new_v8(bytes).as_u128())
}

/// Lower-case hexadecimal SHA-256 of some bytes.
pub fn sha256_hex(bytes: &[u8]) -> String {
    sha256_hex_of([bytes])
}

/// The same of parts that follow each other.
pub fn sha256_hex_of<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut hash = Sha256::new();
    parts.into_iter().for_each(|part| hash.update(part));
    hex(&hash.finalize())
}

/// Bytes as lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// Application entity title, 1 to 16 characters, case-sensitive, without padding.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AeTitle(String);

impl AeTitle {
    /// Trims padding and checks the title.
    ///
    /// # Errors
    /// [`IdError::AeTitle`] for an empty, too long or non-printable title.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        let trimmed = text.trim_matches(|c: char| c == '\0' || c == ' ');
        let printable = trimmed.bytes().all(|b| (0x20..0x7f).contains(&b) && b != b'\\');
        if trimmed.is_empty() || trimmed.len() > 16 || !printable {
            return Err(IdError::AeTitle(text.chars().take(40).collect()));
        }
        Ok(Self(trimmed.to_owned()))
    }

    /// The title as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for AeTitle {
    /// The title of this program unless the configuration says otherwise.
    fn default() -> Self {
        Self("CONTOURD".to_owned())
    }
}

impl TryFrom<String> for AeTitle {
    type Error = IdError;
    fn try_from(text: String) -> Result<Self, IdError> {
        Self::parse(&text)
    }
}

impl From<AeTitle> for String {
    fn from(title: AeTitle) -> String {
        title.0
    }
}

impl fmt::Display for AeTitle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A value that identifies a patient or opens a door: it can be used, but neither printed nor serialised by accident.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Phi<T>(T);

impl<T> Phi<T> {
    /// Wraps a value.
    pub fn new(value: T) -> Self {
        Self(value)
    }

    /// The value itself; the caller answers for where it goes.
    pub fn reveal(&self) -> &T {
        &self.0
    }
}

impl<T> fmt::Debug for Phi<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uids_are_trimmed_and_checked() {
        assert_eq!(SeriesUid::parse("1.2.840\0").unwrap().as_str(), "1.2.840");
        for bad in ["", "1..2", "1.2.", "../etc/passwd", "1.2/3", "a.b", &"1".repeat(65)] {
            assert!(SeriesUid::parse(bad).is_err(), "{bad:?} was taken");
        }
    }

    #[test]
    fn derived_uids_are_stable_distinct_and_legal() {
        let one = InstanceUid::derive(&["ab", "c"]);
        assert_eq!(one, InstanceUid::derive(&["ab", "c"]));
        assert_ne!(one, InstanceUid::derive(&["a", "bc"]));
        assert_ne!(one.as_str(), SeriesUid::derive(&["ab", "c"]).as_str());
        assert!(one.as_str().len() <= 44);
        assert!(!one.as_str()["2.25.".len()..].starts_with('0'));
        assert_eq!(InstanceUid::parse(one.as_str()).unwrap(), one);
    }

    #[test]
    fn ae_titles_are_checked() {
        assert_eq!(AeTitle::parse(" PACS ").unwrap().as_str(), "PACS");
        for bad in ["", "   ", "SEVENTEEN_LETTERS", "A\\B", "TÄT"] {
            assert!(AeTitle::parse(bad).is_err(), "{bad:?} was taken");
        }
    }

    #[test]
    fn phi_is_never_printed() {
        assert_eq!(format!("{:?}", Phi::new("Doe^Jane")), "[redacted]");
    }
}
