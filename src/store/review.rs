//! Reviews: what a person said about a structure. A changed mind is a new row; nothing is ever changed or removed.

use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::FromRow;
use time::OffsetDateTime;
use uuid::Uuid;

use super::audit::audit;
use super::postgres::failed;
use super::rows::named;
use super::{PgStore, StoreError, UnknownName};

named!(
    /// How a structure was judged (thesis section 4.3.4).
    Rating, "review verdict" {
        /// Kept without changes.
        Accept = "accept",
        /// Acceptable: small corrections would not change the doses.
        Minor = "minor",
        /// Must be corrected, but correcting beats starting over.
        Major = "major",
        /// No time saved.
        Reject = "reject",
        /// Absent or invisible.
        NotAssigned = "not_assigned",
    }
);

/// A review to be recorded.
#[derive(Debug, Clone, PartialEq)]
pub struct NewReview {
    /// Case.
    pub case_id: Uuid,
    /// TG-263 name of the structure judged; it must have a row in the case, found or not.
    pub structure: String,
    /// The judgement.
    pub rating: Rating,
    /// Who judged; 1 to 200 characters.
    pub reviewer: String,
    /// Free text, may be empty; at most 4000 characters.
    pub comment: String,
    /// Time the reviewer spent on the structure, in seconds, if it was measured.
    pub seconds_spent: Option<i32>,
}

/// A recorded review.
#[derive(Debug, Clone, PartialEq, Serialize, FromRow)]
pub struct Review {
    /// Key; grows with time.
    pub id: i64,
    /// Case.
    pub case_id: Uuid,
    /// TG-263 name of the structure.
    pub structure: String,
    /// The judgement.
    #[sqlx(rename = "verdict", try_from = "String")]
    pub rating: Rating,
    /// Who judged.
    pub reviewer: String,
    /// Free text.
    pub comment: String,
    /// Seconds spent.
    pub seconds_spent: Option<i32>,
    /// When it was recorded, by the database's clock.
    #[serde(with = "time::serde::rfc3339")]
    pub made_at: OffsetDateTime,
}

/// How often a structure got a rating, counting the latest review per reviewer, case and structure.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Tally {
    /// TG-263 name of the structure.
    pub structure: String,
    /// The judgement.
    #[sqlx(rename = "verdict", try_from = "String")]
    pub rating: Rating,
    /// How often.
    pub count: i64,
}

/// How much was reviewed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromRow)]
pub struct ReviewTotals {
    /// Cases with a review.
    pub cases: i64,
    /// Different reviewers.
    pub reviewers: i64,
}

impl PgStore {
    /// Records a review, with an audit row that names neither reviewer nor comment.
    ///
    /// # Errors
    /// [`StoreError::Database`]; also when the case has no such structure.
    pub async fn add_review(&self, new: &NewReview) -> Result<Review, StoreError> {
        let wrong = failed("record a review");
        let mut transaction = self.pool.begin().await.map_err(&wrong)?;
        let review: Review = sqlx::query_as(
            "insert into reviews (case_id, structure, verdict, reviewer, comment, seconds_spent)
             values ($1, $2, $3, $4, $5, $6) returning *",
        )
        .bind(new.case_id)
        .bind(&new.structure)
        .bind(new.rating.name())
        .bind(&new.reviewer)
        .bind(&new.comment)
        .bind(new.seconds_spent)
        .fetch_one(&mut *transaction)
        .await
        .map_err(&wrong)?;
        let detail = json!({"review": review.id, "structure": review.structure, "verdict": review.rating});
        audit(&mut transaction, "review_recorded", Some(new.case_id), &detail).await?;
        transaction.commit().await.map_err(&wrong)?;
        Ok(review)
    }

    /// Every review of a structure, newest first.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn reviews(&self, case_id: Uuid, structure: &str) -> Result<Vec<Review>, StoreError> {
        sqlx::query_as("select * from reviews where case_id = $1 and structure = $2 order by id desc")
            .bind(case_id)
            .bind(structure)
            .fetch_all(&self.pool)
            .await
            .map_err(failed("list reviews"))
    }

    /// The latest review of each reviewer for each structure of a case, oldest first.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn latest_reviews(&self, case_id: Uuid) -> Result<Vec<Review>, StoreError> {
        sqlx::query_as(
            "select * from (
                 select distinct on (structure, reviewer) * from reviews
                 where case_id = $1 order by structure, reviewer, id desc
             ) latest order by id",
        )
        .bind(case_id)
        .fetch_all(&self.pool)
        .await
        .map_err(failed("list reviews"))
    }

    /// How often each structure got each rating; of a series' revisions, the latest that a person judged counts. Cases
    /// that were held and never released count as little as those that were refused. Pairs that never occurred are left
    /// out.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn review_tally(&self) -> Result<Vec<Tally>, StoreError> {
        sqlx::query_as(
            "select structure, verdict, count(*) as count from (
                 select distinct on (c.series_uid, c.model_name, r.structure, r.reviewer) r.structure, r.verdict
                 from reviews r join cases c on c.id = r.case_id
                 where c.held_at is null or exists (select from releases l where l.case_id = c.id)
                 order by c.series_uid, c.model_name, r.structure, r.reviewer, c.revision desc, r.id desc
             ) latest group by structure, verdict",
        )
        .fetch_all(&self.pool)
        .await
        .map_err(failed("count reviews"))
    }

    /// How many series were reviewed (in whatever revision that counts), by how many people.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn review_totals(&self) -> Result<ReviewTotals, StoreError> {
        sqlx::query_as(
            "select count(distinct c.series_uid) as cases, count(distinct r.reviewer) as reviewers
             from reviews r join cases c on c.id = r.case_id
             where c.held_at is null or exists (select from releases l where l.case_id = c.id)",
        )
        .fetch_one(&self.pool)
        .await
        .map_err(failed("count reviews"))
    }
}
