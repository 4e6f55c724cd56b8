//! Cases that are held for a person: every way into that state and out of it.

use super::*;
use contourd::store::{NewRelease, Released, Retried};

const REASON: &str = "bone is brighter than brain: this looks like CT";

/// A case whose result is held, on its way to two destinations, with a slice before the structure set.
async fn held(t: &TestStore, series: &str, holder: Uuid) -> Uuid {
    let case = claimed(t, series, holder).await.case.id;
    let result = going_to(&made(t, case, 1, series).await, &to(&["PACS", "TPS"]));
    let result = CaseResult { held: Some(REASON.into()), ..result };
    assert_eq!(t.pg.finish_job(case, holder, &result).await.unwrap(), Finished::Held);
    case
}

fn release(case_id: Uuid) -> NewRelease {
    NewRelease { case_id, released_by: "Dr A".into(), reason: "seen: a T1 with a large field of view".into() }
}

async fn audited(t: &TestStore, case: Uuid) -> Vec<String> {
    sqlx::query_scalar("select event from audit where case_id = $1 order by id")
        .bind(case)
        .fetch_all(&mut t.sql().await)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_held_case_shows_its_contours_and_sends_nothing_until_a_person_lets_it_go() {
    let t = TestStore::new().await;
    let holder = Uuid::new_v4();
    let case = held(&t, "1.2.1", holder).await;
    let row = t.pg.case(case).await.unwrap().unwrap();
    assert_eq!((row.state, row.reason.as_deref(), row.finished_at), (CaseState::Held, Some(REASON), None));
    assert!(row.held_at.is_some() && row.model_name.is_some());
    assert_eq!(t.pg.structures_of(case).await.unwrap().len(), 12);
    assert_eq!(t.pg.deliveries_of(case).await.unwrap(), []);
    for destination in ["PACS", "TPS"] {
        assert_eq!(due(&t, holder, destination).await, [], "it was sent to {destination}");
    }
    // It waits for a person, not for us; it is neither ended nor to be tried again.
    assert_eq!((t.pg.waiting_cases().await.unwrap().count, t.pg.held_cases().await.unwrap().count), (0, 1));
    assert_eq!(t.pg.retriable(case).await.unwrap(), None);
    assert_eq!(t.pg.retry_case(case).await.unwrap(), Retried::Nothing);
    queue_silent(&t.pg, Duration::ZERO).await;
    assert!(t.pg.claim_job(holder, LEASE).await.unwrap().is_none());
    assert_eq!(state(&t, case).await, CaseState::Held);
    assert_eq!(t.pg.release_of(case).await.unwrap(), None);

    assert_eq!(t.pg.release_case(&release(case)).await.unwrap(), Released::Sent { deliveries: 4 });
    assert_eq!(t.pg.release_case(&release(case)).await.unwrap(), Released::NotHeld, "a second time");
    let row = t.pg.case(case).await.unwrap().unwrap();
    assert_eq!((row.state, row.reason), (CaseState::Delivering, None));
    assert!(row.held_at.is_some(), "that it was held is forgotten");
    let who = t.pg.release_of(case).await.unwrap().unwrap();
    assert_eq!((who.released_by, who.reason), (release(case).released_by, release(case).reason));
    assert_eq!(t.pg.held_cases().await.unwrap().count, 0);
    // From here on as every other: slices first, then the structure set, then delivered.
    for destination in ["PACS", "TPS"] {
        for _ in ["slices", "structure set"] {
            let items = due(&t, holder, destination).await;
            assert_eq!(items.len(), 1);
            accept(&t, case, holder, &items).await;
        }
    }
    assert_eq!(state(&t, case).await, CaseState::Delivered);
    let events = audited(&t, case).await;
    let wanted = ["case_opened", "series_complete", "result_recorded", "case_held", "case_released"];
    assert_eq!(events[..5], wanted, "{events:?}");
    assert_eq!(events.last().map(String::as_str), Some("case_ended"));
    let told: String = sqlx::query_scalar("select string_agg(detail::text, ' ') from audit")
        .fetch_one(&mut t.sql().await)
        .await
        .unwrap();
    assert!(!told.contains("Dr A") && !told.contains("large field"), "the audit trail names the person: {told}");
}

#[tokio::test]
async fn only_what_is_held_is_released_and_a_release_is_never_changed() {
    let t = TestStore::new().await;
    let holder = Uuid::new_v4();
    let not_held = async |case| assert_eq!(t.pg.release_case(&release(case)).await.unwrap(), Released::NotHeld);
    let (case, _) = take(&t, "1.2.1", 1).await;
    not_held(case).await;
    queue_silent(&t.pg, Duration::ZERO).await;
    not_held(case).await;
    t.pg.claim_job(holder, LEASE).await.unwrap().unwrap();
    not_held(case).await;
    t.pg.finish_job(case, holder, &going_to(&made(&t, case, 0, "r").await, &to(&["PACS"]))).await.unwrap();
    not_held(case).await;
    accept(&t, case, holder, &due(&t, holder, "PACS").await).await;
    assert_eq!(state(&t, case).await, CaseState::Delivered);
    not_held(case).await;
    let refused = claimed(&t, "1.2.22", holder).await.case.id;
    t.pg.refuse_job(refused, holder, "a slice is missing", &json!([]), None).await.unwrap();
    not_held(refused).await;
    not_held(Uuid::new_v4()).await;
    assert_eq!(t.pg.release_of(case).await.unwrap(), None);

    let other = held(&t, "1.2.333", holder).await;
    for bad in [
        NewRelease { released_by: String::new(), ..release(other) },
        NewRelease { reason: String::new(), ..release(other) },
    ] {
        assert!(t.pg.release_case(&bad).await.is_err());
        assert_eq!(state(&t, other).await, CaseState::Held, "half a release stayed");
    }
    t.pg.release_case(&release(other)).await.unwrap();
    for query in ["update releases set reason = 'x'", "delete from releases", "truncate releases"] {
        assert!(sqlx::query(query).execute(&mut t.sql().await).await.is_err(), "{query}");
    }
}

#[tokio::test]
async fn a_late_slice_supersedes_a_held_case() {
    let t = TestStore::new().await;
    let holder = Uuid::new_v4();
    let first = held(&t, "1.2.1", holder).await;
    let (second, revision) = take(&t, "1.2.1", 77).await;
    assert_eq!(revision, 2);
    let row = t.pg.case(first).await.unwrap().unwrap();
    assert!(row.state == CaseState::Superseded && row.finished_at.is_some());
    assert!(row.reason.unwrap().contains("next revision"));
    assert_eq!(t.pg.release_case(&release(first)).await.unwrap(), Released::NotHeld);
    queue_silent(&t.pg, Duration::ZERO).await;
    let job = t.pg.claim_job(holder, LEASE).await.unwrap().unwrap();
    assert!(job.case.id == second && job.predecessors.is_empty(), "what was never sent is no predecessor");
    // The second one is fit: it goes its way, the first one stays where it is.
    t.pg.finish_job(second, holder, &going_to(&made(&t, second, 0, "second").await, &to(&["PACS"]))).await.unwrap();
    accept(&t, second, holder, &due(&t, holder, "PACS").await).await;
    assert_eq!(state(&t, second).await, CaseState::Delivered);
    assert_eq!(state(&t, first).await, CaseState::Superseded);
    assert_eq!(t.pg.deliveries_of(first).await.unwrap(), []);
}

#[tokio::test]
async fn a_held_case_outlives_the_daemon_and_a_released_one_waits_for_its_destination() {
    let mut t = TestStore::new().await;
    let holder = Uuid::new_v4();
    let case = held(&t, "1.2.1", holder).await;
    t.killed_and_opened_again().await;
    t.pg.release_all_leases().await.unwrap();
    assert_eq!(state(&t, case).await, CaseState::Held);
    assert_eq!(t.pg.release_case(&release(case)).await.unwrap(), Released::Sent { deliveries: 4 });
    t.killed_and_opened_again().await;
    assert_eq!(due(&t, holder, "PACS").await.len(), 1, "the slice");
    // A destination that refuses it fails the case as any other, and it can be tried again.
    let refused = Attempt::Refused { error: "no".into() };
    for destination in ["PACS", "TPS"] {
        t.pg.release_all_leases().await.unwrap();
        let items = due(&t, holder, destination).await;
        t.pg.record_attempts(case, holder, &[(items[0].0, refused.clone())]).await.unwrap();
    }
    assert_eq!(state(&t, case).await, CaseState::Failed);
    assert_eq!(t.pg.retry_case(case).await.unwrap(), Retried::Deliveries { objects: 4 });
    assert_eq!(state(&t, case).await, CaseState::Delivering);
}
