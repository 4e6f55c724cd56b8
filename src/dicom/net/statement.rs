//! What a conformance statement (PS3.2) says of this room, taken from what the room does.

use dicom_core::dictionary::UidDictionary;
use dicom_dictionary_std::{StandardSopClassDictionary, uids};
use dicom_encoding::TransferSyntaxIndex;
use dicom_transfer_syntax_registry::TransferSyntaxRegistry;

use super::status::{Answer, outcome};
use super::storage::{COMMITMENT_SYNTAXES, STORAGE_CLASSES, TRANSFER_SYNTAXES, VERIFICATION_SYNTAXES};
use super::{CommitmentVerdict, FailureClass, SendOutcome, StoreVerdict};

/// A UID with its name in PS3.6.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedUid {
    /// The UID.
    pub uid: String,
    /// Its name.
    pub name: String,
}

/// A SOP class in the roles in which it is taken part in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// SOP class.
    pub class: NamedUid,
    /// On associations that we request.
    pub scu: bool,
    /// On associations that are requested of us.
    pub scp: bool,
    /// Transfer syntaxes that are accepted as SCP, or proposed as SCU.
    pub syntaxes: Vec<NamedUid>,
}

/// A status or a run of them, and what it means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meaning {
    /// First status.
    pub first: u16,
    /// Last status.
    pub last: u16,
    /// In words.
    pub meaning: String,
    /// What follows.
    pub consequence: &'static str,
}

/// Every SOP class but the storage classes that are sent: those depend on what is written.
pub fn services() -> Vec<Service> {
    let service = |uid: &str, scu, scp, syntaxes: &[&str]| Service {
        class: class(uid),
        scu,
        scp,
        syntaxes: syntaxes.iter().map(|uid| syntax(uid)).collect(),
    };
    let implicit = [uids::IMPLICIT_VR_LITTLE_ENDIAN].as_slice();
    let mut all = vec![
        service(uids::VERIFICATION, true, true, VERIFICATION_SYNTAXES),
        service(uids::STORAGE_COMMITMENT_PUSH_MODEL, true, true, COMMITMENT_SYNTAXES),
        service(uids::STUDY_ROOT_QUERY_RETRIEVE_INFORMATION_MODEL_FIND, true, false, implicit),
        service(uids::STUDY_ROOT_QUERY_RETRIEVE_INFORMATION_MODEL_MOVE, true, false, implicit),
    ];
    all.extend(STORAGE_CLASSES.iter().map(|uid| service(uid, false, true, TRANSFER_SYNTAXES)));
    all
}

/// A SOP class with its name.
pub fn class(uid: &str) -> NamedUid {
    let name = StandardSopClassDictionary.by_uid(uid).map_or(uid, |entry| entry.name);
    NamedUid { uid: uid.to_owned(), name: name.to_owned() }
}

/// A transfer syntax with its name.
pub fn syntax(uid: &str) -> NamedUid {
    let name = TransferSyntaxRegistry.get(uid).map_or(uid, |syntax| syntax.name());
    NamedUid { uid: uid.to_owned(), name: name.to_owned() }
}

/// What the SCP answers to C-STORE, in the order of the codes.
pub fn store_answers() -> Vec<(u16, String)> {
    let why = || "why, in words".to_owned();
    let all = [
        Answer::Verdict(StoreVerdict::Stored),
        Answer::Verdict(StoreVerdict::OutOfResources),
        Answer::Verdict(StoreVerdict::DataSetMismatch(why())),
        Answer::Verdict(StoreVerdict::CannotUnderstand(why())),
        Answer::Verdict(StoreVerdict::Failure(why())),
        Answer::NoDataSet,
        Answer::TooLarge,
        Answer::InvalidInstance,
        Answer::ClassNotNegotiated,
        Answer::UnrecognisedOperation,
    ];
    told(&all)
}

/// What the SCP answers to N-ACTION and N-EVENT-REPORT of storage commitment, in the order of the codes.
pub fn commitment_answers() -> Vec<(u16, String)> {
    let why = || "why, in words".to_owned();
    let all = [
        Answer::Commitment(CommitmentVerdict::Taken),
        Answer::Commitment(CommitmentVerdict::Refused(why())),
        Answer::Commitment(CommitmentVerdict::Failure(why())),
        Answer::NoSuchInstance,
        Answer::NoSuchAction,
        Answer::NoSuchEvent,
    ];
    told(&all)
}

fn told(answers: &[Answer]) -> Vec<(u16, String)> {
    let mut rows: Vec<(u16, String)> = answers
        .iter()
        .map(|answer| (answer.code(), answer.comment().unwrap_or_else(|| "success".to_owned())))
        .collect();
    rows.sort();
    rows
}

/// What is made of every status that a C-STORE of ours can be answered with.
pub fn store_outcomes() -> Vec<Meaning> {
    runs((0..=u16::MAX).map(|status| {
        let (meaning, consequence) = match outcome(status, None) {
            SendOutcome::Stored => ("stored".to_owned(), "accepted"),
            SendOutcome::AlreadyThere => ("the remote system has this instance already".to_owned(), "accepted"),
            SendOutcome::StoredWithWarning { message, .. } => (message, "accepted, with a remark on the case"),
            SendOutcome::Failed { class, message, .. } => (message, consequence(class)),
        };
        (status, meaning.split_once(": ").map_or(meaning.as_str(), |(_, words)| words).to_owned(), consequence)
    }))
}

/// What follows from a failure.
pub(crate) fn consequence(class: FailureClass) -> &'static str {
    match class {
        FailureClass::Retry => "sent again, with growing pauses",
        FailureClass::Setting => "sent again, with the longest pause",
        FailureClass::Permanent => "set aside until a person has it tried again",
    }
}

/// Neighbours that mean the same in one row.
pub(crate) fn runs(all: impl Iterator<Item = (u16, String, &'static str)>) -> Vec<Meaning> {
    let mut rows: Vec<Meaning> = Vec::new();
    for (status, meaning, consequence) in all {
        match rows.last_mut() {
            Some(row) if row.meaning == meaning && row.consequence == consequence => row.last = status,
            _ => rows.push(Meaning { first: status, last: status, meaning, consequence }),
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_syntax_and_status_is_there_with_its_name() {
        let all = services();
        for service in &all {
            assert_ne!(service.class.name, service.class.uid);
            assert!(service.syntaxes.iter().all(|s| s.name != s.uid) && !service.syntaxes.is_empty());
        }
        assert_eq!(all.iter().filter(|s| s.scp).count(), STORAGE_CLASSES.len() + 2);
        let rows = store_outcomes();
        assert_eq!((rows[0].first, rows[0].last, rows.last().unwrap().last), (0, 0, u16::MAX));
        assert!(rows.windows(2).all(|pair| u32::from(pair[0].last) + 1 == u32::from(pair[1].first)));
        let row = rows.iter().find(|row| (row.first..=row.last).contains(&0xA7FF)).unwrap();
        assert_eq!((row.first, row.consequence), (0xA700, "sent again, with growing pauses"));
        assert!(store_answers().contains(&(0xA700, "out of resources, send again later".to_owned())));
    }
}
