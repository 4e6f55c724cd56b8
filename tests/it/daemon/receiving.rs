//! What is acknowledged, refused, and when a series is complete.

use contourd::dicom::net::{CommitmentRequest, SopReference, request_commitment};
use contourd::ids::TransactionUid;

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn while_the_database_is_away_nothing_is_acknowledged_and_then_all_resumes() {
    let t = TestStore::new().await;
    let (pacs_listener, pacs_port) = listener().await;
    let (own, _) = listener().await;
    let pacs = Pacs::accepting();
    pacs.listen(pacs_listener);
    let running = start(&t, pacs_port, &Arc::new(Threshold::default()), own);
    let objects = objects(&series("1.2.826.2", false));
    send_all(&running.to, &objects[..4]).await;
    let pid = i32::try_from(t.cluster().unwrap().postmaster().unwrap()).unwrap();
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    let mut acknowledged: Vec<String> = objects[..4].iter().map(|o| o.instance.to_string()).collect();
    for object in &objects[4..] {
        // As a scanner does: again until it is taken.
        loop {
            let outcome = send(&running.to, &title("MR1"), std::slice::from_ref(object)).await.unwrap().remove(0);
            match outcome {
                SendOutcome::Stored => break,
                SendOutcome::Failed { status: Some(0xA700), .. } => tokio::time::sleep(Duration::from_millis(50)).await,
                other => panic!("{other:?}"),
            }
        }
        acknowledged.push(object.instance.to_string());
    }
    let case = until(&t, CaseState::Delivered).await;
    let kept = t.pg.instances_of(&case.series_uid, case.revision).await.unwrap();
    let mut kept: Vec<String> = kept.into_iter().map(|row| row.sop_instance_uid).collect();
    kept.sort();
    acknowledged.sort();
    assert_eq!(kept, acknowledged);
    assert_eq!((case.revision, pacs.classes()), (1, vec![RTSTRUCT.to_owned()]));
    running.daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_fit_is_refused_on_the_case_with_the_reason_of_the_command_line() {
    let t = TestStore::new().await;
    let (own, _) = listener().await;
    let running = start(&t, 1, &Arc::new(Threshold::default()), own);
    let mut gap = series("1.2.826.2", false);
    gap.remove(5);
    send_all(&running.to, &objects(&gap)).await;
    let case = until(&t, CaseState::Refused).await;
    assert_eq!(case.reason, Some(said_of_a_folder(&gap)));
    assert_eq!(case.refusals[0]["code"], "missing_slice");

    let mut cut = series("1.2.826.3", false);
    let whole = objects(&cut[4..5]).remove(0);
    let length = cut[4].bytes.len() - 100;
    cut[4].bytes.truncate(length);
    let outcomes = send(&running.to, &title("MR1"), &objects(&cut)).await.unwrap();
    let refused: Vec<usize> = (0..12).filter(|n| outcomes[*n] != SendOutcome::Stored).collect();
    assert_eq!(refused, [4], "{outcomes:?}");
    let case = until_series(&t, "1.2.826.3").await;
    assert_eq!(case.refusals[0]["code"], "truncated", "{:?}", case.reason);
    assert_eq!(case.refusals[0]["instance"], whole.instance.as_str());
    assert_eq!(case.reason, Some(said_of_a_folder(&cut)));
    send_all(&running.to, &[whole]).await;
    while !cases(&t).await.iter().any(|c| c.series_uid == "1.2.826.3" && c.state == CaseState::Delivering) {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }

    let mut ct = series("1.2.826.4", false);
    as_ct(&mut ct);
    let mut objects = objects(&ct);
    objects.iter_mut().for_each(|object| object.sop_class = CT.into());
    send_all(&running.to, &objects).await;
    let case = until_series(&t, "1.2.826.4").await;
    assert_eq!(case.refusals[0]["code"], "not_mr", "{:?}", case.reason);
    assert_eq!(case.reason, Some(said_of_a_folder(&ct)));
    assert!(case.reason.unwrap().starts_with("there are no MR images but 12 of modality CT; "));
    running.daemon.stop().await;
}

/// What `contourd segment` says of these files in a folder, less their paths.
fn said_of_a_folder(files: &[EncodedInstance]) -> String {
    let folder = tempfile::tempdir().unwrap();
    for (n, file) in files.iter().enumerate() {
        std::fs::write(folder.path().join(format!("{n:02}.dcm")), &file.bytes).unwrap();
    }
    let refusals = read_folder(folder.path()).and_then(assemble).unwrap_err();
    let mut said = refusals.to_string();
    for n in 0..files.len() {
        said = said.replace(&format!("{}: ", folder.path().join(format!("{n:02}.dcm")).display()), "");
    }
    said
}

async fn until_series(t: &TestStore, series: &str) -> Case {
    for _ in 0..600 {
        let refused = cases(t).await.into_iter().find(|c| c.series_uid == series && c.state == CaseState::Refused);
        if let Some(case) = refused {
            return case;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{series} was not refused: {:?}", cases(t).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn instances_that_contradict_themselves_or_what_is_known_are_refused_and_audited() {
    let t = TestStore::new().await;
    let (own, _) = listener().await;
    let running = start(&t, 1, &Arc::new(Threshold::default()), own);
    let good = objects(&series("1.2.826.2", false));
    send_all(&running.to, &good[..1]).await;
    let mut misnamed = good[1].clone();
    misnamed.instance = good[2].instance.clone();
    let mut altered = good[0].clone();
    let mut data = altered.bytes.to_vec();
    *data.last_mut().unwrap() ^= 1;
    altered.bytes = data.into();
    let mut unreadable = good[3].clone();
    unreadable.bytes = unreadable.bytes.slice(..100);
    let outcomes = send(&running.to, &title("MR1"), &[misnamed, altered, unreadable]).await.unwrap();
    let status: Vec<u16> = outcomes
        .iter()
        .map(|o| match o {
            SendOutcome::Failed { status: Some(status), .. } => *status,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(status, [0xA900, 0xA900, 0xC000]);
    let stranger = send(&running.to, &title("MR2"), &good[1..2]).await.unwrap();
    assert!(matches!(&stranger[0], SendOutcome::Failed { status: Some(0xC000), .. }), "{stranger:?}");
    let kinds: Vec<String> =
        sqlx::query_scalar("select detail->>'kind' from audit where event = 'instance_refused' order by id")
            .fetch_all(&mut t.sql().await)
            .await
            .unwrap();
    assert_eq!(kinds, ["mismatch", "conflict", "unreadable", "no_route"]);
    let case = cases(&t).await.remove(0);
    assert_eq!(t.pg.instances_of(&case.series_uid, 1).await.unwrap().len(), 1);
    running.daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_series_that_cannot_be_taken_holds_up_no_other() {
    let t = TestStore::new().await;
    let (pacs_listener, pacs_port) = listener().await;
    Pacs::accepting().listen(pacs_listener);
    let running = start(&t, pacs_port, &Arc::new(Threshold::default()), listener().await.0);
    let unlucky = objects(&series("1.2.826.2", false));
    send_all(&running.to, &unlucky[..1]).await;
    // Where its next files belong is something else: nothing more of this series can be kept.
    let folder = t.blobs_dir().join("instances/1.2.826.2");
    std::fs::rename(&folder, folder.with_extension("aside")).unwrap();
    std::fs::write(&folder, b"").unwrap();
    send_all(&running.to, &objects(&series("1.2.826.3", false))).await;
    let state_of = async |series: &str| cases(&t).await.into_iter().find(|c| c.series_uid == series).unwrap().state;
    loop {
        // Its sender comes again and again, more often than the quiet period.
        let outcome = send(&running.to, &title("MR1"), &unlucky[1..2]).await.unwrap().remove(0);
        assert!(matches!(outcome, SendOutcome::Failed { status: Some(0xA700), .. }), "{outcome:?}");
        assert_eq!(state_of("1.2.826.2").await, CaseState::Receiving, "it was taken as complete");
        if state_of("1.2.826.3").await == CaseState::Delivered {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    running.daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_again_is_told_when_it_came_another_way_and_is_kept_again_when_its_file_is_lost() {
    let t = TestStore::new().await;
    let running = start(&t, 1, &Arc::new(Threshold::default()), listener().await.0);
    let objects = objects(&series("1.2.826.2", false));
    send_all(&running.to, &objects[..2]).await;
    let told = async || -> Vec<serde_json::Value> {
        sqlx::query_scalar("select detail from audit where event = 'instance_sent_another_way'")
            .fetch_all(&mut t.sql().await)
            .await
            .unwrap()
    };
    send_all(&running.to, &objects[..2]).await;
    assert_eq!(told().await.len(), 0, "it came the same way");
    let outcomes = send(&running.to, &title("MR3"), &objects[..1]).await.unwrap();
    assert_eq!(outcomes, [SendOutcome::Stored]);
    let told = told().await;
    assert_eq!(told.len(), 1);
    let way = [&told[0]["calling"], &told[0]["route"], &told[0]["first_route"]];
    assert_eq!(way, ["MR3", "other", "head"]);
    assert!(!told[0].to_string().contains("Doe"), "{}", told[0]);

    let rows = t.pg.instances_of("1.2.826.2", 1).await.unwrap();
    let files: Vec<_> = rows.iter().map(|row| t.blobs_dir().join(&row.blob_key)).collect();
    std::fs::remove_file(&files[0]).unwrap();
    std::fs::write(&files[1], b"cut").unwrap();
    send_all(&running.to, &objects[..2]).await;
    for row in t.pg.instances_of("1.2.826.2", 1).await.unwrap() {
        assert!(t.blobs.get(&row.blob_key, &row.sha256).await.is_ok(), "{}", row.blob_key);
    }
    running.daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_image_in_another_transfer_syntax_is_there_already_and_another_image_is_a_conflict() {
    let t = TestStore::new().await;
    let running = start(&t, 1, &Arc::new(Threshold::default()), listener().await.0);
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let tool = |program: &str, args: &[&str]| {
        run(std::process::Command::new(program).args(args).current_dir(folder.path()));
    };
    std::fs::write(path("sent.dcm"), &series("1.2.826.2", false)[3].bytes).unwrap();
    tool("dcmconv", &["+ti", "sent.dcm", "implicit.dcm"]);
    tool("dcmconv", &["+te", "sent.dcm", "explicit.dcm"]);
    tool("dcmcjpeg", &["+e1", "explicit.dcm", "jpeg.dcm"]);
    tool("dcmcrle", &["explicit.dcm", "rle.dcm"]);
    // Other pixels, and another patient, under the same UID.
    let mut pixels = std::fs::read(path("explicit.dcm")).unwrap();
    *pixels.last_mut().unwrap() ^= 1;
    std::fs::write(path("pixels.dcm"), pixels).unwrap();
    tool("dcmcjpeg", &["+e1", "pixels.dcm", "other-jpeg.dcm"]);
    std::fs::copy(path("explicit.dcm"), path("patient.dcm")).unwrap();
    tool("dcmodify", &["-nb", "-m", "0010,0020=Q-9", "patient.dcm"]);
    let mut syntaxes = std::collections::BTreeSet::new();
    for (name, status) in [
        ("implicit.dcm", None),
        ("explicit.dcm", None),
        ("jpeg.dcm", None),
        ("rle.dcm", None),
        ("pixels.dcm", Some(0xA900)),
        ("other-jpeg.dcm", Some(0xA900)),
        ("patient.dcm", Some(0xA900)),
    ] {
        let object = ObjectToSend::from_part10(&Bytes::from(std::fs::read(path(name)).unwrap())).unwrap();
        syntaxes.insert(object.transfer_syntax.clone());
        let outcome = send(&running.to, &title("MR1"), &[object]).await.unwrap().remove(0);
        match status {
            None => assert_eq!(outcome, SendOutcome::Stored, "{name}"),
            Some(expected) => assert!(
                matches!(&outcome, SendOutcome::Failed { status: Some(status), .. } if *status == expected),
                "{name}: {outcome:?}"
            ),
        }
    }
    assert_eq!(syntaxes.len(), 4, "{syntaxes:?}");
    let told: Vec<String> = sqlx::query_scalar(
        "select detail->>'transfer_syntax' from audit where event = 'instance_sent_in_another_encoding' order by id",
    )
    .fetch_all(&mut t.sql().await)
    .await
    .unwrap();
    assert_eq!(told, ["1.2.840.10008.1.2.1", "1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.5"]);
    // What came first is what is kept.
    let rows = t.pg.instances_of("1.2.826.2", 1).await.unwrap();
    assert_eq!((rows.len(), rows[0].transfer_syntax.as_str()), (1, "1.2.840.10008.1.2"));
    running.daemon.stop().await;
}

/// The images with Images in Acquisition.
fn announcing(images: &[EncodedInstance], count: usize) -> Vec<ObjectToSend> {
    let with_count = |image: &EncodedInstance| {
        let mut object = dicom_object::from_reader(image.bytes.as_slice()).unwrap();
        object.put_str(dicom_dictionary_std::tags::IMAGES_IN_ACQUISITION, dicom_core::VR::IS, count.to_string());
        let mut bytes = Vec::new();
        object.write_all(&mut bytes).unwrap();
        ObjectToSend::from_part10(&Bytes::from(bytes)).unwrap()
    };
    images.iter().map(with_count).collect()
}

/// A daemon that waits for longer than the test does, unless evidence speaks for a series.
async fn patient(t: &TestStore, quiet: u64) -> (Running, Arc<Pacs>) {
    let (pacs_listener, pacs_port) = listener().await;
    let pacs = Pacs::accepting();
    pacs.listen(pacs_listener);
    let mut config = config(pacs_port, "bright");
    config.receive.quiet_seconds = quiet;
    config.receive.missing_seconds = 3600;
    config.receive.settled_seconds = 1;
    (launch(t, config, &Arc::new(Threshold::default()), listener().await.0), pacs)
}

/// By what the series of the only case was taken as complete.
async fn evidence(t: &TestStore) -> String {
    let by = "select detail->>'by' from audit where event = 'series_complete'";
    sqlx::query_scalar(by).fetch_one(&mut t.sql().await).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_series_that_is_whole_by_its_own_count_is_not_waited_for() {
    let t = TestStore::new().await;
    let (running, _pacs) = patient(&t, 3600).await;
    let images = announcing(&series("1.2.826.2", false), 12);
    send_all(&running.to, &images[..11]).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(cases(&t).await[0].state, CaseState::Receiving);
    send_all(&running.to, &images[11..]).await;
    assert_eq!(until(&t, CaseState::Delivered).await.revision, 1);
    assert_eq!(evidence(&t).await, "all 12 images of the acquisition came, evenly spaced");
    running.daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_series_whose_sender_asks_for_the_commitment_of_every_image_is_not_waited_for() {
    let t = TestStore::new().await;
    let (running, _pacs) = patient(&t, 3600).await;
    let images = objects(&series("1.2.826.2", false));
    send_all(&running.to, &images).await;
    let reference = |o: &ObjectToSend| SopReference { sop_class: o.sop_class.clone(), instance: o.instance.clone() };
    let ask = async |images: &[ObjectToSend]| {
        let references = images.iter().map(reference).collect();
        let request = CommitmentRequest { transaction: TransactionUid::fresh(), references };
        request_commitment(&running.to, &title("MR1"), &request, &super::confirming::Notary::default()).await.unwrap();
    };
    // In two parts, and with one that is not here.
    ask(&images[..6]).await;
    ask(&images[6..]).await;
    let absent = ObjectToSend { instance: contourd::ids::InstanceUid::parse("1.2.3").unwrap(), ..images[0].clone() };
    ask(&[images.as_slice(), &[absent]].concat()).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(cases(&t).await[0].state, CaseState::Receiving);
    ask(&images).await;
    until(&t, CaseState::Delivered).await;
    assert_eq!(evidence(&t).await, "its sender asked for the commitment of all 12 images, evenly spaced");
    running.daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_images_are_waited_for_in_sight_and_over_a_restart() {
    let t = TestStore::new().await;
    let (running, _) = patient(&t, 2).await;
    let images = objects(&series("1.2.826.2", false));
    send_all(&running.to, &[&images[..4], &images[5..]].concat()).await;
    let waiting = async || {
        for _ in 0..300 {
            if let Some(reason) = cases(&t).await[0].reason.clone() {
                return reason;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("nothing is said: {:?}", cases(&t).await);
    };
    let reason = waiting().await;
    assert!(reason.starts_with("images are missing: 4.0 mm lie between two slices, 2.0 mm"), "{reason}");
    running.daemon.stop().await;

    let (running, pacs) = patient(&t, 2).await;
    tokio::time::sleep(Duration::from_secs(4)).await;
    let case = cases(&t).await.remove(0);
    assert_eq!((case.state, case.reason), (CaseState::Receiving, Some(reason)));
    send_all(&running.to, &images[4..5]).await;
    let case = until(&t, CaseState::Delivered).await;
    assert_eq!((case.revision, case.reason, pacs.classes().len()), (1, None, 1));
    assert_eq!(evidence(&t).await, "nothing came for 2 s");
    running.daemon.stop().await;
}
