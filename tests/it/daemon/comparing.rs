//! Before anything is sent, the destination (DCMTK's archive) is asked whether it knows patient and study as the images do.

use contourd::dicom::net::{Key, Level, Query, find};
use dicom_core::VR;
use dicom_dictionary_std::tags;

use super::*;
use crate::net::query::Archive;

/// An image of a series under another Patient ID.
fn of_patient(image: &EncodedInstance, id: &str) -> ObjectToSend {
    let mut object = dicom_object::from_reader(image.bytes.as_slice()).unwrap();
    object.put_str(tags::PATIENT_ID, VR::LO, id);
    let mut bytes = Vec::new();
    object.write_all(&mut bytes).unwrap();
    ObjectToSend::from_part10(&Bytes::from(bytes)).unwrap()
}

/// A daemon that sends to an archive which has an image of the study already, under this Patient ID.
async fn beside_an_archive(t: &TestStore, image: &EncodedInstance, id: &str, compare: bool) -> (Running, Archive) {
    let (own, own_port) = listener().await;
    let archive = Archive::empty(own_port).await;
    let system = Destination::new("127.0.0.1", archive.port, "PACS").unwrap();
    let there = send(&system, &title("CONTOURD"), &[of_patient(image, id)]).await.unwrap();
    assert_eq!(there, [SendOutcome::Stored]);
    let mut config = config(archive.port, "bright");
    config.destinations[0].confirm = Confirm::Query;
    config.destinations[0].compare = compare;
    (launch(t, config, &Arc::new(Threshold::default()), own), archive)
}

/// Structure sets of the study in the archive.
async fn sets(archive: &Archive, study: &str) -> usize {
    let system = Destination::new("127.0.0.1", archive.port, "PACS").unwrap();
    let query = Query::new(Level::Series).with(Key::Study, study).with(Key::Modality, "RTSTRUCT").asking(Key::Series);
    find(&system, &title("CONTOURD"), &query, 10).await.unwrap().found.len()
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_sent_to_an_archive_that_has_the_study_under_another_patient() {
    for (id, compare, state) in [
        ("P-0815", true, CaseState::Delivered),
        ("P-0816", true, CaseState::Failed),
        ("P-0816", false, CaseState::Delivered),
    ] {
        let t = TestStore::new().await;
        let images = series("1.2.826.2", false);
        let (running, archive) = beside_an_archive(&t, &images[0], id, compare).await;
        send_all(&running.to, &objects(&images)).await;
        let case = until(&t, state).await;
        assert_eq!(sets(&archive, &case.study_uid).await, usize::from(state == CaseState::Delivered), "{id}");
        if state == CaseState::Failed {
            let reason = case.reason.unwrap();
            assert!(reason.contains("not sent: it has this study with another Patient ID;"), "{reason}");
            assert!(!reason.contains("P-08"), "{reason}");
            // Tried again by a person it is asked again.
            t.pg.retry_case(case.id).await.unwrap();
            until(&t, CaseState::Failed).await;
            assert_eq!(sets(&archive, &case.study_uid).await, 0);
        }
        running.daemon.stop().await;
    }
}
