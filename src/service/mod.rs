//! Receive, segment, deliver: the only room that knows the order of the stages.
//!
//! What is in which file:
//! - [`segment_series`] (`segment`): one series to its results by a `recipe`, pure; `package`: the files for one kind of
//!   destination.
//! - [`Daemon`] (`daemon`): starts and stops the parts below.
//! - `receive`: the inbox, `admit`: which route each instance goes; `complete` and `evidence`: when a series is complete;
//!   `work`: jobs;
//!   `deliver`: the outbox; `confirm`: whether destinations keep what they accepted; `commit`: what peers want to be sure of;
//!   `fetch`: missing images from elsewhere.
//! - `planning`: structure sets on the planning CTs of a study; `carry`: one of them, pure.
//! - [`choose`] (`route`): which route takes a series.
//! - `notice`: the report about a refusal.
//! - `keep`: what need not be kept any more is deleted.
//! - `audit`: who did what to which study, as messages of PS3.15 to a file and to syslog.
//! - [`System`] (`system`): another system, over associations or over HTTP.
//! - `config`, `destinations`: what can be configured about them.

mod admit;
mod audit;
mod carry;
mod clock;
mod commit;
mod complete;
mod config;
mod confirm;
mod daemon;
mod deliver;
mod destinations;
mod evidence;
mod fetch;
mod keep;
mod look;
mod notice;
mod package;
mod planning;
mod presence;
mod receive;
mod recipe;
mod route;
mod segment;
mod segmenter;
mod system;
mod watermark;
mod work;

use std::time::Duration;

use tokio_util::sync::CancellationToken;

pub use audit::{AuditConfig, SyslogConfig};
pub use clock::local_time;
pub use complete::{Otherwise, ReceiveConfig};
pub use config::{JobsConfig, RouteConfig, SendingConfig, ServiceConfig};
pub use daemon::Daemon;
pub use destinations::{Confirm, DestinationConfig, SourceConfig};
pub use keep::KeepConfig;
pub use package::{DerivedReport, Package};
pub use recipe::{Order, PlanesConfig, Recipe, Wanted};
pub use route::{Choice, Judgement, Way, asked_by, choose};
pub use segment::{
    Progress, Report, SegmentError, Segmentation, Stage, StructureReport, deliver_findings, segment_series,
};
pub use segmenter::{Recipes, Segmenter};
pub use system::System;

use crate::store::{ErrorClass, StoreError};

/// How often each part looks for work.
const POLL: Duration = Duration::from_millis(500);
/// Pause after the database could not be asked.
const AFTER_FAULT: Duration = Duration::from_secs(2);

/// Waits, but not beyond a shutdown.
async fn pause(time: Duration, shutdown: &CancellationToken) {
    tokio::select! {
        () = tokio::time::sleep(time) => {}
        () = shutdown.cancelled() => {}
    }
}

/// Writes to the database until it is written, so that what was done is not forgotten while the database is away.
///
/// # Errors
/// The last error, when it can never be written, or when the database is still away at a shutdown; then leases run out
/// and the work is done again.
async fn persist<T, F: Future<Output = Result<T, StoreError>>>(
    what: &'static str,
    shutdown: &CancellationToken,
    write: impl Fn() -> F,
) -> Result<T, StoreError> {
    loop {
        match write().await {
            Err(error) if error.class() == ErrorClass::Retry && !shutdown.is_cancelled() => {
                tracing::warn!(%error, what, "not recorded yet, tried again");
                pause(AFTER_FAULT, shutdown).await;
            }
            Err(error) => {
                tracing::error!(%error, what, "cannot be recorded");
                return Err(error);
            }
            written => return written,
        }
    }
}
