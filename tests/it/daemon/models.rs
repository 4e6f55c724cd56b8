//! Several models side by side.

use super::*;

/// The route of MR1 with two models.
fn two_models() -> Vec<RouteConfig> {
    let models = vec!["bright".into(), "brighter".into()];
    vec![RouteConfig { model: None, models, ..route("head", "MR1", "") }]
}

/// Every case, once both of this revision are delivered.
async fn both_delivered(t: &TestStore, revision: i32) -> Vec<Case> {
    for _ in 0..600 {
        let all = cases(t).await;
        let done = |case: &&Case| case.revision == revision && case.state == CaseState::Delivered;
        if all.iter().filter(done).count() == 2 {
            return all;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("two cases of revision {revision} were not delivered: {:?}", cases(t).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_model_of_a_route_makes_a_result_of_its_own() {
    let t = TestStore::new().await;
    let (pacs_listener, pacs_port) = listener().await;
    let pacs = Pacs::accepting();
    pacs.listen(pacs_listener);
    let segmenter = Arc::new(Threshold::default());
    let running = start_on(&t, pacs_port, &segmenter, listener().await.0, two_models(), Otherwise::Ignore);
    // Sagittal: contours lie on derived slices, which each model makes for itself.
    let objects = objects(&series("1.2.826.2", true));
    send_all(&running.to, &objects[..11]).await;
    let first = both_delivered(&t, 1).await;
    let told = |case: &Case| (case.sibling, case.model_name.clone().unwrap(), case.revision);
    let mut found: Vec<_> = first.iter().map(told).collect();
    found.sort();
    assert_eq!(found, [(0, "bright".into(), 1), (1, "brighter".into(), 1)]);
    let sets = |pacs: &Pacs| -> Vec<Received> {
        pacs.kept.lock().unwrap().iter().filter(|o| o.sop_class == RTSTRUCT).cloned().collect()
    };
    let names = pacs.names();
    let distinct: std::collections::BTreeSet<&String> = names.iter().collect();
    assert_eq!((distinct.len(), sets(&pacs).len()), (names.len(), 2));
    let holds = |object: &Received, words: &str| object.dataset.windows(words.len()).any(|w| w == words.as_bytes());
    let of = |model: &str| -> Vec<Received> {
        let mark = format!("reviewed: {model}");
        sets(&pacs)
            .into_iter()
            .filter(|set| holds(set, &format!("{mark} ")) || holds(set, &format!("{mark}\0")))
            .collect()
    };
    assert_eq!((sets(&pacs)[0].instance == sets(&pacs)[1].instance, of("brighter").len()), (false, 1));

    // A late slice makes the next revision of both; each names the set of its own model.
    let earlier = sets(&pacs);
    send_all(&running.to, &objects[11..]).await;
    let all = both_delivered(&t, 2).await;
    let mut states: Vec<_> = all.iter().map(|c| (c.revision, c.sibling, c.state)).collect();
    states.sort_by_key(|(revision, sibling, _)| (*revision, *sibling));
    assert_eq!(
        states,
        [
            (1, 0, CaseState::Superseded),
            (1, 1, CaseState::Superseded),
            (2, 0, CaseState::Delivered),
            (2, 1, CaseState::Delivered)
        ]
    );
    let later: Vec<Received> =
        sets(&pacs).into_iter().filter(|s| !earlier.iter().any(|e| e.instance == s.instance)).collect();
    assert_eq!(later.len(), 2);
    for set in &later {
        let named: Vec<bool> = earlier.iter().map(|e| holds(set, e.instance.as_str())).collect();
        assert_eq!(named.iter().filter(|named| **named).count(), 1, "one predecessor each");
    }
    let named = |set: &Received| earlier.iter().position(|e| holds(set, e.instance.as_str()));
    assert_ne!(named(&later[0]), named(&later[1]));
    running.daemon.stop().await;
}
