//! Jobs: attempts, faults, shutdowns, revisions.

use super::*;
use contourd::store::{NewRelease, Released};

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_ends_one_attempt_and_too_many_end_the_case_in_sight() {
    let t = TestStore::new().await;
    let (pacs_listener, pacs_port) = listener().await;
    let (own, _) = listener().await;
    Pacs::accepting().listen(pacs_listener);
    let segmenter = Arc::new(Threshold { panics: AtomicUsize::new(3), ..Threshold::default() });
    let running = start(&t, pacs_port, &segmenter, own);
    send_all(&running.to, &objects(&series("1.2.826.2", false))).await;
    let case = until(&t, CaseState::Failed).await;
    let reason = case.reason.unwrap();
    assert!(reason.contains("2 attempts") && reason.contains("a fault for this test"), "{reason}");
    send_all(&running.to, &objects(&series("1.2.826.3", false))).await;
    until(&t, CaseState::Delivered).await;
    assert_eq!(segmenter.runs.load(Ordering::SeqCst), 4);
    running.daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_gives_the_job_back_and_the_next_start_finishes_it() {
    let t = TestStore::new().await;
    let (pacs_listener, pacs_port) = listener().await;
    let pacs = Pacs::accepting();
    pacs.listen(pacs_listener);
    let stuck = Arc::new(Threshold { stuck: AtomicBool::new(true), ..Threshold::default() });
    let running = start(&t, pacs_port, &stuck, listener().await.0);
    send_all(&running.to, &objects(&series("1.2.826.2", false))).await;
    until(&t, CaseState::Segmenting).await;
    running.daemon.stop().await;
    let case = cases(&t).await.remove(0);
    assert_eq!(case.state, CaseState::Queued);
    assert!(case.reason.unwrap().contains("stopped"));
    stuck.stuck.store(false, Ordering::SeqCst);
    let running = start(&t, pacs_port, &stuck, listener().await.0);
    until(&t, CaseState::Delivered).await;
    assert_eq!(pacs.classes(), [RTSTRUCT]);
    running.daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_slice_makes_a_second_structure_set_that_names_the_first() {
    let t = TestStore::new().await;
    let (pacs_listener, pacs_port) = listener().await;
    let (own, _) = listener().await;
    let pacs = Pacs::accepting();
    pacs.listen(pacs_listener);
    let running = start(&t, pacs_port, &Arc::new(Threshold::default()), own);
    let objects = objects(&series("1.2.826.2", false));
    send_all(&running.to, &objects[..11]).await;
    until(&t, CaseState::Delivered).await;
    send_all(&running.to, &objects[11..]).await;
    while pacs.classes().len() < 2 {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    until(&t, CaseState::Delivered).await;
    let all = cases(&t).await;
    let states: Vec<(i32, CaseState)> = all.iter().map(|c| (c.revision, c.state)).collect();
    assert_eq!(states, [(1, CaseState::Superseded), (2, CaseState::Delivered)]);
    let names = pacs.names();
    assert_ne!(names[0], names[1]);
    let (second, first) = (pacs.kept.lock().unwrap()[1].dataset.clone(), names[0].as_bytes());
    assert!(second.windows(first.len()).any(|w| w == first), "the first structure set is not named");
    running.daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn networks_that_cannot_run_for_once_are_tried_again_and_a_person_can_go_on_after_the_last_attempt() {
    let t = TestStore::new().await;
    let (pacs_listener, pacs_port) = listener().await;
    Pacs::accepting().listen(pacs_listener);
    let segmenter = Arc::new(Threshold { short_of_memory: AtomicUsize::new(1), ..Threshold::default() });
    let running = start(&t, pacs_port, &segmenter, listener().await.0);
    send_all(&running.to, &objects(&series("1.2.826.2", false))).await;
    until(&t, CaseState::Delivered).await;
    assert_eq!(segmenter.runs.load(Ordering::SeqCst), 2);

    segmenter.short_of_memory.store(2, Ordering::SeqCst);
    send_all(&running.to, &objects(&series("1.2.826.3", false))).await;
    let case = until(&t, CaseState::Failed).await;
    let reason = case.reason.unwrap();
    assert!(reason.contains("2 attempts") && reason.contains("out of memory"), "{reason}");
    assert_eq!(t.pg.retry_case(case.id).await.unwrap(), Retried::Job);
    until(&t, CaseState::Delivered).await;
    running.daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_of_the_daemon_that_ends_in_a_fault_is_told_at_once_with_its_name() {
    let t = TestStore::new().await;
    let segmenter = Arc::new(Threshold { worker_faults: AtomicUsize::new(1), ..Threshold::default() });
    let mut running = start(&t, 1, &segmenter, listener().await.0);
    assert!(tokio::time::timeout(Duration::from_secs(1), running.daemon.fault()).await.is_err(), "all is well");
    send_all(&running.to, &objects(&series("1.2.826.2", false))).await;
    let fault = running.daemon.fault().await;
    assert!(fault.starts_with("worker 1 ") && fault.contains("a fault of the worker for this test"), "{fault}");
    // The others still end in order.
    running.daemon.stop().await;
    assert_eq!(cases(&t).await[0].state, CaseState::Segmenting);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_case_that_ends_the_daemon_again_and_again_fails_in_sight_and_one_end_is_not_its_fault() {
    let t = TestStore::new().await;
    let (pacs_listener, pacs_port) = listener().await;
    Pacs::accepting().listen(pacs_listener);
    let segmenter = Arc::new(Threshold::default());
    let mut running = start(&t, pacs_port, &segmenter, listener().await.0);
    // As many ends of the daemon as are allowed: more than there are attempts.
    let ends = i64::from(contourd::service::JobsConfig::default().max_interruptions);
    for (series, ended, state) in
        [("1.2.826.2", ends - 1, CaseState::Delivered), ("1.2.826.3", ends, CaseState::Failed)]
    {
        segmenter.stuck.store(true, Ordering::SeqCst);
        send_all(&running.to, &objects(&self::series(series, false))).await;
        until(&t, CaseState::Segmenting).await;
        running.daemon.stop().await;
        // What a kill leaves: a job that somebody holds who is not heard of any more.
        sqlx::query(
            "update jobs set state = 'leased', attempts = attempts + 1, interruptions = $1, lease_holder = $2,
                             lease_until = clock_timestamp() where state = 'ready'",
        )
        .bind(i32::try_from(ended).unwrap())
        .bind(uuid::Uuid::new_v4())
        .execute(&mut t.sql().await)
        .await
        .unwrap();
        segmenter.stuck.store(false, Ordering::SeqCst);
        running = start(&t, pacs_port, &segmenter, listener().await.0);
        let case = until(&t, state).await;
        let reason = case.reason.unwrap_or_default();
        assert_eq!(reason.contains("the daemon ended 21 times"), state == CaseState::Failed, "{reason}");
    }
    running.daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_of_a_refused_instance_that_cannot_be_read_fails_the_case_in_sight() {
    let t = TestStore::new().await;
    let segmenter = Arc::new(Threshold::default());
    let running = start(&t, 1, &segmenter, listener().await.0);
    send_all(&running.to, &objects(&series("1.2.826.2", false))).await;
    // As another version may have written it.
    sqlx::query(
        "insert into refused_instances (series_uid, sop_instance_uid, refusal)
         values ('1.2.826.2', '1.2.826.2.99', '{\"code\": \"of_another_version\", \"message\": \"\"}')",
    )
    .execute(&mut t.sql().await)
    .await
    .unwrap();
    let reason = until(&t, CaseState::Failed).await.reason.unwrap();
    assert!(reason.contains("refused when it came") && reason.contains("of_another_version"), "{reason}");
    assert_eq!(segmenter.runs.load(Ordering::SeqCst), 0, "it was contoured as if it were whole");
    running.daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_strange_image_is_held_until_a_person_releases_it_or_a_late_slice_replaces_it() {
    let t = TestStore::new().await;
    let (pacs_listener, pacs_port) = listener().await;
    let pacs = Pacs::accepting();
    pacs.listen(pacs_listener);
    let segmenter = Arc::new(Threshold { strange: AtomicBool::new(true), ..Threshold::default() });
    let running = start(&t, pacs_port, &segmenter, listener().await.0);
    let objects = objects(&series("1.2.826.2", true));
    send_all(&running.to, &objects[..11]).await;
    let first = until(&t, CaseState::Held).await;
    assert_eq!(first.reason.as_deref(), Some("bone is brighter than brain\nno air"));
    assert_eq!(t.pg.structures_of(first.id).await.unwrap().len(), 12, "nothing to review");
    // A late slice: the new revision takes its place, and is held as well.
    send_all(&running.to, &objects[11..]).await;
    let second = loop {
        if let [old, new] = &cases(&t).await[..]
            && new.state == CaseState::Held
        {
            assert_eq!(old.state, CaseState::Superseded);
            break new.id;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(pacs.asked.load(Ordering::SeqCst), 0, "something was sent");
    let release = NewRelease { case_id: second, released_by: "Dr A".into(), reason: "seen".into() };
    let Released::Sent { deliveries } = t.pg.release_case(&release).await.unwrap() else { panic!("not held") };
    assert!(deliveries > 1, "the derived slices and the structure set");
    until(&t, CaseState::Delivered).await;
    assert_eq!(pacs.classes().len() as u64, deliveries);
    assert_eq!(pacs.classes().last().map(String::as_str), Some(RTSTRUCT));
    running.daemon.stop().await;
}
