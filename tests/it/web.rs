//! The review page and its API over a real store: rows go in as the daemon writes them, answers come over HTTP, and the
//! page is used in a browser.

pub mod site;

use std::sync::Arc;
use std::time::Duration;

use contourd::anatomy::Structure;
use contourd::geometry::{Grid, Index, Lps, Shape, Vec3, Volume};
use contourd::ids::FrameOfReferenceUid;
use contourd::store::Attempt;
use serde_json::{Value, json};
use uuid::Uuid;

use super::browser::Browser;
use super::http::ask;
use site::{HOSTILE, NAME, ODD, Site, head, head_grid, images, structures};

/// The type of every body that is sent.
const JSON: (&str, &str) = ("content-type", "application/json");

fn found<'a>(list: &'a Value, name: &str) -> &'a Value {
    list["structures"].as_array().unwrap().iter().find(|s| s["name"] == name).unwrap()
}

/// A destination that refuses everything of a case for good.
async fn fail_delivery(site: &Site, case: Uuid, destination: &str) {
    let holder = Uuid::new_v4();
    let due = site.pg().claim_delivery(holder, destination, Duration::from_secs(60), 99).await.unwrap().unwrap();
    assert_eq!(due.case, case);
    let refused = |id| (id, Attempt::Refused { error: "unknown patient".into() });
    let attempts: Vec<_> = due.items.iter().map(|item| refused(item.outbox_id)).collect();
    site.pg().record_attempts(case, holder, &attempts).await.unwrap();
}

#[tokio::test]
async fn cases_are_listed_newest_first_with_state_and_reason() {
    let site = Site::start().await;
    let volume = head();
    let mut ids = Vec::new();
    for n in 0..4 {
        let objects = images(&volume, &format!("1.2.840.77.2.{n}"));
        ids.push(site.receive(if n == 1 { HOSTILE } else { NAME }, &objects[..1]).await);
        if n == 0 {
            site.claim().await;
        }
        if n == 1 {
            let (case, holder) = site.claim().await;
            let reason = "The series has one slice only; send the whole series.";
            site.pg().refuse_job(case, holder, reason, &json!([{"code": "too_few_slices"}]), None).await.unwrap();
        }
    }
    let first = site.get("/api/cases").await.json();
    assert_eq!(first["total"], 4);
    let listed: Vec<&str> = first["cases"].as_array().unwrap().iter().map(|c| c["id"].as_str().unwrap()).collect();
    assert_eq!(listed, [ids[3], ids[2], ids[1]].map(|id| id.to_string()));
    assert_eq!(first["cases"][0]["state"], "receiving");
    assert_eq!(first["cases"][0]["patient_name"], "Muster, Erika");
    assert_eq!(first["cases"][0]["patient_id"], "P-0815");
    assert_eq!(first["cases"][2]["state"], "refused");
    assert!(first["cases"][2]["reason"].as_str().unwrap().contains("one slice only"));
    assert!(first["cases"][0]["age_seconds"].as_f64().unwrap() >= 0.0);
    assert_eq!(first["next"], ids[1].to_string());
    let second = site.get(&format!("/api/cases?before={}", ids[1])).await.json();
    assert_eq!(second["cases"].as_array().unwrap().len(), 1);
    assert_eq!(second["cases"][0]["id"], ids[0].to_string());
    assert_eq!(second["next"], Value::Null);

    for (path, status) in [
        (format!("/api/cases/{}", ids[1]), 200),
        (format!("/api/cases/{}", Uuid::new_v4()), 404),
        ("/api/cases/7".to_owned(), 400),
        ("/api/cases?before=7".to_owned(), 400),
        (format!("/api/cases?before={}", Uuid::new_v4()), 404),
        ("/api/nothing".to_owned(), 404),
        (format!("/api/cases/{}/slices/0.jpg", ids[0]), 400),
        // A series that may still grow has no picture that could be kept.
        (format!("/api/cases/{}/image", ids[3]), 409),
        (format!("/api/cases/{}/sheet.png", ids[0]), 409),
    ] {
        let answer = site.get(&path).await;
        assert_eq!(answer.status, status, "{path}");
        if status == 200 {
            assert_eq!(answer.json()["warnings"], json!([]), "nothing was contoured yet");
        }
        assert!(status == 200 || !answer.json()["what_to_do"].as_str().unwrap().is_empty(), "{path}");
    }
    assert_eq!(site.get(&format!("/api/cases/{}/structures", ids[1])).await.json(), json!({"structures": []}));
    let answer = site.review(ids[1], "Brain", &json!({"rating": "accept", "reviewer": "A"})).await;
    assert_eq!(answer.status, 409, "a refused case has nothing to review");
    assert_eq!(ask(site.address, "DELETE", "/api/cases", &[], "").await.status, 405);

    // What was refused at the door is on no case, and still in sight: by sender and reason.
    let none = json!({"refusals": [], "unwanted": {"series": 0, "objects": 0, "latest": []}});
    assert_eq!(site.get("/api/refusals").await.json(), none);
    for (instance, kind) in
        [("1.2.3.1", "no_route"), ("1.2.3.2", "no_route"), ("1.2.3.2", "no_route"), ("1.2.3.3", "damaged")]
    {
        let detail =
            json!({"instance": instance, "calling": "SCANNER", "called": "WRONG", "kind": kind, "why": "no route"});
        site.pg().audit("instance_refused", None, &detail).await.unwrap();
    }
    let refused = site.get("/api/refusals").await.json();
    let [refused] = &refused["refusals"].as_array().unwrap()[..] else { panic!("{refused}") };
    assert_eq!(
        (&refused["calling"], &refused["called"], &refused["why"]),
        (&json!("SCANNER"), &json!("WRONG"), &json!("no route"))
    );
    assert_eq!(refused["instances"], 2);

    let health = site.get("/health").await.json();
    assert_eq!(health["status"], "live");
    assert_eq!(health["provider"], "CPUExecutionProvider");
    assert_eq!(health["models"][0]["name"], "phantom-v1");
    assert_eq!(health["waiting"]["cases"]["count"], 3);
    site.stop().await;
}

