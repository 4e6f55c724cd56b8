//! What is said of storage commitments (PS3.4 annex J, push model): types, and the data sets that carry them.

use dicom_dictionary_std::tags;

use super::dataset::Attributes;
use crate::ids::{AeTitle, InstanceUid, TransactionUid};

/// Action Type of N-ACTION: commitment is requested. The only one there is.
pub(super) const REQUEST: u16 = 1;
/// Event Type of N-EVENT-REPORT: everything is committed.
pub(super) const ALL_COMMITTED: u16 = 1;
/// Event Type of N-EVENT-REPORT: failures exist.
pub(super) const FAILURES_EXIST: u16 = 2;
/// Longest data set of a request or a report that is taken; each instance in it has about a hundred bytes.
pub(super) const MAX_BYTES: usize = 4 << 20;

/// An instance and its class, as a commitment names it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SopReference {
    /// SOP class UID.
    pub sop_class: String,
    /// SOP Instance UID.
    pub instance: InstanceUid,
}

/// A request for commitment: somebody wants to be sure that these instances are kept, before they are deleted elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitmentRequest {
    /// Names the request and its answer; never used twice.
    pub transaction: TransactionUid,
    /// What is to be committed.
    pub references: Vec<SopReference>,
}

/// Why an instance is not committed: Failure Reason (0008,1197), PS3.3 C.14.1.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct FailureReason(pub u16);

impl FailureReason {
    /// A general failure.
    pub const PROCESSING: Self = Self(0x0110);
    /// The instance is not there.
    pub const NO_SUCH_INSTANCE: Self = Self(0x0112);
    /// The instance is there with another class.
    pub const CLASS_INSTANCE_CONFLICT: Self = Self(0x0119);
    /// Instances of this class are never committed.
    pub const CLASS_NOT_SUPPORTED: Self = Self(0x0122);
    /// The transaction UID is in use.
    pub const DUPLICATE_TRANSACTION: Self = Self(0x0131);
    /// No room.
    pub const RESOURCES: Self = Self(0x0213);

    /// What it means, for a technician.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::PROCESSING => "the remote system failed inside",
            Self::NO_SUCH_INSTANCE => "the remote system does not have the object",
            Self::CLASS_INSTANCE_CONFLICT => "the remote system has the object as one of another class",
            Self::CLASS_NOT_SUPPORTED => "the remote system never commits objects of this class",
            Self::DUPLICATE_TRANSACTION => "the remote system says that the transaction UID was used before",
            Self::RESOURCES => "the remote system is out of resources",
            Self(_) => "for a reason without a meaning for storage commitment",
        }
    }
}

/// The answer to a request for commitment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitmentReport {
    /// Names the request.
    pub transaction: TransactionUid,
    /// What is kept.
    pub committed: Vec<SopReference>,
    /// What is not, and why.
    pub failed: Vec<(SopReference, FailureReason)>,
}

/// What becomes of a request or a report that a peer sent; texts go to the peer as Error Comment and into the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommitmentVerdict {
    /// It is kept and will be acted on, also after a power cut.
    Taken,
    /// This side does not take part in storage commitment.
    NotServed,
    /// No such transaction, or one that is used for something else.
    Refused(String),
    /// It cannot be kept for now.
    Failure(String),
}

/// A request that a peer made, with who made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeersRequest {
    /// Who asks: the answer goes there.
    pub calling: AeTitle,
    /// What is asked.
    pub request: CommitmentRequest,
}

impl CommitmentRequest {
    pub(super) fn encode(&self) -> Vec<u8> {
        let items = self.references.iter().map(item).collect();
        Attributes::default()
            .with_text(tags::TRANSACTION_UID, self.transaction.as_str())
            .with_items(tags::REFERENCED_SOP_SEQUENCE, items)
            .encode()
    }

    pub(super) fn parse(bytes: &[u8]) -> Result<Self, &'static str> {
        let attributes = Attributes::parse(bytes)?;
        let references = attributes.items(tags::REFERENCED_SOP_SEQUENCE);
        let references = references.iter().map(reference).collect::<Result<Vec<_>, _>>()?;
        if references.is_empty() {
            return Err("no instance is referenced");
        }
        Ok(Self { transaction: transaction(&attributes)?, references })
    }
}

