//! Storage commitment: peers that ask us, and peers that we ask. The peers are written by hand, or our own other side;
//! Orthanc's part is in `confirmation.rs`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use contourd::dicom::net::{
    CommitmentReport, CommitmentRequest, CommitmentVerdict, Doors, FailureClass, FailureReason, Inbox, NetError,
    PeersRequest, Received, ScpConfig, SopReference, StoreVerdict, report_commitment, request_commitment, serve,
};
use contourd::ids::{AeTitle, InstanceUid, TransactionUid};
use dicom_core::value::DataSetSequence;
use dicom_core::{DataElement, VR, dicom_value};
use dicom_dictionary_std::{tags, uids};
use dicom_object::InMemDicomObject;
use dicom_transfer_syntax_registry::entries::IMPLICIT_VR_LITTLE_ENDIAN;
use dicom_ul::pdu::{
    AssociationAC, AssociationRQ, Pdu, PresentationContextProposed, PresentationContextResult,
    PresentationContextResultReason, RequestorRoles, UserVariableItem,
};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::raw::{self, Raw};
use super::sending::{StoreScp, destination, us};

const CLASS: &str = uids::STORAGE_COMMITMENT_PUSH_MODEL;
const WELL_KNOWN: &str = uids::STORAGE_COMMITMENT_PUSH_MODEL_INSTANCE;
const RTSTRUCT: &str = uids::RT_STRUCTURE_SET_STORAGE;
const N_EVENT_REPORT: u16 = 0x0100;
const N_ACTION: u16 = 0x0130;

/// An inbox that keeps the instances of some UIDs, and a record of what it was told.
#[derive(Default)]
pub struct Ledger {
    kept: Vec<&'static str>,
    /// Requests that were taken.
    requests: Mutex<Vec<PeersRequest>>,
    /// Requests whose answer was acknowledged.
    told: Mutex<Vec<TransactionUid>>,
    /// Answers to ours.
    reports: Mutex<Vec<CommitmentReport>>,
    /// Told with each of them.
    heard: Notify,
    /// When set, no answer is ready before it is told.
    gate: Option<Notify>,
}

impl Ledger {
    /// That keeps the instances of these UIDs.
    pub fn keeping(kept: &[&'static str]) -> Self {
        Self { kept: kept.to_vec(), ..Self::default() }
    }
}

impl Inbox for Ledger {
    async fn store(&self, _: Received) -> StoreVerdict {
        StoreVerdict::Stored
    }

    async fn commitment_requested(&self, request: PeersRequest) -> CommitmentVerdict {
        self.requests.lock().unwrap().push(request);
        CommitmentVerdict::Taken
    }

    async fn commitment_answer(&self, request: &PeersRequest) -> Option<CommitmentReport> {
        if let Some(gate) = &self.gate {
            gate.notified().await;
        }
        let references = request.request.references.iter().cloned();
        let (committed, failed): (Vec<_>, Vec<_>) = references.partition(|r| self.kept.contains(&r.instance.as_str()));
        let failed = failed.into_iter().map(|r| (r, FailureReason::NO_SUCH_INSTANCE)).collect();
        Some(CommitmentReport { transaction: request.request.transaction.clone(), committed, failed })
    }

    async fn commitment_told(&self, request: &PeersRequest) {
        self.told.lock().unwrap().push(request.request.transaction.clone());
        self.heard.notify_one();
    }

    async fn commitment_reported(&self, report: CommitmentReport) -> CommitmentVerdict {
        if report.transaction.as_str() == "1.2.999" {
            return CommitmentVerdict::Refused("no such transaction".into());
        }
        self.reports.lock().unwrap().push(report);
        self.heard.notify_one();
        CommitmentVerdict::Taken
    }
}

/// A running SCP over a ledger; ends when dropped.
pub struct Running {
    pub port: u16,
    ledger: Arc<Ledger>,
    _end: DropGuard,
}

pub async fn running(ae_title: &str, ledger: Ledger) -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (port, ledger, end) = (listener.local_addr().unwrap().port(), Arc::new(ledger), CancellationToken::new());
    let config = ScpConfig { ae_title: AeTitle::parse(ae_title).unwrap(), ..ScpConfig::default() };
    tokio::spawn(serve(Doors::plain(listener), config, Arc::clone(&ledger), end.clone()));
    Running { port, ledger, _end: end.drop_guard() }
}

fn named(uid: &str) -> SopReference {
    SopReference { sop_class: RTSTRUCT.into(), instance: InstanceUid::parse(uid).unwrap() }
}