#[tokio::test]
async fn health_fails_when_the_database_is_gone() {
    let site = Site::start().await;
    assert_eq!(site.get("/health").await.status, 200);
    site.pg().close().await;
    let answer = site.get("/health").await;
    assert_eq!(answer.status, 503);
    assert!(answer.json()["what_to_do"].as_str().unwrap().contains("doctor"));
    site.stop().await;
}

#[tokio::test]
async fn contours_lie_on_the_images_that_are_shown() {
    let site = Site::start().await;
    let volume = head();
    // In any order: places come from positions.
    let mut objects = images(&volume, "1.2.840.77.3");
    objects.reverse();
    site.receive(NAME, &objects).await;
    let case = site.finish(structures(), &[], &["PACS".to_owned()]).await;

    assert_eq!(site.get(&format!("/api/cases/{case}")).await.json()["warnings"], json!([ODD]));
    let image = site.get(&format!("/api/cases/{case}/image")).await.json();
    assert_eq!([&image["columns"], &image["rows"], &image["slices"]], [80, 64, 24]);
    assert_eq!(image["spacing"], json!([1.5, 2.5]));
    assert_eq!(image["derived"], false);
    assert_eq!(image["edges"], json!({"left": "R", "right": "L", "top": "A", "bottom": "P"}));

    let png = site.get(&format!("/api/cases/{case}/slices/9.png?centre=400&width=800")).await;
    assert_eq!(
        (png.status, png.header("content-type"), png.header("cache-control")),
        (200, Some("image/png"), Some("no-store"))
    );
    let mut reader = png::Decoder::new(std::io::Cursor::new(&png.body)).read_info().unwrap();
    let mut grey = vec![0; 80 * 64];
    reader.next_frame(&mut grey).unwrap();
    for [i, j] in [[56, 9], [42, 41], [3, 60], [56, 6]] {
        let expected = (f64::from(volume.at(i, j, 9)) / 800.0 * 255.0).clamp(0.0, 255.0);
        assert!((f64::from(grey[j * 80 + i]) - expected).abs() <= 1.0, "pixel {i} {j}");
    }
    for (path, status) in
        [("24.png", 404), ("x.png", 400), ("0.png?width=-1", 400), ("0.png?width=nan", 400), ("0.png?size=1", 400)]
    {
        assert_eq!(site.get(&format!("/api/cases/{case}/slices/{path}")).await.status, status, "{path}");
    }

    let contours = site.get(&format!("/api/cases/{case}/contours")).await.json();
    let eye = found(&contours, "Eye_L");
    assert_eq!(eye["colour"], json!([255, 205, 60]));
    assert_eq!(eye["middle_slice"], 9);
    let polygon = eye["contours"].as_array().unwrap().iter().find(|c| c["slice"] == 9).unwrap();
    let grid = head_grid();
    for (point, lps) in polygon["points"].as_array().unwrap().iter().zip(polygon["lps_mm"].as_array().unwrap()) {
        let [i, j] = [0, 1].map(|a| point[a].as_f64().unwrap());
        let expected = grid.to_lps(Index::new(i, j, 9.0)).to_array();
        for a in 0..3 {
            assert!((lps[a].as_f64().unwrap() - expected[a]).abs() < 0.01);
        }
    }
    assert_eq!(found(&contours, "Eye_R")["contours"], json!([]));

    let list = site.get(&format!("/api/cases/{case}/structures")).await.json();
    assert_eq!(list["structures"].as_array().unwrap().len(), 12);
    assert_eq!(found(&list, "Eye_R")["status"], "not found");
    assert_eq!(found(&list, "Eye_R")["volume_cc"], Value::Null);
    assert_eq!(found(&list, "Eye_L")["flags"][0]["severity"], "red");
    let light = |name| found(&list, name)["light"].clone();
    assert_eq!([light("Eye_L"), light("Lens_L"), light("Brain")], ["red", "amber", "green"]);
    assert_eq!(light("Eye_R"), Value::Null, "what was not judged has no light");
    assert!(found(&list, "Lens_L")["reasons"][0].as_str().unwrap().contains("disagree on 46 %"));
    assert_eq!(found(&list, "Brain")["effects"][0]["removed"], 31);
    let one = site.get(&format!("/api/cases/{case}")).await.json();
    assert_eq!(one["state"], "delivering");
    assert_eq!(one["deliveries"][0]["destination"], "PACS");
    assert_eq!([&one["deliveries"][0]["total"], &one["deliveries"][0]["accepted"]], [1, 0]);
    site.stop().await;
}

