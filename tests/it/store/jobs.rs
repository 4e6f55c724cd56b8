//! Leases, results, revisions.

use super::*;

#[tokio::test]
async fn a_late_slice_makes_a_revision_that_replaces_what_was_delivered() {
    let t = TestStore::new().await;
    let holder = Uuid::new_v4();
    let first = claimed(&t, "1.2.1", holder).await;
    let result = made(&t, first.case.id, 0, "first").await;
    t.pg.finish_job(first.case.id, holder, &going_to(&result, &to(&["PACS"]))).await.unwrap();
    accept(&t, first.case.id, holder, &due(&t, holder, "PACS").await).await;
    assert_eq!(state(&t, first.case.id).await, CaseState::Delivered);

    let (late, revision) = take(&t, "1.2.1", 77).await;
    assert_eq!(revision, 2);
    assert_eq!(t.pg.instances_of("1.2.1", 1).await.unwrap().len(), 3);
    assert_eq!(t.pg.instances_of("1.2.1", 2).await.unwrap().len(), 4);
    assert_eq!(queue_silent(&t.pg, Duration::ZERO).await, [late]);
    let second = t.pg.claim_job(holder, LEASE).await.unwrap().unwrap();
    assert_eq!((second.case.id, second.case.revision), (late, 2));
    assert_eq!(second.predecessors["generic"], result.results[0].instance.as_str());
    assert!(first.predecessors.is_empty());

    let result = made(&t, late, 0, "second").await;
    t.pg.finish_job(late, holder, &going_to(&result, &to(&["PACS"]))).await.unwrap();
    assert_eq!(state(&t, first.case.id).await, CaseState::Delivered, "superseded before the new one arrived");
    accept(&t, late, holder, &due(&t, holder, "PACS").await).await;
    assert_eq!(state(&t, late).await, CaseState::Delivered);
    assert_eq!(state(&t, first.case.id).await, CaseState::Superseded);
}

#[tokio::test]
async fn a_slice_that_comes_during_segmentation_stops_the_incomplete_result() {
    let t = TestStore::new().await;
    let holder = Uuid::new_v4();
    let job = claimed(&t, "1.2.1", holder).await;
    let (late, revision) = take(&t, "1.2.1", 77).await;
    assert_eq!(revision, 2);
    let result = made(&t, job.case.id, 1, "first").await;
    let finished = t.pg.finish_job(job.case.id, holder, &going_to(&result, &to(&["PACS"]))).await.unwrap();
    assert_eq!(finished, Finished::Superseded);
    assert_eq!(state(&t, job.case.id).await, CaseState::Superseded);
    assert_eq!(due(&t, holder, "PACS").await, []);
    queue_silent(&t.pg, Duration::ZERO).await;
    let next = t.pg.claim_job(holder, LEASE).await.unwrap().unwrap();
    assert!(next.case.id == late && next.predecessors.is_empty());
}

#[tokio::test]
async fn only_what_a_destination_has_accepted_is_named_as_predecessor() {
    let t = TestStore::new().await;
    let holder = Uuid::new_v4();
    let first = claimed(&t, "1.2.1", holder).await.case.id;
    let accepted = made(&t, first, 0, "first").await;
    t.pg.finish_job(first, holder, &going_to(&accepted, &to(&["PACS", "TPS"]))).await.unwrap();
    accept(&t, first, holder, &due(&t, holder, "PACS").await).await;
    for (slice, salt) in [(77, "second"), (78, "third")] {
        let (late, _) = take(&t, "1.2.1", slice).await;
        queue_silent(&t.pg, Duration::ZERO).await;
        let job = t.pg.claim_job(holder, LEASE).await.unwrap().unwrap();
        // The second revision was refused everywhere: nobody knows it.
        assert_eq!(job.predecessors["generic"], accepted.results[0].instance.as_str(), "{salt}");
        t.pg.finish_job(late, holder, &going_to(&made(&t, late, 0, salt).await, &to(&["PACS"]))).await.unwrap();
        let no: Vec<_> = due(&t, holder, "PACS").await;
        t.pg.record_attempts(late, holder, &[(no[0].0, Attempt::Refused { error: "no".into() })]).await.unwrap();
    }
}

#[tokio::test]
async fn an_expired_lease_goes_to_another_worker_and_the_first_one_records_nothing() {
    let t = TestStore::new().await;
    let (slow, quick) = (Uuid::new_v4(), Uuid::new_v4());
    let case = claimed(&t, "1.2.1", slow).await.case.id;
    assert!(t.pg.claim_job(quick, LEASE).await.unwrap().is_none(), "a leased job was given away");
    t.pg.extend_job(case, slow, Duration::ZERO).await.unwrap();
    tokio::time::sleep(Duration::from_millis(5)).await;
    let again = t.pg.claim_job(quick, LEASE).await.unwrap().unwrap();
    assert_eq!((again.case.id, again.attempt, again.interruptions), (case, 1, 1));

    let result = made(&t, case, 0, "slow").await;
    let lost = t.pg.finish_job(case, slow, &going_to(&result, &to(&["PACS"]))).await.unwrap_err();
    assert!(matches!(lost, StoreError::LeaseLost(_)), "{lost}");
    assert!(t.pg.extend_job(case, slow, LEASE).await.is_err());
    assert!(t.pg.fail_job(case, slow, "x").await.is_err());
    assert_eq!(t.pg.look_up(&result.results[0].instance).await.unwrap(), Beforehand::Nothing);
    assert_eq!(state(&t, case).await, CaseState::Segmenting);
    let result = made(&t, case, 0, "quick").await;
    assert_eq!(t.pg.finish_job(case, quick, &going_to(&result, &to(&["PACS"]))).await.unwrap(), Finished::Recorded);
}

