//! What can be configured about the daemon's work: receiving, jobs, sending, routes and destinations.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::Deserialize;

use super::destinations::{Confirm, DestinationConfig, SourceConfig};
use crate::dicom::data::{BUILT_IN, Profile};
use crate::ids::AeTitle;
use crate::routing::{Priority, When};

use super::audit::AuditConfig;
use super::complete::ReceiveConfig;
use super::keep::KeepConfig;
use super::system::System;

/// The `[jobs]` section: segmentation.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct JobsConfig {
    /// Cases segmented at once. Each uses every core and a few gigabytes.
    pub workers: usize,
    /// A job whose daemon is not heard of for this long is given to another.
    pub lease_seconds: u64,
    /// Attempts that end in an error of their own before a case counts as failed. An end of the daemon is none.
    pub max_attempts: u32,
    /// How often the daemon may end (killed, out of memory, power cut) while it works on one case before the case counts
    /// as failed: by then it is likely to be the case that ends it.
    pub max_interruptions: u32,
    /// Pause before the second attempt; it doubles with each.
    pub retry_seconds: u64,
    /// How long a segmentation under way may go on after a shutdown was asked for; then it starts anew next time.
    pub drain_seconds: u64,
}

impl Default for JobsConfig {
    fn default() -> Self {
        Self {
            workers: 1,
            lease_seconds: 60,
            max_attempts: 5,
            max_interruptions: 20,
            retry_seconds: 10,
            drain_seconds: 20,
        }
    }
}

impl JobsConfig {
    /// Every fault of this section, each beginning with the key that it is about; empty when there is none.
    pub fn faults(&self) -> Vec<String> {
        [
            out_of_range("workers", self.workers as u64, 1..=64),
            out_of_range("lease_seconds", self.lease_seconds, 3..=3600),
            out_of_range("max_attempts", u64::from(self.max_attempts), 1..=1000),
            out_of_range("max_interruptions", u64::from(self.max_interruptions), 1..=1000),
            out_of_range("retry_seconds", self.retry_seconds, 1..=3600),
            out_of_range("drain_seconds", self.drain_seconds, 0..=3600),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    pub(super) fn lease(&self) -> Duration {
        Duration::from_secs(self.lease_seconds)
    }

    pub(super) fn retry(&self) -> Backoff {
        Backoff { first: Duration::from_secs(self.retry_seconds), longest: Duration::from_secs(600) }
    }
}

/// The `[sending]` section: deliveries.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SendingConfig {
    /// Objects sent over one association.
    pub batch: u32,
    /// A delivery whose daemon is not heard of for this long is given to another.
    pub lease_seconds: u64,
    /// Pause after the first failed attempt; it doubles with each.
    pub first_retry_seconds: u64,
    /// The pause grows no longer than this. Attempts never end while the failure may pass.
    pub longest_retry_seconds: u64,
    /// A storage commitment without an answer is asked for anew after this.
    pub commitment_timeout_seconds: u64,
    /// How often an object is sent again that was accepted and that its destination, when asked, does not have.
    pub max_resends: u32,
    /// How long an association under way may go on after a shutdown was asked for.
    pub drain_seconds: u64,
}

impl Default for SendingConfig {
    fn default() -> Self {
        Self {
            batch: 64,
            lease_seconds: 60,
            first_retry_seconds: 5,
            longest_retry_seconds: 300,
            commitment_timeout_seconds: 3600,
            max_resends: 3,
            drain_seconds: 10,
        }
    }
}

impl SendingConfig {
    /// Every fault of this section, each beginning with the key that it is about; empty when there is none.
    pub fn faults(&self) -> Vec<String> {
        [
            out_of_range("batch", u64::from(self.batch), 1..=1000),
            out_of_range("lease_seconds", self.lease_seconds, 3..=3600),
            out_of_range("first_retry_seconds", self.first_retry_seconds, 1..=3600),
            out_of_range("longest_retry_seconds", self.longest_retry_seconds, self.first_retry_seconds..=86_400),
            out_of_range("commitment_timeout_seconds", self.commitment_timeout_seconds, 1..=604_800),
            out_of_range("max_resends", u64::from(self.max_resends), 0..=100),
            out_of_range("drain_seconds", self.drain_seconds, 0..=3600),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    pub(super) fn lease(&self) -> Duration {
        Duration::from_secs(self.lease_seconds)
    }

    pub(super) fn retry(&self) -> Backoff {
        Backoff {
            first: Duration::from_secs(self.first_retry_seconds),
            longest: Duration::from_secs(self.longest_retry_seconds),
        }
    }

    pub(super) fn commitment_timeout(&self) -> Duration {
        Duration::from_secs(self.commitment_timeout_seconds)
    }
}

/// One `[[route]]` section: which model segments what, by the titles that it came under and by rules over its header, how
/// soon, and where the result goes.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouteConfig {
    /// Its name, kept with each case.
    pub name: String,
    /// Only for instances sent to this title of ours; absent: any.
    #[serde(default)]
    pub called_ae: Option<AeTitle>,
    /// Only for instances sent by this title; absent: any.
    #[serde(default)]
    pub calling_ae: Option<AeTitle>,
    /// Only for series whose first instance this rule holds of; absent: any.
    #[serde(default)]
    pub when: Option<When>,
    /// The model; absent: the default one.
    #[serde(default)]
    pub model: Option<String>,
    /// Several models in the place of one: each makes a result of its own, side by side.
    #[serde(default)]
    pub models: Vec<String>,
    /// Which cases are segmented first; a header that says STAT or HIGH raises it.
    #[serde(default)]
    pub priority: Priority,
    /// Names of the destinations of the result.
    pub destinations: Vec<String>,
    /// Names of the destinations that are sent a report when a series is refused.
    #[serde(default)]
    pub notices_to: Vec<String>,
    /// Whether CTs and registrations that come this way are kept, whatever `when` says, and contours of this route are
    /// delivered on the CTs of their study, too.
    #[serde(default)]
    pub planning_ct: bool,
    /// Whether structure sets that others made are kept beside the contours of their study: those that come this way, whatever
    /// `when` says, and those that a source has, where they are asked for once for each series of this route.
    #[serde(default)]
    pub structure_sets: bool,
}

impl RouteConfig {
    /// The models that it names; none: the default one.
    pub fn models(&self) -> Vec<String> {
        if self.models.is_empty() { self.model.iter().cloned().collect() } else { self.models.clone() }
    }

