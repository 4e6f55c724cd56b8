//! The pool of connections, the migrations, and the check that the server keeps what it confirms.

use std::time::Duration;

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPoolOptions};
use sqlx::{ConnectOptions, Connection, PgPool, Row};

use uuid::Uuid;

use super::{Case, StoreError};
use crate::ids::Phi;

/// Name of the database on the private server.
pub(super) const DATABASE: &str = "contourd";

/// A connection that was idle for longer may be gone.
const IDLE: Duration = Duration::from_millis(500);

/// The schema, step by step.
static MIGRATIONS: Migrator = sqlx::migrate!();

/// The database. Cheap to clone; the queries are in the files of their subject.
#[derive(Debug, Clone)]
pub struct PgStore {
    pub(super) pool: PgPool,
}

impl PgStore {
    /// Connects, checks that the server is durable, and brings the schema to this version.
    ///
    /// # Errors
    /// [`StoreError::Database`] when there is no connection, [`StoreError::NotDurable`], [`StoreError::Migration`].
    pub async fn open(options: PgConnectOptions, connections: u32) -> Result<Self, StoreError> {
        let options = options.application_name("contourd").options([("synchronous_commit", "on")]);
        let pool = PgPoolOptions::new()
            .max_connections(connections)
            // A receiving association waits on this: soon enough to be told to come back later.
            .acquire_timeout(Duration::from_secs(5))
            // Whether a connection lives is asked where it was idle: in the middle of a series each instance would wait for that
            // answer as long as for its own.
            .test_before_acquire(false)
            .before_acquire(|connection, about| {
                Box::pin(async move {
                    if about.idle_for > IDLE {
                        connection.ping().await?;
                    }
                    Ok(true)
                })
            })
            .connect_with(options)
            .await
            .map_err(|source| StoreError::Database { action: "be reached", source })?;
        let store = Self { pool };
        store.check_durability().await?;
        MIGRATIONS.run(&store.pool).await?;
        Ok(store)
    }

    /// One case.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn case(&self, id: Uuid) -> Result<Option<Case>, StoreError> {
        sqlx::query_as("select * from cases where id = $1")
            .bind(id)
            .fetch_optional(&self.pool)
            .await
            .map_err(failed("read a case"))
    }

    /// Closes every connection.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    pub(super) async fn check_durability(&self) -> Result<(), StoreError> {
        for (setting, query) in [
            ("fsync", "select current_setting('fsync')"),
            ("full_page_writes", "select current_setting('full_page_writes')"),
            ("synchronous_commit", "select current_setting('synchronous_commit')"),
        ] {
            let row = sqlx::query(query).fetch_one(&self.pool).await.map_err(failed("tell its settings"))?;
            let value: String = row.try_get(0).map_err(failed("tell its settings"))?;
            if value != "on" {
                return Err(StoreError::NotDurable { setting, value });
            }
        }
        Ok(())
    }

    /// How many migrations of this version the database does not have yet; `None` for a database without any. Reads only.
    ///
    /// # Errors
    /// [`StoreError::Migration`] for a database that this version cannot bring to its own.
    pub(super) async fn missing_migrations(&self) -> Result<Option<usize>, StoreError> {
        const ACTION: &str = "tell its migrations";
        let begun: bool = sqlx::query_scalar("select to_regclass('_sqlx_migrations') is not null")
            .fetch_one(&self.pool)
            .await
            .map_err(failed(ACTION))?;
        if !begun {
            return Ok(None);
        }
        let made: Vec<(i64, Vec<u8>, bool)> =
            sqlx::query_as("select version, checksum, success from _sqlx_migrations order by version")
                .fetch_all(&self.pool)
                .await
                .map_err(failed(ACTION))?;
        for (version, checksum, success) in &made {
            match MIGRATIONS.iter().find(|migration| migration.version == *version) {
                None => return Err(MigrateError::VersionMissing(*version).into()),
                Some(_) if !success => return Err(MigrateError::Dirty(*version).into()),
                Some(known) if *known.checksum != **checksum => {
                    return Err(MigrateError::VersionMismatch(*version).into());
                }
                Some(_) => {}
            }
        }
        Ok(Some(MIGRATIONS.iter().count() - made.len()))
    }
}

/// How to connect to the database of `store.url`.
pub(super) fn named_by(url: &Phi<String>) -> Result<PgConnectOptions, StoreError> {
    url.reveal().parse().map_err(|source| StoreError::Database { action: "be named by store.url", source })
}

/// Makes our database on the private server, if it is not there.
pub(super) async fn create_database(maintenance: PgConnectOptions) -> Result<(), StoreError> {
    let mut connection = maintenance.connect().await.map_err(failed("be reached"))?;
    let there: bool = sqlx::query_scalar("select exists (select from pg_database where datname = $1)")
        .bind(DATABASE)
        .fetch_one(&mut connection)
        .await
        .map_err(failed("list its databases"))?;
    if !there {
        sqlx::query("create database contourd").execute(&mut connection).await.map_err(failed("be created"))?;
    }
    connection.close().await.map_err(failed("close a connection"))
}

/// For `map_err`: names what was being done.
pub(super) fn failed(action: &'static str) -> impl Fn(sqlx::Error) -> StoreError {
    move |source| StoreError::Database { action, source }
}

/// Locks the row of a case: always before those of its job and deliveries, so that no two transactions wait for each
/// other.
pub(super) async fn lock_case(tx: &mut PgConnection, case: Uuid) -> Result<(), StoreError> {
    let locked = sqlx::query("select from cases where id = $1 for update").bind(case).execute(tx).await;
    locked.map_err(failed("lock a case"))?;
    Ok(())
}
