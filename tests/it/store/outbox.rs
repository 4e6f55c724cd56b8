//! Deliveries.

use super::*;
use contourd::store::Retried;

#[tokio::test]
async fn the_structure_set_waits_for_every_derived_slice_and_destinations_not_for_each_other() {
    let t = TestStore::new().await;
    let holder = Uuid::new_v4();
    let case = claimed(&t, "1.2.1", holder).await.case.id;
    let result = made(&t, case, 3, "r").await;
    t.pg.finish_job(case, holder, &going_to(&result, &to(&["PACS", "TPS"]))).await.unwrap();
    let names = |items: &[(i64, String)]| items.iter().map(|(_, uid)| uid.clone()).collect::<Vec<_>>();
    let expected: Vec<String> = result.results.iter().map(|r| r.instance.as_str().to_owned()).collect();

    let slices = due(&t, holder, "PACS").await;
    assert_eq!(names(&slices), expected[..3]);
    accept(&t, case, holder, &slices[..2]).await;
    assert_eq!(due(&t, holder, "PACS").await, [], "a structure set went before its slices");
    accept(&t, case, holder, &slices[2..]).await;
    let set = due(&t, holder, "PACS").await;
    assert_eq!(names(&set), expected[3..]);
    accept(&t, case, holder, &set).await;
    assert_eq!(state(&t, case).await, CaseState::Delivering, "the other destination has nothing yet");

    let batch = t.pg.claim_delivery(holder, "TPS", LEASE, 2).await.unwrap().unwrap();
    assert_eq!(batch.items.len(), 2);
    let batch: Vec<_> = batch.items.into_iter().map(|i| (i.outbox_id, i.sop_instance_uid)).collect();
    accept(&t, case, holder, &batch).await;
    accept(&t, case, holder, &due(&t, holder, "TPS").await).await;
    accept(&t, case, holder, &due(&t, holder, "TPS").await).await;
    assert_eq!(state(&t, case).await, CaseState::Delivered);
    assert!(t.pg.deliveries_of(case).await.unwrap().iter().all(|d| d.state == OutboxState::Accepted));
}

#[tokio::test]
async fn passing_trouble_waits_in_sight_and_what_was_accepted_is_not_sent_again() {
    let t = TestStore::new().await;
    let holder = Uuid::new_v4();
    let case = claimed(&t, "1.2.1", holder).await.case.id;
    let result = made(&t, case, 1, "r").await;
    t.pg.finish_job(case, holder, &going_to(&result, &to(&["PACS"]))).await.unwrap();
    let slice = due(&t, holder, "PACS").await;
    let later = |delay| Attempt::Later { error: "cannot connect".into(), delay };
    t.pg.record_attempts(case, holder, &[(slice[0].0, later(Duration::from_secs(60)))]).await.unwrap();
    assert_eq!(due(&t, holder, "PACS").await, [], "the pause was not kept");
    let row = t.pg.case(case).await.unwrap().unwrap();
    assert_eq!((row.state, row.reason.as_deref()), (CaseState::Delivering, Some("PACS: cannot connect")));

    let mut sql = t.sql().await;
    sqlx::query("update outbox set next_attempt_at = clock_timestamp()").execute(&mut sql).await.unwrap();
    let again = t.pg.claim_delivery(holder, "PACS", LEASE, 9).await.unwrap().unwrap();
    assert_eq!((again.items.len(), again.items[0].attempts), (1, 2));
    // Another worker took over meanwhile; that the first one got it through is true all the same.
    accept(&t, case, Uuid::new_v4(), &slice).await;
    t.pg.record_attempts(case, holder, &[(slice[0].0, later(Duration::ZERO))]).await.unwrap();
    t.pg.record_attempts(case, holder, &[(slice[0].0, Attempt::Refused { error: "no".into() })]).await.unwrap();
    assert_eq!(t.pg.deliveries_of(case).await.unwrap()[0].state, OutboxState::Accepted);
    accept(&t, case, holder, &due(&t, holder, "PACS").await).await;
    let row = t.pg.case(case).await.unwrap().unwrap();
    assert_eq!((row.state, row.reason), (CaseState::Delivered, None));
}

#[tokio::test]
async fn a_refusal_for_good_fails_the_case_in_sight_and_can_be_put_right() {
    let t = TestStore::new().await;
    let holder = Uuid::new_v4();
    let case = claimed(&t, "1.2.1", holder).await.case.id;
    let result = made(&t, case, 2, "r").await;
    t.pg.finish_job(case, holder, &going_to(&result, &to(&["PACS", "TPS"]))).await.unwrap();
    let slices = due(&t, holder, "PACS").await;
    let refused = Attempt::Refused { error: "unknown patient".into() };
    let coerced = Attempt::Accepted { remark: Some("coerced".into()), ask: true };
    t.pg.record_attempts(case, holder, &[(slices[0].0, coerced), (slices[1].0, refused)]).await.unwrap();
    commit(&t, case, &[slices[0].0]).await;
    assert_eq!(due(&t, holder, "PACS").await, [], "the structure set was offered without its slices");
    assert_eq!(state(&t, case).await, CaseState::Delivering, "the other destination is still open");
    accept(&t, case, holder, &due(&t, holder, "TPS").await).await;
    accept(&t, case, holder, &due(&t, holder, "TPS").await).await;
    let row = t.pg.case(case).await.unwrap().unwrap();
    assert_eq!(row.state, CaseState::Failed);
    let reason = row.reason.unwrap();
    assert!(reason.contains("PACS: unknown patient") && !reason.contains("TPS"), "{reason}");
    let states: Vec<OutboxState> = t.pg.deliveries_of(case).await.unwrap().iter().map(|d| d.state).collect();
    assert_eq!(states[..3], [OutboxState::Accepted, OutboxState::Failed, OutboxState::Failed]);

    assert_eq!(t.pg.retry_case(case).await.unwrap(), Retried::Deliveries { objects: 2 });
    let again = due(&t, holder, "PACS").await;
    assert_eq!(again, slices[1..]);
    accept(&t, case, holder, &again).await;
    accept(&t, case, holder, &due(&t, holder, "PACS").await).await;
    assert_eq!(state(&t, case).await, CaseState::Delivered);
}

