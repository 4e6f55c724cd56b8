//! The order of jobs, and a case for each of several models.

use super::*;

/// Three instances of a series with a priority and models; not queued yet.
async fn arrive(t: &TestStore, series: &str, priority: i16, models: &[&str]) {
    for n in 0..3 {
        let mut new = instance(series, series.len() as u32 * 100 + n, "pixels");
        new.arrival.priority = priority;
        new.arrival.models = to(models);
        assert!(matches!(t.pg.accept_instance(&new).await.unwrap(), Intake::Stored { .. }));
    }
}

#[tokio::test]
async fn what_is_urgent_goes_first_and_of_equals_the_oldest() {
    let t = TestStore::new().await;
    let holder = Uuid::new_v4();
    for (series, priority) in [("1.2.1", 5), ("1.2.22", 0), ("1.2.333", 9), ("1.2.4444", 5), ("1.2.55555", 9)] {
        arrive(&t, series, priority, &[]).await;
        queue_silent(&t.pg, Duration::ZERO).await;
    }
    let mut order = Vec::new();
    while let Some(job) = t.pg.claim_job(holder, LEASE).await.unwrap() {
        assert_eq!(job.case.model(), None);
        order.push((job.case.series_uid, job.case.priority));
    }
    let wanted = [("1.2.333", 9), ("1.2.55555", 9), ("1.2.1", 5), ("1.2.4444", 5), ("1.2.22", 0)];
    assert_eq!(order, wanted.map(|(series, priority)| (series.to_owned(), priority)));
}

#[tokio::test]
async fn a_case_that_ends_daemons_lets_others_go_first_however_urgent_it_is() {
    let mut t = TestStore::new().await;
    let holder = Uuid::new_v4();
    arrive(&t, "1.2.1", 9, &[]).await;
    arrive(&t, "1.2.22", 0, &[]).await;
    queue_silent(&t.pg, Duration::ZERO).await;
    for _ in 0..2 {
        assert_eq!(t.pg.claim_job(holder, LEASE).await.unwrap().unwrap().case.series_uid, "1.2.1");
        t.killed_and_opened_again().await;
    }
    assert_eq!(t.pg.claim_job(holder, LEASE).await.unwrap().unwrap().case.series_uid, "1.2.22");
}

#[tokio::test]
async fn a_series_has_a_job_for_each_model_and_one_case_again_when_slices_come_before_anybody_worked_on_it() {
    let t = TestStore::new().await;
    let holder = Uuid::new_v4();
    arrive(&t, "1.2.1", 5, &["a", "b", "c"]).await;
    let count = async || -> i64 {
        sqlx::query_scalar("select count(*) from cases").fetch_one(&mut t.sql().await).await.unwrap()
    };
    assert_eq!(count().await, 1);
    assert_eq!(queue_silent(&t.pg, Duration::ZERO).await.len(), 3);
    assert_eq!(count().await, 3);
    let mut late = instance("1.2.1", 900, "pixels");
    late.arrival.models = to(&["a", "b", "c"]);
    assert!(matches!(t.pg.accept_instance(&late).await.unwrap(), Intake::Stored { revision: 1, .. }));
    assert_eq!(count().await, 1);
    assert!(t.pg.claim_job(holder, LEASE).await.unwrap().is_none(), "it is not complete");
    assert_eq!(queue_silent(&t.pg, Duration::ZERO).await.len(), 3);
    let first = t.pg.claim_job(holder, LEASE).await.unwrap().unwrap();
    assert_eq!((first.case.model(), first.case.sibling), (Some("a"), 0));
    let second = t.pg.claim_job(holder, LEASE).await.unwrap().unwrap();
    assert_eq!((second.case.model(), second.case.revision), (Some("b"), 1));
    // Somebody works on it: the next slice makes a revision, of which every model has its case.
    late.instance = uid(901);
    assert!(matches!(t.pg.accept_instance(&late).await.unwrap(), Intake::Stored { revision: 2, .. }));
    assert_eq!(queue_silent(&t.pg, Duration::ZERO).await.len(), 3);
    let mut models = Vec::new();
    while let Some(job) = t.pg.claim_job(holder, LEASE).await.unwrap() {
        assert_eq!((job.case.revision, t.pg.instances_of(&job.case.series_uid, 2).await.unwrap().len()), (2, 5));
        models.push(job.case.model().unwrap().to_owned());
    }
    assert_eq!(models, ["a", "b", "c"], "the one that waited of the first revision was superseded");
    let known = t.pg.known_instance(&uid(901)).await.unwrap().unwrap();
    assert_eq!(t.pg.case(known.case_id).await.unwrap().unwrap().sibling, 0);
}
