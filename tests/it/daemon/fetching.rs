//! A series with a gap, and an archive (DCMTK's) that may have what is missing.

use contourd::dicom::data::Profile;
use contourd::service::SourceConfig;
use dicom_core::{DataElement, VR};
use dicom_dictionary_std::tags;

use super::*;
use crate::net::query::Archive;
use crate::support::meta;

/// A daemon that may ask an archive, which has `there` of the images of a series.
async fn beside_an_archive(t: &TestStore, there: &[ObjectToSend]) -> (Running, Arc<Pacs>, Archive) {
    beside_an_archive_that(t, there, |_| {}).await
}

/// With something else about its routes.
async fn beside_an_archive_that(
    t: &TestStore,
    there: &[ObjectToSend],
    change: impl Fn(&mut RouteConfig),
) -> (Running, Arc<Pacs>, Archive) {
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
    config.routes.iter_mut().for_each(change);
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

/// A structure set of a series as a planning system writes it after somebody has edited ours.
fn edited(images: &[EncodedInstance], instance: &str, label: &str) -> EncodedInstance {
    let files: Vec<&[u8]> = images.iter().map(|image| image.bytes.as_slice()).collect();
    let planes = assemble(parse_instances(&files).unwrap()).unwrap();
    let mask: Mask = planes.volume.map(|value| *value > 400.0);
    let contours = contours_of(&mask, &ContourConfig::default()).unwrap();
    let roi =
        RoiContours { roi: Structure::Brainstem.into(), contours, volume_cc: mask.cc(), description: String::new() };
    let ours = write_rtstruct(&planes, &[roi], &meta("ours"), &Profile::generic()).unwrap();
    let mut object = dicom_object::from_reader(ours.bytes.as_slice()).unwrap();
    for (tag, vr, value) in [
        (tags::SOP_INSTANCE_UID, VR::UI, instance),
        (tags::SERIES_INSTANCE_UID, VR::UI, "1.2.826.55"),
        (tags::MANUFACTURER, VR::LO, "Planner"),
        (tags::MANUFACTURER_MODEL_NAME, VR::LO, "Plan 7"),
        (tags::STRUCTURE_SET_LABEL, VR::SH, label),
        (tags::APPROVAL_STATUS, VR::CS, "APPROVED"),
    ] {
        object.put(DataElement::new(tag, vr, value));
    }
    object.update_meta(|meta| meta.media_storage_sop_instance_uid = instance.to_owned());
    let mut bytes = Vec::new();
    object.write_all(&mut bytes).unwrap();
    let instance = contourd::ids::InstanceUid::parse(instance).unwrap();
    EncodedInstance { instance, series: contourd::ids::SeriesUid::parse("1.2.826.55").unwrap(), bytes, ..ours }
}

#[tokio::test(flavor = "multi_thread")]
async fn structure_sets_that_others_made_are_fetched_once_and_shown_beside_the_contours() {
    let t = TestStore::new().await;
    let images = series("1.2.826.3", false);
    let there = [edited(&images, "1.2.826.56", "Review Mueller"), edited(&images, "1.2.826.57", "GTV")];
    let (running, pacs, archive) =
        beside_an_archive_that(&t, &objects(&there), |route| route.structure_sets = true).await;
    // One of them is here before; it is not asked for.
    send_all(&running.to, &objects(&there[1..])).await;
    send_all(&running.to, &objects(&images)).await;
    let contoured = loop {
        let delivered = |case: &Case| case.series_uid == "1.2.826.3" && case.state == CaseState::Delivered;
        match cases(&t).await.into_iter().find(delivered) {
            Some(case) => break case,
            None => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    };
    let (said, sets) = loop {
        let said = t.pg.sets_fetch_of(contoured.id).await.unwrap();
        let sets = t.pg.prior_sets_of(contoured.id).await.unwrap();
        match said {
            Some(said) if sets.len() == 2 => break (said, sets),
            _ => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    };
    assert_eq!(said, "asked the archive for structure sets: 1 were not here: 1 were sent, 0 failed");
    let told: Vec<_> =
        sets.iter().map(|view| (view.set.label.as_str(), view.set.maker.as_str(), view.set.rois)).collect();
    assert_eq!(told, [("Review Mueller", "Planner Plan 7", 1), ("GTV", "Planner Plan 7", 1)]);
    assert!(sets.iter().all(|view| view.on_these_images && view.set.approval == "APPROVED"), "{sets:?}");
    // They are no cases to contour, and our own set is not fetched back.
    let kept: Vec<_> = cases(&t).await.into_iter().filter(|case| case.state == CaseState::Kept).collect();
    assert!(kept.iter().all(|case| case.series_uid == "1.2.826.55"), "{kept:?}");
    let own = pacs.kept.lock().unwrap()[0].clone();
    let own = ObjectToSend {
        sop_class: own.sop_class,
        instance: own.instance,
        transfer_syntax: own.transfer_syntax,
        bytes: own.dataset,
    };
    let to_archive = Destination::new("127.0.0.1", archive.port, "PACS").unwrap();
    assert_eq!(send(&to_archive, &title("CONTOURD"), &[own]).await.unwrap(), [SendOutcome::Stored]);
    sqlx::query("update prior_fetches set outcome = null, asked_at = now() - interval '1 hour'")
        .execute(&mut t.sql().await)
        .await
        .unwrap();
    let again = loop {
        match t.pg.sets_fetch_of(contoured.id).await.unwrap() {
            Some(said) => break said,
            None => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    };
    assert_eq!(again, "asked the archive for structure sets: it has none of this study that is not here");
    running.daemon.stop().await;
}

/// Without the route's word another's structure set is what it was: refused by a rule, or a case that says that it is no MR.
#[tokio::test(flavor = "multi_thread")]
async fn a_structure_set_that_no_route_wants_is_not_kept_beside() {
    let t = TestStore::new().await;
    let images = series("1.2.826.3", false);
    let (running, _pacs, _archive) = beside_an_archive(&t, &[]).await;
    send_all(&running.to, &objects(&[edited(&images, "1.2.826.56", "edited")])).await;
    let case = until(&t, CaseState::Refused).await;
    assert_eq!((case.series_uid.as_str(), case.role.name()), ("1.2.826.55", "contours"));
    running.daemon.stop().await;
}
