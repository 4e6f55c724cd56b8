//! What is in a message, and that no text leaves its place.

use proptest::prelude::*;
use serde_json::json;
use time::macros::datetime;

use super::*;
use crate::ids::Phi;
use crate::store::PatientText;

fn line(event: &str, detail: serde_json::Value) -> AuditLine {
    AuditLine {
        position: 17,
        hash: vec![0xab; 32],
        at: datetime!(2026-03-01 04:05:06 UTC),
        event: event.into(),
        case_id: None,
        detail,
        study_uid: Some("1.2.3".into()),
        calling_ae: Some("MR1".into()),
        called_ae: Some("CONTOURD".into()),
        patient_id: PatientText(Phi::new("007".into())),
        patient_name: PatientText(Phi::new("Ros\u{e9}<\"&\u{1}>^A".into())),
        person: Some("Dr. Z".into()),
    }
}

fn origin() -> Origin {
    Origin { ae_title: "CONTOURD".into(), host: "node7".into() }
}

fn told(event: &str, detail: serde_json::Value) -> String {
    message(&line(event, detail), &origin())
}

#[test]
fn a_received_series_names_sender_patient_study_and_chain() {
    let text = told("series_complete", json!({"peer": "[fe80::1]:4711"}));
    for part in [
        r#"<EventIdentification EventActionCode="C" EventDateTime="2026-03-01T04:05:06Z" EventOutcomeIndicator="0">"#,
        r#"<EventID csd-code="110104" codeSystemName="DCM" originalText="DICOM Instances Transferred"/>"#,
        r#"<ActiveParticipant UserID="MR1" UserIsRequestor="true" NetworkAccessPointID="fe80::1" "#,
        r#"NetworkAccessPointTypeCode="2"><RoleIDCode csd-code="110153""#,
        r#"UserID="CONTOURD" AlternativeUserID="AETITLES=CONTOURD" UserIsRequestor="false""#,
        r#"ParticipantObjectID="1.2.3" ParticipantObjectTypeCode="2" ParticipantObjectTypeCodeRole="3">"#,
        r#"ParticipantObjectID="007" ParticipantObjectTypeCode="1" ParticipantObjectTypeCodeRole="1">"#,
        "<ParticipantObjectName>Ros\u{e9}&lt;&quot;&amp;\u{fffd}&gt;^A</ParticipantObjectName>",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    let place = BASE64_STANDARD.encode(format!("17:{}", "ab".repeat(32)));
    assert!(text.contains(&format!(r#"<ParticipantObjectDetail type="chain" value="{place}"/>"#)), "{text}");
}

#[test]
fn who_began_it_and_how_it_ended_are_told() {
    let sent = told("delivery_attempted", json!({"destination": "PACS", "accepted": 0, "later": 2, "refused": 0}));
    assert!(sent.contains(r#"EventActionCode="R""#) && sent.contains(r#"EventOutcomeIndicator="4""#), "{sent}");
    assert!(sent.contains(r#"UserID="PACS" UserIsRequestor="false"><RoleIDCode csd-code="110152""#), "{sent}");
    let refused = told("delivery_attempted", json!({"destination": "PACS", "later": 2, "refused": 1}));
    assert!(refused.contains(r#"EventOutcomeIndicator="8""#), "{refused}");
    let review = told("review_recorded", json!({"review": 3}));
    assert!(review.contains(r#"<ActiveParticipant UserID="Dr. Z" UserIsRequestor="true"/>"#), "{review}");
    let exported = told("case_exported", json!({"user": "uid 1000 (mueller)", "objects": 181}));
    assert!(exported.contains(r#"<EventID csd-code="110106""#), "{exported}");
    assert!(exported.contains(r#"UserID="uid 1000 (mueller)" UserIsRequestor="true"/>"#), "{exported}");
    let started = told("daemon_started", json!({}));
    assert!(started.contains(r#"EventTypeCode csd-code="110120" codeSystemName="DCM""#), "{started}");
    assert!(started.contains(r#"EventTypeCode csd-code="daemon_started" codeSystemName="99CONTOURD""#), "{started}");
}

proptest! {
    #[test]
    fn any_text_stays_inside_its_place_on_one_line(name in ".*", event in ".*", peer in ".*") {
        let mut line = line(&event, json!({"calling": name, "peer": peer}));
        line.patient_name = PatientText(Phi::new(name));
        let text = message(&line, &origin());
        prop_assert_eq!(text.lines().count(), 1);
        prop_assert_eq!(text.matches('<').count(), text.matches('>').count());
        prop_assert!(text.ends_with("</AuditMessage>"));
    }
}
