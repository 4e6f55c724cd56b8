//! A class that only a model's card knows, through the daemon: received, stored, shown, reviewed, sent.

use contourd::config::Config;
use contourd::inference::Runtime;
use contourd::service::Recipes;
use contourd::web::{ModelInForce, ServiceFacts, WebConfig, WebState};
use serde_json::{Value, json};

use super::*;
use crate::classes::{MODEL, config, painted};
use crate::http::ask;

#[tokio::test(flavor = "multi_thread")]
async fn a_described_class_is_stored_shown_reviewed_and_sent() {
    let folder = tempfile::tempdir().unwrap();
    let config = Config::read(Some(&config(folder.path(), ""))).unwrap();
    let recipe = config.recipe(&Runtime::load(&config.inference).unwrap(), None).unwrap();
    let recipes = Recipes { default: recipe.clone(), by_model: BTreeMap::from([(MODEL.to_owned(), recipe)]) };
    let t = TestStore::new().await;
    let (pacs_listener, pacs_port) = listener().await;
    let pacs = Pacs::accepting();
    pacs.listen(pacs_listener);
    let running = start_with(&t, pacs_port, &Arc::new(recipes), MODEL, listener().await.0);
    send_all(&running.to, &objects(&painted("1.2.826.42").images)).await;
    let case = until(&t, CaseState::Delivered).await;
    running.daemon.stop().await;
    let sent = pacs.kept.lock().unwrap()[0].clone();
    let file = part10_file(&sent.sop_class, &sent.instance, &sent.transfer_syntax, &sent.dataset).unwrap();
    let set = read_rtstruct(&file).unwrap();
    assert!(["Cochlea_L", "Cochlea_R"].iter().all(|name| set.roi(name).is_some()));

    // The page has it from the rows.
    let facts = ServiceFacts {
        version: "0.0-test".into(),
        provider: "CPUExecutionProvider".into(),
        models: vec![ModelInForce { name: MODEL.into(), digest: "0".repeat(64) }],
        database: "private".into(),
    };
    let state = WebState::new(t.pg.clone(), t.blobs.clone(), facts, WebConfig::default());
    let web = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, shutdown) = (web.local_addr().unwrap(), CancellationToken::new());
    let server = tokio::spawn(contourd::web::serve(web, state, shutdown.clone()));
    let get = async |path: &str| {
        let answer = ask(address, "GET", &format!("/api/{path}"), &[], "").await;
        assert_eq!(answer.status, 200, "{path}");
        answer.json()
    };
    let id = case.id;
    let named = |list: &Value| -> Vec<String> {
        list["structures"].as_array().unwrap().iter().map(|s| s["name"].as_str().unwrap().to_owned()).collect()
    };
    let of =
        |list: &Value, name: &str| list["structures"].as_array().unwrap().iter().find(|s| s["name"] == name).cloned();
    let listed = get(&format!("cases/{id}/structures")).await;
    assert_eq!(named(&listed)[12..], ["Cochlea_L", "Cochlea_R"]);
    let contours = get(&format!("cases/{id}/contours")).await;
    for list in [&listed, &contours] {
        assert_eq!(of(list, "Cochlea_L").unwrap()["colour"], json!([170, 110, 255]));
        assert_eq!(of(list, "Cochlea_R").unwrap()["found"], true);
    }
    assert!(of(&contours, "Cochlea_L").unwrap()["contours"].as_array().unwrap().len() > 2);
    let review = async |structure: &str, rating: &str| {
        let path = format!("/api/cases/{id}/structures/{structure}/reviews");
        let body = json!({"rating": rating, "reviewer": "A"}).to_string();
        ask(address, "POST", &path, &[("content-type", "application/json")], &body).await.status
    };
    assert_eq!(review("Cochlea_R", "minor").await, 201);

    // What a model left that nobody knows any more is shown and reviewed by its row alone.
    sqlx::query(
        "insert into structures (case_id, structure, found, volume_cc, report, contours)
         select case_id, 'Forgotten_L', found, volume_cc, report || '{\"colour\": [1, 2, 3]}', contours
         from structures where case_id = $1 and structure = 'Cochlea_L'",
    )
    .bind(id)
    .execute(&mut t.sql().await)
    .await
    .unwrap();
    assert_eq!(contourd::anatomy::Structure::from_name("Forgotten_L"), None);
    assert_eq!(named(&get(&format!("cases/{id}/structures")).await)[12..], ["Cochlea_L", "Cochlea_R", "Forgotten_L"]);
    let contours = get(&format!("cases/{id}/contours")).await;
    assert_eq!(of(&contours, "Forgotten_L").unwrap()["colour"], json!([1, 2, 3]));
    assert_eq!(review("Forgotten_L", "accept").await, 201);
    assert_eq!(review("Unknown_L", "accept").await, 404);
    assert_eq!(ask(address, "GET", &format!("/api/cases/{id}/sheet.png"), &[], "").await.status, 200);
    let table = get("statistics").await;
    let row = of(&table, "Cochlea_R").unwrap();
    assert_eq!((&row["counts"]["minor"], &row["thesis"]), (&json!(1), &Value::Null));
    assert_eq!(of(&table, "Forgotten_L").unwrap()["counts"]["accept"], 1);
    assert_eq!(table["reviews"], 2);
    shutdown.cancel();
    server.await.unwrap().unwrap();
}