#[tokio::test]
async fn contours_on_a_derived_series_are_shown_on_it() {
    let site = Site::start().await;
    let frame = FrameOfReferenceUid::parse("1.2.840.77.9").unwrap();
    let axes = [Vec3::new(0.0, 1.0, 0.0), Vec3::new(0.0, 0.0, -1.0), Vec3::new(-1.0, 0.0, 0.0)];
    let sagittal =
        Grid::new(frame, Shape::new(20, 30, 12), Lps::new(40.0, -30.0, 50.0), axes, [2.0, 1.0, 4.0]).unwrap();
    let received = Volume::filled(Arc::new(sagittal), 5.0);
    site.receive(NAME, &images(&received, "1.2.840.77.4")).await;
    let case = site.finish(structures(), &images(&head(), "1.2.840.77.5"), &[]).await;
    let image = site.get(&format!("/api/cases/{case}/image")).await.json();
    assert_eq!((&image["derived"], &image["columns"]), (&json!(true), &json!(80)));
    let contours = site.get(&format!("/api/cases/{case}/contours")).await.json();
    assert_eq!(contours["derived"], true);
    assert_eq!(found(&contours, "Lens_L")["middle_slice"], 9);
    site.stop().await;
}

#[tokio::test]
async fn a_changed_mind_is_a_new_row_and_the_latest_counts() {
    let site = Site::start().await;
    let objects = images(&head(), "1.2.840.77.6");
    let (late, most) = objects.split_last().unwrap();
    site.receive(NAME, most).await;
    let case = site.finish(structures(), &[], &[]).await;
    let said = [
        ("Eye_L", json!({"rating": "major", "reviewer": "Dr A", "comment": "too small", "seconds_spent": 41.4})),
        ("Eye_L", json!({"rating": "minor", "reviewer": " Dr  A "})),
        ("Eye_L", json!({"rating": "accept", "reviewer": "Dr B"})),
        ("Eye_R", json!({"rating": "not_assigned", "reviewer": "Dr A"})),
    ];
    for (structure, body) in &said {
        let answer = site.review(case, structure, body).await;
        assert_eq!(answer.status, 201, "{}", answer.json());
        assert_eq!(answer.json()["rating"], body["rating"]);
    }
    let history = site.get(&format!("/api/cases/{case}/structures/Eye_L/reviews")).await.json();
    let ratings: Vec<&Value> = history["reviews"].as_array().unwrap().iter().map(|r| &r["rating"]).collect();
    assert_eq!(ratings, ["accept", "minor", "major"]);
    assert_eq!(history["reviews"][2]["comment"], "too small");
    assert_eq!(history["reviews"][2]["seconds_spent"], 41);
    let list = site.get(&format!("/api/cases/{case}/structures")).await.json();
    let latest = found(&list, "Eye_L")["latest_reviews"].as_array().unwrap().clone();
    assert_eq!(latest.iter().map(|r| &r["rating"]).collect::<Vec<_>>(), ["minor", "accept"]);

    let table = site.get("/api/statistics").await.json();
    assert_eq!([&table["reviews"], &table["cases"], &table["reviewers"]], [3, 1, 2]);
    let counts = json!({"accept": 1, "minor": 1, "major": 0, "reject": 0, "not_assigned": 0});
    assert_eq!(found(&table, "Eye_L")["counts"], counts);
    assert_eq!(found(&table, "Eye_R")["counts"]["not_assigned"], 1);
    assert_eq!(found(&table, "Eye_L")["thesis"]["accept"], 48);
    assert_eq!(table["thesis"]["total"]["accept"], 438);

    for (structure, body, status) in [
        ("Eye_X", json!({"rating": "accept", "reviewer": "A"}), 404),
        ("Eye_L", json!({"rating": "good", "reviewer": "A"}), 422),
        ("Eye_L", json!({"rating": "accept"}), 422),
        ("Eye_L", json!({"rating": "accept", "reviewer": "A", "colour": 1}), 422),
        ("Eye_R", json!({"rating": "accept", "reviewer": "A"}), 422),
        ("Eye_L", json!({"rating": "accept", "reviewer": "A", "comment": "x".repeat(5000)}), 422),
        ("Eye_L", json!({"rating": "accept", "reviewer": "A", "comment": "x".repeat(70_000)}), 413),
    ] {
        let answer = site.review(case, structure, &body).await;
        assert_eq!(answer.status, status, "{structure} {}", answer.json());
    }
    let path = format!("/api/cases/{case}/structures/Eye_L/reviews");
    let body = said[0].1.to_string();
    let json_type = ("content-type", "application/json");
    let post =
        async |headers: &[(&str, &str)], body: &str| ask(site.address, "POST", &path, headers, body).await.status;
    assert_eq!(post(&[json_type, ("origin", "http://evil.example")], &body).await, 403);
    assert_eq!(post(&[json_type, ("sec-fetch-site", "cross-site")], &body).await, 403);
    assert_eq!(post(&[("content-type", "text/plain")], &body).await, 415);
    assert_eq!(post(&[json_type], "{").await, 400);
    assert_eq!(post(&[json_type, ("host", "evil.example")], &body).await, 421);
    let after = site.get(&path).await.json();
    assert_eq!(after["reviews"].as_array().unwrap().len(), 3, "what was refused left no row");

    // A late slice makes a new revision: who judges it again has judged the series once, not twice.
    let second = site.receive(NAME, std::slice::from_ref(late)).await;
    assert_ne!(second, case);
    assert_eq!(site.finish(structures(), &[], &[]).await, second);
    let answer = site.review(second, "Eye_L", &json!({"rating": "reject", "reviewer": "Dr A"})).await;
    assert_eq!(answer.status, 201, "{}", answer.json());
    let table = site.get("/api/statistics").await.json();
    assert_eq!([&table["reviews"], &table["cases"], &table["reviewers"]], [3, 1, 2]);
    let counts = json!({"accept": 1, "minor": 0, "major": 0, "reject": 1, "not_assigned": 0});
    assert_eq!(found(&table, "Eye_L")["counts"], counts);
    site.stop().await;
}