    /// The models that it names, each with the key that does.
    pub fn named_models(&self) -> impl Iterator<Item = (&'static str, &String)> {
        let one = self.model.iter().map(|name| ("model", name));
        one.chain(self.models.iter().map(|name| ("models", name)))
    }
}

/// Everything that the daemon's work is configured by.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ServiceConfig {
    /// `[receive]`.
    pub receive: ReceiveConfig,
    /// `[jobs]`.
    pub jobs: JobsConfig,
    /// `[sending]`.
    pub sending: SendingConfig,
    /// `[keep]`.
    pub keep: KeepConfig,
    /// `[audit]`.
    pub audit: AuditConfig,
    /// `[[route]]`, the first that fits is taken.
    pub routes: Vec<RouteConfig>,
    /// `[[destination]]`.
    pub destinations: Vec<DestinationConfig>,
    /// `[[source]]`, asked in this order.
    pub sources: Vec<SourceConfig>,
    /// The profiles of `[[profile]]` sections, without fault.
    pub profiles: Vec<Profile>,
}

impl ServiceConfig {
    /// A profile by its name, of the site or built in.
    pub fn profile(&self, name: &str) -> Option<Profile> {
        self.profiles.iter().find(|profile| profile.name == name).cloned().or_else(|| Profile::built_in(name))
    }

    /// The profile of each destination, by the destination's name.
    pub fn profiles_by_destination(&self) -> BTreeMap<String, Profile> {
        let known = self.destinations.iter().filter_map(|d| Some((d.name.clone(), self.profile(&d.profile)?)));
        known.collect()
    }

    /// What a source sends comes under its own title: where a route has structure sets fetched, one must want them from it.
    fn sources_without_a_way(&self) -> Vec<String> {
        let wanting: Vec<&RouteConfig> = self.routes.iter().filter(|route| route.structure_sets).collect();
        let sender = |source: &SourceConfig| match &source.system {
            System::Dimse(entity) => entity.ae_title.clone(),
            System::Dicomweb(service) => service.ae_title.clone(),
        };
        let lost = |source: &&SourceConfig| {
            !wanting.iter().any(|route| route.calling_ae.as_ref().is_none_or(|title| *title == sender(source)))
        };
        let told = |source: &SourceConfig| {
            format!(
                "route.structure_sets: what the source {:?} sends comes from {}, and no route with structure_sets is for \
                 that title",
                source.name,
                sender(source)
            )
        };
        if wanting.is_empty() { Vec::new() } else { self.sources.iter().filter(lost).map(told).collect() }
    }

