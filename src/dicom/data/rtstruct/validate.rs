//! What dciodvfy does not look at: whether the parts of a structure set fit each other and its series.

use serde::{Deserialize, Serialize};

use super::super::Series;

/// The kind of a defect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DefectCode {
    /// The file cannot be read as an RT Structure Set.
    Unreadable,
}

/// Something wrong with a structure set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Defect {
    /// The kind.
    pub code: DefectCode,
    /// What and where.
    pub message: String,
}

/// Everything wrong with a structure set for `series`; empty when it may be sent.
pub fn validate_rtstruct(bytes: &[u8], series: &Series) -> Vec<Defect> {
    let _ = (bytes, series);
    todo!()
}
