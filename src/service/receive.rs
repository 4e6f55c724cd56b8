//! The inbox: an instance is acknowledged once its bytes and its row are durable, and not before. So are requests for storage
//! commitment, and the answers to ours.

use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::json;

use super::admit::{Admission, Doorkeeper};
use super::commit;
use super::complete::ReceiveConfig;
use super::config::RouteConfig;
use super::confirm::Answers;
use super::presence::Presence;
use super::watermark::Watermark;
use crate::dicom::data::{
    InstanceHeader, ReceivedHeader, Refusal, is_deflated, is_own_object, part10_head, read_received_dataset,
    same_data_set, same_object,
};
use crate::dicom::net::{CommitmentReport, CommitmentVerdict, Inbox, PeersRequest, Received, StoreVerdict};
use crate::ids::{InstanceUid, SeriesUid, sha256_hex, sha256_hex_of};
use crate::routing::Tag;
use crate::store::{
    Arrival, Beforehand, BlobKey, CaseRole, ErrorClass, Intake, KnownInstance, NewInstance, PatientText, Store,
    StoreError,
};

/// Stores what peers send.
#[derive(Debug)]
pub(super) struct Receiver {
    store: Arc<Store>,
    watermark: Watermark,
    door: Doorkeeper,
    presence: Arc<Presence>,
    answers: Answers,
    max_object_bytes: usize,
}

impl Receiver {
    pub fn new(
        store: Arc<Store>,
        config: &ReceiveConfig,
        routes: Arc<[RouteConfig]>,
        presence: Arc<Presence>,
        answers: Answers,
        max_object_bytes: usize,
    ) -> Self {
        let watermark = Watermark::new(config.min_free_bytes());
        let door = Doorkeeper::new(Arc::clone(&store), routes, config.otherwise);
        Self { store, watermark, door, presence, answers, max_object_bytes }
    }

