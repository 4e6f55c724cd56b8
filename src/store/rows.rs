//! Rows of the database as Rust values.

use serde::{Deserialize, Serialize};
use sqlx::FromRow;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::ids::Phi;

/// A text from the database that this version does not know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind} {text:?}")]
pub struct UnknownName {
    /// What it should name.
    pub kind: &'static str,
    /// The text.
    pub text: String,
}

macro_rules! named {
    ($(#[$doc:meta])* $name:ident, $kind:literal { $($(#[$vdoc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $name { $($(#[$vdoc])* $variant,)* }

        impl $name {
            /// Every value.
            pub const ALL: &'static [$name] = &[$($name::$variant,)*];

            /// The text in the database and in JSON.
            pub const fn name(self) -> &'static str {
                match self { $($name::$variant => $text,)* }
            }
        }

        impl TryFrom<String> for $name {
            type Error = UnknownName;
            fn try_from(text: String) -> Result<Self, UnknownName> {
                Self::ALL.iter().copied().find(|v| v.name() == text).ok_or(UnknownName { kind: $kind, text })
            }
        }
    };
}
pub(super) use named;

named!(
    /// Where a case stands. Each ends as delivered, sent, refused, failed or superseded, or waits in sight.
    CaseState, "case state" {
        /// Instances are coming in.
        Receiving = "receiving",
        /// Complete; waits for a worker.
        Queued = "queued",
        /// A worker has it.
        Segmenting = "segmenting",
        /// It has contours, and waits for a person to release them; the reason says why.
        Held = "held",
        /// The result is on its way.
        Delivering = "delivering",
        /// Every destination is known to keep the result.
        Delivered = "delivered",
        /// Every destination accepted the result, and one of them cannot tell whether it keeps it.
        Sent = "sent",
        /// A planning CT or a registration, there for the contoured series of its study.
        Kept = "kept",
        /// The input is not fit; the reason says why.
        Refused = "refused",
        /// A fault of ours, or a destination that refuses for good.
        Failed = "failed",
        /// A later revision took its place.
        Superseded = "superseded",
    }
);

named!(
    /// What a series is for.
    CaseRole, "role of a case" {
        /// To be contoured.
        Contours = "contours",
        /// A CT: contours of its study are laid on it.
        PlanningCt = "planning_ct",
        /// Registrations between frames of reference of its study.
        Registration = "registration",
        /// Structure sets of its study that others made.
        StructureSet = "structure_set",
    }
);

named!(
    /// What a result is.
    ResultKind, "result kind" {
        /// A slice of the derived axial series.
        DerivedImage = "derived_image",
        /// The RT Structure Set.
        StructureSet = "structure_set",
        /// The DICOM Segmentation.
        Segmentation = "segmentation",
        /// A report about why there are no contours.
        Notice = "notice",
        /// The RT Structure Set on the planes of a planning CT.
        PlanningSet = "planning_set",
    }
);

named!(
    /// Where a delivery stands.
    OutboxState, "delivery state" {
        /// To be sent, or to be sent again.
        Pending = "pending",
        /// The destination has accepted it; whether it keeps it is told by [`Confirmation`].
        Accepted = "accepted",
        /// The destination refuses it for good.
        Failed = "failed",
    }
);

named!(
    /// Whether a destination is known to keep what it accepted.
    Confirmation, "confirmation" {
        /// Not known, and nobody asks.
        None = "none",
        /// Not known yet.
        Awaited = "awaited",
        /// It said so: storage commitment.
        Committed = "committed",
        /// It was found there by a query.
        Found = "found",
    }
);

