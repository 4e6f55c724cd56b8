//! Queries of the study root model on associations that we request: C-FIND and C-MOVE (PS3.4 annex C).

use std::collections::BTreeMap;

use dicom_core::Tag;
use dicom_dictionary_std::tags;
use dicom_dictionary_std::uids::{
    IMPLICIT_VR_LITTLE_ENDIAN, STUDY_ROOT_QUERY_RETRIEVE_INFORMATION_MODEL_FIND as FIND_MODEL,
    STUDY_ROOT_QUERY_RETRIEVE_INFORMATION_MODEL_MOVE as MOVE_MODEL,
};

use super::command::{Command, element};
use super::dataset::Attributes;
use super::message::DataSet;
use super::scu::{Association, Proposal};
use super::status::{self, Progress};
use super::{Destination, NetError};
use crate::ids::{AeTitle, InstanceUid, Phi, StudyUid};

/// Longest answer to a query that is looked at; ours ask for a few UIDs.
const MAX_ANSWER_BYTES: usize = 64 << 10;
/// So many answers after the cancellation of a query are waited for.
const MOST_AFTER_CANCEL: usize = 10_000;

/// What the answers of a query are about (0008,0052).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Studies.
    Study,
    /// Series; the study is to be named.
    Series,
    /// Instances; study and series are to be named.
    Image,
}

impl Level {
    fn name(self) -> &'static str {
        match self {
            Self::Study => "STUDY",
            Self::Series => "SERIES",
            Self::Image => "IMAGE",
        }
    }
}

/// Attributes that answers are read for here. None of them identifies a patient by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// SOP Class UID.
    SopClass,
    /// SOP Instance UID.
    Instance,
    /// Modality.
    Modality,
    /// Study Instance UID.
    Study,
    /// Series Instance UID.
    Series,
}

impl Key {
    /// All of them.
    pub(crate) const ALL: [Self; 5] = [Self::SopClass, Self::Instance, Self::Modality, Self::Study, Self::Series];

    /// Its tag.
    pub(crate) fn tag(self) -> Tag {
        match self {
            Self::SopClass => tags::SOP_CLASS_UID,
            Self::Instance => tags::SOP_INSTANCE_UID,
            Self::Modality => tags::MODALITY,
            Self::Study => tags::STUDY_INSTANCE_UID,
            Self::Series => tags::SERIES_INSTANCE_UID,
        }
    }
}

/// A query: an attribute with a value has to have that value, one without is only asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    level: Level,
    keys: BTreeMap<Key, String>,
}

impl Query {
    /// A query that asks for nothing yet.
    pub fn new(level: Level) -> Self {
        Self { level, keys: BTreeMap::new() }
    }

    /// Asks for an attribute.
    #[must_use]
    pub fn asking(mut self, key: Key) -> Self {
        self.keys.insert(key, String::new());
        self
    }

    /// Only what has this value.
    #[must_use]
    pub fn with(mut self, key: Key, value: &str) -> Self {
        self.keys.insert(key, value.to_owned());
        self
    }

    /// What the answers are to be about.
    pub(crate) fn level(&self) -> Level {
        self.level
    }

    /// The value that an attribute has to have; `None` for any.
    pub(crate) fn value(&self, key: Key) -> Option<&str> {
        self.keys.get(&key).map(String::as_str).filter(|value| !value.is_empty())
    }

    fn encode(&self) -> Vec<u8> {
        let level = Attributes::default().with_text(tags::QUERY_RETRIEVE_LEVEL, self.level.name());
        self.keys.iter().fold(level, |all, (key, value)| all.with_text(key.tag(), value)).encode()
    }
}

/// What is asked of a study to see whether it is known there as it is here: what may be corrected after it was acquired.
pub(crate) const OF_STUDY: [Tag; 5] =
    [tags::ACCESSION_NUMBER, tags::PATIENT_NAME, tags::PATIENT_ID, tags::PATIENT_BIRTH_DATE, tags::PATIENT_SEX];

/// Answers about one study that are looked at.
pub(crate) const MOST_OF_A_STUDY: usize = 16;

/// One answer of a query.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Match(BTreeMap<Key, String>);

impl Match {
    /// The value of an attribute; `None` when the remote system does not say it.
    pub fn get(&self, key: Key) -> Option<&str> {
        self.0.get(&key).map(String::as_str)
    }

    /// What an answer says of the attributes that are read here.
    pub(crate) fn of(answer: &Attributes) -> Self {
        let said = |key: Key| Some((key, answer.text(key.tag())?.to_owned()));
        Self(Key::ALL.into_iter().filter_map(said).collect())
    }
}

/// The answers of a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Matches {
    /// What was found.
    pub found: Vec<Match>,
    /// Whether there was more: the query was cancelled at its limit.
    pub cut_off: bool,
}