    async fn take(&self, object: &Received) -> Result<StoreVerdict, StoreError> {
        let free = self.store.blobs.free_bytes()?;
        let Some(_admitted) = self.watermark.admit(free, object.dataset.len() as u64) else {
            tracing::error!(free_mebibytes = free >> 20, "the disk is nearly full: nothing is taken");
            return Ok(StoreVerdict::OutOfResources);
        };
        let (instance, syntax) = (&object.instance, &object.transfer_syntax);
        let head = match part10_head(&object.sop_class, instance, syntax) {
            Ok(head) => Bytes::from(head),
            Err(why) => {
                let why = why.to_string();
                return self.refuse(object, "cannot_be_kept", &why, StoreVerdict::CannotUnderstand).await;
            }
        };
        let read = header_of(object, self.max_object_bytes, self.door.tags()).await;
        let ReceivedHeader { header, attributes, damage } = match read {
            Ok(Ok(read)) => read,
            Ok(Err(why)) => {
                return self.refuse(object, "unreadable", &why.to_string(), StoreVerdict::CannotUnderstand).await;
            }
            Err(Fault) => {
                tracing::error!(instance = %object.instance, "an instance could not be looked at");
                return Ok(internal_fault());
            }
        };
        if header.instance != object.instance || header.sop_class != object.sop_class {
            let why = "SOP class or instance UID differ from the command's";
            return self.refuse(object, "mismatch", why, StoreVerdict::DataSetMismatch).await;
        }
        let _under_way = self.presence.take_up(header.series.clone(), object.association);
        // The digest is made while the database answers.
        let parts = [head.clone(), object.dataset.clone()];
        let digest = tokio::task::spawn_blocking(move || sha256_hex_of(parts.iter().map(Bytes::as_ref)));
        let beforehand = self.store.pg.look_up(&header.instance).await?;
        if is_own_object(&header) || beforehand == Beforehand::OwnResult {
            tracing::info!(instance = %header.instance, from = %object.calling, "an object of our own came back; it is not processed");
            self.store.pg.audit("own_object_ignored", None, &who(object)).await?;
            return Ok(StoreVerdict::AlreadyStored);
        }
        let (route, priority, role) = match self.door.admit(object, &header, attributes, damage.is_some()).await? {
            Admission::To(route, priority, role) => (route, priority, role),
            Admission::NoWay => {
                let why = "no route is configured for these AE titles";
                return self.refuse(object, "no_route", why, StoreVerdict::CannotUnderstand).await;
            }
            Admission::Unclear => {
                let why = damage.map(|damage| damage.to_string()).unwrap_or_default();
                return self.refuse(object, "damaged_unrouted", &why, StoreVerdict::CannotUnderstand).await;
            }
            Admission::Unwanted { refused: true, why } => {
                return self.refuse(object, "not_wanted", &why, StoreVerdict::CannotUnderstand).await;
            }
            Admission::Unwanted { refused: false, .. } => return Ok(StoreVerdict::NotWanted),
        };
        let Ok(sha256) = digest.await else { return Ok(internal_fault()) };
        let known = match beforehand {
            Beforehand::Known(known) => Some(known),
            Beforehand::Nothing | Beforehand::OwnResult => None,
        };
        if let Some(known) = &known
            && known.sha256 != sha256
            && known.content_sha256 != sha256_hex(&object.dataset)
        {
            return self.judge_other_bytes(object, route, known, &head).await;
        }
        let plane = header.plane.as_ref().map(|plane| (plane.place, plane.normal.map(|n| n.to_string()).join(" ")));
        let (announced, acquisition) = (header.announced, header.acquisition);
        let arrival = arrival(object, header, route, priority, role);
        if let Some(damage) = damage {
            // Not taken, so that it can come again whole; but its case must not look as if it had never come.
            let damage = damage.with_instance(object.instance.clone());
            let noted = serde_json::to_value(&damage).unwrap_or_default();
            self.store.pg.note_refused_instance(&arrival, &object.instance, &noted).await?;
            return self.refuse(object, "damaged", &damage.to_string(), StoreVerdict::CannotUnderstand).await;
        }
        let key = BlobKey::instance(&arrival.series, &object.instance, &sha256);
        let new = NewInstance {
            arrival,
            instance: object.instance.clone(),
            sop_class: object.sop_class.clone(),
            transfer_syntax: object.transfer_syntax.clone(),
            blob_key: key.as_str().to_owned(),
            sha256,
            byte_count: (head.len() + object.dataset.len()) as u64,
            plane,
            announced,
            acquisition,
        };
        if let Some(known) = known {
            self.tell_another_way(object, route, &known).await?;
            if self.store.blobs.holds(&known.blob_key, &known.sha256).await? {
                return Ok(StoreVerdict::AlreadyStored);
            }
            tracing::warn!(instance = %new.instance, "the file of an instance was lost or damaged; it is written again");
            self.store.blobs.put_parts(&key, [head, object.dataset.clone()]).await?;
            self.store.pg.restore_instance(&new, &known).await?;
            return Ok(StoreVerdict::Stored);
        }
        self.store.blobs.put_parts(&key, [head.clone(), object.dataset.clone()]).await?;
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
            Intake::Conflict => match self.store.pg.known_instance(&new.instance).await? {
                Some(known) => self.judge_other_bytes(object, route, &known, &head).await,
                None => self.conflict(object).await,
            },
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

    /// Other bytes under a known UID: the same image in another transfer syntax is there already, anything else is a
    /// conflict.
    async fn judge_other_bytes(
        &self,
        object: &Received,
        route: &RouteConfig,
        known: &KnownInstance,
        head: &[u8],
    ) -> Result<StoreVerdict, StoreError> {
        let held = match self.store.blobs.get(&known.blob_key, &known.sha256).await {
            Ok(held) => held,
            Err(error) if error.class() == ErrorClass::Retry => return Err(error),
            // What cannot be compared cannot be told to be the same.
            Err(_) => return self.conflict(object).await,
        };
        let file = [head, &object.dataset].concat();
        if same_data_set(&held, &file) {
            // An earlier version wrote another head before it.
            self.tell_another_way(object, route, known).await?;
            return Ok(StoreVerdict::AlreadyStored);
        }
        // Decoding takes a while, and may panic in a decoder.
        let same = tokio::task::spawn_blocking(move || same_object(&held, &file)).await;
        if !same.unwrap_or(false) {
            return self.conflict(object).await;
        }
        tracing::info!(
            case = %known.case_id, instance = %object.instance, from = %object.calling, syntax = object.transfer_syntax,
            "an instance came again in another encoding; it is there already"
        );
        let mut detail = who(object);
        if let Some(detail) = detail.as_object_mut() {
            detail.insert("transfer_syntax".into(), object.transfer_syntax.as_str().into());
        }
        self.store.pg.audit("instance_sent_in_another_encoding", Some(known.case_id), &detail).await?;
        self.tell_another_way(object, route, known).await?;
        Ok(StoreVerdict::AlreadyStored)
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
                ErrorClass::Permanent => internal_fault(),
            }
        });
        if matches!(verdict, StoreVerdict::OutOfResources | StoreVerdict::Failure(_)) {
            self.presence.broken(series_of(&object, self.max_object_bytes).await);
        }
        verdict
    }

    fn association_ended(&self, association: u64) {
        self.presence.association_ended(association);
    }

    async fn association_refused(&self, peer: SocketAddr, why: String, untold: u64) {
        let detail = json!({ "peer": peer.to_string(), "why": why, "untold": untold });
        if let Err(error) = self.store.pg.audit("association_refused", None, &detail).await {
            tracing::warn!(%error, "the audit trail does not know of a refused association");
        }
    }

    async fn commitment_requested(&self, request: PeersRequest) -> CommitmentVerdict {
        commit::verdict(commit::keep_request(&self.store, &request).await)
    }

    async fn commitment_answer(&self, request: &PeersRequest) -> Option<CommitmentReport> {
        let answer = commit::answer(&self.store, &request.request).await;
        answer.inspect_err(|error| tracing::warn!(%error, "a storage commitment is decided later")).ok()
    }

    async fn commitment_told(&self, asked: &PeersRequest) {
        let (calling, transaction) = (asked.calling.as_str(), asked.request.transaction.as_str());
        if let Err(error) = self.store.pg.commitment_request_told(calling, transaction).await {
            tracing::warn!(%error, "an answered storage commitment is not recorded: it is answered twice");
        }
    }

    async fn commitment_reported(&self, report: CommitmentReport) -> CommitmentVerdict {
        commit::verdict(self.answers.take(&report).await)
    }
}

