//! The private server, and what the schema itself promises.

use super::*;
use crate::system::newest_binaries;

#[tokio::test]
async fn a_new_state_directory_gets_a_durable_private_server_that_keeps_its_data() {
    let mut t = TestStore::new().await;
    let (case, _) = take(&t, "1.2.1", 1).await;
    let mut sql = t.sql().await;
    for setting in ["fsync", "full_page_writes", "synchronous_commit", "data_checksums"] {
        let value: String =
            sqlx::query_scalar("select current_setting($1)").bind(setting).fetch_one(&mut sql).await.unwrap();
        assert_eq!(value, "on", "{setting}");
    }
    let tcp: String =
        sqlx::query_scalar("select current_setting('listen_addresses')").fetch_one(&mut sql).await.unwrap();
    assert_eq!(tcp, "");
    drop(sql);
    for private in ["postgres", "postgres/run", "blobs"] {
        let mode = std::fs::metadata(t.state_dir().join(private)).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{private} is open to others");
    }
    let second = Store::open(&config(&t.state_dir())).await.unwrap_err();
    assert!(matches!(second, StoreError::InUse { .. }), "{second}");

    t.close().await.unwrap();
    assert!(!t.cluster().unwrap().is_running());
    t.killed_and_opened_again().await;
    assert_eq!(t.pg.case(case).await.unwrap().unwrap().series_uid, "1.2.1");
}

#[tokio::test]
async fn a_long_state_directory_still_has_a_socket() {
    let t = TestStore::below(&format!("{0}/{0}", "long-name".repeat(10))).await;
    t.pg.case_count().await.unwrap();
}

#[tokio::test]
async fn a_server_left_running_by_a_killed_daemon_is_taken_over() {
    let mut t = TestStore::new().await;
    let (case, _) = take(&t, "1.2.1", 1).await;
    let before = t.cluster().unwrap().postmaster().unwrap();
    t.killed_and_opened_again().await;
    assert_ne!(t.cluster().unwrap().postmaster().unwrap(), before);
    assert_eq!(state(&t, case).await, CaseState::Receiving);
}

#[tokio::test]
async fn committed_rows_survive_kill_9_of_the_server_which_is_started_again() {
    let t = TestStore::new().await;
    let (case, _) = take(&t, "1.2.1", 1).await;
    let shutdown = CancellationToken::new();
    let keeper = tokio::spawn({
        let (store, shutdown) = (t.share(), shutdown.clone());
        async move { store.keep_running(shutdown).await }
    });
    for _ in 0..2 {
        let pid = t.cluster().unwrap().postmaster().unwrap();
        let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
        while rustix::process::test_kill_process(pid).is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let error = t.pg.case_count().await.err();
        assert!(error.is_none_or(|e| e.class() == ErrorClass::Retry), "a lost server must count as passing trouble");
        while t.pg.case_count().await.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(state(&t, case).await, CaseState::Receiving);
    }
    shutdown.cancel();
    keeper.await.unwrap();
}

#[tokio::test]
async fn a_stale_pid_file_with_the_number_of_another_process_does_no_harm() {
    let mut t = TestStore::new().await;
    t.close().await.unwrap();
    let file = t.state_dir().join("postgres/data/postmaster.pid");
    let same_user = std::fs::metadata(file.parent().unwrap()).unwrap().uid();
    let mut other = std::process::Command::new("sleep").arg("600").uid(same_user).spawn().unwrap();
    std::fs::write(&file, format!("{}\n{}\n", other.id(), file.parent().unwrap().display())).unwrap();
    t.killed_and_opened_again().await;
    t.pg.case_count().await.unwrap();
    other.kill().unwrap();
    other.wait().unwrap();
}

#[tokio::test]
async fn a_server_that_may_lose_what_it_confirmed_is_refused() {
    let t = TestStore::new().await;
    t.cluster().unwrap().stop().unwrap();
    let mut sql_conf =
        std::fs::OpenOptions::new().append(true).open(t.state_dir().join("postgres/data/postgresql.conf"));
    std::io::Write::write_all(sql_conf.as_mut().unwrap(), b"fsync = off\n").unwrap();
    // Started by hand, without the settings of the command line that the daemon would give it.
    let home = t.state_dir().join("postgres");
    let options = format!("-c listen_addresses='' -c unix_socket_directories='{}'", home.join("run").display());
    let postgres = std::fs::metadata(&home).unwrap();
    let started = std::process::Command::new(newest_binaries().join("pg_ctl"))
        .arg("-D")
        .arg(home.join("data"))
        .arg("-l")
        .arg(home.join("log"))
        .args(["-w", "-o", &options, "start"])
        .current_dir("/")
        .uid(postgres.uid())
        .gid(postgres.gid())
        .stdout(std::process::Stdio::null())
        .status()
        .unwrap();
    assert!(started.success());
    let refused = PgStore::open(t.cluster().unwrap().options("contourd"), 2).await.unwrap_err();
    assert!(matches!(refused, StoreError::NotDurable { setting: "fsync", .. }), "{refused}");
    assert_eq!(refused.class(), ErrorClass::Permanent);
}

