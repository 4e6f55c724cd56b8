//! Whether the PACS keeps what it accepted: asked by commitment or query, answered at once, late, never or with no; and
//! senders who want to know the same of us. Orthanc is both in turn.

use contourd::dicom::net::{CommitmentRequest, SopReference, report_commitment, request_commitment};
use contourd::ids::{InstanceUid, TransactionUid};
use contourd::store::Confirmation;
use serde_json::{Value, json};

use super::*;
use crate::system::Pacs as Orthanc;

/// A PACS whose answers are given by the test, on associations of its own.
#[derive(Default)]
pub struct Notary {
    pub kept: Mutex<Vec<Received>>,
    requests: Mutex<Vec<CommitmentRequest>>,
    /// Answers to its own requests.
    reports: Mutex<Vec<CommitmentReport>>,
}

impl Inbox for Notary {
    async fn store(&self, object: Received) -> StoreVerdict {
        self.kept.lock().unwrap().push(object);
        StoreVerdict::Stored
    }

    async fn commitment_requested(&self, asked: PeersRequest) -> CommitmentVerdict {
        self.requests.lock().unwrap().push(asked.request);
        CommitmentVerdict::Taken
    }

    async fn commitment_reported(&self, report: CommitmentReport) -> CommitmentVerdict {
        self.reports.lock().unwrap().push(report);
        CommitmentVerdict::Taken
    }
}

impl Notary {
    pub fn listen(listener: TcpListener) -> Arc<Self> {
        let notary = Arc::new(Self::default());
        let config = ScpConfig { ae_title: title("PACS"), ..ScpConfig::default() };
        tokio::spawn(serve(Doors::plain(listener), config, Arc::clone(&notary), CancellationToken::new()));
        notary
    }

