//! PostgreSQL and blobs: the only room with SQL.
//!
//! What is in which file:
//! - [`PgStore`] (`postgres`): the pool, the migrations, the checks of a server's durability.
//! - `cluster`: the private PostgreSQL server of a daemon without a configured database.
//! - `blobs`: pixel data and results as files, durable before they are named anywhere.
//! - `rows`: what a row is in Rust; `error`: what can go wrong.
//! - `intake`: acknowledged instances and when a series is complete; `jobs`: leases and results; `outbox`: deliveries.
//! - `review`, `view`: what the web shows and records.

mod error;
mod postgres;
mod rows;

pub use error::{ErrorClass, StoreError};
pub use postgres::PgStore;
pub use rows::{
    Case, CaseState, InstanceRow, OutboxRow, OutboxState, ResultKind, ResultRow, StructureRow, UnknownName,
};
