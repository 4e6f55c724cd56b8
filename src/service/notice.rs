//! The report about a refusal: in the study itself, for whoever waits there.

use super::clock::local_time;
use super::segmenter::Segmenter;
use super::work::{Worker, keep_object};
use crate::dicom::data::{NoticeMeta, PatientStudy, RefusalCode, Refusals, write_notice};
use crate::ids::SeriesUid;
use crate::store::{CaseRole, ClaimedJob, NewResult, ResultKind, StoreError};

impl<S: Segmenter> Worker<S> {
    /// The report about a refusal, where the route wants one: in the study of the first image that tells its patient. None
    /// when it is not certain whose images these are.
    pub(super) async fn notice(&self, job: &ClaimedJob, refusals: &Refusals) -> Result<Option<NewResult>, String> {
        let route = self.routes.iter().find(|route| route.name == job.case.route);
        let to = route.map(|route| route.notices_to.clone()).unwrap_or_default();
        // Nobody waits for contours of a CT itself.
        if to.is_empty() || job.case.role != CaseRole::Contours || refusals.has(RefusalCode::SeveralPatients) {
            return Ok(None);
        }
        let failed = |e: StoreError| e.to_string();
        let meta = NoticeMeta {
            series: SeriesUid::parse(&job.case.series_uid).map_err(|e| e.to_string())?,
            series_description: job.case.series_description.clone(),
            revision: u32::try_from(job.case.revision).unwrap_or(1),
            created: local_time(job.created_at),
        };
        let mut why = "no image of the series tells patient and study".to_owned();
        for row in self.store.pg.instances_of(&job.case.series_uid, job.case.revision).await.map_err(failed)? {
            let file = self.store.blobs.get(&row.blob_key, &row.sha256).await.map_err(failed)?;
            match PatientStudy::of_file(&file) {
                Err(refusal) => why = refusal.to_string(),
                Ok(patient) => {
                    let object = write_notice(&patient, refusals, &meta).map_err(|e| e.to_string())?;
                    let kept = keep_object(&self.store, job.case.id, ResultKind::Notice, object, "notice", &to).await;
                    return kept.map(Some).map_err(failed);
                }
            }
        }
        Err(why)
    }
}
