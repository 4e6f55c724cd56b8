//! The structures of a case: found or not, how large, how sure, what the rules did, what people said.

use axum::extract::State;
use axum::response::Json;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Path, case_of, colour_of, structures_of};
use crate::anatomy::quality::Light;
use crate::anatomy::rules::{Flag, RuleEffect, Severity};
use crate::store::{Review, StructureRow};
use crate::web::WebState;
use crate::web::error::{ApiError, Class};

#[derive(Serialize)]
pub(super) struct Structures {
    structures: Vec<StructureJson>,
}

#[derive(Serialize)]
struct StructureJson {
    name: String,
    colour: [u8; 3],
    found: bool,
    status: &'static str,
    volume_cc: Option<f64>,
    /// Share of the voxels on which all three networks agree, 0 to 1.
    agreement: Option<f64>,
    /// `green`, `amber` or `red`; null where a version that did not judge wrote the report.
    light: Option<Light>,
    /// Why it is not green, in words.
    reasons: Vec<String>,
    flags: Vec<FlagJson>,
    effects: Vec<RuleEffect>,
    /// The latest of each reviewer, oldest first.
    latest_reviews: Vec<Review>,
}

#[derive(Serialize)]
struct FlagJson {
    #[serde(flatten)]
    flag: Flag,
    severity: Severity,
    text: String,
}

/// The part of a structure's report that is shown here.
#[derive(Deserialize)]
struct Report {
    #[serde(default)]
    flags: Vec<Flag>,
    #[serde(default)]
    effects: Vec<RuleEffect>,
    #[serde(default)]
    light: Option<Light>,
    #[serde(default)]
    reasons: Vec<String>,
}

fn structure_json(row: StructureRow, reviews: &[Review]) -> Result<StructureJson, ApiError> {
    let colour = colour_of(&row);
    let report: Report = serde_json::from_value(row.report).map_err(|e| {
        ApiError::new(
            Class::Internal,
            format!("The stored report of {} cannot be read: {e}.", row.structure),
            "It was probably written by another version of contourd; update this one.",
        )
    })?;
    let flags = report
        .flags
        .into_iter()
        .map(|flag| FlagJson { severity: flag.severity(), text: flag.to_string(), flag })
        .collect();
    Ok(StructureJson {
        latest_reviews: reviews.iter().filter(|r| r.structure == row.structure).cloned().collect(),
        name: row.structure,
        colour,
        found: row.found,
        status: if row.found { "found" } else { "not found" },
        volume_cc: row.volume_cc,
        agreement: row.agreement,
        light: report.light,
        reasons: report.reasons,
        flags,
        effects: report.effects,
    })
}

/// Empty until the case is segmented.
pub(super) async fn list(State(state): State<WebState>, Path(id): Path<Uuid>) -> Result<Json<Structures>, ApiError> {
    case_of(&state, id).await?;
    let rows = structures_of(&state, id).await?;
    let reviews = state.store.latest_reviews(id).await?;
    let structures = rows.into_iter().map(|row| structure_json(row, &reviews)).collect::<Result<_, ApiError>>()?;
    Ok(Json(Structures { structures }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::anatomy::rules::Rule;

    fn row(report: serde_json::Value) -> StructureRow {
        StructureRow {
            case_id: Uuid::nil(),
            structure: "Eye_L".into(),
            found: false,
            volume_cc: None,
            agreement: None,
            report,
            contours: serde_json::json!([]),
        }
    }

    #[test]
    fn flags_are_told_in_words_and_absence_is_said() {
        let report = serde_json::json!({
            "flags": [Flag::NotFound { predicted: 7 }],
            "effects": [RuleEffect { rule: Rule::LeastVolume, added: 0, removed: 7 }],
            "light": Light::Amber,
            "reasons": ["not found: the rules removed all of the 7 voxels that the networks marked"],
            "anything else": 1,
        });
        let json = serde_json::to_value(structure_json(row(report), &[]).unwrap()).unwrap();
        assert_eq!(json["status"], "not found");
        assert_eq!(json["flags"][0]["kind"], "not_found");
        assert_eq!(json["flags"][0]["severity"], "warning");
        assert!(json["flags"][0]["text"].as_str().unwrap().contains("7 voxels"));
        assert_eq!(json["light"], "amber");
        assert!(json["reasons"][0].as_str().unwrap().contains("not found"));
        assert_eq!(json["effects"][0], serde_json::json!({"rule": "least_volume", "added": 0, "removed": 7}));
    }

    #[test]
    fn a_report_without_a_light_has_none() {
        let report = serde_json::json!({"flags": [], "effects": []});
        let json = serde_json::to_value(structure_json(row(report), &[]).unwrap()).unwrap();
        assert_eq!((&json["light"], &json["reasons"]), (&serde_json::Value::Null, &serde_json::json!([])));
    }

    #[test]
    fn a_report_of_another_version_is_an_error_not_an_empty_list() {
        let report = serde_json::json!({"flags": [{"kind": "from_the_future"}]});
        let error = structure_json(row(report), &[]).err().unwrap();
        assert_eq!(error.class, Class::Internal);
    }
}
