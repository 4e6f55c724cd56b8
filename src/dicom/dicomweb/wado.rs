//! WADO-RS: an instance that a service has.

use std::net::SocketAddr;

use bytes::Bytes;

use super::config::DicomwebService;
use super::line::{Ask, Connection};
use super::qido::escaped;
use super::{DICOM, multipart, status, wrong};
use crate::dicom::net::{NetError, ObjectToSend};

/// As it is stored there: nothing is transcoded on the way.
const ACCEPT: &str = "multipart/related; type=\"application/dicom\"; transfer-syntax=*";

/// The address that a service has.
///
/// # Errors
/// [`NetError::Unready`] when its URL is none, [`NetError::Connect`] when its host is not known.
pub async fn address(service: &DicomwebService) -> Result<SocketAddr, NetError> {
    let origin = service.origin().map_err(NetError::Unready)?;
    let unknown = |source| NetError::Connect { address: origin.authority.clone(), source };
    let looked_up = tokio::net::lookup_host((origin.host.as_str(), origin.port));
    let late = |_| NetError::TimedOut(service.connect_timeout_seconds);
    let mut found = tokio::time::timeout(service.connect_timeout(), looked_up).await.map_err(late)?.map_err(unknown)?;
    found.next().ok_or_else(|| unknown(std::io::ErrorKind::NotFound.into()))
}

/// Instances of one series, one after the other over one connection.
pub struct Retrieved<'a> {
    connection: Connection<'a>,
    series: String,
    most_bytes: usize,
}

/// Begins to retrieve instances of a series; files of more than `most_bytes` are not taken.
///
/// # Errors
/// [`NetError::Unready`] when the service's section cannot be used.
pub fn retrieve<'a>(
    service: &'a DicomwebService,
    study: &str,
    series: &str,
    most_bytes: usize,
) -> Result<Retrieved<'a>, NetError> {
    let series = format!("/studies/{}/series/{}", escaped(study), escaped(series));
    Ok(Retrieved { connection: Connection::to(service)?, series, most_bytes })
}

impl Retrieved<'_> {
    /// One instance.
    ///
    /// # Errors
    /// [`NetError`] when the service does not hand it out, or hands out something else.
    pub async fn instance(&mut self, instance: &str) -> Result<ObjectToSend, NetError> {
        let resource = format!("{}/instances/{}", self.series, escaped(instance));
        let answer = self.connection.ask(&Ask::get(resource, ACCEPT, self.most_bytes)).await?;
        if answer.status != 200 {
            return Err(status::refused(&answer));
        }
        let file: Bytes = if answer.content_type.starts_with(DICOM) {
            answer.body
        } else {
            multipart::first_part(&answer.content_type, &answer.body).map_err(wrong)?
        };
        let object = ObjectToSend::from_part10(&file).map_err(|_| wrong("what it hands out is no DICOM file"))?;
        if object.instance.as_str() != instance {
            return Err(wrong("it sent another instance than was asked for"));
        }
        Ok(object)
    }
}
