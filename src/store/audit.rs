//! The audit trail: lines that are chained by digests, how a broken chain shows, and who has been told of which line.

use sha2::{Digest, Sha256};
use sqlx::postgres::PgConnection;
use sqlx::{FromRow, PgPool};
use time::OffsetDateTime;
use uuid::Uuid;

use super::postgres::failed;
use super::{PatientText, PgStore, StoreError};
use crate::ids::hex;

const ACTION: &str = "read the audit trail";
/// Lines read at once when the chain is verified.
const PAGE: i64 = 5000;
/// Breaks of the chain that are told one by one.
const MOST_BREAKS: usize = 20;

/// A line of the trail, with what the case that it is about says of patient and study.
#[derive(Debug, Clone, FromRow)]
pub struct AuditLine {
    /// Place in the chain, from 1.
    pub position: i64,
    /// Digest over this line and the digest before it.
    pub hash: Vec<u8>,
    /// When it was written.
    pub at: OffsetDateTime,
    /// What happened.
    pub event: String,
    /// The case, if it is about one.
    pub case_id: Option<Uuid>,
    /// More about it, without patient data.
    pub detail: serde_json::Value,
    /// Study Instance UID of the case.
    pub study_uid: Option<String>,
    /// Who sent the series.
    pub calling_ae: Option<String>,
    /// The title of ours that it was sent to.
    pub called_ae: Option<String>,
    /// Patient ID of the case; empty without a case.
    #[sqlx(try_from = "String")]
    pub patient_id: PatientText,
    /// Patient's Name of the case; empty without a case.
    #[sqlx(try_from = "String")]
    pub patient_name: PatientText,
    /// The person who reviewed or released, as far as the line is about that.
    pub person: Option<String>,
}

/// A place in the chain and its digest, as told to the receivers of messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainHead {
    /// Place, from 1.
    pub position: i64,
    /// Digest in hexadecimal digits.
    pub digest: String,
}

/// What a look at the whole chain found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainReport {
    /// Lines in the chain.
    pub lines: i64,
    /// The last of them; `None` for an empty trail.
    pub head: Option<ChainHead>,
    /// What is wrong, the first ones in words.
    pub breaks: Vec<String>,
    /// How much is wrong.
    pub broken: u64,
}

#[derive(FromRow)]
struct Link {
    position: i64,
    hash: Vec<u8>,
    audit_id: i64,
    micros: Option<i64>,
    event: Option<String>,
    case_id: Option<String>,
    detail: Option<String>,
}

impl Link {
    /// The digest that the line must have after that of the line before it; `None` when the line is gone.
    fn expected(&self, before: &[u8]) -> Option<Vec<u8>> {
        let (micros, event, detail) = (self.micros?, self.event.as_ref()?, self.detail.as_ref()?);
        let case = self.case_id.as_deref().unwrap_or_default();
        let text = [&self.audit_id.to_string(), &micros.to_string(), event, case, detail].map(String::from);
        Some(Sha256::new().chain_update(before).chain_update(text.join("\u{1f}")).finalize().to_vec())
    }
}

