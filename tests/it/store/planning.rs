//! Contoured cases and planning CTs: what is due, when anew, in which order it is sent, and when it may go.

use super::purge::reviewed;
use super::*;

/// A complete series of one instance that is kept for planning.
async fn kept(t: &TestStore, series: &str, n: u32, role: CaseRole) -> Uuid {
    kept_with(t, series, n, role, &[]).await
}

/// The same, with what its structure sets say.
async fn kept_with(t: &TestStore, series: &str, n: u32, role: CaseRole, sets: &[PriorSet]) -> Uuid {
    let mut new = instance(series, n, "pixels");
    new.arrival.role = role;
    let Intake::Stored { .. } = t.pg.accept_instance(&new).await.unwrap() else { panic!() };
    queue_silent(&t.pg, Duration::ZERO).await;
    let holder = Uuid::new_v4();
    let job = t.pg.claim_job(holder, LEASE).await.unwrap().unwrap();
    assert_eq!((job.case.series_uid.as_str(), job.case.role), (series, role));
    t.pg.keep_job(job.case.id, holder, "for planning", sets).await.unwrap();
    job.case.id
}

async fn contoured(t: &TestStore, series: &str, held: Option<&str>) -> Uuid {
    let holder = Uuid::new_v4();
    let case = claimed(t, series, holder).await.case.id;
    let result = CaseResult { held: held.map(str::to_owned), ..made(t, case, 0, series).await };
    t.pg.finish_job(case, holder, &going_to(&result, &to(&["pacs"]))).await.unwrap();
    case
}

/// A structure set on a CT, or none, as the outcome of what was claimed.
async fn outcome(t: &TestStore, case: Uuid, salt: Option<&str>) -> PlanningOutcome {
    let mut results = Vec::new();
    if let Some(salt) = salt {
        let set = made(t, case, 0, salt).await.results.remove(0);
        results.push(NewResult { kind: ResultKind::PlanningSet, destinations: to(&["pacs"]), ..set });
    }
    let state = if salt.is_some() { PlanningState::Made } else { PlanningState::Waiting };
    PlanningOutcome { state, outcome: "as told".into(), detail: json!({}), made_with: salt.map(str::to_owned), results }
}

const ROUTES: [&str; 1] = ["all"];

#[tokio::test]
async fn a_case_is_due_on_a_ct_once_and_anew_with_every_other_registration() {
    let t = TestStore::new().await;
    let routes = to(&ROUTES);
    let case = contoured(&t, "1.2.1", None).await;
    assert!(t.pg.claim_planning(&routes).await.unwrap().is_none(), "there is no CT");
    let ct = kept(&t, "1.2.2", 7001, CaseRole::PlanningCt).await;
    assert!(t.pg.claim_planning(&to(&["other"])).await.unwrap().is_none(), "its route asks for none");
    let work = t.pg.claim_planning(&routes).await.unwrap().unwrap();
    assert_eq!((work.case.id, work.ct.id, work.registrations.len(), work.attempt), (case, ct, 0, 1));
    // The daemon ended meanwhile: another attempt, dated the same.
    let again = t.pg.claim_planning(&routes).await.unwrap().unwrap();
    assert_eq!((again.attempt, again.asked_at), (2, work.asked_at));
    t.pg.retry_planning(case, ct, "later", Duration::from_secs(600)).await.unwrap();
    assert!(t.pg.claim_planning(&routes).await.unwrap().is_none(), "not before its time");
    t.pg.record_planning(case, &work.ct, &outcome(&t, case, None).await).await.unwrap();
    assert!(t.pg.claim_planning(&routes).await.unwrap().is_none(), "it waits for a registration");

    let registration = kept(&t, "1.2.3", 7002, CaseRole::Registration).await;
    let work = t.pg.claim_planning(&routes).await.unwrap().unwrap();
    assert_eq!((work.registrations[0].id, work.attempt, work.made_with.clone()), (registration, 1, None));
    t.pg.record_planning(case, &work.ct, &outcome(&t, case, Some("one")).await).await.unwrap();
    assert!(t.pg.claim_planning(&routes).await.unwrap().is_none(), "it is made");
    kept(&t, "1.2.4", 7003, CaseRole::Registration).await;
    let work = t.pg.claim_planning(&routes).await.unwrap().unwrap();
    assert_eq!((work.registrations.len(), work.made_with.as_deref()), (2, Some("one")));
    let view = t.pg.plannings_of(case).await.unwrap();
    assert_eq!((view.len(), view[0].state, view[0].outcome.as_deref()), (1, PlanningState::UnderWay, Some("as told")));
}

