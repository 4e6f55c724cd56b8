//! The inbox: an instance is acknowledged once its bytes and its row are durable, and not before.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::json;
use tokio::task::JoinError;

use super::config::{ReceiveConfig, RouteConfig};
use crate::dicom::data::{InstanceHeader, Refusal, is_own_object, part10_file, read_received_header};
use crate::dicom::net::{Inbox, Received, StoreVerdict};
use crate::ids::{InstanceUid, SeriesUid, sha256_hex};
use crate::store::{Arrival, BlobKey, ErrorClass, Intake, KnownInstance, NewInstance, PatientText, Store, StoreError};

/// Whether senders could reach us: a series is not complete because we were away.
#[derive(Debug)]
pub(super) struct Presence {
    state: Mutex<(Instant, BTreeSet<SeriesUid>)>,
}

impl Presence {
    /// Present from now on.
    pub fn new() -> Self {
        Self { state: Mutex::new((Instant::now(), BTreeSet::new())) }
    }

    /// An instance could not be taken, and its sender will come again: its series is not complete, or, when nobody
    /// knows which one that is, none is.
    pub fn broken(&self, series: Option<SeriesUid>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match series {
            Some(series) => _ = state.1.insert(series),
            None => state.0 = Instant::now(),
        }
    }

    /// For how long every instance of an unknown series could be taken.
    pub fn lasted(&self) -> Duration {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).0.elapsed()
    }

    /// The series of which an instance could not be taken since they were last asked for. Who takes them sees to it
    /// that they are waited for, or puts them back with [`Presence::broken`].
    pub fn take_broken(&self) -> Vec<SeriesUid> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut state.1).into_iter().collect()
    }
}

/// Stores what peers send.
#[derive(Debug)]
pub(super) struct Receiver {
    store: Arc<Store>,
    config: ReceiveConfig,
    routes: Arc<[RouteConfig]>,
    presence: Arc<Presence>,
    max_object_bytes: usize,
}

impl Receiver {
    pub fn new(
        store: Arc<Store>,
        config: ReceiveConfig,
        routes: Arc<[RouteConfig]>,
        presence: Arc<Presence>,
        max_object_bytes: usize,
    ) -> Self {
        Self { store, config, routes, presence, max_object_bytes }
    }

    async fn take(&self, object: &Received) -> Result<StoreVerdict, StoreError> {
        if self.store.blobs.free_bytes()? < self.config.min_free_bytes() {
            tracing::error!(
                min_free_mebibytes = self.config.min_free_mebibytes,
                "the disk is nearly full: nothing is taken"
            );
            return Ok(StoreVerdict::OutOfResources);
        }
        let (instance, syntax) = (&object.instance, &object.transfer_syntax);
        let file = match part10_file(&object.sop_class, instance, syntax, &object.dataset) {
            Ok(file) => Bytes::from(file),
            Err(why) => {
                let why = why.to_string();
                return self.refuse(object, "cannot_be_kept", &why, StoreVerdict::CannotUnderstand).await;
            }
        };
        let (header, damage) = match header_of(file.clone(), self.max_object_bytes).await {
            Ok(Ok(read)) => read,
            Ok(Err(why)) => {
                return self.refuse(object, "unreadable", &why.to_string(), StoreVerdict::CannotUnderstand).await;
            }
            Err(error) => {
                tracing::error!(%error, instance = %object.instance, "an instance could not be looked at");
                return Ok(StoreVerdict::Failure("internal fault, see the log of contourd".into()));
            }
        };
        if header.instance != object.instance || header.sop_class != object.sop_class {
            let why = "SOP class or instance UID differ from the command's";
            return self.refuse(object, "mismatch", why, StoreVerdict::DataSetMismatch).await;
        }
        if is_own_object(&header) || self.store.pg.is_own_result(&header.instance).await? {
            tracing::info!(instance = %header.instance, from = %object.calling, "an object of our own came back; it is not processed");
            self.store.pg.audit("own_object_ignored", None, &who(object)).await?;
            return Ok(StoreVerdict::AlreadyStored);
        }
        let Some(route) = self.routes.iter().find(|route| route.takes(&object.calling, &object.called)) else {
            let why = "no route is configured for these AE titles";
            return self.refuse(object, "no_route", why, StoreVerdict::CannotUnderstand).await;
        };
        let content_sha256 = sha256_hex(&object.dataset);
        let known = self.store.pg.known_instance(&header.instance).await?;
        if known.as_ref().is_some_and(|known| known.content_sha256 != content_sha256) {
            return self.conflict(object).await;
        }
        let arrival = arrival(object, header, route);
        if let Some(damage) = damage {
            // Not taken, so that it can come again whole; but its case must not look as if it had never come.
            let damage = damage.with_instance(object.instance.clone());
            let noted = serde_json::to_value(&damage).unwrap_or_default();
            self.store.pg.note_refused_instance(&arrival, &object.instance, &noted).await?;
            return self.refuse(object, "damaged", &damage.to_string(), StoreVerdict::CannotUnderstand).await;
        }
        let sha256 = sha256_hex(&file);
        let key = BlobKey::instance(&arrival.series, &object.instance, &sha256);
        let new = NewInstance {
            arrival,
            instance: object.instance.clone(),
            sop_class: object.sop_class.clone(),
            transfer_syntax: object.transfer_syntax.clone(),
            content_sha256,
            blob_key: key.as_str().to_owned(),
            sha256,
            byte_count: file.len() as u64,
        };
        if let Some(known) = known {
            self.tell_another_way(object, route, &known).await?;
            if self.store.blobs.holds(&known.blob_key, &known.sha256).await? {
                return Ok(StoreVerdict::AlreadyStored);
            }
            tracing::warn!(instance = %new.instance, "the file of an instance was lost or damaged; it is written again");
            self.store.blobs.put(&key, file).await?;
            self.store.pg.restore_instance(&new).await?;
            return Ok(StoreVerdict::Stored);
        }
        self.store.blobs.put(&key, file).await?;
        match self.store.pg.accept_instance(&new).await? {
            Intake::Stored { case, revision } => {
                tracing::debug!(%case, revision, instance = %new.instance, "instance stored");
                Ok(StoreVerdict::Stored)
            }
            Intake::AlreadyStored => {
                // Another association was faster by a moment; perhaps it came another way.
                if let Some(known) = self.store.pg.known_instance(&new.instance).await? {
                    self.tell_another_way(object, route, &known).await?;
                }
                Ok(StoreVerdict::AlreadyStored)
            }
            Intake::Conflict => self.conflict(object).await,
        }
    }