/// The series of an instance, as far as its header can be read.
async fn series_of(object: &Received, max_bytes: usize) -> Option<SeriesUid> {
    let read = header_of(object, max_bytes, &[]).await.ok()?.ok()?;
    Some(read.header.series)
}

/// The header of an object with the attributes of some tags, and the damage behind it. A slice's is read at once, because a
/// thread more costs as much as the work does; on a thread of its own what could keep other associations waiting: up to
/// `max_bytes` may have to be inflated for it.
async fn header_of(
    object: &Received,
    max_bytes: usize,
    tags: &[Tag],
) -> Result<Result<ReceivedHeader, Refusal>, Fault> {
    const AT_ONCE: usize = 2 << 20;
    let (syntax, dataset, tags) = (object.transfer_syntax.clone(), object.dataset.clone(), tags.to_vec());
    let at_once = dataset.len() <= AT_ONCE && !is_deflated(&syntax);
    let read = move || read_received_dataset(&syntax, &dataset, max_bytes, &tags);
    if at_once {
        std::panic::catch_unwind(AssertUnwindSafe(read)).map_err(|_| Fault)
    } else {
        tokio::task::spawn_blocking(read).await.map_err(|_| Fault)
    }
}

/// A parser panicked. What it said is in the log.
struct Fault;

fn internal_fault() -> StoreVerdict {
    StoreVerdict::Failure("internal fault, see the log of contourd".into())
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

fn arrival(object: &Received, header: InstanceHeader, route: &RouteConfig, priority: i16, role: CaseRole) -> Arrival {
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
        role,
        priority,
        models: if role == CaseRole::Contours { route.models() } else { Vec::new() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_is_not_silent_while_an_instance_of_it_is_being_taken() {
        let presence = Presence::new();
        let series = SeriesUid::parse("1.2.826.9").unwrap();
        let one = std::slice::from_ref(&series);
        let (first, second) = (presence.take_up(series.clone(), Some(7)), presence.take_up(series.clone(), None));
        assert_eq!(presence.take_broken(), one);
        drop(first);
        assert_eq!(presence.take_broken(), one, "the second is still under way");
        assert_eq!(presence.take_broken(), one);
        drop(second);
        assert_eq!(presence.take_broken(), one, "its silence begins when the last came to an end");
        assert_eq!(presence.take_broken(), []);
    }
}
