//! Confirmation: one loop for each destination asks whether it keeps what it accepted, by storage commitment or by a query.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::config::SendingConfig;
use super::destinations::{Confirm, DestinationConfig};
use super::receive::Receiver;
use super::{AFTER_FAULT, POLL, pause, persist};
use crate::dicom::net::{
    CommitmentReport, CommitmentRequest, CommitmentVerdict, FailureClass, FailureReason, Key, Level, Matches, NetError,
    Query, SopReference,
};
use crate::ids::{AeTitle, IdError, InstanceUid, TransactionUid};
use crate::store::{Asked, Confirmation, Store, StoreError, Unconfirmed, UnconfirmedItem};

/// Most objects that are asked for at once.
const BATCH: u32 = 1000;
/// Most answers of one query that are looked at: more than any series has.
const MOST_MATCHES: usize = 10_000;
/// With `confirm = "auto"` a query takes the place of so many commitments without an answer.
const COMMITMENTS_UNANSWERED: i32 = 2;
/// An object that so many queries do not find is not there. An archive may take a while to file what it accepted: with the
/// usual pauses these are ten minutes.
const QUERIES_IN_VAIN: i32 = 8;

/// Asks one destination.
pub(super) struct Confirmer {
    pub store: Arc<Store>,
    pub config: SendingConfig,
    pub destination: DestinationConfig,
    /// Our own title.
    pub calling: AeTitle,
    /// Where an answer goes that comes at once.
    pub inbox: Arc<Receiver>,
    pub shutdown: CancellationToken,
}

impl Confirmer {
    /// Asks until shutdown.
    pub async fn run(self) {
        while !self.shutdown.is_cancelled() {
            match self.store.pg.claim_unconfirmed(&self.destination.name, self.config.lease(), BATCH).await {
                Ok(Some(asked)) => self.ask(&asked).await,
                Ok(None) => pause(POLL, &self.shutdown).await,
                Err(error) => {
                    tracing::error!(%error, destination = self.destination.name, "nothing can be confirmed");
                    pause(AFTER_FAULT, &self.shutdown).await;
                }
            }
        }
    }

    /// Asks for objects that are all in the same way to be asked for. A shutdown meanwhile changes nothing: they are due
    /// again soon.
    async fn ask(&self, asked: &Unconfirmed) {
        let by_query = asked.items.iter().any(|item| item.by_query);
        let all = async {
            match self.destination.confirm {
                Confirm::None => {
                    self.record(asked, |_| untold("nobody asks this destination (confirm = \"none\")")).await
                }
                Confirm::Query => self.query(asked).await,
                // There is no commitment over HTTP.
                Confirm::Auto if by_query || self.destination.system.dimse().is_none() => self.query(asked).await,
                Confirm::Auto | Confirm::Commitment => self.commit(asked).await,
            }
        };
        tokio::select! {
            () = all => {}
            () = self.shutdown.cancelled() => {}
        }
    }

    async fn commit(&self, asked: &Unconfirmed) {
        let often = asked.items.iter().map(|item| item.asks).max().unwrap_or_default();
        if self.destination.confirm == Confirm::Auto && often >= COMMITMENTS_UNANSWERED {
            let why = format!("accepted; asked for its storage commitment {often} times without an answer");
            return self.record(asked, |_| Asked::ByQuery { why: why.clone() }).await;
        }
        let references: Result<Vec<SopReference>, IdError> = asked.items.iter().map(reference).collect();
        let references = match references {
            Ok(references) => references,
            Err(error) => return self.record(asked, |_| untold(&error.to_string())).await,
        };
        let (case, destination) = (asked.case, &self.destination.name);
        let request = CommitmentRequest { transaction: TransactionUid::fresh(), references };
        let transaction = &request.transaction;
        // First the record: the answer may be faster than anything that is done after the request.
        let begin = || self.store.pg.begin_commitment(transaction, destination, asked);
        if persist("record a storage commitment", &self.shutdown, begin).await.is_err() {
            return;
        }
        match self.destination.system.request_commitment(&self.calling, &request, self.inbox.as_ref()).await {
            Ok(()) => {
                tracing::info!(%case, destination, %transaction, objects = asked.items.len(), "storage commitment asked for");
                let why = match often {
                    0 => "accepted; its storage commitment is awaited".to_owned(),
                    _ => format!(
                        "accepted; asked for its storage commitment {} times, the answers before did not come: does it know \
                         our address and AE title?",
                        often + 1
                    ),
                };
                let patience = self.config.commitment_timeout();
                let taken = || self.store.pg.commitment_taken(transaction, case, &why, patience);
                // A failure is in the log already; it is asked for again soon.
                let _ = persist("record a storage commitment", &self.shutdown, taken).await;
            }
            Err(error) => {
                tracing::warn!(%case, destination, %error, "storage commitment could not be asked for");
                self.record(asked, |_| self.not_asked(&error, Way::Commitment)).await;
            }
        }
    }

