//! The daemon: everything started together, and stopped in order.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::task::{Id, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::audit;
use super::clock::{self, watch_clock};
use super::commit::Teller;
use super::complete::watch_series;
use super::config::{RouteConfig, ServiceConfig};
use super::confirm::{Answers, Confirmer};
use super::deliver::{Courier, explain_waiting};
use super::fetch::Fetcher;
use super::keep;
use super::planning::Planner;
use super::presence::Presence;
use super::receive::Receiver;
use super::segmenter::Segmenter;
use super::system::System;
use super::work::Worker;
use crate::dicom::net::{Doors, ScpConfig, serve};
use crate::store::Store;

/// The running daemon, without its web server.
///
/// Its parts know each other through the store only. Each goes on by itself after an error; a fault in one job or one
/// association ends that one only. A part that ends all the same is told by [`Daemon::fault`].
#[derive(Debug)]
pub struct Daemon {
    shutdown: CancellationToken,
    /// Those who talk to peers and work on cases.
    parts: Parts,
    /// Keeps the private server running, if there is one; ends after all others.
    keeper: Parts,
    release_keeper: CancellationToken,
}

impl Daemon {
    /// Starts receiving at `doors`, segmenting and delivering. Cancelling `shutdown` asks all parts to end, as
    /// [`Daemon::stop`] does.
    pub fn start<S: Segmenter>(
        store: Arc<Store>,
        config: ServiceConfig,
        scp: ScpConfig,
        doors: Doors,
        segmenter: Arc<S>,
        shutdown: CancellationToken,
    ) -> Self {
        let mut parts = Parts::default();
        let profiles = Arc::new(config.profiles_by_destination());
        let furthest = clock::furthest(&config);
        let routes: Arc<[RouteConfig]> = config.routes.into();
        let presence = Arc::new(Presence::new());
        let calling = scp.ae_title.clone();
        let answers = Answers {
            store: Arc::clone(&store),
            config: config.sending.clone(),
            ways: config.destinations.iter().map(|d| (d.name.clone(), d.confirm)).collect(),
        };
        let (ours, ways, most) = (Arc::clone(&store), Arc::clone(&routes), scp.max_object_bytes());
        let receiver = Receiver::new(ours, &config.receive, ways, Arc::clone(&presence), answers, most);
        let inbox = Arc::new(receiver);
        parts.spawn("the DICOM listener".into(), serve(doors, scp, Arc::clone(&inbox), shutdown.clone()));
        let watch = watch_series(Arc::clone(&store), config.receive, presence, shutdown.clone());
        parts.spawn("the watch over complete series".into(), watch);
        for n in 1..=config.jobs.workers {
            let worker = Worker {
                store: Arc::clone(&store),
                config: config.jobs.clone(),
                routes: Arc::clone(&routes),
                profiles: Arc::clone(&profiles),
                segmenter: Arc::clone(&segmenter),
                shutdown: shutdown.clone(),
                holder: Uuid::new_v4(),
            };
            parts.spawn(format!("worker {n}"), worker.run());
        }
        let planner = Planner {
            store: Arc::clone(&store),
            config: config.jobs.clone(),
            routes: Arc::clone(&routes),
            profiles,
            segmenter,
            shutdown: shutdown.clone(),
        };
        parts.spawn("the planning CTs".into(), planner.run());
        parts.spawn("the watch over the clock".into(), watch_clock(Arc::clone(&store), furthest, shutdown.clone()));
        let keep = keep::keep(Arc::clone(&store), config.keep, shutdown.clone());
        parts.spawn("the watch over what is kept".into(), keep);
        let audit = audit::tell(Arc::clone(&store), config.audit, calling.to_string(), shutdown.clone());
        parts.spawn("the audit messages".into(), audit);
        let configured = config.destinations.iter().map(|d| d.name.clone()).collect();
        let explain = explain_waiting(Arc::clone(&store), configured, shutdown.clone());
        parts.spawn("the watch over waiting deliveries".into(), explain);
        let teller = Teller {
            store: Arc::clone(&store),
            config: config.sending.clone(),
            known: (config.destinations.iter().map(|d| &d.system))
                .chain(config.sources.iter().map(|s| &s.system))
                .filter_map(System::dimse)
                .cloned()
                .collect(),
            calling: calling.clone(),
            shutdown: shutdown.clone(),
        };
        parts.spawn("the answers to storage commitments".into(), teller.run());
        if !config.sources.is_empty() {
            let wanting = routes.iter().filter(|route| route.structure_sets);
            let (store, shutdown) = (Arc::clone(&store), shutdown.clone());
            let fetcher = Fetcher {
                store,
                sources: config.sources,
                for_sets: wanting.map(|route| route.name.clone()).collect(),
                calling: calling.clone(),
                inbox: Arc::clone(&inbox),
                max_object_bytes: most,
                shutdown,
            };
            parts.spawn("the fetching of images and structure sets".into(), fetcher.run());
        }
        for destination in config.destinations {
            let confirmer = Confirmer {
                store: Arc::clone(&store),
                config: config.sending.clone(),
                destination: destination.clone(),
                calling: calling.clone(),
                inbox: Arc::clone(&inbox),
                shutdown: shutdown.clone(),
            };
            parts.spawn(format!("the confirmation by {}", destination.name), confirmer.run());
            let courier = Courier {
                store: Arc::clone(&store),
                config: config.sending.clone(),
                destination,
                calling: calling.clone(),
                shutdown: shutdown.clone(),
                holder: Uuid::new_v4(),
            };
            parts.spawn(format!("the delivery to {}", courier.destination.name), courier.run());
        }
        let release_keeper = CancellationToken::new();
        let mut keeper = Parts::default();
        if store.cluster().is_some() {
            let (store, release) = (Arc::clone(&store), release_keeper.clone());
            keeper.spawn("the watch over the database".into(), async move { store.keep_running(release).await });
        }
        Self { shutdown, parts, keeper, release_keeper }
    }

