//! A backup made while the daemon holds the store comes back whole, and damage in it shows.

use super::*;

async fn with_a_result(t: &TestStore, series: &str) -> Uuid {
    let holder = Uuid::new_v4();
    let case = claimed(t, series, holder).await.case.id;
    for row in t.pg.instances_of(series, 1).await.unwrap() {
        let (uid, series) = (InstanceUid::parse(&row.sop_instance_uid).unwrap(), SeriesUid::parse(series).unwrap());
        t.blobs.put(&BlobKey::instance(&series, &uid, &row.sha256), Bytes::from_static(b"pixels")).await.unwrap();
    }
    let result = going_to(&made(t, case, 2, series).await, &to(&["pacs"]));
    t.pg.finish_job(case, holder, &result).await.unwrap();
    case
}

#[tokio::test]
async fn a_backup_of_a_running_daemon_is_restored_with_everything_that_waits() {
    let t = TestStore::new().await;
    let case = with_a_result(&t, "1.2.1").await;
    let folder = t.dir.path().join("backup");
    let first = backup(&config(&t.state_dir()), &folder).await.unwrap();
    assert_eq!((first.copied, first.named, first.damaged.len()), (6, 6, 0));
    with_a_result(&t, "1.2.22").await;
    let second = backup(&config(&t.state_dir()), &folder).await.unwrap();
    assert_eq!((second.copied, second.named, second.damaged.len()), (6, 12, 0), "only what is new is copied");
    // What comes after is not in it.
    with_a_result(&t, "1.2.333").await;
    let trail = t.pg.verify_audit(&[]).await.unwrap();

    let new = config(&t.dir.path().join("new"));
    let (report, chain) = restore(&new, &folder).await.unwrap();
    assert_eq!((report.copied, report.named, report.damaged.len()), (12, 12, 0));
    assert!(chain.broken == 0 && chain.lines < trail.lines, "{chain:?}");
    let store = Store::open(&new).await.unwrap();
    assert_eq!(store.pg.case(case).await.unwrap().unwrap().patient_id.0.reveal(), "4711");
    let waiting = due(&store, Uuid::new_v4(), "pacs").await;
    assert_eq!(waiting.len(), 2, "deliveries go on, with the derived slices first");
    let row = &store.pg.instances_of("1.2.22", 1).await.unwrap()[0];
    assert_eq!(store.blobs.get(&row.blob_key, &row.sha256).await.unwrap(), "pixels");
    store.close().await.unwrap();
    let again = restore(&new, &folder).await.unwrap_err().to_string();
    assert!(again.contains("state directory that is new"), "{again}");
}

#[tokio::test]
async fn damage_and_a_folder_that_is_no_backup_are_told() {
    let t = TestStore::new().await;
    with_a_result(&t, "1.2.1").await;
    let folder = t.dir.path().join("backup");
    backup(&config(&t.state_dir()), &folder).await.unwrap();
    let row = &t.pg.instances_of("1.2.1", 1).await.unwrap()[0];
    std::fs::write(folder.join("blobs").join(&row.blob_key), b"pixelz").unwrap();
    let told = backup(&config(&t.state_dir()), &folder).await.unwrap();
    assert_eq!(told.damaged, [row.blob_key.as_str()]);
    let (report, _) = restore(&config(&t.dir.path().join("new")), &folder).await.unwrap();
    assert_eq!(report.damaged, [row.blob_key.as_str()]);

    let empty = t.dir.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    let said = restore(&config(&t.dir.path().join("third")), &empty).await.unwrap_err().to_string();
    assert!(said.contains("no backup of contourd"), "{said}");
    assert!(!t.dir.path().join("third").exists(), "nothing is made of it");
    let said = backup(&config(&t.dir.path().join("fourth")), &empty).await.unwrap_err().to_string();
    assert!(said.contains("nothing to back up"), "{said}");
}
