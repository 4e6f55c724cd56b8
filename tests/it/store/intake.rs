//! Acknowledged instances and the cases they open.

use super::*;

#[tokio::test]
async fn an_instance_is_kept_once_and_other_content_is_a_conflict() {
    let t = TestStore::new().await;
    let (case, revision) = take(&t, "1.2.1", 1).await;
    assert_eq!(revision, 1);
    let again = instance("1.2.1", 1, "pixels");
    assert_eq!(t.pg.accept_instance(&again).await.unwrap(), Intake::AlreadyStored);
    assert_eq!(t.pg.accept_instance(&instance("1.2.1", 1, "other")).await.unwrap(), Intake::Conflict);
    // The same name in another series is no less a conflict, and opens no case.
    assert_eq!(t.pg.accept_instance(&instance("1.2.99", 1, "other")).await.unwrap(), Intake::Conflict);
    let cases: i64 = sqlx::query_scalar("select count(*) from cases").fetch_one(&mut t.sql().await).await.unwrap();
    assert_eq!(cases, 1);
    assert_eq!(t.pg.instances_of("1.2.1", 1).await.unwrap().len(), 1);
    let known = t.pg.known_instance(&uid(1)).await.unwrap().unwrap();
    assert_eq!((known.content_sha256, known.case_id, known.route.as_str()), (again.sha256, case, "all"));
    assert_eq!(state(&t, case).await, CaseState::Receiving);
}

#[tokio::test]
async fn many_associations_open_one_case_and_keep_each_instance_once() {
    let t = TestStore::new().await;
    let tasks: Vec<_> = (0..40)
        .map(|n| {
            let store = t.share();
            tokio::spawn(async move { store.pg.accept_instance(&instance("1.2.1", n % 10, "pixels")).await.unwrap() })
        })
        .collect();
    let mut stored = 0;
    for task in tasks {
        match task.await.unwrap() {
            Intake::Stored { revision, .. } => {
                assert_eq!(revision, 1);
                stored += 1;
            }
            other => assert_eq!(other, Intake::AlreadyStored),
        }
    }
    assert_eq!(stored, 10);
    assert_eq!(t.pg.instances_of("1.2.1", 1).await.unwrap().len(), 10);
}

#[tokio::test]
async fn a_crash_between_file_and_row_leaves_an_instance_that_can_be_sent_again() {
    let mut t = TestStore::new().await;
    let new = instance("1.2.1", 1, "pixels");
    let key = BlobKey::instance(&new.arrival.series, &new.instance, &new.sha256);
    t.blobs.put(&key, Bytes::from_static(b"pixels")).await.unwrap();
    t.killed_and_opened_again().await;
    assert_eq!(t.pg.known_instance(&uid(1)).await.unwrap(), None);
    t.blobs.put(&key, Bytes::from_static(b"pixels")).await.unwrap();
    assert!(matches!(t.pg.accept_instance(&new).await.unwrap(), Intake::Stored { revision: 1, .. }));
    let row = &t.pg.instances_of("1.2.1", 1).await.unwrap()[0];
    assert_eq!(t.blobs.get(&row.blob_key, &row.sha256).await.unwrap(), "pixels");
}

#[tokio::test]
async fn a_damaged_instance_counts_on_its_case_until_it_comes_whole() {
    let t = TestStore::new().await;
    for why in ["cut short", "cut shorter"] {
        t.pg.note_refused_instance(&arrival("1.2.1"), &uid(1), &json!({"message": why})).await.unwrap();
    }
    assert_eq!(t.pg.refused_instances_of("1.2.1").await.unwrap(), [json!({"message": "cut shorter"})]);
    assert_eq!(t.pg.refused_instances_of("1.2.2").await.unwrap(), [json!(null); 0]);
    assert_eq!(queue_silent(&t.pg, Duration::ZERO).await.len(), 1, "it has no case of its own");
    assert_eq!(take(&t, "1.2.1", 1).await.1, 1);
    assert_eq!(t.pg.refused_instances_of("1.2.1").await.unwrap(), [json!(null); 0]);
}

