//! The daemon: everything started together, and stopped in order.

use std::sync::Arc;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::complete::watch_series;
use super::config::{RouteConfig, ServiceConfig};
use super::deliver::{Courier, explain_waiting};
use super::receive::{Presence, Receiver};
use super::work::{Segmenter, Worker};
use crate::dicom::net::{ScpConfig, serve};
use crate::store::Store;

/// The running daemon, without its web server.
///
/// Its parts know each other through the store only. Each goes on by itself after an error; a fault in one job or one
/// association ends that one only.
#[derive(Debug)]
pub struct Daemon {
    store: Arc<Store>,
    shutdown: CancellationToken,
    /// Those who talk to peers and work on cases.
    tasks: TaskTracker,
    /// Keeps the private server running; ends after all others.
    keeper: tokio::task::JoinHandle<()>,
    release_keeper: CancellationToken,
}

impl Daemon {
    /// Starts receiving on `listener`, segmenting and delivering. Cancelling `shutdown` asks all parts to end, as
    /// [`Daemon::stop`] does.
    pub fn start<S: Segmenter>(
        store: Arc<Store>,
        config: ServiceConfig,
        scp: ScpConfig,
        listener: TcpListener,
        segmenter: Arc<S>,
        shutdown: CancellationToken,
    ) -> Self {
        let tasks = TaskTracker::new();
        let routes: Arc<[RouteConfig]> = config.routes.into();
        let presence = Arc::new(Presence::new());
        let calling = scp.ae_title.clone();
        let receiver =
            Receiver::new(Arc::clone(&store), config.receive.clone(), Arc::clone(&routes), Arc::clone(&presence));
        tasks.spawn(serve(listener, scp, Arc::new(receiver), shutdown.clone()));
        tasks.spawn(watch_series(Arc::clone(&store), config.receive, presence, shutdown.clone()));
        for _ in 0..config.jobs.workers {
            let worker = Worker {
                store: Arc::clone(&store),
                config: config.jobs.clone(),
                routes: Arc::clone(&routes),
                segmenter: Arc::clone(&segmenter),
                shutdown: shutdown.clone(),
                holder: Uuid::new_v4(),
            };
            tasks.spawn(worker.run());
        }
        let configured = config.destinations.iter().map(|d| d.name.clone()).collect();
        tasks.spawn(explain_waiting(Arc::clone(&store), configured, shutdown.clone()));
        for destination in config.destinations {
            let courier = Courier {
                store: Arc::clone(&store),
                config: config.sending.clone(),
                destination,
                calling: calling.clone(),
                shutdown: shutdown.clone(),
                holder: Uuid::new_v4(),
            };
            tasks.spawn(courier.run());
        }
        tasks.close();
        let release_keeper = CancellationToken::new();
        let keeper = tokio::spawn({
            let (store, release) = (Arc::clone(&store), release_keeper.clone());
            async move { store.keep_running(release).await }
        });
        Self { store, shutdown, tasks, keeper, release_keeper }
    }

    /// The store, for the web server.
    pub fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// Ends in order: no new associations, those under way and the jobs get their time to finish, and what is left is
    /// given back. The store stays open; close it when the web server has ended, too.
    pub async fn stop(self) {
        self.shutdown.cancel();
        self.tasks.wait().await;
        self.release_keeper.cancel();
        if let Err(error) = self.keeper.await {
            tracing::error!(%error, "the keeper of the private PostgreSQL server ended in a fault");
        }
    }
}