#[tokio::test]
async fn a_delivered_case_is_in_delivery_again_and_a_newer_set_follows_the_older_one() {
    let t = TestStore::new().await;
    let routes = to(&ROUTES);
    let case = contoured(&t, "1.2.1", None).await;
    let holder = Uuid::new_v4();
    accept(&t, case, holder, &due(&t, holder, "pacs").await).await;
    assert_eq!(state(&t, case).await, CaseState::Delivered);
    kept(&t, "1.2.2", 7001, CaseRole::PlanningCt).await;
    let work = t.pg.claim_planning(&routes).await.unwrap().unwrap();
    t.pg.record_planning(case, &work.ct, &outcome(&t, case, Some("one")).await).await.unwrap();
    assert_eq!(state(&t, case).await, CaseState::Delivering);
    kept(&t, "1.2.3", 7002, CaseRole::Registration).await;
    let work = t.pg.claim_planning(&routes).await.unwrap().unwrap();
    assert_eq!(work.predecessors.len(), 0, "the first is not there yet");
    t.pg.record_planning(case, &work.ct, &outcome(&t, case, Some("two")).await).await.unwrap();
    let first = due(&t, holder, "pacs").await;
    assert_eq!(first.len(), 1, "the newer one waits: {first:?}");
    assert_eq!(first[0].1, InstanceUid::derive(&["one", "0"]).to_string());
    // Refused for good, it is no failure of the case any more, because the newer one takes its place.
    let refused = Attempt::Refused { error: "unknown patient".into() };
    t.pg.record_attempts(case, holder, &[(first[0].0, refused)]).await.unwrap();
    let second = due(&t, holder, "pacs").await;
    assert_eq!(second[0].1, InstanceUid::derive(&["two", "0"]).to_string());
    accept(&t, case, holder, &second).await;
    assert_eq!(state(&t, case).await, CaseState::Delivered);

    kept(&t, "1.2.4", 7003, CaseRole::Registration).await;
    let work = t.pg.claim_planning(&routes).await.unwrap().unwrap();
    let before = work.predecessors.get("generic").map(String::as_str);
    assert_eq!(before, Some(InstanceUid::derive(&["two", "0"]).as_str()));
    // A daemon that ends takes no attempt: the next one has the same number.
    t.pg.release_planning(case, work.ct.id).await.unwrap();
    let again = t.pg.claim_planning(&routes).await.unwrap().unwrap();
    assert_eq!((again.attempt, work.attempt), (1, 1));
    let refused = PlanningOutcome { state: PlanningState::Refused, ..outcome(&t, case, None).await };
    t.pg.record_planning(case, &work.ct, &refused).await.unwrap();
    let said = t.pg.plannings_of(case).await.unwrap().remove(0).outcome.unwrap();
    assert!(said.ends_with("(the set that was made before stays where it was sent)"), "{said}");
    // What failed and was replaced keeps nobody from forgetting the case.
    reviewed(&t, case).await;
    let now = Some(Duration::ZERO);
    let may_go = t.pg.purgeable(&KeepTimes { delivered: now, refused: None, failed: None }).await.unwrap();
    assert_eq!(may_go.iter().map(|series| series.series_uid.as_str()).collect::<Vec<_>>(), ["1.2.1"]);
}

#[tokio::test]
async fn a_held_case_keeps_its_set_until_it_is_released() {
    let t = TestStore::new().await;
    let case = contoured(&t, "1.2.1", Some("strange")).await;
    kept(&t, "1.2.2", 7001, CaseRole::PlanningCt).await;
    let work = t.pg.claim_planning(&to(&ROUTES)).await.unwrap().unwrap();
    t.pg.record_planning(case, &work.ct, &outcome(&t, case, Some("one")).await).await.unwrap();
    let holder = Uuid::new_v4();
    assert_eq!((state(&t, case).await, due(&t, holder, "pacs").await.len()), (CaseState::Held, 0));
    let release =
        contourd::store::NewRelease { case_id: case, released_by: "Dr. Z".into(), reason: "looked at".into() };
    t.pg.release_case(&release).await.unwrap();
    assert_eq!(due(&t, holder, "pacs").await.len(), 2);
}

