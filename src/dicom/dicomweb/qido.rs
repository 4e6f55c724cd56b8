//! QIDO-RS: what a service has.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use dicom_dictionary_std::tags;

use super::config::DicomwebService;
use super::json::{Item, data_sets, name};
use super::line::{Ask, Connection};
use super::{DICOM_JSON, status};
use crate::dicom::net::{Key, Level, MOST_OF_A_STUDY, Match, Matches, NetError, OF_STUDY, Query};
use crate::ids::{Phi, StudyUid};

/// Matches that are asked for at once: Azure's service refuses a limit of more.
const PAGE: usize = 200;
/// Longest answer: such a page, of services that say more of each match than is asked for.
const MOST_BYTES: usize = 16 << 20;

/// What every service that answers queries answers.
const ANY_STUDY: &str = "/studies?limit=1";

/// Asks each of `queries`, answered in their order, for at most `most` matches each.
///
/// # Errors
/// [`NetError`]; then none is answered.
pub async fn find_each(service: &DicomwebService, queries: &[Query], most: usize) -> Result<Vec<Matches>, NetError> {
    let mut connection = Connection::to(service)?;
    let mut all = Vec::with_capacity(queries.len());
    for query in queries {
        all.push(find(&mut connection, query, most).await?);
    }
    Ok(all)
}

/// Asks page by page: services have limits of their own, and do not all say so.
async fn find(connection: &mut Connection<'_>, query: &Query, most: usize) -> Result<Matches, NetError> {
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    loop {
        let one = query.value(Key::Instance).is_some();
        let limit = if one { 2 } else { PAGE.min(most.saturating_add(1)) };
        let page = ask(connection, resource(query, limit, found.len())).await?;
        let (before, last) = (found.len(), page.is_empty());
        for item in page {
            let said = Match::of(&item.attributes(Key::ALL.map(Key::tag)));
            if seen.insert(said.clone()) {
                found.push(said);
            }
        }
        // One that knows no offset answers the same again: whether there is more is not known.
        let cut_off = found.len() > most || (found.len() == before && !last);
        if cut_off || last || one {
            found.truncate(most);
            return Ok(Matches { found, cut_off: cut_off && !one });
        }
    }
}

/// As [`crate::dicom::net::find_study`]: what a service says of a study.
///
/// # Errors
/// [`NetError`].
pub async fn find_study(service: &DicomwebService, study: &StudyUid) -> Result<Vec<Phi<Vec<u8>>>, NetError> {
    let query = Query::new(Level::Study).with(Key::Study, study.as_str());
    let mut resource = resource(&query, MOST_OF_A_STUDY, 0);
    for tag in OF_STUDY {
        let _ = write!(resource, "&includefield={}", name(tag));
    }
    let items = ask(&mut Connection::to(service)?, resource).await?;
    let wanted = || std::iter::once(tags::STUDY_INSTANCE_UID).chain(OF_STUDY);
    Ok(items.iter().take(MOST_OF_A_STUDY).map(|item| Phi::new(item.attributes(wanted()).encode())).collect())
}

/// Whether a service is there and answers queries.
///
/// # Errors
/// [`NetError`] when it does not.
pub async fn look(service: &DicomwebService) -> Result<(), NetError> {
    ask(&mut Connection::to(service)?, ANY_STUDY.to_owned()).await.map(|_| ())
}

async fn ask(connection: &mut Connection<'_>, resource: String) -> Result<Vec<Item>, NetError> {
    let within = resource.starts_with("/studies/");
    let answer = connection.ask(&Ask::get(resource, DICOM_JSON, MOST_BYTES)).await?;
    match answer.status {
        200 => data_sets(&answer.body),
        204 => Ok(Vec::new()),
        // Of a study or series that it does not have, a service may say that there is no such resource. Something else at
        // this URL says that of everything.
        404 if within => {
            let answer = connection.ask(&Ask::get(ANY_STUDY.to_owned(), DICOM_JSON, MOST_BYTES)).await?;
            if matches!(answer.status, 200 | 204) { Ok(Vec::new()) } else { Err(status::refused(&answer)) }
        }
        _ => Err(status::refused(&answer)),
    }
}

/// The resource that answers a query (PS3.18 table 10.6.1-2): study and series in its path where they are named, as many
/// services know no other, all else as parameters.
fn resource(query: &Query, limit: usize, offset: usize) -> String {
    let mut path = String::new();
    let mut within = BTreeSet::new();
    for (level, key, step) in [(Level::Series, Key::Study, "/studies/"), (Level::Image, Key::Series, "/series/")] {
        match query.value(key) {
            Some(uid) if query.level() >= level && (path.is_empty() == (key == Key::Study)) => {
                path.push_str(step);
                path.push_str(&escaped(uid));
                within.insert(key);
            }
            _ => {}
        }
    }
    path.push_str(match query.level() {
        Level::Study => "/studies",
        Level::Series => "/series",
        Level::Image => "/instances",
    });
    let _ = write!(path, "?limit={limit}&offset={offset}");
    for key in Key::ALL.into_iter().filter(|key| !within.contains(key)) {
        if let Some(value) = query.value(key) {
            let _ = write!(path, "&{}={}", name(key.tag()), escaped(value));
        }
    }
    path
}

/// A value with everything escaped that could mean something in a URL (RFC 3986, 2.3).
pub(super) fn escaped(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for byte in value.bytes() {
        match byte {
            b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'.' | b'-' | b'_' | b'~' => out.push(char::from(byte)),
            _ => _ = write!(out, "%{byte:02X}"),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_a_resource_with_parameters() {
        let images = Query::new(Level::Image).with(Key::Study, "1.2").with(Key::Series, "1.3");
        assert_eq!(
            resource(&images.clone().asking(Key::Instance), 10, 0),
            "/studies/1.2/series/1.3/instances?limit=10&offset=0"
        );
        let one = images.with(Key::Instance, "1.4");
        assert_eq!(resource(&one, 2, 3), "/studies/1.2/series/1.3/instances?limit=2&offset=3&00080018=1.4");
        let sets = Query::new(Level::Series).with(Key::Study, "1.2").with(Key::Modality, "RT/&");
        assert_eq!(resource(&sets, 1, 0), "/studies/1.2/series?limit=1&offset=0&00080060=RT%2F%26");
        let study = Query::new(Level::Study).with(Key::Study, "1.2");
        assert_eq!(resource(&study, 1, 0), "/studies?limit=1&offset=0&0020000D=1.2");
        let nowhere = Query::new(Level::Image).with(Key::Series, "1.3");
        assert_eq!(resource(&nowhere, 1, 0), "/instances?limit=1&offset=0&0020000E=1.3");
    }
}
