//! Which series are taken: whole studies that a PACS routes, rules that change, cases that are urgent.

use contourd::routing::When;

use super::*;
use crate::support::files_below;

/// A route of MR1 with this rule.
fn ruled(name: &str, rule: &str) -> RouteConfig {
    let table: toml::Table = format!("when = {rule}").parse().unwrap();
    RouteConfig { when: Some(When::new(table["when"].clone())), ..route(name, "MR1", "bright") }
}

const T1_GD: &str = "{ all = [{ tag = 'Modality', is = 'MR' }, { t1_gd = true }] }";

async fn outcomes_of(running: &Running, objects: &[ObjectToSend]) -> Vec<SendOutcome> {
    send(&running.to, &title("MR1"), objects).await.unwrap()
}

async fn count(t: &TestStore, query: &'static str) -> i64 {
    sqlx::query_scalar(query).fetch_one(&mut t.sql().await).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_whole_study_the_wanted_series_is_taken_and_the_rest_is_answered_counted_and_not_kept() {
    let t = TestStore::new().await;
    let (pacs_listener, pacs_port) = listener().await;
    let pacs = Pacs::accepting();
    pacs.listen(pacs_listener);
    let routes = vec![ruled("head", T1_GD)];
    let running =
        start_on(&t, pacs_port, &Arc::new(Threshold::default()), listener().await.0, routes, Otherwise::Ignore);
    for (uid, description) in [("1.2.826.5", "localizer"), ("1.2.826.6", "t2_tse_tra Doe"), ("1.2.826.7", "ADC")] {
        send_all(&running.to, &objects(&series_called(uid, false, description))).await;
    }
    send_all(&running.to, &objects(&series("1.2.826.2", false))).await;
    let case = until(&t, CaseState::Delivered).await;
    assert_eq!((case.series_uid.as_str(), case.route.as_str(), case.priority), ("1.2.826.2", "head", 5));
    assert_eq!(cases(&t).await.len(), 1);
    assert_eq!(count(&t, "select count(*) from instances").await, 12);
    assert_eq!(t.pg.unwanted_count().await.unwrap(), (3, 36));
    let unwanted = t.pg.unwanted(10).await.unwrap();
    let told: Vec<(&str, i64, bool)> =
        unwanted.iter().map(|u| (u.series_description.as_str(), u.instances, u.refused)).collect();
    assert_eq!(told, [("ADC", 12, false), ("t2_tse_tra Doe", 12, false), ("localizer", 12, false)]);
    let reasons = unwanted[1].reasons.join("\n");
    assert!(reasons.contains("T1: unlikely, score -5: -5 SeriesDescription says T2"), "{reasons}");
    assert!(reasons.contains("route head: recognised as T1-weighted after gadolinium: T1 unlikely"), "{reasons}");
    assert!(!reasons.contains("Doe"), "{reasons}");
    assert_eq!(t.pg.refused_on_receipt().await.unwrap(), []);
    assert_eq!(count(&t, "select count(*) from audit where event = 'series_not_wanted'").await, 3);
    let why = t.pg.routing_of_case(&case).await.unwrap();
    assert_eq!(why.last().unwrap(), "route head: it takes the series");
    // No file of what was not kept.
    let kept: Vec<String> = files_below(&t.blobs_dir()).iter().map(|path| path.display().to_string()).collect();
    assert!(!kept.is_empty());
    assert_eq!(kept.into_iter().filter(|path| path.contains("1.2.826.6")).collect::<Vec<_>>(), Vec::<String>::new());
    running.daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_sender_chooses_what_no_route_wants_is_refused_with_the_reason() {
    let t = TestStore::new().await;
    let routes = vec![ruled("head", T1_GD)];
    let running = start_on(&t, 1, &Arc::new(Threshold::default()), listener().await.0, routes, Otherwise::Refuse);
    let outcomes = outcomes_of(&running, &objects(&series_called("1.2.826.5", false, "t2"))[..3]).await;
    for outcome in outcomes {
        assert!(matches!(outcome, SendOutcome::Failed { status: Some(0xC000), .. }), "{outcome:?}");
    }
    let listed = t.pg.refused_on_receipt().await.unwrap();
    assert_eq!((listed.len(), listed[0].instances), (1, 3));
    assert!(listed[0].why.starts_with("no route wants this series: head: recognised as T1"), "{}", listed[0].why);
    assert_eq!(t.pg.unwanted_count().await.unwrap(), (1, 3));
    running.daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_instance_decides_for_its_series_and_other_rules_are_asked_anew() {
    let t = TestStore::new().await;
    let routes = |rule: &str| vec![ruled("head", rule), route("rest", "MR3", "bright")];
    let by_name = "{ tag = 'SeriesDescription', contains = 'post' }";
    let segmenter = Arc::new(Threshold::default());
    let running = start_on(&t, 1, &segmenter, listener().await.0, routes(by_name), Otherwise::Ignore);
    // One series under two names, and another the other way round.
    let (post, pre) = (series("1.2.826.2", false), series_called("1.2.826.2", false, "T1 MPRAGE pre"));
    let first: Vec<EncodedInstance> = post[..1].iter().chain(&pre[1..6]).cloned().collect();
    send_all(&running.to, &objects(&first)).await;
    assert_eq!(t.pg.instances_of("1.2.826.2", 1).await.unwrap().len(), 6);
    let (post, pre) = (series("1.2.826.3", false), series_called("1.2.826.3", false, "T1 MPRAGE pre"));
    let second: Vec<EncodedInstance> = pre[..1].iter().chain(&post[1..6]).cloned().collect();
    send_all(&running.to, &objects(&second)).await;
    assert_eq!(t.pg.instances_of("1.2.826.3", 1).await.unwrap().len(), 0);
    assert_eq!(t.pg.unwanted_count().await.unwrap(), (1, 6));
    running.daemon.stop().await;

    // Under other rules the series that has a case stays on its route; the other is asked about anew.
    let running = start_on(
        &t,
        1,
        &segmenter,
        listener().await.0,
        routes("{ tag = 'SeriesDescription', contains = 'pre' }"),
        Otherwise::Ignore,
    );
    send_all(&running.to, &objects(&[series("1.2.826.2", false)[7].clone(), pre[2].clone()])).await;
    let rows = t.pg.instances_of("1.2.826.2", 9).await.unwrap();
    assert_eq!(rows.len(), 7);
    assert_eq!(t.pg.instances_of("1.2.826.3", 1).await.unwrap().len(), 1);
    running.daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unwanted_series_is_asked_about_again_when_it_was_mended_meanwhile() {
    let t = TestStore::new().await;
    let routes = vec![ruled("head", T1_GD)];
    let running = start_on(&t, 1, &Arc::new(Threshold::default()), listener().await.0, routes, Otherwise::Ignore);
    send_all(&running.to, &objects(&series_called("1.2.826.5", false, "brain"))[..2]).await;
    let mended = objects(&series("1.2.826.5", false));
    send_all(&running.to, &mended[..2]).await;
    assert_eq!(t.pg.instances_of("1.2.826.5", 1).await.unwrap().len(), 0, "decided a moment ago");
    let earlier = "update routings set latest_at = latest_at - interval '2 hours'";
    sqlx::query(earlier).execute(&mut t.sql().await).await.unwrap();
    send_all(&running.to, &mended[..2]).await;
    assert_eq!(t.pg.instances_of("1.2.826.5", 1).await.unwrap().len(), 2);
    running.daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_image_decides_nothing_for_its_series() {
    let t = TestStore::new().await;
    let routes = vec![ruled("head", "{ tag = 'Rows', above = 1 }")];
    let running = start_on(&t, 1, &Arc::new(Threshold::default()), listener().await.0, routes, Otherwise::Ignore);
    let whole = series("1.2.826.5", false);
    let mut cut = whole[0].clone();
    // Cut before Rows, behind the names of study and series.
    let uid = b"1.2.826.5";
    let place = cut.bytes.windows(uid.len()).position(|w| w == uid).unwrap();
    cut.bytes.truncate(place + 43); // within an element: cut between two it would look whole
    let outcome = outcomes_of(&running, &objects(&[cut])).await.remove(0);
    assert!(matches!(outcome, SendOutcome::Failed { status: Some(0xC000), .. }), "{outcome:?}");
    let listed = t.pg.refused_on_receipt().await.unwrap();
    assert!(listed[0].why.contains("cut short") || listed[0].why.contains("ends"), "{}", listed[0].why);
    send_all(&running.to, &objects(&whole)).await;
    assert_eq!(t.pg.instances_of("1.2.826.5", 1).await.unwrap().len(), 12);
    running.daemon.stop().await;
}