#[tokio::test]
async fn what_failed_is_tried_again_when_its_page_asks_and_nothing_else_is() {
    let site = Site::start().await;
    site.receive(NAME, &images(&head(), "1.2.840.77.10")).await;
    let case = site.finish(structures(), &[], &["PACS".to_owned()]).await;
    let path = format!("/api/cases/{case}/retry");
    let json_type = ("content-type", "application/json");
    let post = async |headers: &[(&str, &str)], body: &str| ask(site.address, "POST", &path, headers, body).await;
    let offered = async || site.get(&format!("/api/cases/{case}")).await.json()["retry"].clone();
    assert_eq!(offered().await, Value::Null);
    let early = post(&[json_type], "{}").await;
    assert_eq!(early.status, 409, "nothing has failed yet");
    assert!(early.json()["error"].as_str().unwrap().contains("has failed or waits"), "{}", early.json());

    fail_delivery(&site, case, "PACS").await;
    assert_eq!(offered().await, "deliveries");
    assert_eq!(post(&[json_type, ("origin", "http://evil.example")], "{}").await.status, 403);
    assert_eq!(post(&[json_type, ("sec-fetch-site", "cross-site")], "{}").await.status, 403);
    assert_eq!(post(&[json_type, ("host", "evil.example")], "{}").await.status, 421);
    assert_eq!(post(&[("content-type", "text/plain")], "{}").await.status, 415);
    assert_eq!(post(&[json_type], r#"{"case": 1}"#).await.status, 422);
    assert_eq!(site.get(&path).await.status, 405);
    let nobody = format!("/api/cases/{}/retry", Uuid::new_v4());
    assert_eq!(ask(site.address, "POST", &nobody, &[json_type], "{}").await.status, 404);
    assert_eq!(
        site.get(&format!("/api/cases/{case}")).await.json()["state"],
        "failed",
        "a refused request did something"
    );

    let begun = post(&[json_type], "{}").await;
    assert_eq!((begun.status, begun.json()), (200, json!({"retried": "deliveries", "objects": 1})));
    let one = site.get(&format!("/api/cases/{case}")).await.json();
    assert_eq!((&one["state"], &one["retry"]), (&json!("delivering"), &Value::Null));
    assert_eq!(post(&[json_type], "{}").await.status, 409);

    // A late slice takes the place of this case.
    fail_delivery(&site, case, "PACS").await;
    let (newer, refused_by) = {
        let mut late = images(&head(), "1.2.840.77.10");
        late.truncate(1);
        late[0].instance = contourd::ids::InstanceUid::parse("1.2.840.77.10.999").unwrap();
        (site.receive(NAME, &late).await, site.claim().await.1)
    };
    let replaced = post(&[json_type], "{}").await;
    assert_eq!(replaced.status, 409);
    assert!(replaced.json()["error"].as_str().unwrap().contains("later revision"), "{}", replaced.json());
    site.pg().fail_job(newer, refused_by, "the memory is full").await.unwrap();
    let answer = ask(site.address, "POST", &format!("/api/cases/{newer}/retry"), &[json_type], "{}").await;
    assert_eq!((answer.status, answer.json()), (200, json!({"retried": "job"})));
    site.stop().await;
}

#[tokio::test]
async fn a_person_may_say_that_a_series_is_complete_as_long_as_it_is_waited_for() {
    let site = Site::start().await;
    let objects = images(&head(), "1.2.840.77.13");
    let count = objects.len() as u64;
    let case = site.receive(NAME, &objects).await;
    let path = format!("/api/cases/{case}/complete");
    let say = async |headers: &[(&str, &str)]| ask(site.address, "POST", &path, headers, "{}").await;
    assert_eq!(say(&[JSON, ("origin", "http://evil.example")]).await.status, 403);
    assert_eq!(say(&[("content-type", "text/plain")]).await.status, 415);
    let nobody = format!("/api/cases/{}/complete", Uuid::new_v4());
    assert_eq!(ask(site.address, "POST", &nobody, &[JSON], "{}").await.status, 404);

    let browser = Browser::start().await;
    browser.open(&format!("http://{}/#/case/{case}", site.address)).await;
    browser.until("document.querySelector('.state.receiving')").await;
    browser.click("button.complete").await;
    browser.until("document.querySelector('.state.queued') && !document.querySelector('button.complete')").await;
    assert_eq!(browser.errors().await, Vec::<String>::new());
    browser.end().await;
    let again = say(&[JSON]).await;
    assert_eq!(again.status, 409);
    assert!(again.json()["error"].as_str().unwrap().contains("not waited for any more"), "{}", again.json());
    let job = site.pg().claim_job(Uuid::new_v4(), Duration::from_secs(60)).await.unwrap().unwrap();
    assert_eq!(job.case.id, case);
    let told: Vec<Value> = sqlx::query_scalar("select detail from audit where event = 'series_declared_complete'")
        .fetch_all(&mut site.store.sql().await)
        .await
        .unwrap();
    assert_eq!(told, [json!({"images": count})]);

    // What comes late is not lost: it opens the next revision, which may be declared complete in its turn.
    let mut late = objects;
    late.truncate(1);
    late[0].instance = contourd::ids::InstanceUid::parse("1.2.840.77.13.999").unwrap();
    let newer = site.receive(NAME, &late).await;
    let answer = ask(site.address, "POST", &format!("/api/cases/{newer}/complete"), &[JSON], "{}").await;
    assert_eq!((answer.status, answer.json()["images"].as_u64()), (200, Some(count + 1)));
    site.stop().await;
}

/// What others wrote into their structure sets stands on the page as text, whatever it is.
#[tokio::test]
async fn structure_sets_of_others_stand_beside_the_contours_as_text() {
    let site = Site::start().await;
    site.receive(NAME, &images(&head(), "1.2.840.77.14")).await;
    let case = site.finish(structures(), &[], &[]).await;
    for query in [
        "insert into cases (id, study_uid, series_uid, frame_uid, revision, state, route, calling_ae, called_ae, patient_id,
                            patient_name, series_description, modality, role)
         select gen_random_uuid(), study_uid, '1.2.9', frame_uid, 1, 'kept', route, calling_ae, called_ae, patient_id,
                patient_name, '', 'RTSTRUCT', 'structure_set' from cases where id = $1",
        "insert into instances (sop_instance_uid, sop_class_uid, series_uid, revision, transfer_syntax, content_sha256, sha256,
                                blob_key, byte_count)
         select '1.2.9.1', '1.2', '1.2.9', 1, '1.2', repeat('a', 64), repeat('a', 64), 'none', 1 where $1 is not null",
        "insert into prior_sets (sop_instance_uid, case_id, label, approval, made, maker, rois, drawn_on)
         select '1.2.9.1', s.id, '<img src=x onerror=\"boom()\">', 'APPROVED', '20260102101112', '<b>Planner</b>', 12,
                m.series_uid from cases s, cases m where s.series_uid = '1.2.9' and m.id = $1",
    ] {
        sqlx::query(query).bind(case).execute(&mut site.store.sql().await).await.unwrap();
    }
    let told = site.get(&format!("/api/cases/{case}")).await.json()["prior_sets"].clone();
    assert_eq!((&told[0]["rois"], &told[0]["on_these_images"]), (&json!(12), &json!(true)), "{told}");
    let browser = Browser::start().await;
    browser.open(&format!("http://{}/#/case/{case}", site.address)).await;
    browser.until("document.querySelector('.prior-set')").await;
    let words = browser.eval("document.querySelector('.prior-set').innerText").await;
    let expected = "Structure set \"<img src=x onerror=\"boom()\">\" of 2026-01-02, 12 structures, approved, by <b>Planner</b>, \
                    drawn on these images";
    assert_eq!(words, expected);
    assert_eq!(browser.eval("document.querySelectorAll('.prior-set img, .prior-set b').length").await, 0);
    assert_eq!(browser.errors().await, Vec::<String>::new());
    browser.end().await;
    site.stop().await;
}

