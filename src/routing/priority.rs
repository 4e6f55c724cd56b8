//! Which of the cases that wait is segmented first.

use serde::Deserialize;
use toml::Value;

use super::header::Header;

/// From 0 to 9; what is higher goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "Value")]
pub struct Priority(u8);

impl Priority {
    /// Before everything else.
    pub const URGENT: Self = Self(9);
    /// Where the procedure was requested with priority HIGH.
    pub const HIGH: Self = Self(7);

    /// As a number.
    pub fn get(self) -> u8 {
        self.0
    }

    /// The priority of a route, raised by what the header says of the procedure's own (Requested Procedure Priority:
    /// STAT, HIGH, ROUTINE, MEDIUM, LOW; PS3.3 C.4.11). It never falls: a route for urgent cases stays one.
    pub fn raised_by(self, header: &Header) -> Self {
        match header.text(dicom_dictionary_std::tags::REQUESTED_PROCEDURE_PRIORITY).to_ascii_uppercase().as_str() {
            "STAT" => self.max(Self::URGENT),
            "HIGH" => self.max(Self::HIGH),
            _ => self,
        }
    }
}

impl Default for Priority {
    fn default() -> Self {
        Self(5)
    }
}

impl TryFrom<Value> for Priority {
    type Error = String;

    fn try_from(value: Value) -> Result<Self, String> {
        match &value {
            Value::String(word) if word == "urgent" => Ok(Self::URGENT),
            Value::Integer(number @ 0..=9) => Ok(Self(*number as u8)),
            _ => Err(format!("priority is {value}: set 0 to 9 (higher goes first), or \"urgent\", which is 9")),
        }
    }
}