fn request_for(uids: &[&str]) -> CommitmentRequest {
    CommitmentRequest { transaction: TransactionUid::fresh(), references: uids.iter().map(|uid| named(uid)).collect() }
}

/// The data set of a request or a report, by the library's encoder.
fn information(transaction: &str, committed: &[&str], failed: &[&str]) -> Vec<u8> {
    let text = |tag, value: &str| DataElement::new(tag, VR::UI, value);
    let item = |uid: &&str| {
        let reference = [text(tags::REFERENCED_SOP_CLASS_UID, RTSTRUCT), text(tags::REFERENCED_SOP_INSTANCE_UID, uid)];
        InMemDicomObject::from_element_iter(reference)
    };
    let mut object = InMemDicomObject::from_element_iter([text(tags::TRANSACTION_UID, transaction)]);
    let committed: Vec<_> = committed.iter().map(item).collect();
    object.put(DataElement::new(tags::REFERENCED_SOP_SEQUENCE, VR::SQ, DataSetSequence::from(committed)));
    let failed = failed.iter().map(|uid| {
        let mut item = item(uid);
        item.put(DataElement::new(tags::FAILURE_REASON, VR::US, dicom_value!(U16, [0x0112])));
        item
    });
    let failed: Vec<_> = failed.collect();
    if !failed.is_empty() {
        object.put(DataElement::new(tags::FAILED_SOP_SEQUENCE, VR::SQ, DataSetSequence::from(failed)));
    }
    let mut bytes = Vec::new();
    object.write_dataset_with_ts(&mut bytes, &IMPLICIT_VR_LITTLE_ENDIAN.erased()).unwrap();
    bytes
}

fn action(id: u16, instance: &str, kind: u16) -> Vec<u8> {
    raw::command(vec![
        raw::text(tags::REQUESTED_SOP_CLASS_UID, CLASS),
        raw::number(tags::COMMAND_FIELD, N_ACTION),
        raw::number(tags::MESSAGE_ID, id),
        raw::number(tags::COMMAND_DATA_SET_TYPE, 1),
        raw::text(tags::REQUESTED_SOP_INSTANCE_UID, instance),
        raw::number(tags::ACTION_TYPE_ID, kind),
    ])
}

fn event(id: u16, kind: u16) -> Vec<u8> {
    raw::command(vec![
        raw::text(tags::AFFECTED_SOP_CLASS_UID, CLASS),
        raw::number(tags::COMMAND_FIELD, N_EVENT_REPORT),
        raw::number(tags::MESSAGE_ID, id),
        raw::number(tags::COMMAND_DATA_SET_TYPE, 1),
        raw::text(tags::AFFECTED_SOP_INSTANCE_UID, WELL_KNOWN),
        raw::number(tags::EVENT_TYPE_ID, kind),
    ])
}

fn response(operation: u16, id: u16, status: u16) -> Vec<u8> {
    raw::command(vec![
        raw::text(tags::AFFECTED_SOP_CLASS_UID, CLASS),
        raw::number(tags::COMMAND_FIELD, operation | 0x8000),
        raw::number(tags::MESSAGE_ID_BEING_RESPONDED_TO, id),
        raw::number(tags::COMMAND_DATA_SET_TYPE, 0x0101),
        raw::number(tags::STATUS, status),
    ])
}

/// An association with storage commitment on context 1, and the roles that were agreed on.
async fn associate(port: u16, roles: Option<RequestorRoles>) -> (Raw, Vec<RequestorRoles>) {
    let context = PresentationContextProposed {
        id: 1,
        abstract_syntax: CLASS.into(),
        transfer_syntaxes: vec![uids::EXPLICIT_VR_LITTLE_ENDIAN.into(), raw::IMPLICIT.into()],
    };
    let Pdu::AssociationRQ(mut request) = raw::proposal("PACS", vec![context]) else { panic!() };
    let proposed = roles.map(|roles| UserVariableItem::ScuScpRoleSelectionSubItem(CLASS.into(), roles));
    request.user_variables.extend(proposed);
    let mut peer = Raw::connect(port).await;
    peer.send(&Pdu::AssociationRQ(request)).await;
    let answer = peer.receive().await;
    let Some(Pdu::AssociationAC(acceptance)) = answer else { panic!("{answer:?}") };
    assert_eq!(acceptance.presentation_contexts[0].transfer_syntax, raw::IMPLICIT);
    let agreed = acceptance.user_variables.into_iter().filter_map(|item| match item {
        UserVariableItem::ScuScpRoleSelectionSubItem(class, roles) => (class == CLASS).then_some(roles),
        _ => None,
    });
    (peer, agreed.collect())
}

