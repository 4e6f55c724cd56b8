//! What need not be kept goes, with its files and the patient's name; everything else stays.

use super::*;
use crate::support::files_below;

const NOW: KeepTimes =
    KeepTimes { delivered: Some(Duration::ZERO), refused: Some(Duration::ZERO), failed: Some(Duration::ZERO) };

/// A series with files, contoured, delivered to one destination.
async fn delivered(t: &TestStore, series: &str) -> Uuid {
    let holder = Uuid::new_v4();
    let case = claimed(t, series, holder).await.case.id;
    for row in t.pg.instances_of(series, 1).await.unwrap() {
        let one = instance(series, 0, "pixels");
        let uid = InstanceUid::parse(&row.sop_instance_uid).unwrap();
        t.blobs
            .put(&BlobKey::instance(&one.arrival.series, &uid, &row.sha256), Bytes::from_static(b"pixels"))
            .await
            .unwrap();
    }
    let result = going_to(&made(t, case, 0, series).await, &to(&["pacs"]));
    assert_eq!(t.pg.finish_job(case, holder, &result).await.unwrap(), Finished::Recorded);
    case
}

/// Accepted and committed.
async fn sent(t: &TestStore, case: Uuid) {
    let holder = Uuid::new_v4();
    let items = due(t, holder, "pacs").await;
    accept(t, case, holder, &items).await;
}

pub(super) async fn reviewed(t: &TestStore, case: Uuid) {
    let review = NewReview {
        case_id: case,
        structure: "Brainstem".into(),
        rating: Rating::Accept,
        reviewer: "Dr. Z".into(),
        comment: String::new(),
        seconds_spent: None,
    };
    t.pg.add_review(&review).await.unwrap();
}

async fn may_go(t: &TestStore, times: &KeepTimes) -> Vec<String> {
    t.pg.purgeable(times).await.unwrap().into_iter().map(|p| p.series_uid).collect()
}

#[tokio::test]
async fn only_what_is_delivered_and_reviewed_goes_and_only_after_its_time() {
    let t = TestStore::new().await;
    let case = delivered(&t, "1.2.1").await;
    assert_eq!(may_go(&t, &NOW).await, [""; 0], "not delivered");
    assert!(!t.purge("1.2.1").await.unwrap(), "nor when it is named");
    sent(&t, case).await;
    assert_eq!(state(&t, case).await, CaseState::Delivered);
    assert_eq!(may_go(&t, &NOW).await, [""; 0], "not reviewed");
    reviewed(&t, case).await;
    assert_eq!(may_go(&t, &KeepTimes::default()).await, [""; 0], "for ever");
    let long = KeepTimes { delivered: Some(Duration::from_secs(3600)), ..NOW };
    assert_eq!(may_go(&t, &long).await, [""; 0], "too early");
    assert_eq!(may_go(&t, &NOW).await, ["1.2.1"]);

    let (kept, bytes) = (files_below(&t.blobs_dir()).len(), t.pg.kept_bytes().await.unwrap());
    assert_eq!((kept, bytes > 0), (4, true), "three images and a structure set");
    assert!(t.purge("1.2.1").await.unwrap());
    assert_eq!((files_below(&t.blobs_dir()).len(), t.pg.kept_bytes().await.unwrap()), (0, 0));
    let gone = t.pg.case(case).await.unwrap().unwrap();
    assert!(gone.purged_at.is_some());
    assert_eq!((gone.patient_id.0.reveal().as_str(), gone.patient_name.0.reveal().as_str()), ("", ""));
    assert_eq!(t.pg.reviews(case, "Brainstem").await.unwrap().len(), 1, "what people said stays");
    assert!(!t.purge("1.2.1").await.unwrap(), "once");
    let told: i64 = sqlx::query_scalar("select count(*) from audit where event = 'case_purged'")
        .fetch_one(&mut t.sql().await)
        .await
        .unwrap();
    assert_eq!(told, 1);
    assert_eq!(t.pg.reviewed_cases().await.unwrap().len(), 0, "its images cannot be trained on any more");
}

#[tokio::test]
async fn what_a_destination_refused_or_a_person_must_see_stays() {
    let t = TestStore::new().await;
    let refused = delivered(&t, "1.2.1").await;
    let holder = Uuid::new_v4();
    let no = |(id, _)| (id, Attempt::Refused { error: "no".into() });
    let attempts: Vec<_> = due(&t, holder, "pacs").await.into_iter().map(no).collect();
    t.pg.record_attempts(refused, holder, &attempts).await.unwrap();
    reviewed(&t, refused).await;
    assert_eq!(state(&t, refused).await, CaseState::Failed);
    assert_eq!(may_go(&t, &NOW).await, [""; 0], "it is not with every destination");
    let late = delivered(&t, "1.2.22").await;
    sent(&t, late).await;
    reviewed(&t, late).await;
    take(&t, "1.2.22", 900).await;
    assert_eq!(may_go(&t, &NOW).await, [""; 0], "a revision of it is under way");
    assert_eq!(t.pg.kept_bytes().await.unwrap() > 0, !files_below(&t.blobs_dir()).is_empty());
}

#[tokio::test]
async fn a_broken_off_deletion_is_finished_and_a_series_that_comes_again_is_kept_again() {
    let t = TestStore::new().await;
    let case = delivered(&t, "1.2.1").await;
    sent(&t, case).await;
    reviewed(&t, case).await;
    // As after a crash between the mark and the files.
    sqlx::query("update cases set purged_at = now()").execute(&mut t.sql().await).await.unwrap();
    assert_eq!(files_below(&t.blobs_dir()).len(), 4);
    assert_eq!(t.finish_purges().await.unwrap(), 1);
    assert_eq!((files_below(&t.blobs_dir()).len(), t.finish_purges().await.unwrap()), (0, 0));

    let one = instance("1.2.1", t.pg.instances_of("1.2.1", 1).await.unwrap().len() as u32, "pixels");
    let known = &t.pg.instances_of("1.2.1", 1).await.unwrap()[0];
    let again = NewInstance { instance: InstanceUid::parse(&known.sop_instance_uid).unwrap(), ..one };
    let key = BlobKey::instance(&again.arrival.series, &again.instance, &again.sha256);
    assert!(!t.blobs.holds(key.as_str(), &again.sha256).await.unwrap());
    t.blobs.put(&key, Bytes::from_static(b"pixels")).await.unwrap();
    let lost = t.pg.known_instance(&again.instance).await.unwrap().unwrap();
    t.pg.restore_instance(&again, &lost).await.unwrap();
    assert!(t.pg.case(case).await.unwrap().unwrap().purged_at.is_none());
    assert_eq!(t.finish_purges().await.unwrap(), 0);
    assert!(t.blobs.holds(key.as_str(), &again.sha256).await.unwrap());
    assert_eq!(may_go(&t, &NOW).await, ["1.2.1"], "and goes again in its time");
}