#[tokio::test]
async fn a_store_that_does_not_open_leaves_no_server_behind() {
    let mut t = TestStore::new().await;
    // As after a newer version of contourd.
    sqlx::query(
        "insert into _sqlx_migrations (version, description, success, checksum, execution_time)
         values (99999999, 'of a later version', true, '', 0)",
    )
    .execute(&mut t.sql().await)
    .await
    .unwrap();
    t.close().await.unwrap();
    t.store.take();
    let refused = Store::open(&config(&t.state_dir())).await.unwrap_err();
    assert!(matches!(refused, StoreError::Migration(_)), "{refused}");
    assert!(!t.state_dir().join("postgres/data/postmaster.pid").exists(), "the server still runs");
}

#[tokio::test]
async fn another_users_directory_is_neither_taken_nor_changed() {
    if !rustix::process::getuid().is_root() {
        // Root's own folder does for anybody else.
        let refused = Store::open(&config(Path::new("/usr/share"))).await.unwrap_err();
        assert!(matches!(refused, StoreError::Cluster { .. }), "{refused}");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("postgres");
    std::fs::create_dir(&home).unwrap();
    std::fs::set_permissions(&home, std::fs::Permissions::from_mode(0o750)).unwrap();
    std::os::unix::fs::chown(&home, Some(4242), Some(4242)).unwrap();
    let refused = Store::open(&config(dir.path())).await.unwrap_err();
    assert!(matches!(refused, StoreError::Cluster { .. }), "{refused}");
    assert!(refused.to_string().contains("user id 4242"), "{refused}");
    let found = std::fs::metadata(&home).unwrap();
    assert_eq!((found.uid(), found.mode() & 0o777), (4242, 0o750));
    let names: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names, ["postgres"], "something was made beside it");
}

#[tokio::test]
async fn what_was_written_once_cannot_be_changed() {
    let t = TestStore::new().await;
    let holder = Uuid::new_v4();
    let case = claimed(&t, "1.2.1", holder).await.case.id;
    t.pg.finish_job(case, holder, &going_to(&made(&t, case, 1, "r").await, &to(&["PACS"]))).await.unwrap();
    let mut sql = t.sql().await;
    let review = "insert into reviews (case_id, structure, verdict, reviewer) values ($1, 'Brain', $2, 'R')";
    for verdict in ["accept", "minor"] {
        sqlx::query(review).bind(case).bind(verdict).execute(&mut sql).await.unwrap();
    }
    assert!(sqlx::query(review).bind(case).bind("perfect").execute(&mut sql).await.is_err());
    for forbidden in [
        "update reviews set verdict = 'accept'",
        "delete from reviews",
        "truncate reviews",
        "update audit set event = 'x'",
        "delete from audit",
        "truncate audit",
        "update structures set found = false, volume_cc = null",
        "delete from structures",
        "update results set sha256 = 'x'",
        "delete from results",
        "delete from outbox",
        "truncate outbox",
    ] {
        let error = sqlx::query(forbidden).execute(&mut sql).await.expect_err(forbidden);
        assert!(error.to_string().contains("append-only"), "{forbidden}: {error}");
    }
    let kept: i64 = sqlx::query_scalar("select count(*) from reviews").fetch_one(&mut sql).await.unwrap();
    assert_eq!(kept, 2);
}

#[tokio::test]
async fn no_name_of_a_patient_reaches_log_audit_or_error() {
    let t = TestStore::new().await;
    let mut sql = t.sql().await;
    let (case, _) = take(&t, "1.2.1", 1).await;
    let row = t.pg.case(case).await.unwrap().unwrap();
    assert_eq!(row.patient_name.0.reveal(), "Doe^Jane");
    assert!(!format!("{row:?}").contains("Doe"));
    // A check that fails prints the row in its detail: it must not get into the server's log.
    assert!(sqlx::query("update cases set revision = 0").execute(&mut sql).await.is_err());
    let log = std::fs::read_to_string(t.state_dir().join("postgres/log")).unwrap();
    assert!(log.contains("violates check constraint"), "{log}");
    assert!(!log.contains("Doe"), "{log}");
    let audit: String =
        sqlx::query_scalar("select string_agg(detail::text, '') from audit").fetch_one(&mut sql).await.unwrap();
    assert!(!audit.contains("Doe") && audit.contains("1.2.1"), "{audit}");
}

#[tokio::test]
async fn a_database_belongs_to_one_state_directory() {
    let mut t = TestStore::new().await;
    let elsewhere = tempfile::tempdir().unwrap();
    let other = StoreConfig { url: Some(Phi::new(t.url())), ..config(&elsewhere.path().join("state")) };
    let error = Store::open(&other).await.unwrap_err();
    assert!(matches!(error, StoreError::OtherDirectory { .. }), "{error}");
    assert!(error.to_string().contains("set the store.state_dir"), "{error}");
    // Its own directory goes on being its own.
    t.killed_and_opened_again().await;
    t.pg.case_count().await.unwrap();
}