/// Queries a peer for at most `most` matches; at the limit the query is cancelled (C-CANCEL).
///
/// # Errors
/// [`NetError::NotOffered`] when the peer does not answer queries, [`NetError::Status`] when it refuses this one, else why
/// the association failed.
pub async fn find(peer: &Destination, calling: &AeTitle, query: &Query, most: usize) -> Result<Matches, NetError> {
    let mut matches = find_each(peer, calling, std::slice::from_ref(query), most).await?;
    matches.pop().ok_or_else(|| NetError::Protocol("a query without an answer".to_owned()))
}

/// As [`find`], several queries over one association, answered in their order.
///
/// # Errors
/// As [`find`]; then none is answered.
pub async fn find_each(
    peer: &Destination,
    calling: &AeTitle,
    queries: &[Query],
    most: usize,
) -> Result<Vec<Matches>, NetError> {
    let mut found: Vec<Vec<Match>> = queries.iter().map(|_| Vec::new()).collect();
    let mut keep = |n: usize, identifier: &[u8]| {
        let answer = Attributes::parse(identifier);
        let answer = answer.map_err(|why| NetError::Protocol(format!("an answer to a query: {why}")))?;
        found[n].push(Match::of(&answer));
        Ok(())
    };
    let identifiers: Vec<Vec<u8>> = queries.iter().map(Query::encode).collect();
    let cut_off = ask(peer, calling, &identifiers, most, &mut keep).await?;
    Ok(found.into_iter().zip(cut_off).map(|(found, cut_off)| Matches { found, cut_off }).collect())
}

/// What a peer says of a study: the data sets of its answers (implicit VR little endian, in the character set that each
/// names) with accession number, patient's name, id, birth date and sex; none when it does not have the study, several when it
/// has it under several patients. A peer that matches loosely may answer with other studies.
///
/// # Errors
/// As [`find`].
pub async fn find_study(
    peer: &Destination,
    calling: &AeTitle,
    study: &StudyUid,
) -> Result<Vec<Phi<Vec<u8>>>, NetError> {
    let named = Attributes::default()
        .with_text(tags::QUERY_RETRIEVE_LEVEL, Level::Study.name())
        .with_text(tags::STUDY_INSTANCE_UID, study.as_str());
    let identifier = OF_STUDY.iter().fold(named, |all, tag| all.with_text(*tag, "")).encode();
    let mut found = Vec::new();
    let mut keep = |_: usize, identifier: &[u8]| {
        found.push(Phi::new(identifier.to_vec()));
        Ok(())
    };
    ask(peer, calling, &[identifier], MOST_OF_A_STUDY, &mut keep).await?;
    Ok(found)
}

/// Asks for each of `identifiers` over one association; `keep` is told of every answer, with the number of its question. Of
/// each whether there were more answers.
async fn ask(
    peer: &Destination,
    calling: &AeTitle,
    identifiers: &[Vec<u8>],
    most: usize,
    keep: &mut (impl FnMut(usize, &[u8]) -> Result<(), NetError> + Send),
) -> Result<Vec<bool>, NetError> {
    let proposal = Proposal::of(FIND_MODEL, IMPLICIT_VR_LITTLE_ENDIAN);
    let mut association = Association::request(peer, calling, vec![proposal]).await?;
    let Some(context) = association.context(proposal) else {
        association.release().await;
        return Err(NetError::NotOffered("queries (C-FIND, study root)"));
    };
    let mut cut_off = Vec::with_capacity(identifiers.len());
    for (n, identifier) in identifiers.iter().enumerate() {
        match answers_to(&mut association, context, identifier, most, &mut |answer: &[u8]| keep(n, answer)).await {
            Ok(cut) => cut_off.push(cut),
            Err(error) => {
                end_after(association, &error).await;
                return Err(error);
            }
        }
    }
    association.release().await;
    Ok(cut_off)
}

/// Asks for `identifier` and hands over at most `most` answers, as data sets. Whether there were more: then the query was
/// cancelled.
async fn answers_to(
    association: &mut Association<'_>,
    context: u8,
    identifier: &[u8],
    most: usize,
    keep: &mut (impl FnMut(&[u8]) -> Result<(), NetError> + Send),
) -> Result<bool, NetError> {
    let id = association.next_message_id();
    let request = Command::find_request(id, FIND_MODEL);
    association.say(context, &request, Some(identifier)).await?;
    let (mut kept, mut cut_off) = (0, false);
    let mut after_cancel = 0;
    loop {
        let (status, response) = association.response(&request, MAX_ANSWER_BYTES).await?;
        match status::progress(status) {
            Progress::Pending if cut_off => {
                after_cancel += 1;
                if after_cancel > MOST_AFTER_CANCEL {
                    return Err(NetError::Protocol("it goes on with a query that was cancelled".to_owned()));
                }
            }
            Progress::Pending if kept < most => {
                let DataSet::Complete(bytes) = &response.data else {
                    return Err(NetError::Protocol("an answer to a query without a readable identifier".to_owned()));
                };
                keep(bytes)?;
                kept += 1;
            }
            Progress::Pending => {
                association.say(context, &Command::cancel_request(id), None).await?;
                cut_off = true;
            }
            Progress::Done => return Ok(cut_off),
            Progress::Cancelled if cut_off => return Ok(true),
            Progress::Cancelled | Progress::Failed => {
                let comment = response.command.text(element::ERROR_COMMENT);
                return Err(status::query_refused("C-FIND", status, comment));
            }
        }
    }
}

