//! Another attempt at the wish of a person.

use super::*;
use contourd::store::{Retriable, Retried};

async fn audited(t: &TestStore) -> Vec<serde_json::Value> {
    sqlx::query_scalar("select detail from audit where event = 'retry_requested' order by id")
        .fetch_all(&mut t.sql().await)
        .await
        .unwrap()
}

/// Ends every delivery that is due at a destination with this.
async fn end(t: &TestStore, case: Uuid, holder: Uuid, destination: &str, attempt: &Attempt) {
    let ends: Vec<_> = due(t, holder, destination).await.into_iter().map(|(id, _)| (id, attempt.clone())).collect();
    assert!(!ends.is_empty(), "nothing was due at {destination}");
    t.pg.record_attempts(case, holder, &ends).await.unwrap();
    if *attempt == accepted() {
        commit(t, case, &ends.iter().map(|(id, _)| *id).collect::<Vec<_>>()).await;
    }
}

fn refused() -> Attempt {
    Attempt::Refused { error: "unknown patient".into() }
}

fn later() -> Attempt {
    Attempt::Later { error: "cannot connect".into(), delay: Duration::from_secs(600) }
}

#[tokio::test]
async fn deliveries_that_failed_or_wait_are_due_now_and_what_was_accepted_stays() {
    let t = TestStore::new().await;
    let holder = Uuid::new_v4();
    let case = claimed(&t, "1.2.1", holder).await.case.id;
    let destinations = to(&["DONE", "PACS", "TPS"]);
    t.pg.finish_job(case, holder, &going_to(&made(&t, case, 0, "r").await, &destinations)).await.unwrap();
    end(&t, case, holder, "DONE", &accepted()).await;
    end(&t, case, holder, "PACS", &refused()).await;
    end(&t, case, holder, "TPS", &later()).await;
    assert_eq!(due(&t, holder, "TPS").await, [], "the pause was not kept");
    assert_eq!(t.pg.retriable(case).await.unwrap(), Some(Retriable::Deliveries));

    assert_eq!(t.pg.retry_case(case).await.unwrap(), Retried::Deliveries { objects: 2 });
    assert_eq!(audited(&t).await, [json!({"what": "deliveries", "objects": 2})]);
    assert_eq!(t.pg.retry_case(case).await.unwrap(), Retried::Nothing, "it is due already");
    assert_eq!(audited(&t).await.len(), 1);
    assert_eq!(due(&t, holder, "DONE").await, []);
    let again = t.pg.claim_delivery(holder, "PACS", LEASE, 9).await.unwrap().unwrap();
    assert_eq!(again.items[0].attempts, 1, "pauses go on from where they were");
    t.pg.record_attempts(case, holder, &[(again.items[0].outbox_id, refused())]).await.unwrap();
    assert_eq!(state(&t, case).await, CaseState::Delivering);
    end(&t, case, holder, "TPS", &accepted()).await;
    assert_eq!(state(&t, case).await, CaseState::Failed);

    // After the last one, the case is open again, still with its reason, and ends as if nothing had been.
    assert_eq!(t.pg.retry_case(case).await.unwrap(), Retried::Deliveries { objects: 1 });
    let row = t.pg.case(case).await.unwrap().unwrap();
    assert_eq!((row.state, row.finished_at), (CaseState::Delivering, None));
    assert_eq!(row.reason.as_deref(), Some("PACS: unknown patient"));
    end(&t, case, holder, "PACS", &accepted()).await;
    let row = t.pg.case(case).await.unwrap().unwrap();
    assert_eq!((row.state, row.reason), (CaseState::Delivered, None));
    assert_eq!(t.pg.retriable(case).await.unwrap(), None);
    assert_eq!(t.pg.retry_case(case).await.unwrap(), Retried::Nothing);
}

