//! Show, review, see that it lives: HTTP on the loopback interface, and the page that uses it.
//!
//! | Path | |
//! |---|---|
//! | `GET /` | the page |
//! | `GET /health` | version, provider in force, models with digests, database, what waits |
//! | `GET /api/cases?before={id}` | cases, newest first, a page at a time |
//! | `GET /api/cases/{id}` | one case with reasons and deliveries |
//! | `POST /api/cases/{id}/complete` | a person's word that no more images are to be waited for |
//! | `POST /api/cases/{id}/retry` | another attempt at what failed or waits |
//! | `GET /api/cases/{id}/structures` | what was found and what was not, flags, effects of the rules, latest reviews |
//! | `GET /api/cases/{id}/contours` | polygons in pixel index coordinates and in LPS mm |
//! | `GET /api/cases/{id}/image` | size, spacing, orientation and window of the images under the contours |
//! | `GET /api/cases/{id}/slices/{k}.png?centre=&width=` | one slice, windowed |
//! | `GET /api/cases/{id}/sheet.png` | slices with contours drawn on them, every structure shown |
//! | `GET`, `POST /api/cases/{id}/structures/{name}/reviews` | what was said of a structure; say something |
//! | `GET /api/refusals` | what was refused on receipt in the last seven days and is on no case |
//! | `GET /api/statistics` | the table of the thesis's clinical review with this site's counts |
//!
//! Nobody logs in: the daemon listens on loopback only, answers under known host names only, and takes reviews
//! and retries from its own page (or from programs) only.

mod api;
mod assets;
mod config;
mod error;
mod guard;
mod picture;

use std::sync::Arc;

use axum::Router;
use serde::Serialize;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use config::WebConfig;

use crate::store::{Blobs, PgStore};
use picture::Pictures;

/// A model in use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ModelInForce {
    /// Its name.
    pub name: String,
    /// Digest of its card, which holds the digests of its networks.
    pub digest: String,
}

/// What the daemon knows of itself from its start on, shown by `/health`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ServiceFacts {
    /// Version of the program.
    pub version: String,
    /// Execution provider that inference runs on, proven by a network that ran.
    pub provider: String,
    /// Models that were loaded.
    pub models: Vec<ModelInForce>,
    /// Which database: "private" for the daemon's own server, "configured" for one named in the configuration.
    pub database: String,
}

/// What the page needs to answer. Cheap to clone.
#[derive(Clone)]
pub struct WebState {
    store: PgStore,
    facts: Arc<ServiceFacts>,
    pictures: Arc<Pictures>,
    config: Arc<WebConfig>,
}

impl WebState {
    /// The page over a store.
    pub fn new(store: PgStore, blobs: Blobs, facts: ServiceFacts, config: WebConfig) -> Self {
        let pictures = Arc::new(Pictures::new(store.clone(), blobs, config.image_cache_mib));
        Self { store, facts: Arc::new(facts), pictures, config: Arc::new(config) }
    }
}

/// Every route, behind the guard.
pub fn router(state: WebState) -> Router {
    let config = Arc::clone(&state.config);
    let routes = assets::router().merge(api::router()).fallback(api::no_such_path).with_state(state);
    guard::guarded(routes, &config)
}

/// Answers on a listener until `shutdown` is cancelled and the requests under way are done.
///
/// # Errors
/// What the listener says.
pub async fn serve(listener: TcpListener, state: WebState, shutdown: CancellationToken) -> std::io::Result<()> {
    axum::serve(listener, router(state)).with_graceful_shutdown(shutdown.cancelled_owned()).await
}