impl PgStore {
    /// Writes one line of the audit trail. No patient data in `detail`.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn audit(
        &self,
        event: &'static str,
        case: Option<Uuid>,
        detail: &serde_json::Value,
    ) -> Result<(), StoreError> {
        let mut connection = self.pool.acquire().await.map_err(failed("write the audit trail"))?;
        audit(&mut connection, event, case, detail).await
    }

    /// The lines after a place in the chain, in its order.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn audit_after(&self, position: i64, most: i64) -> Result<Vec<AuditLine>, StoreError> {
        sqlx::query_as(
            "select k.position, k.hash, a.at, a.event, a.case_id, a.detail, c.study_uid, c.calling_ae, c.called_ae,
                    coalesce(c.patient_id, '') as patient_id, coalesce(c.patient_name, '') as patient_name,
                    coalesce(v.reviewer, l.released_by) as person
             from audit_chain k join audit a on a.id = k.audit_id
             left join cases c on c.id = a.case_id
             left join reviews v on a.event = 'review_recorded' and v.id = (a.detail->>'review')::bigint
             left join releases l on a.event = 'case_released' and l.case_id = a.case_id
             where k.position > $1 order by k.position limit $2",
        )
        .bind(position)
        .bind(most)
        .fetch_all(&self.pool)
        .await
        .map_err(failed(ACTION))
    }

    /// Up to which place of the chain a receiver has messages; 0 for a new one.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn audit_sent(&self, receiver: &str) -> Result<i64, StoreError> {
        let position: Option<i64> = sqlx::query_scalar("select position from audit_sent where receiver = $1")
            .bind(receiver)
            .fetch_optional(&self.pool)
            .await
            .map_err(failed(ACTION))?;
        Ok(position.unwrap_or(0))
    }

    /// A receiver has the messages up to this place.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn note_audit_sent(&self, receiver: &str, position: i64) -> Result<(), StoreError> {
        sqlx::query(
            "insert into audit_sent (receiver, position) values ($1, $2)
             on conflict (receiver) do update set position = excluded.position",
        )
        .bind(receiver)
        .bind(position)
        .execute(&self.pool)
        .await
        .map_err(failed("note what was told of the audit trail"))?;
        Ok(())
    }

    /// Follows the whole chain, and looks whether heads that were told to somebody are in it.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn verify_audit(&self, told: &[ChainHead]) -> Result<ChainReport, StoreError> {
        verify(&self.pool, told).await
    }
}

async fn verify(pool: &PgPool, told: &[ChainHead]) -> Result<ChainReport, StoreError> {
    let mut report = ChainReport { lines: 0, head: None, breaks: Vec::new(), broken: 0 };
    let mut found = vec![false; told.len()];
    let (mut position, mut before) = (0i64, Vec::new());
    loop {
        let links: Vec<Link> = sqlx::query_as(
            "select k.position, k.hash, k.audit_id, (extract(epoch from a.at) * 1000000)::bigint as micros, a.event,
                    a.case_id::text, a.detail::text
             from audit_chain k left join audit a on a.id = k.audit_id
             where k.position > $1 order by k.position limit $2",
        )
        .bind(position)
        .bind(PAGE)
        .fetch_all(pool)
        .await
        .map_err(failed(ACTION))?;
        if links.is_empty() {
            break;
        }
        for link in links {
            if link.position != position + 1 {
                report.note(format!("the lines from {} to {} are gone", position + 1, link.position - 1));
            }
            match link.expected(&before) {
                None => report.note(format!("line {}: its row is gone", link.position)),
                Some(expected) if expected != link.hash => {
                    report.note(format!("line {}: it, or the one before it, is not what was written", link.position));
                }
                Some(_) => {}
            }
            let digest = hex(&link.hash);
            for (seen, head) in found.iter_mut().zip(told) {
                *seen |= head.position == link.position && head.digest == digest;
            }
            report.lines += 1;
            report.head = Some(ChainHead { position: link.position, digest });
            (position, before) = (link.position, link.hash);
        }
    }
    let loose: i64 = sqlx::query_scalar(
        "select count(*) from audit a where not exists (select from audit_chain k where k.audit_id = a.id)",
    )
    .fetch_one(pool)
    .await
    .map_err(failed(ACTION))?;
    if loose > 0 {
        report.note(format!("{loose} rows are not in the chain"));
    }
    for (_, head) in found.iter().zip(told).filter(|(found, _)| !**found) {
        report
            .note(format!("line {} with digest {} was told to somebody and is not there", head.position, head.digest));
    }
    Ok(report)
}

impl ChainReport {
    fn note(&mut self, what: String) {
        self.broken += 1;
        if self.breaks.len() < MOST_BREAKS {
            self.breaks.push(what);
        }
    }
}

/// Writes one line of the audit trail as part of a transaction. No patient data in `detail`. The database chains it when
/// the transaction commits.
pub(super) async fn audit(
    tx: &mut PgConnection,
    event: &'static str,
    case: Option<Uuid>,
    detail: &serde_json::Value,
) -> Result<(), StoreError> {
    sqlx::query("insert into audit (event, case_id, detail) values ($1, $2, $3)")
        .bind(event)
        .bind(case)
        .bind(detail)
        .execute(tx)
        .await
        .map_err(failed("write the audit trail"))?;
    Ok(())
}