async fn ask(peer: &mut Raw, command: &[u8], data: &[u8]) {
    peer.send(&raw::command_pdu(1, command)).await;
    peer.send(&raw::data_pdu(1, data)).await;
}

async fn release(mut peer: Raw) {
    peer.send(&Pdu::ReleaseRQ).await;
    assert_eq!(peer.receive().await, Some(Pdu::ReleaseRP));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_is_answered_on_the_association_of_its_request() {
    let scp = running("CONTOURD", Ledger::keeping(&["1.2.1"])).await;
    let (mut peer, _) = associate(scp.port, None).await;
    ask(&mut peer, &action(7, WELL_KNOWN, 1), &information("1.2.77", &["1.2.1", "1.2.2"], &[])).await;
    let taken = peer.response().await;
    assert_eq!((taken.status(), taken.answers(), taken.operation()), (0, 7, 0x8130));
    let (context, command, data) = peer.message().await;
    let number = |tag| command.element(tag).unwrap().to_int::<u16>().unwrap();
    assert_eq!((context, number(tags::COMMAND_FIELD), number(tags::EVENT_TYPE_ID)), (1, N_EVENT_REPORT, 2));
    assert_eq!(command.element(tags::AFFECTED_SOP_INSTANCE_UID).unwrap().to_str().unwrap(), WELL_KNOWN);
    let said = raw::read_command(&data);
    assert_eq!(said.element(tags::TRANSACTION_UID).unwrap().to_str().unwrap(), "1.2.77");
    let failed = said.element(tags::FAILED_SOP_SEQUENCE).unwrap().items().unwrap();
    assert_eq!(failed.len(), 1);
    assert_eq!(failed[0].element(tags::REFERENCED_SOP_INSTANCE_UID).unwrap().to_str().unwrap(), "1.2.2");
    assert_eq!(failed[0].element(tags::FAILURE_REASON).unwrap().to_int::<u16>().unwrap(), 0x0112);
    assert_eq!(said.element(tags::REFERENCED_SOP_SEQUENCE).unwrap().items().unwrap().len(), 1);
    assert_eq!(*scp.ledger.told.lock().unwrap(), [], "acknowledged before it was");
    peer.send(&raw::command_pdu(1, &response(N_EVENT_REPORT, number(tags::MESSAGE_ID), 0))).await;
    scp.ledger.heard.notified().await;
    assert_eq!(scp.ledger.told.lock().unwrap()[0].as_str(), "1.2.77");
    assert_eq!(scp.ledger.requests.lock().unwrap()[0].calling.as_str(), "PACS");
    release(peer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_goes_before_its_answer_or_refuses_it_was_not_told() {
    let scp = running("CONTOURD", Ledger { gate: Some(Notify::new()), ..Ledger::default() }).await;
    let (mut peer, _) = associate(scp.port, None).await;
    ask(&mut peer, &action(1, WELL_KNOWN, 1), &information("1.2.77", &["1.2.1"], &[])).await;
    assert_eq!(peer.response().await.status(), 0);
    release(peer).await;
    let gate = scp.ledger.gate.as_ref().unwrap();
    gate.notify_one();

    let (mut peer, _) = associate(scp.port, None).await;
    ask(&mut peer, &action(1, WELL_KNOWN, 1), &information("1.2.78", &["1.2.1"], &[])).await;
    assert_eq!(peer.response().await.status(), 0);
    gate.notify_one();
    let (_, command, _) = peer.message().await;
    let id = command.element(tags::MESSAGE_ID).unwrap().to_int().unwrap();
    peer.send(&raw::command_pdu(1, &response(N_EVENT_REPORT, id, 0x0110))).await;
    // What it says after that is served: it is not out of step.
    ask(&mut peer, &action(2, WELL_KNOWN, 9), &information("1.2.79", &["1.2.1"], &[])).await;
    assert_eq!(peer.response().await.status(), 0x0123);
    release(peer).await;
    assert_eq!(scp.ledger.requests.lock().unwrap().len(), 2);
    assert_eq!(*scp.ledger.told.lock().unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_committed_is_answered_and_the_association_goes_on() {
    let scp = running("CONTOURD", Ledger::default()).await;
    let (mut peer, _) = associate(scp.port, None).await;
    let good = information("1.2.77", &["1.2.1"], &[]);
    let deep = [8, 0, 0x99, 0x11, 0xFF, 0xFF, 0xFF, 0xFF, 0xFE, 0xFF, 0, 0xE0, 0xFF, 0xFF, 0xFF, 0xFF].repeat(500);
    for (what, command, data, status) in [
        ("another instance", action(1, "1.2.3", 1), good.clone(), 0x0112),
        ("another action", action(2, WELL_KNOWN, 2), good.clone(), 0x0123),
        ("no instances", action(3, WELL_KNOWN, 1), information("1.2.77", &[], &[]), 0x0115),
        ("no transaction", action(4, WELL_KNOWN, 1), information("", &["1.2.1"], &[]), 0x0115),
        ("no data set", action(5, WELL_KNOWN, 1), b"GET / HTTP/1.1\r\n".to_vec(), 0x0115),
        ("a deep data set", action(6, WELL_KNOWN, 1), deep, 0x0115),
        ("another event", event(7, 3), good.clone(), 0x0113),
        ("a C-STORE", raw::request(raw::C_STORE, 8, CLASS, Some("1.2.3"), true), good.clone(), 0x0211),
    ] {
        ask(&mut peer, &command, &data).await;
        assert_eq!(peer.response().await.status(), status, "{what}");
    }
    assert_eq!(*scp.ledger.requests.lock().unwrap(), []);
    // A response to an event that was never sent breaks the protocol, as any such response does.
    peer.send(&raw::command_pdu(1, &response(N_EVENT_REPORT, 1, 0))).await;
    peer.expect_abort("a response to nothing").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_answer_to_ours_is_taken_on_an_association_of_the_peer_in_the_role_of_scp() {
    let scp = running("CONTOURD", Ledger::default()).await;
    let as_scp = RequestorRoles { scu: false, scp: true };
    // Some say nothing of roles, and are heard all the same.
    for (roles, agreed) in [(Some(as_scp), vec![as_scp]), (None, Vec::new())] {
        let (mut peer, told) = associate(scp.port, roles).await;
        assert_eq!(told, agreed);
        ask(&mut peer, &event(3, 2), &information("1.2.77", &["1.2.1"], &["1.2.2"])).await;
        let taken = peer.response().await;
        assert_eq!((taken.status(), taken.answers(), taken.operation()), (0, 3, 0x8100));
        let report = scp.ledger.reports.lock().unwrap().pop().unwrap();
        assert_eq!(report.committed, [named("1.2.1")]);
        assert_eq!(report.failed, [(named("1.2.2"), FailureReason::NO_SUCH_INSTANCE)]);
        ask(&mut peer, &event(4, 1), &information("1.2.999", &["1.2.1"], &[])).await;
        assert_eq!(peer.response().await.status(), 0x0115, "a transaction that nobody began");
        release(peer).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn we_ask_and_hear_the_answer_on_the_same_association_or_on_a_new_one() {
    let pacs = running("PACS", Ledger { kept: vec!["1.2.1"], ..Ledger::default() }).await;
    let ours = running("CONTOURD", Ledger::default()).await;
    let request = request_for(&["1.2.1", "1.2.2"]);
    request_commitment(&destination(pacs.port), &us(), &request, ours.ledger.as_ref()).await.unwrap();
    let report = ours.ledger.reports.lock().unwrap().pop().expect("heard before the release");
    assert_eq!(report.transaction, request.transaction);
    assert_eq!((report.committed.len(), report.failed.len()), (1, 1));
    pacs.ledger.heard.notified().await;
    assert_eq!(*pacs.ledger.told.lock().unwrap(), [request.transaction]);

    let to_us = contourd::dicom::net::Destination::new("127.0.0.1", ours.port, "CONTOURD").unwrap();
    let pacs_title = AeTitle::parse("PACS").unwrap();
    report_commitment(&to_us, &pacs_title, &report).await.unwrap();
    assert_eq!(*ours.ledger.reports.lock().unwrap(), std::slice::from_ref(&report));
    let unknown = CommitmentReport { transaction: TransactionUid::parse("1.2.999").unwrap(), ..report };
    let error = report_commitment(&to_us, &pacs_title, &unknown).await.unwrap_err();
    assert!(matches!(error, NetError::Status { status: 0x0115, .. }), "{error}");
    assert!(error.to_string().contains("no such transaction"), "{error}");
}

/// Accepts the next association and everything that is proposed on it.
pub async fn accepted(listener: &TcpListener) -> (Raw, AssociationRQ) {
    let mut raw = Raw::over(listener.accept().await.unwrap().0);
    let Some(Pdu::AssociationRQ(request)) = raw.receive().await else { panic!("no request") };
    let results = request.presentation_contexts.iter().map(|c| PresentationContextResult {
        id: c.id,
        reason: PresentationContextResultReason::Acceptance,
        transfer_syntax: c.transfer_syntaxes[0].clone(),
    });
    let acceptance = AssociationAC {
        protocol_version: 1,
        called_ae_title: request.called_ae_title.clone(),
        calling_ae_title: request.calling_ae_title.clone(),
        application_context_name: request.application_context_name.clone(),
        presentation_contexts: results.collect(),
        user_variables: vec![UserVariableItem::MaxLength(16_384)],
    };
    raw.send(&Pdu::AssociationAC(acceptance)).await;
    (raw, request)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_cannot_or_will_not_commit_is_understood() {
    let ledger = Ledger::default();
    let storescp = StoreScp::start(&[]).await;
    let error = request_commitment(&destination(storescp.port), &us(), &request_for(&["1.2.1"]), &ledger).await;
    assert!(matches!(error, Err(NetError::NotOffered(_))), "{error:?}");

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let to = destination(listener.local_addr().unwrap().port());
    let statuses = BTreeMap::from([(0x0110, Some(FailureClass::Retry)), (0x0124, Some(FailureClass::Setting))]);
    for (status, class) in statuses.into_iter().chain([(0x0211, None), (0x0122, None)]) {
        let peer = async {
            let (mut raw, request) = accepted(&listener).await;
            assert_eq!(request.presentation_contexts[0].abstract_syntax, CLASS);
            let (context, command, data) = raw.message().await;
            let number = |tag| command.element(tag).unwrap().to_int::<u16>().unwrap();
            assert_eq!((number(tags::COMMAND_FIELD), number(tags::ACTION_TYPE_ID)), (N_ACTION, 1));
            let said = raw::read_command(&data);
            assert!(said.element(tags::TRANSACTION_UID).unwrap().to_str().unwrap().starts_with("2.25."));
            raw.send(&raw::command_pdu(context, &response(N_ACTION, number(tags::MESSAGE_ID), status))).await;
            assert_eq!(raw.receive().await, Some(Pdu::ReleaseRQ));
            raw.send(&Pdu::ReleaseRP).await;
        };
        let request = request_for(&["1.2.1"]);
        let (asked, ()) = tokio::join!(async { request_commitment(&to, &us(), &request, &ledger).await }, peer);
        match (asked.unwrap_err(), class) {
            (NetError::NotOffered(_), None) => {}
            (error, Some(class)) => assert_eq!(error.class(), class, "{error}"),
            (error, None) => panic!("{error}"),
        }
    }
    // It closes instead of an answer: whether it has the request is not known.
    let peer = async { drop(accepted(&listener).await) };
    let request = request_for(&["1.2.1"]);
    let (asked, ()) = tokio::join!(async { request_commitment(&to, &us(), &request, &ledger).await }, peer);
    assert_eq!(asked.unwrap_err().class(), FailureClass::Retry);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_of_ours_proposes_the_role_of_scp() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let to = destination(listener.local_addr().unwrap().port());
    let peer = async {
        let (mut raw, request) = accepted(&listener).await;
        let roles = RequestorRoles { scu: false, scp: true };
        let role = UserVariableItem::ScuScpRoleSelectionSubItem(CLASS.into(), roles);
        assert!(request.user_variables.contains(&role), "{:?}", request.user_variables);
        let (context, command, _) = raw.message().await;
        let number = |tag| command.element(tag).unwrap().to_int::<u16>().unwrap();
        assert_eq!((number(tags::COMMAND_FIELD), number(tags::EVENT_TYPE_ID)), (N_EVENT_REPORT, 1));
        raw.send(&raw::command_pdu(context, &response(N_EVENT_REPORT, number(tags::MESSAGE_ID), 0))).await;
        assert_eq!(raw.receive().await, Some(Pdu::ReleaseRQ));
        raw.send(&Pdu::ReleaseRP).await;
    };
    let report =
        CommitmentReport { transaction: TransactionUid::fresh(), committed: vec![named("1.2.1")], failed: Vec::new() };
    let (told, ()) = tokio::join!(async { report_commitment(&to, &us(), &report).await }, peer);
    told.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_answers_late_keeps_nobody_waiting() {
    let pacs = running("PACS", Ledger { gate: Some(Notify::new()), ..Ledger::default() }).await;
    let ledger = Ledger::default();
    let request = request_for(&["1.2.1"]);
    let asked = async { request_commitment(&destination(pacs.port), &us(), &request, &ledger).await };
    tokio::time::timeout(Duration::from_secs(20), asked).await.expect("it waits for ever").unwrap();
    assert_eq!(*ledger.reports.lock().unwrap(), []);
    assert_eq!(pacs.ledger.requests.lock().unwrap().len(), 1);
}