impl CommitmentReport {
    /// Event Type.
    pub(super) fn event(&self) -> u16 {
        if self.failed.is_empty() { ALL_COMMITTED } else { FAILURES_EXIST }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut attributes = Attributes::default().with_text(tags::TRANSACTION_UID, self.transaction.as_str());
        if !self.committed.is_empty() {
            let items = self.committed.iter().map(item).collect();
            attributes = attributes.with_items(tags::REFERENCED_SOP_SEQUENCE, items);
        }
        if !self.failed.is_empty() {
            let failed = self.failed.iter();
            let items =
                failed.map(|(reference, why)| item(reference).with_number(tags::FAILURE_REASON, why.0)).collect();
            attributes = attributes.with_items(tags::FAILED_SOP_SEQUENCE, items);
        }
        attributes.encode()
    }

    /// Only what is named counts as committed, whatever the event type says: an instance that is believed to be safe and
    /// is not may be lost.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, &'static str> {
        let attributes = Attributes::parse(bytes)?;
        let committed = attributes.items(tags::REFERENCED_SOP_SEQUENCE).iter().map(reference);
        let failed = attributes.items(tags::FAILED_SOP_SEQUENCE).iter().map(|item| {
            // Type 1; where it is missing all the same, that it failed is what counts.
            let why = item.number(tags::FAILURE_REASON).map_or(FailureReason::PROCESSING, FailureReason);
            Ok::<_, &'static str>((reference(item)?, why))
        });
        Ok(Self {
            transaction: transaction(&attributes)?,
            committed: committed.collect::<Result<_, _>>()?,
            failed: failed.collect::<Result<_, _>>()?,
        })
    }
}

fn item(reference: &SopReference) -> Attributes {
    Attributes::default()
        .with_text(tags::REFERENCED_SOP_CLASS_UID, &reference.sop_class)
        .with_text(tags::REFERENCED_SOP_INSTANCE_UID, reference.instance.as_str())
}

fn reference(item: &Attributes) -> Result<SopReference, &'static str> {
    let instance = item.text(tags::REFERENCED_SOP_INSTANCE_UID).and_then(|uid| InstanceUid::parse(uid).ok());
    // Any UID, checked by the same rule.
    let class = item.text(tags::REFERENCED_SOP_CLASS_UID).and_then(|uid| InstanceUid::parse(uid).ok());
    match (class, instance) {
        (Some(class), Some(instance)) => Ok(SopReference { sop_class: class.into(), instance }),
        _ => Err("a referenced instance lacks its UID or its class"),
    }
}

fn transaction(attributes: &Attributes) -> Result<TransactionUid, &'static str> {
    let text = attributes.text(tags::TRANSACTION_UID);
    text.and_then(|text| TransactionUid::parse(text).ok()).ok_or("no usable Transaction UID")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(uid: &str) -> SopReference {
        SopReference { sop_class: "1.2.840.10008.5.1.4.1.1.481.3".into(), instance: InstanceUid::parse(uid).unwrap() }
    }

    #[test]
    fn requests_and_reports_come_back_as_they_are() {
        let transaction = TransactionUid::fresh();
        let request =
            CommitmentRequest { transaction: transaction.clone(), references: vec![named("1.2"), named("1.23")] };
        assert_eq!(CommitmentRequest::parse(&request.encode()), Ok(request));
        let mut report = CommitmentReport { transaction, committed: vec![named("1.2")], failed: Vec::new() };
        assert_eq!((report.event(), CommitmentReport::parse(&report.encode())), (ALL_COMMITTED, Ok(report.clone())));
        report.failed = vec![(named("1.23"), FailureReason::NO_SUCH_INSTANCE)];
        assert_eq!((report.event(), CommitmentReport::parse(&report.encode())), (FAILURES_EXIST, Ok(report.clone())));
        report.committed.clear();
        assert_eq!(CommitmentReport::parse(&report.encode()), Ok(report));
    }

    #[test]
    fn what_lacks_its_names_is_refused() {
        let nameless = Attributes::default().with_items(tags::REFERENCED_SOP_SEQUENCE, vec![item(&named("1.2"))]);
        assert_eq!(CommitmentRequest::parse(&nameless.encode()), Err("no usable Transaction UID"));
        let with = |attributes: Attributes| attributes.with_text(tags::TRANSACTION_UID, "1.2.3").encode();
        assert_eq!(CommitmentRequest::parse(&with(Attributes::default())), Err("no instance is referenced"));
        let path = Attributes::default()
            .with_text(tags::REFERENCED_SOP_CLASS_UID, "1.2")
            .with_text(tags::REFERENCED_SOP_INSTANCE_UID, "../1");
        let path = Attributes::default().with_items(tags::FAILED_SOP_SEQUENCE, vec![path]);
        let why = "a referenced instance lacks its UID or its class";
        assert_eq!(CommitmentReport::parse(&with(path)), Err(why));
    }
}
