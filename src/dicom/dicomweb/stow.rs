//! STOW-RS: one request an object, so that each has an answer of its own and one that is refused keeps no other back.

use dicom_dictionary_std::tags;
use hyper::Method;

use super::config::DicomwebService;
use super::json::Item;
use super::line::{Answer, Ask, Connection};
use super::{DICOM_JSON, multipart, status};
use crate::dicom::data::part10_file;
use crate::dicom::net::{FailureClass, NetError, ObjectToSend, SendOutcome, outcome};

/// Longest answer to a request to store one object.
const MOST_BYTES: usize = 1 << 20;

/// Stores `objects`, in order; the answer has one outcome for each, in the same order.
///
/// # Errors
/// [`NetError`] when the first could not be asked for: then nothing was sent. What fails later is told in the outcomes.
pub async fn store(service: &DicomwebService, objects: &[ObjectToSend]) -> Result<Vec<SendOutcome>, NetError> {
    let mut connection = Connection::to(service)?;
    let mut outcomes = Vec::with_capacity(objects.len());
    for object in objects {
        let file = part10_file(&object.sop_class, &object.instance, &object.transfer_syntax, &object.bytes);
        let (content_type, body) = multipart::of_file(&file.map_err(|e| NetError::Unsendable(e.to_string()))?);
        let ask = Ask {
            method: Method::POST,
            resource: "/studies".to_owned(),
            accept: DICOM_JSON,
            content_type,
            body,
            most_bytes: MOST_BYTES,
        };
        match connection.ask(&ask).await {
            Ok(answer) => outcomes.push(judge(object.instance.as_str(), &answer)),
            Err(error) if outcomes.is_empty() => return Err(error),
            Err(error) => {
                let message = format!("not acknowledged: {error}");
                outcomes.push(SendOutcome::Failed { class: error.class(), status: None, message });
            }
        }
    }
    Ok(outcomes)
}

/// What an answer says of the one instance that was to be stored (PS3.18 10.5.3 and table 10.5.3-1).
fn judge(instance: &str, answer: &Answer) -> SendOutcome {
    let is_json = answer.content_type.contains("json");
    let told = if is_json { serde_json::from_slice(&answer.body).ok().and_then(Item::of) } else { None };
    let is_it = |item: &Item| item.text(tags::REFERENCED_SOP_INSTANCE_UID).as_deref() == Some(instance);
    let named = |sequence| told.as_ref().and_then(|told| told.items(sequence).into_iter().find(is_it));
    let failed = named(tags::FAILED_SOP_SEQUENCE);
    // The reasons are the status codes of C-STORE (PS3.18 table 10.5.3-2); one that would be a success is none.
    if let Some(reason) = failed.as_ref().and_then(|failed| failed.number(tags::FAILURE_REASON)) {
        let judged = outcome(reason, None);
        if matches!(judged, SendOutcome::Failed { .. } | SendOutcome::AlreadyThere) {
            return judged;
        }
    }
    let failure =
        |error: NetError| SendOutcome::Failed { class: error.class(), status: None, message: error.to_string() };
    if failed.is_some() || !matches!(answer.status, 200..=202) {
        return failure(status::refused(answer));
    }
    match (&told, named(tags::REFERENCED_SOP_SEQUENCE)) {
        (_, Some(stored)) => match stored.number(tags::WARNING_REASON) {
            None | Some(0) => SendOutcome::Stored,
            Some(reason) => match outcome(reason, None) {
                warned @ SendOutcome::StoredWithWarning { .. } => warned,
                _ => SendOutcome::StoredWithWarning {
                    status: reason,
                    message: format!("stored with warning {reason:04X}"),
                },
            },
        },
        // Success without a word: some answer so, and what is not there is found out by a query.
        (None, None) => SendOutcome::Stored,
        (Some(_), None) => SendOutcome::Failed {
            class: FailureClass::Retry,
            status: None,
            message: format!("its answer ({}) does not name what it was to store", answer.status),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, content_type: &str, body: &str) -> Answer {
        Answer { status, content_type: content_type.to_owned(), body: body.to_owned().into() }
    }

    fn naming(sequence: &str, uid: &str, more: &str) -> String {
        format!(r#"{{"{sequence}":{{"vr":"SQ","Value":[{{"00081155":{{"vr":"UI","Value":["{uid}"]}}{more}}}]}}}}"#)
    }

    #[test]
    fn an_answer_is_judged_by_what_it_says_of_the_instance() {
        let reason = |tag: &str, code: u16| format!(r#","{tag}":{{"vr":"US","Value":[{code}]}}"#);
        let (stored, failed) = ("00081199", "00081198");
        let json = |status, body: &str| judge("1.2.3", &answer(status, DICOM_JSON, body));
        assert_eq!(json(200, &naming(stored, "1.2.3", "")), SendOutcome::Stored);
        let warned = json(202, &naming(stored, "1.2.3", &reason("00081196", 0xB006)));
        assert!(matches!(warned, SendOutcome::StoredWithWarning { status: 0xB006, .. }), "{warned:?}");
        for (code, class) in
            [(0xA700, FailureClass::Retry), (0xC122, FailureClass::Permanent), (0x0124, FailureClass::Setting)]
        {
            let refused = json(409, &naming(failed, "1.2.3", &reason("00081197", code)));
            assert!(matches!(&refused, SendOutcome::Failed { class: c, .. } if *c == class), "{refused:?}");
        }
        assert_eq!(json(409, &naming(failed, "1.2.3", &reason("00081197", 0x0111))), SendOutcome::AlreadyThere);
        // A failure is one, whatever status it comes with and whatever its reason.
        for body in [naming(failed, "1.2.3", ""), naming(failed, "1.2.3", &reason("00081197", 0))] {
            assert!(matches!(json(200, &body), SendOutcome::Failed { .. }), "{body}");
        }
        let other = json(200, &naming(stored, "1.2.4", ""));
        assert!(matches!(other, SendOutcome::Failed { class: FailureClass::Retry, .. }), "{other:?}");
        // Without a body that is understood the status counts.
        assert_eq!(judge("1.2.3", &answer(200, "", "")), SendOutcome::Stored);
        assert_eq!(judge("1.2.3", &answer(200, "application/dicom+xml", "<a/>")), SendOutcome::Stored);
        for (status, class) in
            [(503, FailureClass::Retry), (401, FailureClass::Setting), (409, FailureClass::Permanent)]
        {
            let refused = judge("1.2.3", &answer(status, "text/html", "<p>"));
            assert!(matches!(&refused, SendOutcome::Failed { class: c, .. } if *c == class), "{refused:?}");
        }
    }
}
