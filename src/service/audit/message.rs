//! A line of the audit trail as an audit message (PS3.15 A.5): who, from where, did what to which study of which patient.
//!
//! Lines that PS3.15 has no message for are sent as Application Activity with our own event type: every line is sent, so
//! that its place in the chain is known outside. The place and the digest are in the object of the last kind, the trail
//! itself.

use base64::prelude::{BASE64_STANDARD, Engine};
use time::format_description::well_known::Rfc3339;

use crate::ids::hex;
use crate::store::AuditLine;

/// Coding scheme of our own event types.
const OWN_SCHEME: &str = "99CONTOURD";
/// Application Activity that is the start of this program, and its end.
const STARTED: Code = ("110120", "Application Start");
const STOPPED: Code = ("110121", "Application Stop");
const DCM: &str = "DCM";
const OBJECT: &str = "ParticipantObjectIdentification";

/// Who we are in messages.
#[derive(Debug, Clone)]
pub(super) struct Origin {
    /// Our AE title.
    pub ae_title: String,
    /// Name of the host.
    pub host: String,
}

/// A code of PS3.16.
type Code = (&'static str, &'static str);

const APPLICATION_ACTIVITY: Code = ("110100", "Application Activity");
const INSTANCES_ACCESSED: Code = ("110103", "DICOM Instances Accessed");
const INSTANCES_TRANSFERRED: Code = ("110104", "DICOM Instances Transferred");
const EXPORT: Code = ("110106", "Export");
const STUDY_DELETED: Code = ("110105", "DICOM Study Deleted");
const SECURITY_ALERT: Code = ("110113", "Security Alert");
const SOURCE: Code = ("110153", "Source Role ID");
const DESTINATION: Code = ("110152", "Destination Role ID");
const APPLICATION: Code = ("110150", "Application");

/// Who stands on the other side.
enum Other {
    /// Nobody: we did it by ourselves.
    None,
    /// A system that sent to us.
    Sender(String),
    /// A system that we sent to.
    Receiver(String),
    /// A person.
    Person(String),
}

/// What a line is in the words of PS3.15.
struct Event {
    id: Code,
    /// C create, R read, U update, D delete, E execute.
    action: char,
    /// 0 success, 4 minor failure, 8 serious failure.
    outcome: u8,
    other: Other,
}

fn event(line: &AuditLine) -> Event {
    let text = |key: &str| line.detail.get(key).and_then(|v| v.as_str()).map(str::to_owned);
    let count = |key: &str| line.detail.get(key).and_then(serde_json::Value::as_u64).unwrap_or(0);
    let sender = || Other::Sender(text("calling").or_else(|| line.calling_ae.clone()).unwrap_or_default());
    let person = || line.person.clone().map_or(Other::None, Other::Person);
    let (id, action, outcome, other) = match line.event.as_str() {
        "case_opened" | "revision_opened" | "series_complete" => (INSTANCES_TRANSFERRED, 'C', 0, sender()),
        "instance_refused" => (INSTANCES_TRANSFERRED, 'C', 4, sender()),
        "association_refused" => (SECURITY_ALERT, 'E', 4, sender()),
        "delivery_attempted" => {
            let outcome = if count("refused") > 0 { 8 } else { 4 * u8::from(count("later") > 0) };
            (INSTANCES_TRANSFERRED, 'R', outcome, Other::Receiver(text("destination").unwrap_or_default()))
        }
        "result_recorded" => (INSTANCES_ACCESSED, 'C', 0, Other::None),
        "review_recorded" | "case_released" => (INSTANCES_ACCESSED, 'U', 0, person()),
        "case_exported" => (EXPORT, 'R', 0, text("user").map_or(Other::None, Other::Person)),
        "case_purged" => (STUDY_DELETED, 'D', 0, Other::None),
        _ => (APPLICATION_ACTIVITY, 'E', 0, Other::None),
    };
    Event { id, action, outcome, other }
}