    /// The requests, as soon as there are so many.
    pub async fn asked(&self, count: usize) -> Vec<CommitmentRequest> {
        for _ in 0..6000 {
            let requests = self.requests.lock().unwrap().clone();
            if requests.len() >= count {
                return requests;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("not {count} requests");
    }
}

/// The answer to a request: yes to all, or no for this reason.
pub fn answer(request: &CommitmentRequest, refused: Option<FailureReason>) -> CommitmentReport {
    let (mut committed, mut failed) = (request.references.clone(), Vec::new());
    if let Some(reason) = refused {
        failed = committed.drain(..).map(|reference| (reference, reason)).collect();
    }
    CommitmentReport { transaction: request.transaction.clone(), committed, failed }
}

async fn tell(running: &Running, report: &CommitmentReport) {
    report_commitment(&running.to, &title("PACS"), report).await.unwrap();
}

pub async fn confirmations(t: &TestStore) -> Vec<(Confirmation, i32)> {
    let case = cases(t).await.remove(0).id;
    t.pg.deliveries_of(case).await.unwrap().iter().map(|row| (row.confirmation, row.resends)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_case_is_delivered_when_the_answer_comes_on_an_association_of_the_pacs_and_not_before() {
    let t = TestStore::new().await;
    let (pacs_listener, pacs_port) = listener().await;
    let pacs = Notary::listen(pacs_listener);
    let running = start(&t, pacs_port, &Arc::new(Threshold::default()), listener().await.0);
    send_all(&running.to, &objects(&series("1.2.826.2", false))).await;
    let first = pacs.asked(1).await.remove(0);
    assert_eq!(first.references.len(), 1);
    assert_eq!(first.references[0].sop_class, RTSTRUCT);
    let reason = loop {
        if let Some(reason) = until(&t, CaseState::Delivering).await.reason {
            break reason;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert_eq!(reason, "archive: accepted; its storage commitment is awaited");
    // Somebody answers what nobody asked; then no, for one reason that passes and one that makes it go out again.
    let nobody = CommitmentReport { transaction: TransactionUid::fresh(), ..answer(&first, None) };
    assert!(report_commitment(&running.to, &title("PACS"), &nobody).await.is_err());
    tell(&running, &answer(&first, Some(FailureReason::RESOURCES))).await;
    let second = pacs.asked(2).await.remove(1);
    assert_ne!(first.transaction, second.transaction, "a transaction UID was used twice");
    assert_eq!(pacs.kept.lock().unwrap().len(), 1);
    tell(&running, &answer(&second, Some(FailureReason::NO_SUCH_INSTANCE))).await;
    let third = pacs.asked(3).await.remove(2);
    let kept = pacs.kept.lock().unwrap().iter().map(|o| (o.instance.clone(), o.dataset.clone())).collect::<Vec<_>>();
    assert_eq!((kept.len(), kept[0] == kept[1]), (2, true), "it goes out again as it was");
    assert_eq!(until(&t, CaseState::Delivering).await.finished_at, None);
    tell(&running, &answer(&third, None)).await;
    assert_eq!(until(&t, CaseState::Delivered).await.reason, None);
    assert_eq!(confirmations(&t).await, [(Confirmation::Committed, 1)]);
    // The same answer once more is acknowledged and changes nothing.
    tell(&running, &answer(&third, None)).await;
    running.daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_does_not_come_is_asked_for_anew_and_counts_when_it_comes_late() {
    let t = TestStore::new().await;
    let (pacs_listener, pacs_port) = listener().await;
    let pacs = Notary::listen(pacs_listener);
    let mut config = config(pacs_port, "bright");
    config.sending.commitment_timeout_seconds = 1;
    let running = launch(&t, config, &Arc::new(Threshold::default()), listener().await.0);
    send_all(&running.to, &objects(&series("1.2.826.2", false))).await;
    let requests = pacs.asked(3).await;
    let transactions: std::collections::BTreeSet<_> = requests.iter().map(|r| r.transaction.clone()).collect();
    assert_eq!(transactions.len(), requests.len(), "a transaction UID was used twice");
    let reason = until(&t, CaseState::Delivering).await.reason.unwrap();
    assert!(reason.contains("does it know our address"), "{reason}");
    assert_eq!(pacs.kept.lock().unwrap().len(), 1, "an answer that does not come is no reason to send again");
    tell(&running, &answer(&requests[0], None)).await;
    until(&t, CaseState::Delivered).await;
    running.daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_can_neither_commit_nor_be_queried_leaves_the_case_sent_and_not_confirmed() {
    let t = TestStore::new().await;
    for (series_uid, confirm, words) in
        [("1.2.826.2", Confirm::Auto, "does not offer queries"), ("1.2.826.3", Confirm::None, "")]
    {
        let (pacs_listener, pacs_port) = listener().await;
        let pacs = Arc::new(Deaf);
        let scp = ScpConfig { ae_title: title("PACS"), ..ScpConfig::default() };
        tokio::spawn(serve(Doors::plain(pacs_listener), scp, pacs, CancellationToken::new()));
        let mut config = config(pacs_port, "bright");
        config.destinations[0].confirm = confirm;
        let running = launch(&t, config, &Arc::new(Threshold::default()), listener().await.0);
        send_all(&running.to, &objects(&series(series_uid, false))).await;
        let case = until(&t, CaseState::Sent).await;
        assert_eq!(case.series_uid, series_uid);
        assert!(case.reason.unwrap_or_default().contains(words));
        assert!(case.finished_at.is_some());
        running.daemon.stop().await;
    }
}

/// A PACS that stores, and does nothing else.
struct Deaf;

impl Inbox for Deaf {
    async fn store(&self, _: Received) -> StoreVerdict {
        StoreVerdict::Stored
    }
}

fn references(objects: &[ObjectToSend]) -> Vec<SopReference> {
    let reference = |o: &ObjectToSend| SopReference { sop_class: o.sop_class.clone(), instance: o.instance.clone() };
    objects.iter().map(reference).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sender_learns_what_is_kept_here_on_its_association_or_later_and_after_a_restart() {
    let mut t = TestStore::new().await;
    let (pacs_listener, pacs_port) = listener().await;
    let running = start(&t, pacs_port, &Arc::new(Threshold::default()), listener().await.0);
    let images = objects(&series("1.2.826.2", false));
    send_all(&running.to, &images).await;
    let mut asked = references(&images);
    asked[1].sop_class = CT.into();
    asked.push(SopReference { sop_class: CT.into(), instance: InstanceUid::parse("1.2.3.4").unwrap() });
    // One file is lost here.
    let lost: String = sqlx::query_scalar("select blob_key from instances where sop_instance_uid = $1")
        .bind(images[2].instance.as_str())
        .fetch_one(&mut t.sql().await)
        .await
        .unwrap();
    std::fs::remove_file(t.blobs_dir().join(lost)).unwrap();
    let sender = Notary::default();
    let request = CommitmentRequest { transaction: TransactionUid::fresh(), references: asked.clone() };
    request_commitment(&running.to, &title("MR1"), &request, &sender).await.unwrap();
    let report = sender.reports.lock().unwrap().pop().expect("answered on the association of the request");
    assert_eq!(report.transaction, request.transaction);
    assert_eq!(report.committed.len(), images.len() - 2);
    let expected = [
        (asked[1].clone(), FailureReason::CLASS_INSTANCE_CONFLICT),
        (asked[2].clone(), FailureReason::NO_SUCH_INSTANCE),
        (asked.last().unwrap().clone(), FailureReason::NO_SUCH_INSTANCE),
    ];
    assert_eq!(report.failed, expected);
    running.daemon.stop().await;

    // A peer that asked and was not told before the daemon was killed: it is told by the next one, at its address.
    let again = CommitmentRequest { transaction: TransactionUid::fresh(), references: references(&images[..1]) };
    let new = contourd::store::NewCommitmentRequest {
        calling: &title("PACS"),
        transaction: &again.transaction,
        instances: again.references.iter().map(|r| (r.sop_class.as_str(), &r.instance)).collect(),
    };
    assert!(t.pg.keep_commitment_request(&new, Duration::ZERO).await.unwrap());
    t.killed_and_opened_again().await;
    let pacs = Notary::listen(pacs_listener);
    let running = start(&t, pacs_port, &Arc::new(Threshold::default()), listener().await.0);
    let report = loop {
        if let Some(report) = pacs.reports.lock().unwrap().pop() {
            break report;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert_eq!(report, answer(&again, None));
    running.daemon.stop().await;
}

/// Orthanc on a port, which knows contourd on the port of this listener.
async fn orthanc(script: &'static str) -> (Orthanc, TcpListener) {
    let (own, own_port) = listener().await;
    let pacs_port = crate::system::free_port();
    let pacs = tokio::task::spawn_blocking(move || Orthanc::start_with(pacs_port, own_port, script)).await.unwrap();
    (pacs, own)
}

#[tokio::test(flavor = "multi_thread")]
async fn orthanc_commits_what_it_was_sent_and_asks_us_for_what_it_sent() {
    let t = TestStore::new().await;
    let (pacs, own) = orthanc("").await;
    let mut config = config(pacs.dicom, "bright");
    config.destinations[0].confirm = Confirm::Auto;
    let running = launch(&t, config, &Arc::new(Threshold::default()), own);
    let images = objects(&series("1.2.826.2", true));
    send_all(&running.to, &images).await;
    until(&t, CaseState::Delivered).await;
    let known = confirmations(&t).await;
    assert!(known.len() > 10 && known.iter().all(|one| *one == (Confirmation::Committed, 0)), "{known:?}");

    // The other way round: one instance that is here, one that is not.
    let instance = |class: &str, uid: &str| json!({"SOPClassUID": class, "SOPInstanceUID": uid});
    let ask = |instances: Vec<Value>| {
        let body = json!({"DicomInstances": instances});
        let begun = pacs.rest("modalities/contourd/storage-commitment", Some(&body)).expect("Orthanc asks");
        crate::system::wait_for("Orthanc's answer", || {
            let path = begun["Path"].as_str().unwrap().trim_start_matches('/').to_owned();
            pacs.rest(&path, None).filter(|said| said["Status"] != "Pending")
        })
    };
    let here = instance(&images[0].sop_class, images[0].instance.as_str());
    let (all, some) = tokio::task::block_in_place(|| {
        (ask(vec![here.clone()]), ask(vec![here.clone(), instance(&images[0].sop_class, "1.2.3.4")]))
    });
    assert_eq!((&all["Status"], all["Success"].as_array().unwrap().len()), (&json!("Success"), 1), "{all}");
    assert_eq!(some["Status"], "Failure", "{some}");
    assert_eq!(some["Failures"][0]["SOPInstanceUID"], "1.2.3.4", "{some}");
    running.daemon.stop().await;
}

/// Orthanc answers a C-STORE with success also when a filter drops the object: nothing but asking finds that out.
#[tokio::test(flavor = "multi_thread")]
async fn what_orthanc_accepted_and_dropped_is_found_out_by_query_and_by_commitment() {
    let drop_all = "function ReceivedInstanceFilter(dicom, origin, info)\n  return false\nend\n";
    for confirm in [Confirm::Query, Confirm::Commitment] {
        let t = TestStore::new().await;
        let (pacs, own) = orthanc(drop_all).await;
        let mut config = config(pacs.dicom, "bright");
        config.destinations[0].confirm = confirm;
        config.sending.max_resends = 1;
        let running = launch(&t, config, &Arc::new(Threshold::default()), own);
        send_all(&running.to, &objects(&series("1.2.826.2", false))).await;
        let reason = until(&t, CaseState::Failed).await.reason.unwrap();
        let words = if confirm == Confirm::Query { "queries do not find it" } else { "0112" };
        assert!(reason.contains(words) && reason.contains("it was sent 2 times"), "{reason}");
        running.daemon.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn orthanc_is_queried_for_what_it_was_sent() {
    let t = TestStore::new().await;
    let (pacs, own) = orthanc("").await;
    let mut config = config(pacs.dicom, "bright");
    config.destinations[0].confirm = Confirm::Query;
    let running = launch(&t, config, &Arc::new(Threshold::default()), own);
    send_all(&running.to, &objects(&series("1.2.826.2", true))).await;
    until(&t, CaseState::Delivered).await;
    let known = confirmations(&t).await;
    assert!(known.len() > 10 && known.iter().all(|one| *one == (Confirmation::Found, 0)), "{known:?}");
    running.daemon.stop().await;
}