    /// Every fault, each beginning with the whole path of the key that it is about; empty when there is none.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let mut section = |path: String, found: Vec<String>| {
            faults.extend(found.into_iter().map(|fault| format!("{path}.{fault}")));
        };
        section("receive".into(), self.receive.faults());
        section("jobs".into(), self.jobs.faults());
        section("sending".into(), self.sending.faults());
        section("keep".into(), self.keep.faults());
        section("audit".into(), self.audit.faults());
        for (n, destination) in (1..).zip(&self.destinations) {
            section(format!("destination[{n}]"), destination.system.faults());
            if destination.confirm == Confirm::Commitment && destination.system.dimse().is_none() {
                let why = "confirm is \"commitment\", which DICOMweb does not have: use \"query\"".to_owned();
                section(format!("destination[{n}]"), vec![why]);
            }
            if self.profile(&destination.profile).is_none() {
                let why = format!(
                    "profile is {:?}: use one of {} or the name of a [[profile]]",
                    destination.profile,
                    BUILT_IN.join(", ")
                );
                section(format!("destination[{n}]"), vec![why]);
            }
        }
        for (n, source) in (1..).zip(&self.sources) {
            section(format!("source[{n}]"), source.system.faults());
        }
        faults.extend(repeated_names("source", self.sources.iter().map(|s| &s.name)));
        faults.extend(self.sources_without_a_way());
        faults.extend(repeated_names("destination", self.destinations.iter().map(|d| &d.name)));
        faults.extend(repeated_names("route", self.routes.iter().map(|r| &r.name)));
        let known: BTreeSet<&String> = self.destinations.iter().map(|d| &d.name).collect();
        for (n, route) in (1..).zip(&self.routes) {
            if route.destinations.is_empty() {
                faults.push(format!("route[{n}].destinations is empty: name at least one [[destination]]"));
            }
            for name in route.destinations.iter().filter(|name| !known.contains(name)) {
                faults.push(format!("route[{n}].destinations names {name:?}, but there is no such [[destination]]"));
            }
            for name in route.notices_to.iter().filter(|name| !known.contains(name)) {
                faults.push(format!("route[{n}].notices_to names {name:?}, but there is no such [[destination]]"));
            }
            let distinct: BTreeSet<&String> = route.destinations.iter().collect();
            if distinct.len() < route.destinations.len() {
                faults.push(format!("route[{n}].destinations names a destination twice; each gets one result"));
            }
            if route.model.is_some() && !route.models.is_empty() {
                faults.push(format!("route[{n}].models stands beside model: write one of them"));
            }
            let distinct: BTreeSet<&String> = route.models.iter().collect();
            if distinct.len() < route.models.len() {
                faults.push(format!("route[{n}].models names a model twice; each gives one result"));
            }
            let rule = route.when.iter().flat_map(When::faults);
            faults.extend(rule.map(|fault| format!("route[{n}].{fault}")));
            let hides = |earlier: &RouteConfig| {
                earlier.when.is_none()
                    && (earlier.called_ae.is_none() || earlier.called_ae == route.called_ae)
                    && (earlier.calling_ae.is_none() || earlier.calling_ae == route.calling_ae)
            };
            if let Some(earlier) = self.routes.iter().take(n - 1).find(|earlier| hides(earlier)) {
                faults.push(format!(
                    "route[{n}].name {:?} is never reached, because {:?} before it takes everything that it would; \
                     put the special one first",
                    route.name, earlier.name
                ));
            }
        }
        faults
    }
}

fn repeated_names<'a>(section: &str, names: impl Iterator<Item = &'a String>) -> Vec<String> {
    let mut seen = BTreeSet::new();
    (1..)
        .zip(names)
        .filter_map(|(n, name): (usize, _)| {
            if name.trim().is_empty() {
                Some(format!("{section}[{n}].name is empty: give it a name"))
            } else if !seen.insert(name) {
                Some(format!("{section}[{n}].name is {name:?}, as is an earlier one: give it another name"))
            } else {
                None
            }
        })
        .collect()
}

pub(super) fn out_of_range(key: &str, value: u64, range: std::ops::RangeInclusive<u64>) -> Option<String> {
    (!range.contains(&value)).then(|| format!("{key} is {value}: set {} to {}", range.start(), range.end()))
}

/// Pauses between attempts: doubling up to a limit, shortened by up to a quarter so that many do not come at once.
#[derive(Debug, Clone, Copy)]
pub(super) struct Backoff {
    pub first: Duration,
    pub longest: Duration,
}

impl Backoff {
    /// The pause after the given attempt, 1 for the first.
    pub fn after(&self, attempt: i32) -> Duration {
        let doublings = u32::try_from(attempt.saturating_sub(1)).unwrap_or(0).min(30);
        let pause = self.first.saturating_mul(1 << doublings).min(self.longest);
        let random = f64::from(uuid::Uuid::new_v4().as_bytes()[0]) / 256.0;
        pause.mul_f64(1.0 - 0.25 * random)
    }
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;