#[tokio::test]
async fn a_damaged_instance_that_comes_again_and_again_opens_one_revision() {
    let t = TestStore::new().await;
    let holder = Uuid::new_v4();
    claimed(&t, "1.2.1", holder).await;
    let note = async |n, why: &str| {
        t.pg.note_refused_instance(&arrival("1.2.1"), &uid(n), &json!({"message": why})).await.unwrap();
        let revisions: i32 =
            sqlx::query_scalar("select max(revision) from cases").fetch_one(&mut t.sql().await).await.unwrap();
        revisions
    };
    assert_eq!(note(70, "cut").await, 2, "the first time counts as a late slice");
    assert_eq!(note(70, "cut again").await, 2);
    queue_silent(&t.pg, Duration::ZERO).await;
    let second = t.pg.claim_job(holder, LEASE).await.unwrap().unwrap();
    assert_eq!(t.pg.refused_instances_of("1.2.1").await.unwrap(), [json!({"message": "cut again"})]);
    t.pg.refuse_job(second.case.id, holder, "cut again", &json!([]), None).await.unwrap();
    for n in 0..5 {
        assert_eq!(note(70, &format!("cut {n}")).await, 2, "the latest revision had this refusal already");
    }
    assert_eq!(state(&t, second.case.id).await, CaseState::Refused);
    assert_eq!(note(71, "another one").await, 3);
    // Under the same name in another series it is that series' own matter.
    t.pg.note_refused_instance(&arrival("1.2.99"), &uid(70), &json!({"message": "x"})).await.unwrap();
    assert_eq!(t.pg.refused_instances_of("1.2.99").await.unwrap(), [json!({"message": "x"})]);
    assert_eq!(t.pg.refused_instances_of("1.2.1").await.unwrap().len(), 2);
}

#[tokio::test]
async fn the_silence_of_one_series_begins_anew_without_the_others() {
    let t = TestStore::new().await;
    let (waited_for, _) = take(&t, "1.2.1", 1).await;
    let (other, _) = take(&t, "1.2.2", 2).await;
    let long_ago = "update cases set last_instance_at = clock_timestamp() - interval '1 hour'";
    sqlx::query(long_ago).execute(&mut t.sql().await).await.unwrap();
    t.pg.begin_silence_anew(&[SeriesUid::parse("1.2.1").unwrap()]).await.unwrap();
    assert_eq!(queue_silent(&t.pg, Duration::from_secs(60)).await, [other]);
    assert_eq!(state(&t, waited_for).await, CaseState::Receiving);
}

#[tokio::test]
async fn a_file_that_was_lost_can_be_written_again_under_another_name() {
    let t = TestStore::new().await;
    take(&t, "1.2.1", 1).await;
    let again = NewInstance { blob_key: "instances/elsewhere.dcm".into(), ..instance("1.2.1", 1, "pixels") };
    let other = NewInstance { blob_key: "instances/wrong.dcm".into(), ..instance("1.2.1", 1, "other content") };
    let known = t.pg.known_instance(&uid(1)).await.unwrap().unwrap();
    t.pg.restore_instance(&again, &known).await.unwrap();
    // It is another file by now than the one that was looked at.
    let changed = KnownInstance { sha256: other.sha256.clone(), ..known };
    t.pg.restore_instance(&other, &changed).await.unwrap();
    let rows = t.pg.instances_of("1.2.1", 1).await.unwrap();
    assert_eq!((rows.len(), rows[0].blob_key.as_str()), (1, "instances/elsewhere.dcm"));
}

#[tokio::test]
async fn a_series_is_queued_after_its_silence_and_opened_again_while_nobody_works_on_it() {
    let t = TestStore::new().await;
    let (case, _) = take(&t, "1.2.1", 1).await;
    assert!(queue_silent(&t.pg, Duration::from_secs(60)).await.is_empty());
    assert_eq!(queue_silent(&t.pg, Duration::ZERO).await, [case]);
    assert!(queue_silent(&t.pg, Duration::ZERO).await.is_empty());
    assert_eq!(state(&t, case).await, CaseState::Queued);
    assert_eq!(take(&t, "1.2.1", 2).await, (case, 1));
    assert_eq!(state(&t, case).await, CaseState::Receiving);
    assert!(t.pg.claim_job(Uuid::new_v4(), LEASE).await.unwrap().is_none());
    assert_eq!(queue_silent(&t.pg, Duration::ZERO).await, [case]);
    assert_eq!(t.pg.claim_job(Uuid::new_v4(), LEASE).await.unwrap().unwrap().case.id, case);
}