#[tokio::test]
async fn the_page_offers_another_attempt_only_where_there_is_one() {
    let site = Site::start().await;
    site.receive(NAME, &images(&head(), "1.2.840.77.11")).await;
    let well = site.finish(structures(), &[], &[]).await;
    site.receive(NAME, &images(&head(), "1.2.840.77.12")).await;
    let case = site.finish(structures(), &[], &["PACS".to_owned()]).await;
    fail_delivery(&site, case, "PACS").await;
    let browser = Browser::start().await;
    let url = format!("http://{}", site.address);
    browser.open(&format!("{url}/#/case/{well}")).await;
    browser.until("document.querySelector('canvas')?.dataset.slice").await;
    assert_eq!(browser.eval("document.querySelector('button.retry')").await, Value::Null);
    browser.open(&format!("{url}/#/case/{case}")).await;
    browser.until("document.querySelector('button.retry')?.innerText === 'Send again now'").await;
    browser.until("document.querySelector('.state.failed')").await;
    browser.click("button.retry").await;
    browser.until("document.querySelector('.state.delivering') && !document.querySelector('button.retry')").await;
    let objects = site.pg().claim_delivery(Uuid::new_v4(), "PACS", Duration::from_secs(60), 9).await.unwrap().unwrap();
    assert_eq!((objects.case, objects.items.len()), (case, 1));
    assert_eq!(browser.errors().await, Vec::<String>::new());
    browser.end().await;
    site.stop().await;
}

