//! Another system, and how it is spoken to: over associations, or over HTTP.

use serde::Deserialize;

use crate::dicom::dicomweb::{self, DicomwebService};
use crate::dicom::net::{
    self, CommitmentRequest, Destination, DestinationTls, Inbox, Matches, NetError, ObjectToSend, Query, SendOutcome,
};
use crate::ids::{AeTitle, Phi, StudyUid};

/// A system as a section of the configuration names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum System {
    /// An application entity: host, port, AE title.
    Dimse(Destination),
    /// A DICOMweb service: a URL.
    Dicomweb(DicomwebService),
}

impl System {
    /// The keys of a section that are about the system.
    ///
    /// # Errors
    /// What is wrong with them.
    pub(super) fn of_keys(keys: toml::Table) -> Result<Self, toml::de::Error> {
        if keys.contains_key("url") {
            DicomwebService::deserialize(keys).map(Self::Dicomweb)
        } else {
            Destination::deserialize(keys).map(Self::Dimse)
        }
    }

    /// The application entity, where it is one.
    pub fn dimse(&self) -> Option<&Destination> {
        match self {
            Self::Dimse(entity) => Some(entity),
            Self::Dicomweb(_) => None,
        }
    }

    /// How TLS is spoken with it; `None` without.
    pub fn tls(&self) -> Option<&DestinationTls> {
        match self {
            Self::Dimse(entity) => entity.tls.as_ref(),
            Self::Dicomweb(service) => service.tls.as_ref(),
        }
    }

    /// Every fault of its keys, each beginning with the key that it is about.
    pub fn faults(&self) -> Vec<String> {
        match self {
            Self::Dimse(entity) => entity.faults(),
            Self::Dicomweb(service) => service.faults(),
        }
    }

    /// [`net::send`], or [`dicomweb::store`].
    pub(super) async fn send(&self, us: &AeTitle, objects: &[ObjectToSend]) -> Result<Vec<SendOutcome>, NetError> {
        match self {
            Self::Dimse(entity) => net::send(entity, us, objects).await,
            Self::Dicomweb(service) => dicomweb::store(service, objects).await,
        }
    }

    /// [`net::find_each`], or [`dicomweb::find_each`].
    pub(super) async fn find_each(
        &self,
        us: &AeTitle,
        queries: &[Query],
        most: usize,
    ) -> Result<Vec<Matches>, NetError> {
        match self {
            Self::Dimse(entity) => net::find_each(entity, us, queries, most).await,
            Self::Dicomweb(service) => dicomweb::find_each(service, queries, most).await,
        }
    }

    /// [`net::find_study`], or [`dicomweb::find_study`].
    pub(super) async fn find_study(&self, us: &AeTitle, study: &StudyUid) -> Result<Vec<Phi<Vec<u8>>>, NetError> {
        match self {
            Self::Dimse(entity) => net::find_study(entity, us, study).await,
            Self::Dicomweb(service) => dicomweb::find_study(service, study).await,
        }
    }

    /// [`net::request_commitment`]; DICOMweb has no such service.
    pub(super) async fn request_commitment<I: Inbox>(
        &self,
        us: &AeTitle,
        request: &CommitmentRequest,
        inbox: &I,
    ) -> Result<(), NetError> {
        match self {
            Self::Dimse(entity) => net::request_commitment(entity, us, request, inbox).await,
            Self::Dicomweb(_) => Err(NetError::NotOffered("storage commitment (DICOMweb has none)")),
        }
    }
}

impl From<Destination> for System {
    fn from(entity: Destination) -> Self {
        Self::Dimse(entity)
    }
}
