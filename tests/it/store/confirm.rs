//! Whether destinations keep what they accepted: what is asked, what an answer changes, and what peers are promised.

use super::*;
use contourd::ids::TransactionUid;
use contourd::store::{NewCommitmentRequest, Retriable, Retried, Unconfirmed};

async fn to_ask(t: &TestStore, destination: &str) -> Option<Unconfirmed> {
    t.pg.claim_unconfirmed(destination, LEASE, 100).await.unwrap()
}

/// A case of `slices` derived slices and a structure set, accepted by these destinations and not confirmed.
async fn accepted_by(t: &TestStore, series: &str, slices: u32, destinations: &[&str]) -> (Uuid, Uuid) {
    let holder = Uuid::new_v4();
    let case = claimed(t, series, holder).await.case.id;
    let result = going_to(&made(t, case, slices, series).await, &to(destinations));
    t.pg.finish_job(case, holder, &result).await.unwrap();
    for destination in destinations {
        send_what_is_due(t, case, holder, destination).await;
    }
    (case, holder)
}

async fn send_what_is_due(t: &TestStore, case: Uuid, holder: Uuid, destination: &str) {
    loop {
        let all: Vec<_> = due(t, holder, destination).await.into_iter().map(|(id, _)| (id, accepted())).collect();
        if all.is_empty() {
            return;
        }
        t.pg.record_attempts(case, holder, &all).await.unwrap();
    }
}

async fn answer(t: &TestStore, asked: &Unconfirmed, what: &Asked, transaction: Option<&TransactionUid>) {
    let all: Vec<_> = asked.items.iter().map(|item| (item.outbox_id, what.clone())).collect();
    t.pg.record_asked(asked.case, &all, transaction).await.unwrap();
}

fn kept() -> Asked {
    Asked::Kept(Confirmation::Committed)
}

fn lost() -> Asked {
    Asked::Lost { why: "it is not there".into(), most: 2 }
}

#[tokio::test]
async fn a_case_is_delivered_when_every_destination_keeps_it_and_sent_when_one_cannot_tell() {
    let t = TestStore::new().await;
    let (case, _) = accepted_by(&t, "1.2.1", 2, &["PACS", "TPS"]).await;
    assert_eq!(state(&t, case).await, CaseState::Delivering, "accepted is not delivered");
    let pacs = to_ask(&t, "PACS").await.unwrap();
    assert_eq!((pacs.case, pacs.items.len(), pacs.items[0].asks), (case, 3, 0));
    assert_eq!(to_ask(&t, "PACS").await, None, "it was asked for twice");
    answer(&t, &pacs, &kept(), None).await;
    assert_eq!(state(&t, case).await, CaseState::Delivering, "the other destination has not said anything");
    let tps = to_ask(&t, "TPS").await.unwrap();
    answer(&t, &tps, &Asked::Untold { why: "it cannot tell".into() }, None).await;
    let row = t.pg.case(case).await.unwrap().unwrap();
    assert_eq!((row.state, row.reason.as_deref()), (CaseState::Sent, Some("TPS: it cannot tell")));
    assert!(row.finished_at.is_some());
    let progress = t.pg.delivery_progress(case).await.unwrap();
    let numbers: Vec<_> = progress.iter().map(|d| (d.total, d.accepted, d.confirmed, d.awaited)).collect();
    assert_eq!(numbers, [(3, 3, 3, 0), (3, 3, 0, 0)]);
    // A late word is as good as an early one.
    answer(&t, &tps, &kept(), None).await;
    let row = t.pg.case(case).await.unwrap().unwrap();
    assert_eq!((row.state, row.reason), (CaseState::Delivered, None));
}

#[tokio::test]
async fn nothing_is_asked_before_everything_was_accepted() {
    let t = TestStore::new().await;
    let holder = Uuid::new_v4();
    let case = claimed(&t, "1.2.1", holder).await.case.id;
    t.pg.finish_job(case, holder, &going_to(&made(&t, case, 2, "r").await, &to(&["PACS"]))).await.unwrap();
    let slices = due(&t, holder, "PACS").await;
    let some: Vec<_> = slices.iter().map(|(id, _)| (*id, accepted())).collect();
    t.pg.record_attempts(case, holder, &some).await.unwrap();
    assert_eq!(to_ask(&t, "PACS").await, None, "the structure set is not there yet");
    send_what_is_due(&t, case, holder, "PACS").await;
    assert_eq!(to_ask(&t, "PACS").await.unwrap().items.len(), 3);
}