#[tokio::test]
async fn a_failed_job_is_queued_again_with_all_its_attempts() {
    let t = TestStore::new().await;
    let holder = Uuid::new_v4();
    let first = claimed(&t, "1.2.1", holder).await;
    let case = first.case.id;
    t.pg.retry_job(case, holder, "the memory is full", Duration::from_secs(600)).await.unwrap();
    assert_eq!(t.pg.retriable(case).await.unwrap(), Some(Retriable::Job), "a job that waits can be hurried");
    assert_eq!(t.pg.retry_case(case).await.unwrap(), Retried::Job);
    t.pg.claim_job(holder, LEASE).await.unwrap().unwrap();
    t.pg.fail_job(case, holder, "a network is missing").await.unwrap();
    assert_eq!(state(&t, case).await, CaseState::Failed);

    assert_eq!(t.pg.retriable(case).await.unwrap(), Some(Retriable::Job));
    assert_eq!(t.pg.retry_case(case).await.unwrap(), Retried::Job);
    let row = t.pg.case(case).await.unwrap().unwrap();
    assert_eq!((row.state, row.finished_at), (CaseState::Queued, None));
    assert_eq!(audited(&t).await, [json!({"what": "job"}), json!({"what": "job"})]);
    let again = t.pg.claim_job(holder, LEASE).await.unwrap().unwrap();
    assert_eq!((again.case.id, again.attempt, again.created_at), (case, 1, first.created_at));
    t.pg.finish_job(case, holder, &going_to(&made(&t, case, 0, "r").await, &to(&["PACS"]))).await.unwrap();
    assert_eq!(due(&t, holder, "PACS").await.len(), 1);
}

#[tokio::test]
async fn what_is_under_way_or_refused_is_left_as_it_is() {
    let t = TestStore::new().await;
    let holder = Uuid::new_v4();
    let nothing = async |case, wanted: CaseState| {
        assert_eq!(t.pg.retriable(case).await.unwrap(), None, "{wanted:?}");
        assert_eq!(t.pg.retry_case(case).await.unwrap(), Retried::Nothing, "{wanted:?}");
        assert_eq!(state(&t, case).await, wanted);
    };
    let (case, _) = take(&t, "1.2.1", 1).await;
    nothing(case, CaseState::Receiving).await;
    queue_silent(&t.pg, Duration::ZERO).await;
    nothing(case, CaseState::Queued).await;
    t.pg.claim_job(holder, LEASE).await.unwrap().unwrap();
    nothing(case, CaseState::Segmenting).await;
    t.pg.finish_job(case, holder, &going_to(&made(&t, case, 0, "r").await, &to(&["PACS"]))).await.unwrap();
    nothing(case, CaseState::Delivering).await;
    due(&t, holder, "PACS").await;
    nothing(case, CaseState::Delivering).await;
    let other = claimed(&t, "1.2.22", holder).await.case.id;
    t.pg.refuse_job(other, holder, "a slice is missing", &json!([]), None).await.unwrap();
    nothing(other, CaseState::Refused).await;
    nothing_at_all(&t).await;
}

async fn nothing_at_all(t: &TestStore) {
    assert_eq!(t.pg.retry_case(Uuid::new_v4()).await.unwrap(), Retried::Nothing, "of a case that does not exist");
    assert_eq!(audited(t).await.len(), 0);
}

#[tokio::test]
async fn an_earlier_revision_is_not_sent_after_a_later_one_but_what_waits_of_it_goes_first() {
    let t = TestStore::new().await;
    let holder = Uuid::new_v4();
    let first = claimed(&t, "1.2.1", holder).await.case.id;
    let destinations = to(&["PACS", "TPS"]);
    t.pg.finish_job(first, holder, &going_to(&made(&t, first, 0, "first").await, &destinations)).await.unwrap();
    end(&t, first, holder, "PACS", &refused()).await;
    end(&t, first, holder, "TPS", &later()).await;
    let (second, _) = take(&t, "1.2.1", 77).await;
    assert_eq!(t.pg.retriable(first).await.unwrap(), None);
    assert_eq!(t.pg.retry_case(first).await.unwrap(), Retried::Superseded);
    queue_silent(&t.pg, Duration::ZERO).await;
    t.pg.claim_job(holder, LEASE).await.unwrap().unwrap();
    t.pg.finish_job(second, holder, &going_to(&made(&t, second, 0, "second").await, &destinations)).await.unwrap();
    end(&t, second, holder, "PACS", &accepted()).await;
    assert_eq!(due(&t, holder, "TPS").await, [], "the later revision went before the earlier one");
    // The later one waits for the earlier one's pause: both can be hurried, and what had failed stays where it is.
    assert_eq!(t.pg.retry_case(second).await.unwrap(), Retried::Deliveries { objects: 1 });
    end(&t, first, holder, "TPS", &accepted()).await;
    assert_eq!(state(&t, first).await, CaseState::Failed);
    end(&t, second, holder, "TPS", &accepted()).await;
    assert_eq!(state(&t, second).await, CaseState::Delivered);
    assert_eq!(state(&t, first).await, CaseState::Superseded);
    assert_eq!(t.pg.retry_case(first).await.unwrap(), Retried::Superseded);
}