/// A case: one revision of one series.
#[derive(Debug, Clone, FromRow)]
pub struct Case {
    /// Key.
    pub id: Uuid,
    /// Study Instance UID.
    pub study_uid: String,
    /// Series Instance UID.
    pub series_uid: String,
    /// Frame of Reference UID, if the first instance had one.
    pub frame_uid: Option<String>,
    /// 1 for the series as first seen; one more for each time that slices came late.
    pub revision: i32,
    /// What it is for.
    #[sqlx(try_from = "String")]
    pub role: CaseRole,
    /// Where it stands.
    #[sqlx(try_from = "String")]
    pub state: CaseState,
    /// Why it stands there, for a technician.
    pub reason: Option<String>,
    /// The refusals (`dicom::data::Refusal`) as JSON list, if it was refused.
    pub refusals: serde_json::Value,
    /// Name of the route it came in on.
    pub route: String,
    /// From 0 to 9: of the cases that wait, the higher one is segmented first.
    pub priority: i16,
    /// The models of its route when it came; none: the default one.
    pub models: Vec<String>,
    /// Which of them this case is for, from 0.
    pub sibling: i16,
    /// Calling AE title of the first instance.
    pub calling_ae: String,
    /// Called AE title of the first instance.
    pub called_ae: String,
    /// Model that segmented it.
    pub model_name: Option<String>,
    /// Digest of that model.
    pub model_digest: Option<String>,
    /// Digest of the configuration it was segmented with.
    pub config_digest: Option<String>,
    /// Report of the run.
    pub report: Option<serde_json::Value>,
    /// Patient ID.
    #[sqlx(try_from = "String")]
    pub patient_id: PatientText,
    /// Patient's name.
    #[sqlx(try_from = "String")]
    pub patient_name: PatientText,
    /// Series Description.
    pub series_description: String,
    /// Modality of the first instance.
    pub modality: String,
    /// When its first instance came.
    pub received_at: OffsetDateTime,
    /// When its latest instance came.
    pub last_instance_at: OffsetDateTime,
    /// When it was held for a person; stays when it is released.
    pub held_at: Option<OffsetDateTime>,
    /// When it ended.
    pub finished_at: Option<OffsetDateTime>,
    /// When its files were deleted, because it need not be kept any more.
    pub purged_at: Option<OffsetDateTime>,
}

impl Case {
    /// The model that this case is for; `None`: the default one.
    pub fn model(&self) -> Option<&str> {
        self.models.get(usize::try_from(self.sibling).ok()?).map(String::as_str)
    }

    /// What is odd about the images that were contoured all the same; none before the case was segmented.
    pub fn warnings(&self) -> Vec<String> {
        let listed = self.report.as_ref().and_then(|report| report.get("warnings")?.as_array());
        listed.into_iter().flatten().filter_map(|w| w.as_str().map(str::to_owned)).collect()
    }
}

/// A text that identifies a patient.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PatientText(pub Phi<String>);

impl From<String> for PatientText {
    fn from(text: String) -> Self {
        Self(Phi::new(text))
    }
}

/// An acknowledged instance.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct InstanceRow {
    /// SOP Instance UID.
    pub sop_instance_uid: String,
    /// SOP Class UID.
    pub sop_class_uid: String,
    /// Series Instance UID.
    pub series_uid: String,
    /// The first revision of the series that has it.
    pub revision: i32,
    /// Transfer syntax of the data set, as sent.
    pub transfer_syntax: String,
    /// SHA-256 of the data set as sent.
    pub content_sha256: String,
    /// Where its Part 10 file lies.
    pub blob_key: String,
    /// SHA-256 of that file.
    pub sha256: String,
    /// Size of that file.
    pub byte_count: i64,
}

/// A structure of a case.
#[derive(Debug, Clone, PartialEq, FromRow)]
pub struct StructureRow {
    /// Case.
    pub case_id: Uuid,
    /// TG-263 name.
    pub structure: String,
    /// Whether it was found.
    pub found: bool,
    /// Volume in cubic centimetres; present exactly when found.
    pub volume_cc: Option<f64>,
    /// Agreement of the three networks, 0 to 1.
    pub agreement: Option<f64>,
    /// What each rule added and removed, and flags.
    pub report: serde_json::Value,
    /// `[{"slice": k, "points": [[i, j], ...]}, ...]` in continuous voxel index on the images that the structure set
    /// refers to: the derived series if there is one, else the received one.
    pub contours: serde_json::Value,
}

/// A delivery: one result to one destination.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct OutboxRow {
    /// Key.
    pub id: i64,
    /// Result.
    pub result_id: i64,
    /// Case.
    pub case_id: Uuid,
    /// Name of the destination.
    pub destination: String,
    /// Order of sending.
    pub seq: i32,
    /// Where it stands.
    #[sqlx(try_from = "String")]
    pub state: OutboxState,
    /// How often it was tried.
    pub attempts: i32,
    /// When it is due.
    pub next_attempt_at: OffsetDateTime,
    /// What the last attempt said.
    pub last_error: Option<String>,
    /// When the destination accepted it.
    pub sent_at: Option<OffsetDateTime>,
    /// Whether the destination is known to keep it.
    #[sqlx(try_from = "String")]
    pub confirmation: Confirmation,
    /// How often it was sent again, because it was not there.
    pub resends: i32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_to_the_database_and_back() {
        for state in CaseState::ALL {
            assert_eq!(CaseState::try_from(state.name().to_owned()).unwrap(), *state);
            assert_eq!(serde_json::to_value(state).unwrap(), state.name());
        }
        let unknown = CaseState::try_from("lost".to_owned()).unwrap_err();
        assert_eq!(unknown.to_string(), "case state \"lost\"");
    }
}