    /// Waits until a part ends that nobody asked to, by a panic or otherwise, and says which. Then the daemon does only
    /// some of its work, in silence: it is to be stopped. Never returns otherwise.
    pub async fn fault(&mut self) -> String {
        loop {
            let (name, ended) = tokio::select! {
                Some(ended) = self.parts.next() => ended,
                Some(ended) = self.keeper.next() => ended,
                else => std::future::pending().await,
            };
            match ended {
                Err(fault) => return format!("{name} ended in a fault of this program: {fault}"),
                Ok(()) if !self.shutdown.is_cancelled() => return format!("{name} ended, which it should not"),
                Ok(()) => {}
            }
        }
    }

    /// Ends in order: no new associations, those under way and the jobs get their time to finish, and what is left is
    /// given back. The store stays open; close it when the web server has ended, too.
    pub async fn stop(mut self) {
        self.shutdown.cancel();
        self.parts.all_ended().await;
        self.release_keeper.cancel();
        self.keeper.all_ended().await;
    }
}

/// Tasks with names.
#[derive(Debug, Default)]
struct Parts {
    tasks: JoinSet<()>,
    names: HashMap<Id, String>,
}

impl Parts {
    fn spawn(&mut self, name: String, task: impl Future<Output = ()> + Send + 'static) {
        let id = self.tasks.spawn(task).id();
        self.names.insert(id, name);
    }

    /// The next one that ends and how; `None` when there is none left.
    async fn next(&mut self) -> Option<(String, Result<(), JoinError>)> {
        let ended = self.tasks.join_next_with_id().await?;
        let id = ended.as_ref().map_or_else(JoinError::id, |(id, ())| *id);
        Some((self.names.remove(&id).unwrap_or_default(), ended.map(|_| ())))
    }

    async fn all_ended(&mut self) {
        while let Some((name, ended)) = self.next().await {
            if let Err(fault) = ended {
                tracing::error!(%fault, "{name} ended in a fault of this program");
            }
        }
    }
}