#[tokio::test]
async fn a_newer_revision_waits_for_the_older_one_at_each_destination() {
    let t = TestStore::new().await;
    let holder = Uuid::new_v4();
    let first = claimed(&t, "1.2.1", holder).await.case.id;
    t.pg.finish_job(first, holder, &going_to(&made(&t, first, 0, "first").await, &to(&["PACS"]))).await.unwrap();
    let (second, _) = take(&t, "1.2.1", 77).await;
    queue_silent(&t.pg, Duration::ZERO).await;
    t.pg.claim_job(holder, LEASE).await.unwrap().unwrap();
    t.pg.finish_job(second, holder, &going_to(&made(&t, second, 0, "second").await, &to(&["PACS"]))).await.unwrap();
    let older = t.pg.claim_delivery(holder, "PACS", LEASE, 9).await.unwrap().unwrap();
    assert_eq!(older.case, first);
    assert!(t.pg.claim_delivery(holder, "PACS", LEASE, 9).await.unwrap().is_none());
    t.pg.record_attempts(first, holder, &[(older.items[0].outbox_id, Attempt::Refused { error: "no".into() })])
        .await
        .unwrap();
    let newer = t.pg.claim_delivery(holder, "PACS", LEASE, 9).await.unwrap().unwrap();
    assert_eq!(newer.case, second);
}

#[tokio::test]
async fn a_destination_that_is_not_configured_is_named_on_the_case() {
    let t = TestStore::new().await;
    let holder = Uuid::new_v4();
    let case = claimed(&t, "1.2.1", holder).await.case.id;
    t.pg.finish_job(case, holder, &going_to(&made(&t, case, 0, "r").await, &to(&["PACS", "OLD"]))).await.unwrap();
    t.pg.explain_waiting(&to(&["PACS"]), "not configured").await.unwrap();
    let row = t.pg.case(case).await.unwrap().unwrap();
    assert_eq!((row.state, row.reason.as_deref()), (CaseState::Delivering, Some("OLD: not configured")));
}

#[tokio::test]
async fn each_destination_gets_the_objects_of_its_profile_and_its_own_predecessor() {
    let t = TestStore::new().await;
    let holder = Uuid::new_v4();
    let first = claimed(&t, "1.2.1", holder).await.case.id;
    // A derived slice and a structure set for the planning system; a structure set and a Segmentation for the archive.
    let for_profile = |mut result: CaseResult, profile: &str, destination: &str| {
        for made in &mut result.results {
            (made.profile, made.destinations) = (profile.into(), to(&[destination]));
        }
        result
    };
    let planning = for_profile(made(&t, first, 1, "planning").await, "eclipse", "TPS");
    let mut archive = for_profile(made(&t, first, 1, "archive").await, "generic", "PACS");
    archive.results[0].kind = ResultKind::StructureSet;
    archive.results[1].kind = ResultKind::Segmentation;
    let results = [planning.results.clone(), archive.results.clone()].concat();
    t.pg.finish_job(first, holder, &CaseResult { results, ..planning.clone() }).await.unwrap();
    let uids = |result: &CaseResult| result.results.iter().map(|r| r.instance.to_string()).collect::<Vec<_>>();
    let names = |items: &[(i64, String)]| items.iter().map(|(_, uid)| uid.clone()).collect::<Vec<_>>();

    let sent = due(&t, holder, "PACS").await;
    assert_eq!(names(&sent), uids(&archive), "the archive waits for no slice that it does not get");
    accept(&t, first, holder, &sent).await;
    let slice = due(&t, holder, "TPS").await;
    assert_eq!(names(&slice), uids(&planning)[..1]);
    accept(&t, first, holder, &slice).await;
    accept(&t, first, holder, &due(&t, holder, "TPS").await).await;
    assert_eq!(state(&t, first).await, CaseState::Delivered);

    take(&t, "1.2.1", 77).await;
    queue_silent(&t.pg, Duration::ZERO).await;
    let next = t.pg.claim_job(holder, LEASE).await.unwrap().unwrap();
    assert_eq!(next.predecessors["eclipse"], uids(&planning)[1]);
    assert_eq!(next.predecessors["generic"], uids(&archive)[0]);
}
