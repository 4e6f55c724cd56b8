//! `contourd serve`: the daemon.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use clap::Args;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::filter::targets::Targets;
use tracing_subscriber::prelude::*;

use super::Failure;
use crate::config::{Config, LogConfig, LogFormat};
use crate::dicom::net::Doors;
use crate::inference::Runtime;
use crate::service::{Daemon, Recipes};
use crate::store::Store;
use crate::web::{ModelInForce, ServiceFacts, WebState};

/// Receive series, segment them, deliver structure sets, show the review page.
#[derive(Debug, Args)]
pub struct ServeArgs {
    /// Configuration file, with at least one route.
    #[arg(long, value_name = "FILE.toml")]
    config: Option<PathBuf>,
}

/// Runs the verb until SIGTERM or SIGINT. Nothing listens before configuration, provider, models and database are good.
///
/// # Errors
/// [`Failure::Usage`] for a faulty configuration, [`Failure::Other`] when the daemon cannot start.
pub fn run(args: ServeArgs) -> Result<(), Failure> {
    let config = Config::read_for_daemon(args.config.as_deref())?;
    start_log(&config.log);
    let runtime = Runtime::load(&config.inference).map_err(anyhow::Error::from)?;
    let recipes = config.recipes(&runtime)?;
    tracing::info!(
        provider = runtime.execution().name(),
        library = %runtime.library().display(),
        model = recipes.default.model.card().name,
        digest = recipes.default.model.digest(),
        "networks are ready"
    );
    let tokio = tokio::runtime::Runtime::new().context("starting the runtime")?;
    tokio.block_on(serve(config, &runtime, recipes))?;
    Ok(())
}

async fn serve(config: Config, runtime: &Runtime, recipes: Recipes) -> anyhow::Result<()> {
    // Before the store: whoever stops us while the private PostgreSQL server starts must not leave it behind.
    let asked = asked_to_stop()?;
    let store = Arc::new(Store::open(&config.store).await?);
    let served = serve_over(&store, config, runtime, recipes, asked).await;
    // Also after a failed start: the private PostgreSQL server must not outlive us.
    store.close().await?;
    served?;
    tracing::info!("stopped");
    Ok(())
}

/// From now on SIGTERM and SIGINT end nothing by themselves: one of them cancels this.
fn asked_to_stop() -> anyhow::Result<CancellationToken> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let asked = CancellationToken::new();
    let tell = asked.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tell.cancel();
    });
    Ok(asked)
}

async fn serve_over(
    store: &Arc<Store>,
    config: Config,
    runtime: &Runtime,
    recipes: Recipes,
    asked: CancellationToken,
) -> anyhow::Result<()> {
    if asked.is_cancelled() {
        tracing::info!("stopping before the start is complete");
        return Ok(());
    }
    let dicom = Doors::open(&config.scp).await.map_err(anyhow::Error::msg)?;
    let at = config.web.listen;
    let http = TcpListener::bind(at).await;
    let http = http.with_context(|| format!("the HTTP server cannot listen on {at}; is another contourd running?"))?;
    let facts = facts(runtime, &recipes, store.cluster().is_some());
    let state = WebState::new(store.pg.clone(), store.blobs.clone(), facts, config.web.clone());

    let shutdown = CancellationToken::new();
    let web_shutdown = CancellationToken::new();
    let mut daemon =
        Daemon::start(Arc::clone(store), config.service, config.scp, dicom, Arc::new(recipes), shutdown.clone());
    let mut web = tokio::spawn(crate::web::serve(http, state, web_shutdown.clone()));
    let started = serde_json::json!({"version": env!("CARGO_PKG_VERSION")});
    store.pg.audit("daemon_started", None, &started).await?;
    tracing::info!("ready");
    let why = end(asked.cancelled(), daemon.fault(), &mut web).await;
    match &why {
        Ok(()) => tracing::info!("stopping"),
        Err(fault) => tracing::error!("stopping, because {fault:#}"),
    }
    // Before the parts end: the last thing that they tell outside.
    let ended = serde_json::json!({"asked": why.is_ok()});
    if let Err(error) = store.pg.audit("daemon_stopping", None, &ended).await {
        tracing::warn!(%error, "the end of the daemon is not in the audit trail");
    }
    daemon.stop().await;
    web_shutdown.cancel();
    if !web.is_finished() {
        web.await.context("the HTTP server ended in a fault")?.context("the HTTP server")?;
    }
    why
}

/// Waits until the daemon is to end: because it was asked to, or because a part of it ended by itself. A daemon that
/// does half of its work is worse than one that is seen to have ended.
async fn end(
    asked: impl Future<Output = ()>,
    fault: impl Future<Output = String>,
    web: &mut JoinHandle<std::io::Result<()>>,
) -> anyhow::Result<()> {
    tokio::select! {
        () = asked => Ok(()),
        fault = fault => Err(anyhow::Error::msg(fault)),
        ended = web => Err(match ended {
            Ok(Ok(())) => anyhow::Error::msg("the HTTP server ended, which it should not"),
            Ok(Err(error)) => anyhow::Error::new(error).context("the HTTP server ended"),
            Err(fault) => anyhow::Error::new(fault).context("the HTTP server ended in a fault of this program"),
        }),
    }
}

fn facts(runtime: &Runtime, recipes: &Recipes, private: bool) -> ServiceFacts {
    let all = recipes.by_model.values().chain(std::iter::once(&recipes.default));
    let mut models: Vec<ModelInForce> =
        all.map(|r| ModelInForce { name: r.model.card().name.clone(), digest: r.model.digest().to_owned() }).collect();
    models.sort_by(|a, b| a.name.cmp(&b.name));
    models.dedup();
    ServiceFacts {
        version: env!("CARGO_PKG_VERSION").into(),
        provider: runtime.execution().name().into(),
        models,
        database: if private { "private".into() } else { "configured".into() },
    }
}

/// Logs go to standard error. A filter that cannot be parsed was a fault of the configuration already.
fn start_log(config: &LogConfig) {
    let filter: Targets = config.filter.parse().unwrap_or_default();
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let registry = tracing_subscriber::registry();
    match config.format {
        LogFormat::Text => registry.with(lines.with_filter(filter)).init(),
        LogFormat::Json => registry.with(lines.json().with_filter(filter)).init(),
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    #[tokio::test]
    async fn a_part_that_ends_by_itself_ends_the_daemon_with_its_name() {
        let mut web = tokio::spawn(pending());
        assert!(end(ready(()), pending(), &mut web).await.is_ok(), "asked to");
        let fault = end(pending(), ready("worker 1 ended".to_owned()), &mut web).await.unwrap_err();
        assert_eq!(fault.to_string(), "worker 1 ended");
        web.abort();
        for (mut web, words) in [
            (tokio::spawn(async { panic!("for this test") }), "in a fault of this program"),
            (tokio::spawn(async { Err(std::io::Error::other("no socket")) }), "no socket"),
            (tokio::spawn(async { Ok(()) }), "should not"),
        ] {
            let fault = end(pending(), pending(), &mut web).await.unwrap_err();
            let said = format!("{fault:#}");
            assert!(said.starts_with("the HTTP server ended") && said.contains(words), "{said}");
            assert!(web.is_finished());
        }
    }
}