    async fn query(&self, asked: &Unconfirmed) {
        let mut series: BTreeMap<&str, Vec<&UnconfirmedItem>> = BTreeMap::new();
        asked.items.iter().for_each(|item| series.entry(&item.series_uid).or_default().push(item));
        // Hundreds of slices are one question and not hundreds.
        let query = |items: &Vec<&UnconfirmedItem>| match items.as_slice() {
            [] => None,
            [one] => Some(query_for(one)),
            [first, ..] => Some(query_beside(first).asking(Key::Instance)),
        };
        let queries: Vec<Query> = series.values().filter_map(query).collect();
        let found = async {
            let answers = self.destination.system.find_each(&self.calling, &queries, MOST_MATCHES).await?;
            let mut there = instances(&answers);
            if answers.iter().any(|answer| answer.cut_off) {
                // What a list that was cut off lacks is asked for by itself.
                let lacks = asked.items.iter().filter(|item| !there.contains(&item.sop_instance_uid));
                let queries: Vec<Query> = lacks.map(query_for).collect();
                there.extend(instances(&self.destination.system.find_each(&self.calling, &queries, 1).await?));
            }
            Ok::<_, NetError>(there)
        };
        match found.await {
            Ok(there) => {
                self.record(asked, |item| self.looked_for(item, there.contains(&item.sop_instance_uid))).await;
            }
            Err(error) => {
                tracing::warn!(case = %asked.case, destination = self.destination.name, %error, "it cannot be queried");
                self.record(asked, |item| self.not_asked(&error, Way::Query { asks: item.asks + 1 })).await;
            }
        }
    }

    fn looked_for(&self, item: &UnconfirmedItem, there: bool) -> Asked {
        let times = item.asks + 1;
        if there {
            Asked::Kept(Confirmation::Found)
        } else if times < QUERIES_IN_VAIN {
            let why = format!("accepted, and not found there yet ({times} of {QUERIES_IN_VAIN} queries)");
            Asked::Later { why, delay: self.config.retry().after(times), counts: true }
        } else {
            let why = format!("accepted, but {times} queries do not find it there");
            Asked::Lost { why, most: self.config.max_resends }
        }
    }

    /// What follows when asking failed. What passes is waited for; what a person has to mend as well, except with
    /// `confirm = "auto"`, which takes what the destination has to offer.
    fn not_asked(&self, error: &NetError, way: Way) -> Asked {
        let auto = self.destination.confirm == Confirm::Auto;
        let away = matches!(error, NetError::Connect { .. } | NetError::Io(_) | NetError::TimedOut(_));
        let offered = !matches!(error, NetError::NotOffered(_));
        let name = match way {
            Way::Commitment => "storage commitment",
            Way::Query { .. } => "a query",
        };
        let why = format!("accepted; {name} could not tell whether it keeps it: {error}");
        match way {
            Way::Commitment if auto && !away => return Asked::ByQuery { why },
            Way::Query { asks } if auto && (!offered || !away && asks >= QUERIES_IN_VAIN) => {
                return Asked::Untold { why };
            }
            _ => {}
        }
        let delay = match error.class() {
            FailureClass::Retry => self.config.retry().after(3),
            FailureClass::Setting | FailureClass::Permanent => self.config.retry().longest,
        };
        Asked::Later { why, delay, counts: !away && matches!(way, Way::Query { .. }) }
    }

    async fn record(&self, asked: &Unconfirmed, what: impl Fn(&UnconfirmedItem) -> Asked) {
        let outcomes: Vec<(i64, Asked)> = asked.items.iter().map(|item| (item.outbox_id, what(item))).collect();
        tell(asked.case, &self.destination.name, &outcomes);
        let record = || self.store.pg.record_asked(asked.case, &outcomes, None);
        // A failure is in the log already; it is asked again soon.
        let _ = persist("record what a destination keeps", &self.shutdown, record).await;
    }
}

/// For all images of an object's series.
fn query_beside(item: &UnconfirmedItem) -> Query {
    Query::new(Level::Image).with(Key::Study, &item.study_uid).with(Key::Series, &item.series_uid)
}

