//! The inbox: an instance is acknowledged once its bytes and its row are durable, and not before.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::json;

use super::config::{ReceiveConfig, RouteConfig};
use crate::dicom::data::{InstanceHeader, is_own_object, part10_file, read_damaged_header, read_header};
use crate::dicom::net::{Inbox, Received, StoreVerdict};
use crate::ids::{InstanceUid, sha256_hex};
use crate::store::{Arrival, BlobKey, ErrorClass, Intake, NewInstance, PatientText, Store, StoreError};

/// Whether senders could reach us: a series is not complete because we were away.
#[derive(Debug)]
pub(super) struct Presence {
    since: Mutex<Instant>,
}

impl Presence {
    /// Present from now on.
    pub fn new() -> Self {
        Self { since: Mutex::new(Instant::now()) }
    }

    /// An instance could not be taken: its sender will come again.
    pub fn broken(&self) {
        *self.since.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// For how long every instance could be taken.
    pub fn lasted(&self) -> Duration {
        self.since.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }
}

/// Stores what peers send.
#[derive(Debug)]
pub(super) struct Receiver {
    store: Arc<Store>,
    config: ReceiveConfig,
    routes: Arc<[RouteConfig]>,
    presence: Arc<Presence>,
}

impl Receiver {
    pub fn new(store: Arc<Store>, config: ReceiveConfig, routes: Arc<[RouteConfig]>, presence: Arc<Presence>) -> Self {
        Self { store, config, routes, presence }
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
        let (header, damage) = match read_header(&file) {
            Ok(header) => (header, None),
            Err(damage) => match read_damaged_header(&file) {
                Some(header) => (header, Some(damage)),
                None => {
                    return self
                        .refuse(object, "unreadable", &damage.to_string(), StoreVerdict::CannotUnderstand)
                        .await;
                }
            },
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
        match self.store.pg.known_instance(&header.instance).await? {
            Some(known) if known == content_sha256 => return Ok(StoreVerdict::AlreadyStored),
            Some(_) => return self.conflict(object).await,
            None => {}
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
        self.store.blobs.put(&key, file).await?;
        match self.store.pg.accept_instance(&new).await? {
            Intake::Stored { case, revision } => {
                tracing::debug!(%case, revision, instance = %new.instance, "instance stored");
                Ok(StoreVerdict::Stored)
            }
            Intake::AlreadyStored => Ok(StoreVerdict::AlreadyStored),
            Intake::Conflict => self.conflict(object).await,
        }
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
            self.presence.broken();
        }
        verdict
    }
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