#[tokio::test]
async fn a_held_case_is_released_with_a_name_and_a_reason_and_counts_only_then() {
    let site = Site::start().await;
    site.receive(NAME, &images(&head(), "1.2.840.77.20")).await;
    let reason = "the skull is missing: brain-extracted";
    let case = site.finish_as(structures(), &[], &["PACS".to_owned()], Some(reason)).await;
    let one = async || site.get(&format!("/api/cases/{case}")).await.json();
    let shown = one().await;
    assert_eq!((&shown["state"], &shown["reason"]), (&json!("held"), &json!(reason)));
    assert_eq!((&shown["deliveries"], &shown["release"]), (&json!([]), &Value::Null));
    assert_eq!(site.get("/health").await.json()["waiting"]["held"]["count"], 1);
    assert_eq!(site.get(&format!("/api/cases/{case}/image")).await.status, 200, "it cannot be looked at");
    assert_eq!(site.review(case, "Eye_L", &json!({"rating": "accept", "reviewer": "Dr A"})).await.status, 201);
    assert_eq!(site.get("/api/statistics").await.json()["reviews"], 0, "a held case counts");
    let retry = ask(site.address, "POST", &format!("/api/cases/{case}/retry"), &[JSON], "{}").await;
    assert!(retry.status == 409 && retry.json()["error"].as_str().unwrap().contains("held"));

    let path = format!("/api/cases/{case}/release");
    let post = async |headers: &[(&str, &str)], body: &Value| {
        ask(site.address, "POST", &path, headers, &body.to_string()).await
    };
    let good = json!({"released_by": " Dr  A ", "reason": "seen: it is a T1"});
    assert_eq!(post(&[JSON, ("origin", "http://evil.example")], &good).await.status, 403);
    assert_eq!(post(&[("content-type", "text/plain")], &good).await.status, 415);
    for bad in [
        json!({"released_by": "", "reason": "seen"}),
        json!({"released_by": "Dr A", "reason": " "}),
        json!({"released_by": "Dr A"}),
        json!({"released_by": "Dr A", "reason": "seen", "all": true}),
    ] {
        assert_eq!(post(&[JSON], &bad).await.status, 422, "{bad}");
    }
    assert_eq!(one().await["state"], "held", "a refused request did something");
    let nobody = format!("/api/cases/{}/release", Uuid::new_v4());
    assert_eq!(ask(site.address, "POST", &nobody, &[JSON], &good.to_string()).await.status, 404);

    let released = post(&[JSON], &good).await;
    assert_eq!((released.status, released.json()), (201, json!({"deliveries": 1})));
    let shown = one().await;
    assert_eq!((&shown["state"], &shown["release"]["released_by"]), (&json!("delivering"), &json!("Dr A")));
    assert_eq!(shown["release"]["reason"], "seen: it is a T1");
    assert_eq!(site.get("/api/statistics").await.json()["reviews"], 1);
    let again = post(&[JSON], &good).await;
    assert!(again.status == 409 && again.json()["error"].as_str().unwrap().contains("not held"), "{}", again.json());
    site.stop().await;
}