#[tokio::test]
async fn what_is_not_there_is_sent_again_so_often_and_then_fails_in_sight() {
    let t = TestStore::new().await;
    let (case, holder) = accepted_by(&t, "1.2.1", 0, &["PACS"]).await;
    for round in 1..=2 {
        let asked = to_ask(&t, "PACS").await.unwrap();
        answer(&t, &asked, &lost(), None).await;
        let row = t.pg.case(case).await.unwrap().unwrap();
        let reason = "PACS: it is not there; it is sent again";
        assert_eq!((row.state, row.reason.as_deref()), (CaseState::Delivering, Some(reason)), "round {round}");
        // The same said twice changes nothing more.
        answer(&t, &asked, &lost(), None).await;
        assert_eq!(t.pg.deliveries_of(case).await.unwrap()[0].resends, round);
        send_what_is_due(&t, case, holder, "PACS").await;
    }
    let asked = to_ask(&t, "PACS").await.unwrap();
    answer(&t, &asked, &lost(), None).await;
    let row = t.pg.case(case).await.unwrap().unwrap();
    let reason = "PACS: it is not there; it was sent 3 times";
    assert_eq!((row.state, row.reason.as_deref()), (CaseState::Failed, Some(reason)));
    // A person may know better.
    assert_eq!(t.pg.retry_case(case).await.unwrap(), Retried::Deliveries { objects: 1 });
    send_what_is_due(&t, case, holder, "PACS").await;
    answer(&t, &to_ask(&t, "PACS").await.unwrap(), &kept(), None).await;
    assert_eq!(state(&t, case).await, CaseState::Delivered);
}

#[tokio::test]
async fn an_earlier_revision_that_is_lost_does_not_follow_a_later_one() {
    let t = TestStore::new().await;
    let (first, holder) = accepted_by(&t, "1.2.1", 0, &["PACS"]).await;
    let waiting = to_ask(&t, "PACS").await.unwrap();
    let (second, _) = take(&t, "1.2.1", 77).await;
    queue_silent(&t.pg, Duration::ZERO).await;
    t.pg.claim_job(holder, LEASE).await.unwrap().unwrap();
    t.pg.finish_job(second, holder, &going_to(&made(&t, second, 0, "second").await, &to(&["PACS"]))).await.unwrap();
    send_what_is_due(&t, second, holder, "PACS").await;
    answer(&t, &to_ask(&t, "PACS").await.unwrap(), &kept(), None).await;
    assert_eq!((state(&t, first).await, state(&t, second).await), (CaseState::Delivering, CaseState::Delivered));
    answer(&t, &waiting, &lost(), None).await;
    assert_eq!(due(&t, holder, "PACS").await, [], "the earlier revision was sent after the later one");
    let left = &t.pg.deliveries_of(first).await.unwrap()[0];
    assert_eq!(left.state, OutboxState::Failed);
    assert!(left.last_error.as_ref().unwrap().contains("a later result takes its place"), "{left:?}");
    assert_eq!((state(&t, first).await, state(&t, second).await), (CaseState::Superseded, CaseState::Delivered));
}

#[tokio::test]
async fn a_revision_that_is_confirmed_after_a_later_one_is_superseded() {
    let t = TestStore::new().await;
    let (first, holder) = accepted_by(&t, "1.2.1", 0, &["PACS"]).await;
    let waiting = to_ask(&t, "PACS").await.unwrap();
    let (second, _) = take(&t, "1.2.1", 77).await;
    queue_silent(&t.pg, Duration::ZERO).await;
    t.pg.claim_job(holder, LEASE).await.unwrap().unwrap();
    t.pg.finish_job(second, holder, &going_to(&made(&t, second, 0, "second").await, &to(&["PACS"]))).await.unwrap();
    send_what_is_due(&t, second, holder, "PACS").await;
    answer(&t, &to_ask(&t, "PACS").await.unwrap(), &kept(), None).await;
    answer(&t, &waiting, &kept(), None).await;
    assert_eq!((state(&t, first).await, state(&t, second).await), (CaseState::Superseded, CaseState::Delivered));
}