    /// A series is processed once, as its first instance came. Who sends it again under another title, or on another
    /// route, perhaps waits for another result, which will not come: that must not pass unseen.
    async fn tell_another_way(
        &self,
        object: &Received,
        route: &RouteConfig,
        known: &KnownInstance,
    ) -> Result<(), StoreError> {
        if known.route == route.name && known.called_ae == object.called.as_str() {
            return Ok(());
        }
        tracing::warn!(
            case = %known.case_id, instance = %object.instance, from = %object.calling, called = %object.called,
            route = route.name, first_called = known.called_ae, first_route = known.route,
            "an instance came again another way than before; it is not processed a second time"
        );
        let mut detail = who(object);
        if let Some(detail) = detail.as_object_mut() {
            detail.insert("route".into(), route.name.as_str().into());
            detail.insert("first_called".into(), known.called_ae.as_str().into());
            detail.insert("first_route".into(), known.route.as_str().into());
        }
        self.store.pg.audit("instance_sent_another_way", Some(known.case_id), &detail).await
    }

    async fn conflict(&self, object: &Received) -> Result<StoreVerdict, StoreError> {
        let why = "this SOP Instance UID is known with other content";
        self.refuse(object, "conflict", why, StoreVerdict::DataSetMismatch).await
    }

    /// Refuses for good, with a line in the audit trail.
    async fn refuse(
        &self,
        object: &Received,
        kind: &'static str,
        why: &str,
        verdict: fn(String) -> StoreVerdict,
    ) -> Result<StoreVerdict, StoreError> {
        tracing::warn!(instance = %object.instance, from = %object.calling, why, "an instance was refused");
        let mut detail = who(object);
        if let Some(detail) = detail.as_object_mut() {
            detail.insert("kind".into(), kind.into());
            detail.insert("why".into(), why.into());
        }
        self.store.pg.audit("instance_refused", None, &detail).await?;
        Ok(verdict(why.to_owned()))
    }
}

impl Inbox for Receiver {
    async fn store(&self, object: Received) -> StoreVerdict {
        let verdict = self.take(&object).await.unwrap_or_else(|error| {
            tracing::error!(%error, instance = %object.instance, "an instance could not be stored");
            match error.class() {
                ErrorClass::Retry => StoreVerdict::OutOfResources,
                ErrorClass::Permanent => StoreVerdict::Failure("internal fault, see the log of contourd".into()),
            }
        });
        if matches!(verdict, StoreVerdict::OutOfResources | StoreVerdict::Failure(_)) {
            self.presence.broken(series_of(&object, self.max_object_bytes).await);
        }
        verdict
    }
}

/// The series of an instance, as far as its header can be read.
async fn series_of(object: &Received, max_bytes: usize) -> Option<SeriesUid> {
    let file = part10_file(&object.sop_class, &object.instance, &object.transfer_syntax, &object.dataset).ok()?;
    let (header, _) = header_of(file.into(), max_bytes).await.ok()?.ok()?;
    Some(header.series)
}

/// The header of a file and the damage behind it. Up to `max_bytes` may have to be inflated for it, which would keep other
/// associations waiting; hence a thread of its own.
async fn header_of(
    file: Bytes,
    max_bytes: usize,
) -> Result<Result<(InstanceHeader, Option<Refusal>), Refusal>, JoinError> {
    tokio::task::spawn_blocking(move || read_received_header(&file, max_bytes)).await
}

fn who(object: &Received) -> serde_json::Value {
    let instance: &InstanceUid = &object.instance;
    json!({
        "instance": instance.as_str(),
        "sop_class": object.sop_class,
        "calling": object.calling.as_str(),
        "called": object.called.as_str(),
        "peer": object.peer.to_string(),
    })
}

fn arrival(object: &Received, header: InstanceHeader, route: &RouteConfig) -> Arrival {
    Arrival {
        study: header.study,
        series: header.series,
        frame: header.frame,
        modality: header.modality,
        series_description: header.series_description,
        patient_id: PatientText(header.patient_id),
        patient_name: PatientText(header.patient_name),
        calling: object.calling.clone(),
        called: object.called.clone(),
        route: route.name.clone(),
    }
}
