//! STOW-RS: one request an object, so that each has an answer of its own and one that is refused keeps no other back.

use dicom_dictionary_std::tags;
use hyper::Method;
use serde_json::Value;

use super::config::DicomwebService;
use super::json::Item;
use super::line::{Answer, Ask, Connection};
use super::{DICOM_JSON, multipart, status};
use crate::dicom::data::part10_file;
use crate::dicom::net::{FailureClass, NetError, ObjectToSend, SendOutcome, outcome};

/// Longest answer to a request to store one object.
const MOST_BYTES: usize = 1 << 20;

/// Azure's service: the instance is there already, and: it is being stored by somebody else at this moment.
const ALREADY_THERE: u16 = 0xB00E;
const UNDER_WAY: u16 = 0xB00F;

/// Stores `objects`, in order; the answer has one outcome for each, in the same order. With one that gets no answer it ends:
/// a service that hangs would be waited for once for each.
///
/// # Errors
/// [`NetError`] when the first got no answer: then none is known to be there. What fails later is told in the outcomes.
pub async fn store(service: &DicomwebService, objects: &[ObjectToSend]) -> Result<Vec<SendOutcome>, NetError> {
    let mut connection = Connection::to(service)?;
    let mut outcomes = Vec::with_capacity(objects.len());
    for object in objects {
        let file = part10_file(&object.sop_class, &object.instance, &object.transfer_syntax, &object.bytes);
        let (content_type, body) = match file {
            Ok(file) => multipart::of_file(&file),
            Err(error) => {
                outcomes.push(failure(&NetError::Unsendable(error.to_string())));
                continue;
            }
        };
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
                break;
            }
        }
    }
    outcomes.resize_with(objects.len(), || SendOutcome::Failed {
        class: FailureClass::Retry,
        status: None,
        message: "not sent: the service did not answer for an object before this one".to_owned(),
    });
    Ok(outcomes)
}

fn failure(error: &NetError) -> SendOutcome {
    SendOutcome::Failed { class: error.class(), status: None, message: error.to_string() }
}

/// What an answer says of the one instance that was to be stored (PS3.18 10.5.3 and table 10.5.3-1).
fn judge(instance: &str, answer: &Answer) -> SendOutcome {
    let told = told(answer);
    let is_it = |item: &Item| item.text(tags::REFERENCED_SOP_INSTANCE_UID).as_deref() == Some(instance);
    let named = |sequence| told.as_ref().and_then(|told| told.items(sequence).into_iter().find(is_it));
    if let Some(failed) = named(tags::FAILED_SOP_SEQUENCE) {
        // The reasons are the status codes of C-STORE (PS3.18 table 10.5.3-2), where services have none of their own.
        return match failed.number(tags::FAILURE_REASON) {
            Some(ALREADY_THERE) => SendOutcome::AlreadyThere,
            Some(UNDER_WAY) => SendOutcome::Failed {
                class: FailureClass::Retry,
                status: Some(UNDER_WAY),
                message: "it is being stored there at this moment".to_owned(),
            },
            Some(reason) => match outcome(reason, None) {
                // A failure is one, whatever its reason.
                SendOutcome::Stored | SendOutcome::StoredWithWarning { .. } => failure(&status::refused(answer)),
                judged => judged,
            },
            None => failure(&status::refused(answer)),
        };
    }
    if !matches!(answer.status, 200..=299) {
        return failure(&status::refused(answer));
    }
    if let Some(stored) = named(tags::REFERENCED_SOP_SEQUENCE) {
        return match stored.number(tags::WARNING_REASON) {
            None | Some(0) => SendOutcome::Stored,
            Some(reason) => match outcome(reason, None) {
                warned @ SendOutcome::StoredWithWarning { .. } => warned,
                _ => SendOutcome::StoredWithWarning {
                    status: reason,
                    message: format!("stored with warning {reason:04X}"),
                },
            },
        };
    }
    // Success without a word. 202 says that something is to be said.
    if answer.body.is_empty() && answer.status != 202 {
        return SendOutcome::Stored;
    }
    let (class, what) = if told.is_some() {
        (FailureClass::Retry, "does not name what it was to store")
    } else if answer.content_type.contains("html") {
        (FailureClass::Setting, "is a page for people; is url right?")
    } else {
        (FailureClass::Retry, "is no DICOM JSON that can be read")
    };
    SendOutcome::Failed { class, status: None, message: format!("its answer ({}) {what}", answer.status) }
}

/// The data set of an answer; some put it into a list.
fn told(answer: &Answer) -> Option<Item> {
    match serde_json::from_slice(&answer.body).ok()? {
        Value::Array(mut list) if list.len() == 1 => Item::of(list.remove(0)),
        one => Item::of(one),
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
        let listed = format!("[{}]", naming(failed, "1.2.3", &reason("00081197", 0xB00F)));
        for (body, class) in [
            (listed, FailureClass::Retry),
            (naming(failed, "1.2.3", &reason("00081197", 0xC000)), FailureClass::Permanent),
        ] {
            let refused = json(200, &body);
            assert!(matches!(&refused, SendOutcome::Failed { class: c, .. } if *c == class), "{refused:?}");
        }
        assert_eq!(json(409, &naming(failed, "1.2.3", &reason("00081197", 0xB00E))), SendOutcome::AlreadyThere);
        // Success without a word is success; one with a word that is not understood is none.
        assert_eq!(judge("1.2.3", &answer(200, "", "")), SendOutcome::Stored);
        assert_eq!(judge("1.2.3", &answer(204, "", "")), SendOutcome::Stored);
        for (status, kind, body, class) in [
            (202, "", "", FailureClass::Retry),
            (200, "application/dicom+xml", "<a/>", FailureClass::Retry),
            (200, DICOM_JSON, "{", FailureClass::Retry),
            (200, "text/html; charset=utf-8", "<p>Log in", FailureClass::Setting),
        ] {
            let unread = judge("1.2.3", &answer(status, kind, body));
            assert!(matches!(&unread, SendOutcome::Failed { class: c, .. } if *c == class), "{unread:?}");
        }
        for (status, class) in
            [(503, FailureClass::Retry), (401, FailureClass::Setting), (409, FailureClass::Permanent)]
        {
            let refused = judge("1.2.3", &answer(status, "text/html", "<p>"));
            assert!(matches!(&refused, SendOutcome::Failed { class: c, .. } if *c == class), "{refused:?}");
        }
    }
}