#[tokio::test]
async fn a_person_releases_a_held_case_in_the_browser() {
    let site = Site::start().await;
    site.receive(NAME, &images(&head(), "1.2.840.77.21")).await;
    let reason = "fluid is brighter than brain: this looks like T2";
    let case = site.finish_as(structures(), &[], &["PACS".to_owned()], Some(reason)).await;
    let browser = Browser::start().await;
    let url = format!("http://{}", site.address);
    browser.open(&url).await;
    browser.until("document.querySelector('.state.held')").await;
    assert!(browser.eval("document.body.innerText").await.as_str().unwrap().contains(reason));
    browser.open(&format!("{url}/#/case/{case}")).await;
    browser.until("document.querySelector('canvas')?.dataset.slice").await;
    // Without a name and a reason nothing is asked of the daemon.
    browser.click("button.release").await;
    browser.until("document.querySelector('.held-bar [role=alert]')").await;
    assert_eq!(site.get(&format!("/api/cases/{case}")).await.json()["state"], "held");
    browser.type_into("#reviewer", "Dr A").await;
    browser.type_into(".release-reason", "seen by <b>two</b>").await;
    browser.click("button.release").await;
    browser.until("document.querySelector('.state.delivering') && !document.querySelector('button.release')").await;
    browser.until("document.querySelector('.released')?.innerText.includes('Dr A')").await;
    assert!(
        browser.eval("document.querySelector('.released').innerText").await.as_str().unwrap().contains("<b>two</b>")
    );
    let objects = site.pg().claim_delivery(Uuid::new_v4(), "PACS", Duration::from_secs(60), 9).await.unwrap().unwrap();
    assert_eq!((objects.case, objects.items.len()), (case, 1));
    assert_eq!(browser.errors().await, Vec::<String>::new());
    browser.end().await;
    site.stop().await;
}

/// Whether a pixel of the canvas, given in CSS pixels from its top left corner, has about this colour.
fn canvas_colour([x, y]: [f64; 2], [r, g, b]: [u8; 3]) -> String {
    format!(
        "(() => {{ const c = document.querySelector('canvas'); const s = c.width / c.clientWidth; \
         const near = c.getContext('2d').getImageData(Math.round({x} * s) - 2, Math.round({y} * s) - 2, 5, 5).data; \
         for (let n = 0; n < near.length; n += 4) if (Math.abs(near[n] - {r}) < 50 && Math.abs(near[n + 1] - {g}) < 50 \
         && Math.abs(near[n + 2] - {b}) < 50) return true; return false; }})()"
    )
}

/// Where the page draws a point (i, j) of the head's images at the usual zoom, in CSS pixels of the canvas.
async fn on_canvas(browser: &Browser, [i, j]: [f64; 2]) -> [f64; 2] {
    let size = browser
        .eval("[document.querySelector('canvas').clientWidth, document.querySelector('canvas').clientHeight]")
        .await;
    let [w, h] = [0, 1].map(|a| size[a].as_f64().unwrap());
    let (width_mm, height_mm) = (80.0 * 1.5, 64.0 * 2.5);
    let scale = (w / width_mm).min(h / height_mm);
    [(w - width_mm * scale) / 2.0 + (i + 0.5) * 1.5 * scale, (h - height_mm * scale) / 2.0 + (j + 0.5) * 2.5 * scale]
}