/// What became of a C-MOVE.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Moved {
    /// Instances that arrived, by the peer's count; those with a warning are among them.
    pub completed: u16,
    /// Instances that did not.
    pub failed: u16,
    /// Which, as far as the peer says.
    pub failed_instances: Vec<InstanceUid>,
}

/// Has a peer send to the application entity `to` (us, as it is known there) what the query names; `heard` is told the
/// counts as they come. What arrives goes its own way, over associations that the peer requests.
///
/// # Errors
/// As [`find`]. That some instances failed is no error: see [`Moved`].
pub async fn move_to(
    peer: &Destination,
    calling: &AeTitle,
    to: &AeTitle,
    query: &Query,
    mut heard: impl FnMut(&Moved),
) -> Result<Moved, NetError> {
    let proposal = Proposal::of(MOVE_MODEL, IMPLICIT_VR_LITTLE_ENDIAN);
    let mut association = Association::request(peer, calling, vec![proposal]).await?;
    let Some(context) = association.context(proposal) else {
        association.release().await;
        return Err(NetError::NotOffered("retrieval (C-MOVE, study root)"));
    };
    match moved(&mut association, context, to, query, &mut heard).await {
        Ok(moved) => {
            association.release().await;
            Ok(moved)
        }
        Err(error) => {
            end_after(association, &error).await;
            Err(error)
        }
    }
}

async fn moved(
    association: &mut Association<'_>,
    context: u8,
    to: &AeTitle,
    query: &Query,
    heard: &mut impl FnMut(&Moved),
) -> Result<Moved, NetError> {
    let request = Command::move_request(association.next_message_id(), MOVE_MODEL, to.as_str());
    association.say(context, &request, Some(&query.encode())).await?;
    let mut moved = Moved::default();
    loop {
        let (status, response) = association.response(&request, MAX_ANSWER_BYTES).await?;
        let count = |element| response.command.number(element);
        let arrived = count(element::COMPLETED_SUB_OPERATIONS).unwrap_or(moved.completed);
        moved.completed = arrived.saturating_add(count(element::WARNING_SUB_OPERATIONS).unwrap_or_default());
        moved.failed = count(element::FAILED_SUB_OPERATIONS).unwrap_or(moved.failed);
        if let DataSet::Complete(bytes) = &response.data
            && let Ok(said) = Attributes::parse(bytes)
        {
            let list = said.text(tags::FAILED_SOP_INSTANCE_UID_LIST).unwrap_or_default();
            moved.failed_instances = list.split('\\').filter_map(|uid| InstanceUid::parse(uid).ok()).collect();
        }
        match status::progress(status) {
            Progress::Pending => heard(&moved),
            Progress::Done => return Ok(moved),
            Progress::Cancelled | Progress::Failed => {
                let comment = response.command.text(element::ERROR_COMMENT);
                return Err(status::query_refused("C-MOVE", status, comment));
            }
        }
    }
}

/// Ends an association on which a request failed: in order when the peer only said no.
async fn end_after(association: Association<'_>, error: &NetError) {
    match error {
        NetError::Status { .. } => association.release().await,
        _ => association.abandon(error).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_names_its_level_and_keys_and_an_answer_what_it_says() {
        let query = Query::new(Level::Image).with(Key::Study, "1.2").with(Key::Series, "1.2.3").asking(Key::Instance);
        let bytes = query.encode();
        let read = Attributes::parse(&bytes).unwrap();
        assert_eq!(read.text(tags::QUERY_RETRIEVE_LEVEL), Some("IMAGE"));
        assert_eq!(read.text(tags::SERIES_INSTANCE_UID), Some("1.2.3"));
        // Asked for: there, and empty.
        assert!(bytes.windows(8).any(|w| w == [8, 0, 0x18, 0, 0, 0, 0, 0]));
        let answer = Match::of(&read);
        assert_eq!((answer.get(Key::Study), answer.get(Key::Instance)), (Some("1.2"), None));
    }
}