#[tokio::test]
async fn a_job_given_back_waits_and_says_why() {
    let t = TestStore::new().await;
    let holder = Uuid::new_v4();
    let case = claimed(&t, "1.2.1", holder).await.case.id;
    t.pg.retry_job(case, holder, "the disk is full", Duration::from_secs(60)).await.unwrap();
    let row = t.pg.case(case).await.unwrap().unwrap();
    assert_eq!((row.state, row.reason.as_deref()), (CaseState::Queued, Some("the disk is full")));
    assert!(t.pg.claim_job(holder, LEASE).await.unwrap().is_none(), "the pause was not kept");
    let mut sql = t.sql().await;
    sqlx::query("update jobs set not_before = clock_timestamp()").execute(&mut sql).await.unwrap();
    assert_eq!(t.pg.claim_job(holder, LEASE).await.unwrap().unwrap().attempt, 2);
    t.pg.release_job(case, holder).await.unwrap();
    assert_eq!(t.pg.claim_job(holder, LEASE).await.unwrap().unwrap().attempt, 2, "a shutdown counted as an attempt");
    t.pg.refuse_job(case, holder, "a slice is missing", &json!([{"code": "missing_slice"}]), None).await.unwrap();
    let row = t.pg.case(case).await.unwrap().unwrap();
    assert_eq!((row.state, row.reason.as_deref()), (CaseState::Refused, Some("a slice is missing")));
    assert_eq!(row.refusals[0]["code"], "missing_slice");
    assert!(row.finished_at.is_some());
}

#[tokio::test]
async fn leases_of_a_killed_daemon_do_not_hold_up_the_next_one() {
    let mut t = TestStore::new().await;
    let holder = Uuid::new_v4();
    let case = claimed(&t, "1.2.1", holder).await.case.id;
    t.killed_and_opened_again().await;
    let next = Uuid::new_v4();
    let again = t.pg.claim_job(next, LEASE).await.unwrap().unwrap();
    assert_eq!((again.attempt, again.interruptions), (1, 1), "a killed daemon is no attempt of the case's own");
    let result = made(&t, case, 0, "r").await;
    t.pg.finish_job(case, next, &going_to(&result, &to(&["PACS"]))).await.unwrap();
    assert_eq!(due(&t, next, "PACS").await.len(), 1);
    assert_eq!(due(&t, Uuid::new_v4(), "PACS").await, [], "a leased delivery was given away");
    t.killed_and_opened_again().await;
    assert_eq!(due(&t, Uuid::new_v4(), "PACS").await.len(), 1);
}

#[tokio::test]
async fn a_job_that_was_interrupted_more_than_once_lets_the_others_go_first() {
    let mut t = TestStore::new().await;
    let holder = Uuid::new_v4();
    let first = claimed(&t, "1.2.1", holder).await.case.id;
    for n in 0..3 {
        take(&t, "1.2.22", 900 + n).await;
    }
    let second = queue_silent(&t.pg, Duration::ZERO).await.remove(0);
    t.killed_and_opened_again().await;
    let once = t.pg.claim_job(holder, LEASE).await.unwrap().unwrap();
    assert_eq!((once.case.id, once.interruptions), (first, 1), "one interruption is anybody's");
    t.killed_and_opened_again().await;
    let other = t.pg.claim_job(holder, LEASE).await.unwrap().unwrap();
    assert_eq!((other.case.id, other.attempt, other.interruptions), (second, 1, 0));
    let twice = t.pg.claim_job(holder, LEASE).await.unwrap().unwrap();
    assert_eq!((twice.case.id, twice.attempt, twice.interruptions), (first, 1, 2));
    // A person who asks for another try gets all of them.
    t.pg.fail_job(first, holder, "given up").await.unwrap();
    t.pg.retry_case(first).await.unwrap();
    let anew = t.pg.claim_job(holder, LEASE).await.unwrap().unwrap();
    assert_eq!((anew.case.id, anew.attempt, anew.interruptions), (first, 1, 0));
}

#[tokio::test]
async fn a_result_is_recorded_whole_or_not_at_all() {
    let t = TestStore::new().await;
    let holder = Uuid::new_v4();
    let case = claimed(&t, "1.2.1", holder).await.case.id;
    let mut result = made(&t, case, 2, "r").await;
    let good = result.clone();
    result.results[2].instance = result.results[0].instance.clone();
    let error = t.pg.finish_job(case, holder, &going_to(&result, &to(&["PACS"]))).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Permanent);
    let mut sql = t.sql().await;
    for count in ["select count(*) from structures", "select count(*) from results", "select count(*) from outbox"] {
        let rows: i64 = sqlx::query_scalar(count).fetch_one(&mut sql).await.unwrap();
        assert_eq!(rows, 0, "{count}");
    }
    assert_eq!(state(&t, case).await, CaseState::Segmenting);
    t.pg.finish_job(case, holder, &going_to(&good, &to(&["PACS", "TPS"]))).await.unwrap();
    assert_eq!(t.pg.deliveries_of(case).await.unwrap().len(), 6);
    for made in &good.results {
        assert_eq!(t.pg.look_up(&made.instance).await.unwrap(), Beforehand::OwnResult);
    }
    assert_eq!(t.pg.look_up(&uid(1)).await.unwrap(), Beforehand::Nothing);
}