/// The message of a line: one line of XML.
pub(super) fn message(line: &AuditLine, origin: &Origin) -> String {
    let event = event(line);
    let mut xml = Xml::default();
    let at = line.at.format(&Rfc3339).unwrap_or_default();
    let (action, outcome) = (event.action.to_string(), event.outcome.to_string());
    xml.open("AuditMessage", &[]);
    let what = [
        ("EventActionCode", action.as_str()),
        ("EventDateTime", at.as_str()),
        ("EventOutcomeIndicator", outcome.as_str()),
    ];
    xml.open("EventIdentification", &what);
    xml.code("EventID", event.id);
    match line.event.as_str() {
        "daemon_started" => xml.code("EventTypeCode", STARTED),
        "daemon_stopping" => xml.code("EventTypeCode", STOPPED),
        _ => {}
    }
    let own =
        [("csd-code", line.event.as_str()), ("codeSystemName", OWN_SCHEME), ("originalText", line.event.as_str())];
    xml.empty("EventTypeCode", &own);
    xml.close("EventIdentification");
    let we = format!("AETITLES={}", origin.ae_title);
    let (other_role, own_role) = match event.other {
        Other::Sender(_) => (SOURCE, DESTINATION),
        Other::Receiver(_) => (DESTINATION, SOURCE),
        Other::None | Other::Person(_) => (APPLICATION, APPLICATION),
    };
    // Who began it: a sender or a person, else we.
    let began = matches!(event.other, Other::Sender(_) | Other::Person(_));
    match &event.other {
        Other::None => {}
        Other::Sender(title) | Other::Receiver(title) => {
            let peer = line.detail.get("peer").and_then(|v| v.as_str()).unwrap_or_default();
            let address = peer.rsplit_once(':').map_or(peer, |(host, _)| host).trim_matches(['[', ']']);
            let mut of = vec![("UserID", title.as_str()), ("UserIsRequestor", if began { "true" } else { "false" })];
            if !address.is_empty() {
                of.extend([("NetworkAccessPointID", address), ("NetworkAccessPointTypeCode", "2")]);
            }
            xml.open("ActiveParticipant", &of);
            xml.code("RoleIDCode", other_role);
            xml.close("ActiveParticipant");
        }
        Other::Person(name) => xml.empty("ActiveParticipant", &[("UserID", name), ("UserIsRequestor", "true")]),
    }
    let of = [
        ("UserID", origin.ae_title.as_str()),
        ("AlternativeUserID", we.as_str()),
        ("UserIsRequestor", if began { "false" } else { "true" }),
        ("NetworkAccessPointID", origin.host.as_str()),
        ("NetworkAccessPointTypeCode", "1"),
    ];
    xml.open("ActiveParticipant", &of);
    xml.code("RoleIDCode", own_role);
    xml.close("ActiveParticipant");
    xml.open("AuditSourceIdentification", &[("AuditSourceID", origin.host.as_str())]);
    // 4: application server process or thread (PS3.15 A.5.2).
    xml.empty("AuditSourceTypeCode", &[("csd-code", "4")]);
    xml.close("AuditSourceIdentification");
    objects(line, &mut xml);
    xml.close("AuditMessage");
    xml.0
}

/// The study, the patient, and the trail.
fn objects(line: &AuditLine, xml: &mut Xml) {
    if let Some(study) = &line.study_uid {
        xml.object(study, "2", "3");
        xml.code("ParticipantObjectIDTypeCode", ("110180", "Study Instance UID"));
        xml.close(OBJECT);
        xml.object(line.patient_id.0.reveal(), "1", "1");
        xml.empty("ParticipantObjectIDTypeCode", &rfc3881("2", "Patient Number"));
        xml.text("ParticipantObjectName", line.patient_name.0.reveal());
        xml.close(OBJECT);
    }
    xml.object("contourd:audit", "2", "13");
    xml.empty("ParticipantObjectIDTypeCode", &rfc3881("12", "URI"));
    xml.text("ParticipantObjectName", "Security Audit Log");
    let place = format!("{}:{}", line.position, hex(&line.hash));
    for (name, value) in [("chain", place), ("detail", line.detail.to_string())] {
        xml.empty("ParticipantObjectDetail", &[("type", name), ("value", &BASE64_STANDARD.encode(value))]);
    }
    xml.close(OBJECT);
}

fn rfc3881(code: &'static str, meaning: &'static str) -> [(&'static str, &'static str); 3] {
    [("csd-code", code), ("codeSystemName", "RFC-3881"), ("originalText", meaning)]
}

/// XML as it is written.
#[derive(Default)]
struct Xml(String);

impl Xml {
    fn tag(&mut self, name: &str, attributes: &[(&str, &str)], end: &str) {
        self.0 += "<";
        self.0 += name;
        for (key, value) in attributes {
            self.0 += " ";
            self.0 += key;
            self.0 += "=\"";
            self.escaped(value);
            self.0 += "\"";
        }
        self.0 += end;
    }

    fn open(&mut self, name: &str, attributes: &[(&str, &str)]) {
        self.tag(name, attributes, ">");
    }

    fn empty(&mut self, name: &str, attributes: &[(&str, &str)]) {
        self.tag(name, attributes, "/>");
    }

    fn close(&mut self, name: &str) {
        self.0 += "</";
        self.0 += name;
        self.0 += ">";
    }

    fn text(&mut self, name: &str, text: &str) {
        self.open(name, &[]);
        self.escaped(text);
        self.close(name);
    }

    /// Begins an object: its name, its kind (1 person, 2 system object), its role (1 patient, 3 report, 13 security resource).
    fn object(&mut self, id: &str, kind: &str, role: &str) {
        let of =
            [("ParticipantObjectID", id), ("ParticipantObjectTypeCode", kind), ("ParticipantObjectTypeCodeRole", role)];
        self.open(OBJECT, &of);
    }

    fn code(&mut self, name: &str, (value, meaning): Code) {
        self.empty(name, &[("csd-code", value), ("codeSystemName", DCM), ("originalText", meaning)]);
    }

    /// Text with its marks written out; what XML has no place for, and line ends, which would split the message, as U+FFFD.
    fn escaped(&mut self, text: &str) {
        for c in text.chars() {
            match c {
                '&' => self.0 += "&amp;",
                '<' => self.0 += "&lt;",
                '>' => self.0 += "&gt;",
                '"' => self.0 += "&quot;",
                c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => self.0.push('\u{fffd}'),
                c => self.0.push(c),
            }
        }
    }
}

#[cfg(test)]
#[path = "message_tests.rs"]
mod tests;
