//! What reaches the PACS, and what happens when it is down, unwilling or talkative.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_series_comes_back_as_one_structure_set_however_often_it_is_routed() {
    let t = TestStore::new().await;
    let (pacs_listener, pacs_port) = listener().await;
    let (own, _) = listener().await;
    let pacs = Pacs::accepting();
    pacs.listen(pacs_listener);
    let segmenter = Arc::new(Threshold::default());
    let running = start(&t, pacs_port, &segmenter, own);
    let files = series("1.2.826.2", false);
    send_all(&running.to, &objects(&files)).await;
    let case = until(&t, CaseState::Delivered).await;
    assert_eq!(pacs.classes(), [RTSTRUCT]);
    let bytes: Vec<&[u8]> = files.iter().map(|f| f.bytes.as_slice()).collect();
    let source = assemble(parse_instances(&bytes).unwrap()).unwrap();
    let delivered = t.pg.deliveries_of(case.id).await.unwrap();
    assert_eq!((delivered.len(), delivered[0].attempts), (1, 1));
    assert_eq!((case.route.as_str(), case.model_name.as_deref()), ("head", Some("bright")));

    // What the PACS got is, byte for byte, what was recorded, and reads as what was put in.
    let result = {
        let kept = pacs.kept.lock().unwrap();
        ObjectToSend {
            sop_class: kept[0].sop_class.clone(),
            instance: kept[0].instance.clone(),
            transfer_syntax: kept[0].transfer_syntax.clone(),
            bytes: kept[0].dataset.clone(),
        }
    };
    let (key, sha256): (String, String) =
        sqlx::query_as("select blob_key, sha256 from results").fetch_one(&mut t.sql().await).await.unwrap();
    let recorded = t.blobs.get(&key, &sha256).await.unwrap();
    assert!(recorded.ends_with(&result.bytes));
    let set = read_rtstruct(&recorded).unwrap();
    let contours = set.roi("Brainstem").unwrap().plane_contours(&source).unwrap();
    assert_eq!(contours.iter().map(|c| c.slice).collect::<Vec<_>>(), (2..9).collect::<Vec<_>>());

    // The PACS routes everything back: images and result are acknowledged and nothing starts anew.
    send_all(&running.to, &objects(&files)).await;
    send_all(&running.to, &[result]).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(cases(&t).await.len(), 1);
    assert_eq!((pacs.asked.load(Ordering::SeqCst), segmenter.runs.load(Ordering::SeqCst)), (1, 1));
    let ignored: i64 = sqlx::query_scalar("select count(*) from audit where event = 'own_object_ignored'")
        .fetch_one(&mut t.sql().await)
        .await
        .unwrap();
    assert_eq!(ignored, 1);
    running.daemon.stop().await;
}

/// Everything that a PACS got from a daemon for a sagittal series: derived slices and structure set.
async fn results_of_a_sagittal_series(t: &TestStore) -> Vec<ObjectToSend> {
    let (pacs_listener, pacs_port) = listener().await;
    let pacs = Pacs::accepting();
    pacs.listen(pacs_listener);
    let running = start(t, pacs_port, &Arc::new(Threshold::default()), listener().await.0);
    send_all(&running.to, &objects(&series("1.2.826.2", true))).await;
    until(t, CaseState::Delivered).await;
    running.daemon.stop().await;
    let kept = pacs.kept.lock().unwrap();
    let object = |o: &Received| ObjectToSend {
        sop_class: o.sop_class.clone(),
        instance: o.instance.clone(),
        transfer_syntax: o.transfer_syntax.clone(),
        bytes: o.dataset.clone(),
    };
    kept.iter().map(object).collect()
}

fn is_own(object: &ObjectToSend) -> bool {
    let file = part10_file(&object.sop_class, &object.instance, &object.transfer_syntax, &object.bytes).unwrap();
    is_own_object(&read_received_header(&file, 1 << 20).unwrap().0)
}