#[tokio::test]
async fn what_is_kept_for_planning_goes_with_the_contours_of_its_study() {
    let t = TestStore::new().await;
    let now = Some(Duration::ZERO);
    let times = KeepTimes { delivered: now, refused: None, failed: None };
    let may_go =
        async || -> Vec<String> { t.pg.purgeable(&times).await.unwrap().into_iter().map(|p| p.series_uid).collect() };
    kept(&t, "1.2.2", 7001, CaseRole::PlanningCt).await;
    assert_eq!(may_go().await, [""; 0], "contours may come yet");
    let refused = KeepTimes { refused: now, ..times };
    assert_eq!(t.pg.purgeable(&refused).await.unwrap().len(), 1, "but not for ever");
    let case = contoured(&t, "1.2.1", None).await;
    let holder = Uuid::new_v4();
    accept(&t, case, holder, &due(&t, holder, "pacs").await).await;
    assert_eq!(t.pg.purgeable(&refused).await.unwrap().len(), 0, "nobody has reviewed the contours");
    reviewed(&t, case).await;
    assert_eq!(may_go().await, ["1.2.1"]);
    assert!(t.purge("1.2.1").await.unwrap());
    assert_eq!(may_go().await, ["1.2.2"]);
    assert!(t.purge("1.2.2").await.unwrap());
}

#[tokio::test]
async fn what_a_structure_set_says_is_seen_by_its_images_and_its_frame_and_goes_with_the_contours() {
    let t = TestStore::new().await;
    let set = |n: u32, drawn_on: Option<&str>, frame: Option<&str>| PriorSet {
        sop_instance_uid: uid(n).to_string(),
        label: "Review Mueller".into(),
        approval: "APPROVED".into(),
        made: format!("2026010{}", n - 7000),
        maker: "Planner".into(),
        rois: 3,
        drawn_on: drawn_on.map(str::to_owned),
        frame_uid: frame.map(str::to_owned),
    };
    let case = contoured(&t, "1.2.1", None).await;
    let given = "update cases set frame_uid = '1.2.66' where id = $1";
    sqlx::query(given).bind(case).execute(&mut t.sql().await).await.unwrap();
    let frame = Some("1.2.66");
    let role = CaseRole::StructureSet;
    kept_with(&t, "1.2.2", 7001, role, &[set(7001, Some("1.2.1"), None)]).await;
    kept_with(&t, "1.2.3", 7002, role, &[set(7002, Some("1.2.77"), frame)]).await;
    kept_with(&t, "1.2.4", 7003, role, &[set(7003, Some("1.2.77"), Some("1.2.78"))]).await;
    let seen = t.pg.prior_sets_of(case).await.unwrap();
    let seen: Vec<_> = seen.into_iter().map(|view| (view.set.sop_instance_uid, view.on_these_images)).collect();
    assert_eq!(seen, [(uid(7002).to_string(), false), (uid(7001).to_string(), true)]);

    let holder = Uuid::new_v4();
    accept(&t, case, holder, &due(&t, holder, "pacs").await).await;
    reviewed(&t, case).await;
    let now = Some(Duration::ZERO);
    let times = KeepTimes { delivered: now, refused: now, failed: now };
    assert!(t.purge("1.2.1").await.unwrap());
    for series in ["1.2.2", "1.2.3", "1.2.4"] {
        assert!(t.pg.purgeable(&times).await.unwrap().iter().any(|may| may.series_uid == series), "{series}");
        assert!(t.purge(series).await.unwrap());
    }
    let labels: i64 =
        sqlx::query_scalar("select count(*) from prior_sets").fetch_one(&mut t.sql().await).await.unwrap();
    assert_eq!(labels, 0, "a label may name a patient");
}