#[tokio::test]
async fn a_person_reviews_a_case_in_the_browser() {
    let site = Site::start().await;
    let refused = images(&head(), "1.2.840.77.7");
    site.receive(HOSTILE, &refused[..1]).await;
    let (case, holder) = site.claim().await;
    let reason = "One slice only <img src=x onerror=window.pwned=1>; send the whole series.";
    site.pg().refuse_job(case, holder, reason, &json!([]), None).await.unwrap();
    site.receive(NAME, &images(&head(), "1.2.840.77.8")).await;
    let case = site.finish(structures(), &[], &[]).await;

    let browser = Browser::start().await;
    let url = format!("http://{}", site.address);
    browser.open(&url).await;
    browser.until("document.querySelectorAll('tr.case').length === 2").await;
    browser.until("document.querySelector('#health').innerText.includes('CPUExecutionProvider')").await;
    let text = browser.eval("document.body.innerText").await.as_str().unwrap().to_owned();
    for shown in
        ["Research use only, not reviewed", "Muster, Erika", "T1 MPRAGE post", "delivered", "refused", "4 of 12"]
    {
        assert!(text.contains(shown), "{shown:?} is not in {text}");
    }
    // What a header holds stays text.
    assert!(text.contains("<b>Evil</b>, <img>") && text.contains("only <img src=x onerror=window.pwned=1>"), "{text}");
    assert_eq!(
        browser.eval("[document.querySelectorAll('main img, main b').length, window.pwned ?? null]").await,
        json!([0, null])
    );
    browser.screenshot("review-cases").await;

    // Into the case; the first structure found is chosen, its middle slice is shown.
    browser.click(&format!("tr[data-case='{case}'] a")).await;
    browser.until("document.querySelector('canvas')?.dataset.slice").await;
    browser.click("tr[data-structure='Eye_L'] .name").await;
    browser.until("document.querySelector('canvas').dataset.slice === '9'").await;
    browser.screenshot("review-case").await;
    // The light of each structure: a dot with its word, and its reasons as text, each said once.
    let lights = "['Brain', 'Lens_L', 'Eye_L', 'Eye_R'].map((s) => { const l = \
                  document.querySelector(`tr[data-structure='${s}'] .light`); \
                  return [l.innerText, l.querySelector('.dot').className]; })";
    let expected =
        json!([["green", "dot green"], ["amber", "dot amber"], ["red", "dot red"], ["not judged", "dot none"]]);
    assert_eq!(browser.eval(lights).await, expected);
    let said = "[...document.querySelectorAll('.light-words li, .notice.flagged.red')].map((p) => p.innerText)";
    assert_eq!(browser.eval(said).await, json!(["side uncertain: decided by 3.2 mm only"]));
    browser.click("tr[data-structure='Lens_L'] .name").await;
    browser
        .until("document.querySelector('.light-words.amber li')?.innerText.includes('46 % of its voxels <b>')")
        .await;
    browser.click("tr[data-structure='Eye_L'] .name").await;
    browser.until("document.querySelector('canvas').dataset.slice === '9'").await;
    // What is odd about the images stands above them, as text.
    let odd = "[...document.querySelectorAll('.notice.warning')].map((p) => p.innerText)";
    assert_eq!(browser.eval(odd).await, json!([ODD]));
    // The left eye's outline (row 13 is the last inside) is drawn in its colour on the picture's right, around the eye and not around its mirror.
    let outline = on_canvas(&browser, [56.0, 13.5]).await;
    let mirrored = on_canvas(&browser, [79.0 - 56.0, 13.5]).await;
    let colour = Structure::Eye_L.colour();
    browser.until(&canvas_colour(outline, colour)).await;
    assert_eq!(browser.eval(&canvas_colour(mirrored, colour)).await, json!(false));
    browser.click("tr[data-structure='Eye_L'] input").await;
    browser.until(&format!("!{}", canvas_colour(outline, colour))).await;
    browser.click("tr[data-structure='Eye_L'] input").await;
    browser.until(&canvas_colour(outline, colour)).await;

    // Keys change the slice, dragging the window.
    browser.type_into("canvas", "\u{E013}\u{E013}\u{E015}").await;
    browser.until("document.querySelector('canvas').dataset.slice === '10'").await;
    browser.type_into("canvas", "\u{E010}").await;
    browser.until("document.querySelector('canvas').dataset.slice === '23'").await;
    let width = "Number(document.querySelector('.where').textContent.match(/width (\\S+)/)[1])";
    let before = browser.eval(width).await.as_f64().unwrap();
    browser.drag("canvas", [120, 0]).await;
    browser.until(&format!("{width} > {before}")).await;
    browser.until("document.querySelector('canvas').dataset.slice === '23'").await;

    // A review needs a name, then it is recorded; a changed mind is a second row.
    browser.click("button.rating.minor").await;
    browser.until("document.querySelector('.review .error')?.innerText.includes('Who is reviewing')").await;
    browser.type_into("#reviewer", "Dr. B. Prüfer").await;
    browser.type_into(".review textarea", "medial edge <2 mm").await;
    browser.click("button.rating.minor").await;
    browser.until("document.querySelectorAll('.history li').length === 1").await;
    browser.click("button.rating.accept").await;
    browser.until("document.querySelectorAll('.history li').length === 2").await;
    browser.until("document.querySelector(\"tr[data-structure='Eye_L'] .latest\").innerText === 'Accept'").await;
    let rows = site.pg().reviews(case, "Eye_L").await.unwrap();
    let said: Vec<(&str, &str, &str)> =
        rows.iter().map(|r| (r.rating.name(), r.reviewer.as_str(), r.comment.as_str())).collect();
    assert_eq!(said, [("accept", "Dr. B. Prüfer", ""), ("minor", "Dr. B. Prüfer", "medial edge <2 mm")]);
    assert!(rows.iter().all(|r| r.seconds_spent.is_some()));

    // What was not found says so, and cannot be accepted.
    browser.click("tr[data-structure='Eye_R'] .name").await;
    browser.until("document.querySelector('.review').innerText.includes('Not found by contourd')").await;
    let row = browser.eval("document.querySelector(\"tr[data-structure='Eye_R']\").innerText").await;
    assert!(row.as_str().unwrap().contains("not found"), "{row}");
    assert_eq!(browser.eval("document.querySelector('button.rating.accept').disabled").await, json!(true));
    browser.click("button.rating.not_assigned").await;
    browser.until("document.querySelectorAll('.history li').length === 1").await;

    browser.open(&format!("{url}/#/statistics")).await;
    browser.until("document.querySelector(\"tr[data-structure='Eye_L']\")").await;
    let cells = "[...document.querySelectorAll(\"tr[data-structure='Eye_L'] td.number\")].map((c) => c.innerText)";
    let expected = json!(["1", "0", "0", "0", "0", "1", "48", "2", "0", "0", "0"]);
    assert_eq!(browser.eval(cells).await, expected);
    browser.screenshot("review-statistics").await;

    // Neither an error nor a broken security policy on the way.
    assert_eq!(browser.errors().await, Vec::<String>::new());
    browser.end().await;
    site.stop().await;
}
