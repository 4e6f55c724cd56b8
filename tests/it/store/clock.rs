//! A clock that goes back: what was put off until a time that does not come is due all the same.

use super::*;

const FURTHEST: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn what_waits_for_a_time_that_the_clock_has_gone_back_from_is_due() {
    let t = TestStore::new().await;
    let (waiting, _) = take(&t, "1.2.1", 1).await;
    take(&t, "1.2.2", 2).await;
    sqlx::query("update cases set state = 'queued' where series_uid = '1.2.2'")
        .execute(&mut t.sql().await)
        .await
        .unwrap();
    sqlx::query("insert into jobs (case_id) select id from cases where series_uid = '1.2.2'")
        .execute(&mut t.sql().await)
        .await
        .unwrap();
    assert_eq!(t.pg.mend_times(FURTHEST).await.unwrap(), 0);
    // An ordinary pause is left alone.
    let put_off = async |by: &str| {
        for query in [
            format!("update cases set last_instance_at = now() + interval '{by}'"),
            format!("update jobs set not_before = now() + interval '{by}'"),
        ] {
            sqlx::query(sqlx::AssertSqlSafe(query)).execute(&mut t.sql().await).await.unwrap();
        }
    };
    put_off("50 minutes").await;
    assert_eq!(t.pg.mend_times(FURTHEST).await.unwrap(), 1, "no image comes from the future");
    assert!(t.pg.claim_job(Uuid::new_v4(), LEASE).await.unwrap().is_none());
    put_off("1 day").await;
    assert!(queue_silent(&t.pg, Duration::ZERO).await.is_empty());
    assert_eq!(t.pg.mend_times(FURTHEST).await.unwrap(), 2);
    assert_eq!(queue_silent(&t.pg, Duration::ZERO).await, [waiting]);
    assert!(t.pg.claim_job(Uuid::new_v4(), LEASE).await.unwrap().is_some());
}
