//! Destinations and sources that speak DICOMweb: Orthanc with its plugin.

use contourd::dicom::dicomweb::DicomwebService;
use contourd::service::{SourceConfig, System};
use contourd::store::Confirmation;

use super::confirming::confirmations;
use super::*;
use crate::system::Pacs as Orthanc;

async fn orthanc() -> Orthanc {
    tokio::task::spawn_blocking(Orthanc::with_dicomweb).await.unwrap()
}

fn service(orthanc: &Orthanc) -> System {
    System::Dicomweb(DicomwebService::new(&orthanc.url()))
}

/// A daemon that sends to Orthanc over HTTP alone.
async fn beside(t: &TestStore, orthanc: &Orthanc) -> Running {
    let (own, _) = listener().await;
    let mut config = config(1, "bright");
    config.destinations[0] = DestinationConfig {
        confirm: Confirm::Auto,
        compare: true,
        system: service(orthanc),
        ..config.destinations[0].clone()
    };
    launch(t, config, &Arc::new(Threshold::default()), own)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_stored_over_http_is_confirmed_by_a_query() {
    let t = TestStore::new().await;
    let orthanc = orthanc().await;
    let running = beside(&t, &orthanc).await;
    // Tilted, so that an MR series goes out beside the structure set.
    send_all(&running.to, &objects(&series("1.2.826.2", true))).await;
    until(&t, CaseState::Delivered).await;
    let known = confirmations(&t).await;
    assert!(known.len() > 10 && known.iter().all(|one| *one == (Confirmation::Found, 0)), "{known:?}");
    let (sets, images) =
        tokio::task::block_in_place(|| (orthanc.instance_uids("RTSTRUCT"), orthanc.instance_uids("MR")));
    assert_eq!((sets.len(), sets.len() + images.len()), (1, known.len()));
    running.daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_stored_where_the_study_is_another_patients() {
    let t = TestStore::new().await;
    let orthanc = orthanc().await;
    let images = series("1.2.826.2", false);
    let other = super::comparing::of_patient(&images[0], "P-0816");
    let entity = Destination::new("127.0.0.1", orthanc.dicom, "PACS").unwrap();
    assert_eq!(send(&entity, &title("CONTOURD"), &[other]).await.unwrap(), [SendOutcome::Stored]);
    let running = beside(&t, &orthanc).await;
    send_all(&running.to, &objects(&images)).await;
    let reason = until(&t, CaseState::Failed).await.reason.unwrap();
    assert!(reason.contains("not sent: it has this study with another Patient ID;"), "{reason}");
    assert_eq!(tokio::task::block_in_place(|| orthanc.instance_uids("RTSTRUCT")), Vec::<String>::new());
    running.daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_slices_are_retrieved_over_http() {
    let t = TestStore::new().await;
    let orthanc = orthanc().await;
    let images = objects(&series("1.2.826.2", false));
    let entity = Destination::new("127.0.0.1", orthanc.dicom, "PACS").unwrap();
    let outcomes = send(&entity, &title("CONTOURD"), &images).await.unwrap();
    assert!(outcomes.iter().all(|o| *o == SendOutcome::Stored), "{outcomes:?}");
    let (pacs_listener, pacs_port) = listener().await;
    let pacs = Pacs::accepting();
    pacs.listen(pacs_listener);
    let (own, _) = listener().await;
    let mut config = config(pacs_port, "bright");
    config.sources = vec![SourceConfig { name: "the archive".into(), system: service(&orthanc) }];
    config.routes.push(route("fetched", "DICOMWEB", "bright"));
    let running = launch(&t, config, &Arc::new(Threshold::default()), own);
    send_all(&running.to, &[&images[..4], &images[6..]].concat()).await;
    let case = until(&t, CaseState::Delivered).await;
    assert_eq!((case.revision, pacs.classes().len()), (2, 1));
    let said = t.pg.fetch_of(&case.series_uid).await.unwrap().unwrap();
    assert_eq!(said, "asked the archive for missing images: 2 images were missing here: 2 were sent, 0 failed");
    // As they were sent by the scanner, byte for byte.
    let kept: Vec<String> =
        sqlx::query_scalar("select sha256 from instances order by sha256").fetch_all(&mut t.sql().await).await.unwrap();
    let file = |o: &ObjectToSend| part10_file(&o.sop_class, &o.instance, &o.transfer_syntax, &o.bytes).unwrap();
    let mut sent: Vec<String> = images.iter().map(|o| contourd::ids::sha256_hex(&file(o))).collect();
    sent.sort();
    assert_eq!(kept, sent);
    running.daemon.stop().await;
}