async fn own_objects_ignored(t: &TestStore) -> i64 {
    let count = "select count(*) from audit where event = 'own_object_ignored'";
    sqlx::query_scalar(count).fetch_one(&mut t.sql().await).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn own_objects_are_known_by_their_header_after_the_loss_of_the_database() {
    let results = results_of_a_sagittal_series(&TestStore::new().await).await;
    assert!(results.len() > 10 && results.iter().all(is_own));
    let fresh = TestStore::new().await;
    let running = start(&fresh, 1, &Arc::new(Threshold::default()), listener().await.0);
    send_all(&running.to, &results).await;
    assert_eq!(cases(&fresh).await.len(), 0);
    assert_eq!(own_objects_ignored(&fresh).await, results.len() as i64);
    running.daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn own_objects_are_known_by_their_uids_when_an_archive_changed_their_header() {
    let t = TestStore::new().await;
    let mut results = results_of_a_sagittal_series(&t).await;
    for object in &mut results {
        // Manufacturer (0008,0070), eight letters, becomes another one.
        let mut data = object.bytes.to_vec();
        let at = data.windows(8).position(|w| w == b"contourd").unwrap();
        assert!(data[..at].windows(4).any(|w| w == [8, 0, 0x70, 0]) && at < 1000, "it is somewhere else: {at}");
        data[at..at + 8].copy_from_slice(b"archivex");
        object.bytes = data.into();
    }
    assert!(!results.iter().any(is_own));
    let running = start(&t, 1, &Arc::new(Threshold::default()), listener().await.0);
    send_all(&running.to, &results).await;
    assert_eq!((cases(&t).await.len(), own_objects_ignored(&t).await), (1, results.len() as i64));
    running.daemon.stop().await;
    // It is the records that know them: where there are none, they are images like any other.
    let fresh = TestStore::new().await;
    let running = start(&fresh, 1, &Arc::new(Threshold::default()), listener().await.0);
    send_all(&running.to, &results[..3]).await;
    assert_eq!((cases(&fresh).await.len(), own_objects_ignored(&fresh).await), (1, 0));
    running.daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_structure_set_follows_the_last_derived_slice_even_when_one_is_taken_late() {
    let t = TestStore::new().await;
    let (pacs_listener, pacs_port) = listener().await;
    let (own, _) = listener().await;
    let hiccups = AtomicUsize::new(0);
    let pacs = Pacs::new(move |_, kept| {
        if kept.len() == 3 && hiccups.fetch_add(1, Ordering::SeqCst) < 2 {
            StoreVerdict::OutOfResources
        } else {
            StoreVerdict::Stored
        }
    });
    pacs.listen(pacs_listener);
    let running = start(&t, pacs_port, &Arc::new(Threshold::default()), own);
    send_all(&running.to, &objects(&series("1.2.826.2", true))).await;
    let case = until(&t, CaseState::Delivered).await;
    let classes = pacs.classes();
    assert!(classes.len() > 10);
    assert_eq!(classes.iter().position(|c| c == RTSTRUCT), Some(classes.len() - 1));
    let mut names = pacs.names();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), classes.len(), "an accepted object was sent again");
    assert!(t.pg.deliveries_of(case.id).await.unwrap().iter().any(|d| d.attempts > 1));
    running.daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pacs_that_is_down_is_waited_for_in_sight() {
    let t = TestStore::new().await;
    let (down, pacs_port) = listener().await;
    drop(down);
    let (own, _) = listener().await;
    let running = start(&t, pacs_port, &Arc::new(Threshold::default()), own);
    send_all(&running.to, &objects(&series("1.2.826.2", false))).await;
    let reason = loop {
        if let Some(reason) = until(&t, CaseState::Delivering).await.reason {
            break reason;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert!(reason.starts_with("archive: cannot connect to 127.0.0.1"), "{reason}");
    let pacs = Pacs::accepting();
    pacs.listen(TcpListener::bind(("127.0.0.1", pacs_port)).await.unwrap());
    assert_eq!(until(&t, CaseState::Delivered).await.reason, None);
    assert_eq!(pacs.classes(), [RTSTRUCT]);
    running.daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_destination_that_refuses_for_good_fails_the_case_and_a_person_can_have_it_sent_again() {
    let t = TestStore::new().await;
    let (pacs_listener, pacs_port) = listener().await;
    let (own, _) = listener().await;
    let mended = Arc::new(AtomicBool::new(false));
    let known = Arc::clone(&mended);
    let pacs = Pacs::new(move |_, _| match known.load(Ordering::SeqCst) {
        true => StoreVerdict::Stored,
        false => StoreVerdict::CannotUnderstand("unknown patient".into()),
    });
    pacs.listen(pacs_listener);
    let running = start(&t, pacs_port, &Arc::new(Threshold::default()), own);
    send_all(&running.to, &objects(&series("1.2.826.2", false))).await;
    let case = until(&t, CaseState::Failed).await;
    assert!(case.reason.unwrap().contains("unknown patient"));
    assert_eq!(pacs.asked.load(Ordering::SeqCst), 1, "a refusal for good was repeated");
    let (key, sha256): (String, String) =
        sqlx::query_as("select blob_key, sha256 from results").fetch_one(&mut t.sql().await).await.unwrap();
    assert!(t.blobs.get(&key, &sha256).await.is_ok());

    mended.store(true, Ordering::SeqCst);
    assert_eq!(t.pg.retry_case(case.id).await.unwrap(), Retried::Deliveries { objects: 1 });
    assert_eq!(until(&t, CaseState::Delivered).await.reason, None);
    assert_eq!((pacs.classes(), pacs.asked.load(Ordering::SeqCst)), (vec![RTSTRUCT.to_owned()], 2));
    running.daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ae_title_that_the_pacs_does_not_know_is_waited_for_in_sight() {
    let t = TestStore::new().await;
    let (pacs_listener, pacs_port) = listener().await;
    let pacs = Pacs::accepting();
    let other_name = pacs.listen_as("ARCHIVE", pacs_listener);
    let running = start(&t, pacs_port, &Arc::new(Threshold::default()), listener().await.0);
    send_all(&running.to, &objects(&series("1.2.826.2", false))).await;
    let reason = loop {
        if let Some(reason) = until(&t, CaseState::Delivering).await.reason {
            break reason;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    for words in ["called AE title not recognized", "mend the AE titles", "tried again now and then"] {
        assert!(reason.contains(words), "{reason}");
    }
    let waiting = t.pg.deliveries_of(cases(&t).await[0].id).await.unwrap();
    assert_eq!(waiting[0].state, OutboxState::Pending);
    // Somebody mends it there.
    other_name.cancel();
    let mended = loop {
        match TcpListener::bind(("127.0.0.1", pacs_port)).await {
            Ok(listener) => break listener,
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    };
    pacs.listen(mended);
    until(&t, CaseState::Delivered).await;
    assert_eq!(pacs.classes(), [RTSTRUCT]);
    running.daemon.stop().await;
}
