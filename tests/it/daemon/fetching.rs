//! A series with a gap, and an archive (DCMTK's) that may have what is missing.

use contourd::service::SourceConfig;

use super::*;
use crate::net::query::Archive;

/// A daemon that may ask an archive, which has `there` of the images of a series.
async fn beside_an_archive(t: &TestStore, there: &[ObjectToSend]) -> (Running, Arc<Pacs>, Archive) {
    let (pacs_listener, pacs_port) = listener().await;
    let pacs = Pacs::accepting();
    pacs.listen(pacs_listener);
    let (own, own_port) = listener().await;
    let archive = Archive::empty(own_port).await;
    let system = Destination::new("127.0.0.1", archive.port, "PACS").unwrap();
    let outcomes = send(&system, &title("CONTOURD"), there).await.unwrap();
    assert!(outcomes.iter().all(|o| *o == SendOutcome::Stored), "{outcomes:?}");
    let mut config = config(pacs_port, "bright");
    config.sources = vec![SourceConfig { name: "the archive".into(), system: system.into() }];
    let from_archive =
        RouteConfig { name: "fetched".into(), calling_ae: Some(title("PACS")), ..config.routes[0].clone() };
    config.routes.push(from_archive);
    (launch(t, config, &Arc::new(Threshold::default()), own), pacs, archive)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_slice_is_fetched_and_the_series_delivered_as_a_whole() {
    let t = TestStore::new().await;
    let images = objects(&series("1.2.826.2", false));
    let (running, pacs, _archive) = beside_an_archive(&t, &images).await;
    let incomplete: Vec<ObjectToSend> = [&images[..4], &images[6..]].concat();
    send_all(&running.to, &incomplete).await;
    let case = until(&t, CaseState::Delivered).await;
    assert_eq!((case.revision, pacs.classes().len()), (2, 1));
    let count: i64 = sqlx::query_scalar("select count(*) from instances").fetch_one(&mut t.sql().await).await.unwrap();
    assert_eq!(count as usize, images.len());
    assert_eq!(cases(&t).await[0].state, CaseState::Superseded);
    let said = t.pg.fetch_of(&case.series_uid).await.unwrap().unwrap();
    assert_eq!(said, "asked the archive for missing images: 2 images were missing here: 2 were sent, 0 failed");
    running.daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_nowhere_is_asked_for_once_and_the_case_says_so() {
    let t = TestStore::new().await;
    let images = objects(&series("1.2.826.2", false));
    let incomplete: Vec<ObjectToSend> = [&images[..4], &images[6..]].concat();
    let (running, pacs, _archive) = beside_an_archive(&t, &incomplete).await;
    send_all(&running.to, &incomplete).await;
    let reason = loop {
        let reason = until(&t, CaseState::Refused).await.reason.unwrap();
        if reason.contains("asked") {
            break reason;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    let words = "\nasked the archive for missing images: it has no image of this series that did not come";
    assert!(reason.contains("missing") && reason.ends_with(words), "{reason}");
    tokio::time::sleep(Duration::from_secs(2)).await;
    let asked: i64 = sqlx::query_scalar("select count(*) from audit where event = 'images_fetched'")
        .fetch_one(&mut t.sql().await)
        .await
        .unwrap();
    assert_eq!((asked, pacs.classes().len(), cases(&t).await.len()), (1, 0, 1));
    running.daemon.stop().await;
}
