//! The chain of the audit trail: what is changed, removed or cut shows.

use super::*;

/// A trail with lines of several transactions at once.
async fn trail(store: &Store) {
    let series = ["1.2.1", "1.2.22", "1.2.333", "1.2.4444"];
    let taken = series.map(|series| claimed(store, series, Uuid::new_v4()));
    for one in taken {
        one.await;
    }
    for n in 0..5 {
        store.pg.audit("instance_refused", None, &json!({"n": n})).await.unwrap();
    }
}

/// Somebody with all rights changes the tables behind our back.
async fn tamper(t: &TestStore, statements: &[&str]) {
    let mut sql = t.sql().await;
    for table in ["audit", "audit_chain"] {
        let quiet = format!("alter table {table} disable trigger user");
        sqlx::query(sqlx::AssertSqlSafe(quiet)).execute(&mut sql).await.unwrap();
    }
    for statement in statements {
        sqlx::query(sqlx::AssertSqlSafe((*statement).to_owned())).execute(&mut sql).await.unwrap();
    }
}

async fn breaks(t: &TestStore, told: &[ChainHead]) -> Vec<String> {
    let report = t.pg.verify_audit(told).await.unwrap();
    assert_eq!(report.broken, report.breaks.len() as u64);
    report.breaks
}

#[tokio::test]
async fn lines_of_many_at_once_make_one_whole_chain() {
    let t = TestStore::new().await;
    let tasks: Vec<_> = (0..40)
        .map(|n| {
            let store = t.share();
            tokio::spawn(
                async move { store.pg.audit("instance_refused", None, &json!({"n": n, "\u{1f}": "\u{e9}"})).await },
            )
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    trail(&t).await;
    let report = t.pg.verify_audit(&[]).await.unwrap();
    assert_eq!(report.breaks, Vec::<String>::new());
    let head = report.head.unwrap();
    assert!(report.lines > 50 && head.position == report.lines, "{} {}", report.lines, head.position);
    assert_eq!(breaks(&t, std::slice::from_ref(&head)).await, Vec::<String>::new());
    let after = t.pg.audit_after(head.position - 3, 100).await.unwrap();
    assert_eq!(after.len(), 3);
    assert!(after.iter().all(|line| line.event == "instance_refused" && line.study_uid.is_none()));
    let opened = &t.pg.audit_after(40, 1).await.unwrap()[0];
    assert_eq!((opened.event.as_str(), opened.patient_id.0.reveal().as_str()), ("case_opened", "4711"));
    // A told place that is another.
    let other = ChainHead { position: head.position - 1, ..head };
    assert_eq!(breaks(&t, &[other]).await.len(), 1);
}

#[tokio::test]
async fn a_changed_a_removed_and_an_added_line_show() {
    let t = TestStore::new().await;
    trail(&t).await;
    tamper(&t, &["update audit set detail = '{\"n\": 9}' where id = 3"]).await;
    assert!(breaks(&t, &[]).await[0].starts_with("line 3: "), "{:?}", breaks(&t, &[]).await);
    tamper(&t, &["update audit set at = at + interval '1 microsecond' where id = 5"]).await;
    assert_eq!(breaks(&t, &[]).await.len(), 2);
    tamper(&t, &["delete from audit_chain where position = 7", "delete from audit where id = 7"]).await;
    let found = breaks(&t, &[]).await;
    assert!(found.iter().any(|b| b.contains("from 7 to 7 are gone")), "{found:?}");
    tamper(&t, &["insert into audit (event) values ('case_opened')"]).await;
    let found = breaks(&t, &[]).await;
    assert!(found.iter().any(|b| b == "1 rows are not in the chain"), "{found:?}");
}

#[tokio::test]
async fn a_chain_that_is_cut_or_written_anew_lacks_what_was_told_outside() {
    let t = TestStore::new().await;
    trail(&t).await;
    let head = t.pg.verify_audit(&[]).await.unwrap().head.unwrap();
    tamper(
        &t,
        &[
            "create temporary table last as select max(position) as position, max(audit_id) as id from audit_chain",
            "delete from audit_chain where position = (select position from last)",
            "delete from audit where id = (select id from last)",
        ],
    )
    .await;
    assert_eq!(breaks(&t, &[]).await, Vec::<String>::new(), "the rest is whole");
    let found = breaks(&t, std::slice::from_ref(&head)).await;
    assert!(found.len() == 1 && found[0].contains("was told to somebody and is not there"), "{found:?}");
}

#[tokio::test]
async fn lines_cannot_be_changed_by_the_daemon() {
    let t = TestStore::new().await;
    trail(&t).await;
    for statement in [
        "update audit_chain set hash = hash",
        "delete from audit_chain",
        "truncate audit_chain",
        "delete from audit where id = 1",
    ] {
        let refused = sqlx::query(statement).execute(&mut t.sql().await).await;
        assert!(refused.unwrap_err().to_string().contains("append-only"), "{statement}");
    }
}