/// For one object.
fn query_for(item: &UnconfirmedItem) -> Query {
    query_beside(item).with(Key::Instance, &item.sop_instance_uid)
}

/// The instances that answers name.
fn instances(answers: &[Matches]) -> BTreeSet<String> {
    let matches = answers.iter().flat_map(|answer| &answer.found);
    matches.filter_map(|found| found.get(Key::Instance)).map(str::to_owned).collect()
}

/// In which way asking failed.
#[derive(Clone, Copy)]
enum Way {
    Commitment,
    /// This many queries, this one included, did not tell.
    Query {
        asks: i32,
    },
}

fn reference(item: &UnconfirmedItem) -> Result<SopReference, IdError> {
    Ok(SopReference { sop_class: item.sop_class_uid.clone(), instance: InstanceUid::parse(&item.sop_instance_uid)? })
}

fn untold(why: &str) -> Asked {
    Asked::Untold { why: format!("accepted, not confirmed: {why}") }
}

fn tell(case: uuid::Uuid, destination: &str, outcomes: &[(i64, Asked)]) {
    let kept = outcomes.iter().filter(|(_, asked)| matches!(asked, Asked::Kept(_))).count();
    if kept > 0 {
        tracing::info!(%case, destination, objects = kept, "objects are confirmed");
    }
    let reasons: BTreeSet<&str> = outcomes
        .iter()
        .filter_map(|(_, asked)| match asked {
            Asked::Lost { why, .. } | Asked::Untold { why } => Some(why.as_str()),
            _ => None,
        })
        .collect();
    for why in reasons {
        tracing::warn!(%case, destination, why, "objects are not confirmed");
    }
}

/// Takes the answers to storage commitments, on whatever association they come.
#[derive(Debug)]
pub(super) struct Answers {
    pub store: Arc<Store>,
    pub config: SendingConfig,
    /// How each destination is asked.
    pub ways: BTreeMap<String, Confirm>,
}

impl Answers {
    /// Records what a destination said.
    pub async fn take(&self, report: &CommitmentReport) -> Result<CommitmentVerdict, StoreError> {
        let transaction = &report.transaction;
        let Some((asked, items)) = self.store.pg.asked_commitment(transaction).await? else {
            tracing::warn!(%transaction, "an answer to a storage commitment that was never asked for");
            return Ok(CommitmentVerdict::Refused("no such transaction".to_owned()));
        };
        if asked.answered {
            return Ok(CommitmentVerdict::Taken);
        }
        let committed: BTreeSet<&str> = report.committed.iter().map(|r| r.instance.as_str()).collect();
        let failed: BTreeMap<&str, FailureReason> =
            report.failed.iter().map(|(r, why)| (r.instance.as_str(), *why)).collect();
        let outcomes: Vec<(i64, Asked)> = items
            .iter()
            .map(|item| {
                let uid = item.sop_instance_uid.as_str();
                let what = match (failed.get(uid), committed.contains(uid)) {
                    (Some(reason), _) => self.refused(&asked.destination, *reason, item.asks),
                    (None, true) => Asked::Kept(Confirmation::Committed),
                    (None, false) => {
                        let why = "accepted; the answer to its storage commitment does not name it".to_owned();
                        Asked::Later { why, delay: self.config.retry().longest, counts: true }
                    }
                };
                (item.outbox_id, what)
            })
            .collect();
        tell(asked.case_id, &asked.destination, &outcomes);
        self.store.pg.record_asked(asked.case_id, &outcomes, Some(transaction)).await?;
        Ok(CommitmentVerdict::Taken)
    }

    fn refused(&self, destination: &str, reason: FailureReason, asks: i32) -> Asked {
        let why = format!("accepted, but not committed ({:04X}: {})", reason.0, reason.meaning());
        match reason {
            FailureReason::NO_SUCH_INSTANCE => Asked::Lost { why, most: self.config.max_resends },
            // Sending the same again would change nothing.
            FailureReason::CLASS_INSTANCE_CONFLICT => Asked::Lost { why, most: 0 },
            FailureReason::CLASS_NOT_SUPPORTED => match self.ways.get(destination) {
                Some(Confirm::Auto) => Asked::ByQuery { why },
                _ => Asked::Untold { why },
            },
            _ => Asked::Later {
                why,
                delay: self.config.retry().after(asks + 1).max(Duration::from_secs(1)),
                counts: true,
            },
        }
    }
}