#[tokio::test]
async fn a_commitment_is_known_by_its_transaction_over_a_kill_and_its_answer_counts_once() {
    let mut t = TestStore::new().await;
    let (case, _) = accepted_by(&t, "1.2.1", 1, &["PACS"]).await;
    let asked = to_ask(&t, "PACS").await.unwrap();
    let transaction = TransactionUid::fresh();
    t.pg.begin_commitment(&transaction, "PACS", &asked).await.unwrap();
    t.pg.commitment_taken(&transaction, case, "its answer is awaited", Duration::from_secs(600)).await.unwrap();
    let row = t.pg.case(case).await.unwrap().unwrap();
    assert_eq!((row.state, row.reason.as_deref()), (CaseState::Delivering, Some("PACS: its answer is awaited")));
    t.killed_and_opened_again().await;
    assert_eq!(to_ask(&t, "PACS").await, None, "it was asked for again before its time");
    assert!(t.pg.asked_commitment(&TransactionUid::fresh()).await.unwrap().is_none());
    let (known, items) = t.pg.asked_commitment(&transaction).await.unwrap().unwrap();
    assert_eq!((known.destination.as_str(), known.case_id, known.answered, items.len()), ("PACS", case, false, 2));
    assert_eq!(items[0].asks, 1);
    // A person may ask again at once.
    assert_eq!(t.pg.retriable(case).await.unwrap(), Some(Retriable::Deliveries));
    assert_eq!(t.pg.retry_case(case).await.unwrap(), Retried::Deliveries { objects: 2 });
    let again = to_ask(&t, "PACS").await.unwrap();
    assert_eq!(again.items.len(), 2);
    answer(&t, &again, &kept(), Some(&transaction)).await;
    assert_eq!(state(&t, case).await, CaseState::Delivered);
    assert!(t.pg.asked_commitment(&transaction).await.unwrap().unwrap().0.answered);
    // The request that was taken after its answer had come changes nothing.
    t.pg.commitment_taken(&transaction, case, "late", Duration::ZERO).await.unwrap();
    assert_eq!(state(&t, case).await, CaseState::Delivered);
    assert_eq!(to_ask(&t, "PACS").await, None);
}

#[tokio::test]
async fn a_destination_that_is_not_configured_any_more_is_named_where_it_is_to_confirm() {
    let t = TestStore::new().await;
    let (case, _) = accepted_by(&t, "1.2.1", 0, &["OLD"]).await;
    t.pg.explain_waiting(&to(&["PACS"]), "not configured").await.unwrap();
    assert_eq!(t.pg.case(case).await.unwrap().unwrap().reason.as_deref(), Some("OLD: not configured"));
    assert_eq!(t.pg.waiting_deliveries().await.unwrap().count, 1);
}

#[tokio::test]
async fn a_peers_request_is_kept_until_it_was_told() {
    let mut t = TestStore::new().await;
    let (calling, transaction) = (AeTitle::parse("MR1").unwrap(), TransactionUid::parse("1.2.3").unwrap());
    let (one, two) = (uid(1), uid(2));
    let request = |instances| NewCommitmentRequest { calling: &calling, transaction: &transaction, instances };
    let asked = vec![("1.2.840.10008.5.1.4.1.1.4", &one)];
    assert!(t.pg.keep_commitment_request(&request(asked.clone()), LEASE).await.unwrap());
    assert_eq!(t.pg.claim_commitment_request(LEASE).await.unwrap(), None, "its own association has no time to be told");
    assert!(!t.pg.keep_commitment_request(&request(vec![("1.2", &two)]), LEASE).await.unwrap(), "used for another");
    assert!(t.pg.keep_commitment_request(&request(asked.clone()), Duration::ZERO).await.unwrap());
    t.killed_and_opened_again().await;
    let open = t.pg.claim_commitment_request(Duration::ZERO).await.unwrap().unwrap();
    assert_eq!((open.calling_ae.as_str(), open.transaction_uid.as_str(), open.attempts), ("MR1", "1.2.3", 1));
    assert_eq!(open.instances, json!([["1.2.840.10008.5.1.4.1.1.4", one.as_str()]]));
    t.pg.commitment_request_not_told(&open, "no route", Some(Duration::ZERO)).await.unwrap();
    let open = t.pg.claim_commitment_request(Duration::ZERO).await.unwrap().unwrap();
    assert_eq!(open.attempts, 2);
    t.pg.commitment_request_not_told(&open, "no route", None).await.unwrap();
    assert_eq!(t.pg.claim_commitment_request(LEASE).await.unwrap(), None, "it was given up");
    // Who asks again is answered again, also after it was told.
    for _ in 0..2 {
        assert!(t.pg.keep_commitment_request(&request(asked.clone()), Duration::ZERO).await.unwrap());
        assert!(t.pg.claim_commitment_request(LEASE).await.unwrap().is_some());
        t.pg.commitment_request_told("MR1", "1.2.3").await.unwrap();
        assert_eq!(t.pg.claim_commitment_request(Duration::ZERO).await.unwrap(), None);
    }
}
