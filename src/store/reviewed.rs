//! Cases that people have judged, for training on what they accepted.

use super::postgres::failed;
use super::{Case, PgStore, Rating, Review, StoreError, StructureRow};

/// A case with its structures and the latest word of each reviewer on each of them.
#[derive(Debug, Clone)]
pub struct ReviewedCase {
    /// The case.
    pub case: Case,
    /// Its structures, in no particular order.
    pub structures: Vec<StructureRow>,
    /// The latest review of each reviewer for each structure.
    pub reviews: Vec<Review>,
}

impl ReviewedCase {
    /// Whether a structure may be taught: somebody judged it, and everybody who did accepts it, small corrections apart.
    pub fn is_accepted(&self, structure: &str) -> bool {
        let mut ratings = self.reviews.iter().filter(|r| r.structure == structure).map(|r| r.rating).peekable();
        ratings.peek().is_some() && ratings.all(|rating| matches!(rating, Rating::Accept | Rating::Minor))
    }
}

impl PgStore {
    /// Every series that somebody reviewed, in the latest revision that has a review, by the first of its models. Cases that were
    /// held and never released do not count, as in the statistics, nor do those whose images were deleted.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn reviewed_cases(&self) -> Result<Vec<ReviewedCase>, StoreError> {
        let cases: Vec<Case> = sqlx::query_as(
            "select distinct on (c.series_uid) c.* from cases c
             where exists (select from reviews r where r.case_id = c.id)
               and c.purged_at is null
               and (c.held_at is null or exists (select from releases l where l.case_id = c.id))
             order by c.series_uid, c.revision desc, c.sibling",
        )
        .fetch_all(&self.pool)
        .await
        .map_err(failed("list reviewed cases"))?;
        let mut reviewed = Vec::with_capacity(cases.len());
        for case in cases {
            let structures = self.structures_of(case.id).await?;
            let reviews = self.latest_reviews(case.id).await?;
            reviewed.push(ReviewedCase { case, structures, reviews });
        }
        Ok(reviewed)
    }
}
