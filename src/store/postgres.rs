//! The pool of connections, the migrations, and the check that the server keeps what it confirms.

use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{PgPool, Row};

use super::StoreError;

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
            .connect_with(options)
            .await
            .map_err(|source| StoreError::Database { action: "be reached", source })?;
        let store = Self { pool };
        store.check_durability().await?;
        sqlx::migrate!().run(&store.pool).await?;
        Ok(store)
    }

    /// Whether the server answers.
    ///
    /// # Errors
    /// [`StoreError::Database`] when it does not.
    pub async fn ping(&self) -> Result<(), StoreError> {
        sqlx::query("select 1").execute(&self.pool).await.map_err(failed("answer"))?;
        Ok(())
    }

    /// Closes every connection.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    async fn check_durability(&self) -> Result<(), StoreError> {
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
}

/// For `map_err`: names what was being done.
pub(super) fn failed(action: &'static str) -> impl Fn(sqlx::Error) -> StoreError {
    move |source| StoreError::Database { action, source }
}
