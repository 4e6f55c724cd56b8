//! Before anything is sent, the destination (DCMTK's archive) is asked whether it knows patient and study as the images do.

use contourd::dicom::net::{Key, Level, Query, find};
use dicom_core::VR;
use dicom_dictionary_std::tags;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::net::query::Archive;

/// An image of a series with another Patient ID and Accession Number.
pub fn of_patient(image: &EncodedInstance, id: &str) -> ObjectToSend {
    let mut object = dicom_object::from_reader(image.bytes.as_slice()).unwrap();
    object.put_str(tags::PATIENT_ID, VR::LO, id);
    // The images have none: that is no contradiction.
    object.put_str(tags::ACCESSION_NUMBER, VR::SH, "A-7");
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

/// In front of a PACS: hangs up on associations that ask for queries, and passes the others on.
async fn in_front_of(pacs_port: u16) -> u16 {
    let (door, port) = listener().await;
    tokio::spawn(async move {
        while let Ok((mut caller, _)) = door.accept().await {
            tokio::spawn(async move {
                let mut header = [0; 6];
                caller.read_exact(&mut header).await.unwrap();
                let mut rest = vec![0; u32::from_be_bytes(header[2..].try_into().unwrap()) as usize];
                caller.read_exact(&mut rest).await.unwrap();
                if rest.windows(27).any(|bytes| bytes == b"1.2.840.10008.5.1.4.1.2.2.1") {
                    return;
                }
                let mut pacs = tokio::net::TcpStream::connect(("127.0.0.1", pacs_port)).await.unwrap();
                pacs.write_all(&[&header[..], &rest].concat()).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut caller, &mut pacs).await;
            });
        }
    });
    port
}

/// A planning system may hang up on what it does not know: that keeps no contours back.
#[tokio::test(flavor = "multi_thread")]
async fn a_destination_that_hangs_up_on_queries_gets_its_contours() {
    let t = TestStore::new().await;
    let (pacs_listener, pacs_port) = listener().await;
    let pacs = Pacs::accepting();
    pacs.listen(pacs_listener);
    let mut config = config(in_front_of(pacs_port).await, "bright");
    config.destinations[0].confirm = Confirm::None;
    config.destinations[0].compare = true;
    let running = launch(&t, config, &Arc::new(Threshold::default()), listener().await.0);
    send_all(&running.to, &objects(&series("1.2.826.2", false))).await;
    until(&t, CaseState::Sent).await;
    assert_eq!(pacs.classes(), [RTSTRUCT]);
    running.daemon.stop().await;
}
