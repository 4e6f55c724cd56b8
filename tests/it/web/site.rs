//! A running web side over a real store, and a small lopsided head to put into it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use contourd::anatomy::Structure;
use contourd::anatomy::rules::{Flag, Rule, RuleEffect};
use contourd::contour::{ContourConfig, contours_of};
use contourd::dicom::data::EncodedInstance;
use contourd::geometry::{Grid, Lps, Mask, Shape, Vec3, Volume};
use contourd::ids::{AeTitle, FrameOfReferenceUid, InstanceUid, Phi, SeriesUid, StudyUid, sha256_hex};
use contourd::store::{
    Arrival, BlobKey, Blobs, CaseResult, CaseRole, NewInstance, NewResult, NewStructure, PatientText, PgStore,
    ResultKind,
};
use contourd::web::{ModelInForce, ServiceFacts, WebConfig, WebState, serve};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::http::{Answer, ask};
use crate::store::{TestStore, queue_silent};
use crate::support::mr_series;

pub const NAME: &str = "Muster^Erika";
/// What a hostile sender could put into a header: shown as it is, never run.
pub const HOSTILE: &str = "<b>Evil</b>^<img>";

/// What is odd about every series that is contoured here.
pub const ODD: &str = "the images were compressed with loss; small <i>structures</i> may suffer";

/// A running daemon's web side, with everything below it.
pub struct Site {
    pub store: TestStore,
    pub address: SocketAddr,
    shutdown: CancellationToken,
    server: tokio::task::JoinHandle<std::io::Result<()>>,
}

impl Site {
    pub async fn start() -> Self {
        let store = TestStore::new().await;
        let facts = ServiceFacts {
            version: "0.0-test".into(),
            provider: "CPUExecutionProvider".into(),
            models: vec![ModelInForce { name: "phantom-v1".into(), digest: "c0ffee".repeat(10) }],
            database: "private".into(),
        };
        let config = WebConfig { cases_per_page: 3, ..WebConfig::default() };
        let state = WebState::new(store.pg.clone(), store.blobs.clone(), facts, config);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let server = tokio::spawn(serve(listener, state, shutdown.clone()));
        Self { store, address, shutdown, server }
    }

    pub async fn stop(self) {
        self.shutdown.cancel();
        self.server.await.unwrap().unwrap();
    }

    pub async fn get(&self, path: &str) -> Answer {
        ask(self.address, "GET", path, &[], "").await
    }

    pub async fn review(&self, case: Uuid, structure: &str, body: &Value) -> Answer {
        let path = format!("/api/cases/{case}/structures/{structure}/reviews");
        ask(self.address, "POST", &path, &[("content-type", "application/json")], &body.to_string()).await
    }

    pub fn pg(&self) -> &PgStore {
        &self.store.pg
    }

    /// Stores the images of a series as the receiving side does; the case of the last of them.
    pub async fn receive(&self, name: &str, objects: &[EncodedInstance]) -> Uuid {
        accept_all(self.pg(), &self.store.blobs, objects, ["P-0815", name]).await;
        let page = self.pg().case_page(None, 1).await.unwrap();
        page[0].case.id
    }

    /// Ends the job of every silent series with what `end` makes of it.
    pub async fn claim(&self) -> (Uuid, Uuid) {
        queue_silent(self.pg(), Duration::ZERO).await;
        let holder = Uuid::new_v4();
        let job = self.pg().claim_job(holder, Duration::from_secs(60)).await.unwrap().unwrap();
        (job.case.id, holder)
    }

    pub async fn finish(
        &self,
        structures: Vec<NewStructure>,
        derived: &[EncodedInstance],
        destinations: &[String],
    ) -> Uuid {
        self.finish_as(structures, derived, destinations, None).await
    }

    /// As [`Site::finish`]; with a reason, the result is held.
    pub async fn finish_as(
        &self,
        structures: Vec<NewStructure>,
        derived: &[EncodedInstance],
        destinations: &[String],
        held: Option<&str>,
    ) -> Uuid {
        let (case, holder) = self.claim().await;
        let mut results = Vec::new();
        for object in derived {
            let sha256 = sha256_hex(&object.bytes);
            let key = BlobKey::result(case, &object.instance, &sha256);
            self.store.blobs.put(&key, Bytes::from(object.bytes.clone())).await.unwrap();
            results.push(NewResult {
                kind: ResultKind::DerivedImage,
                sop_class: object.sop_class.clone(),
                instance: object.instance.clone(),
                series: object.series.clone(),
                blob_key: key.as_str().into(),
                sha256,
                byte_count: object.bytes.len() as u64,
                profile: "generic".into(),
                destinations: destinations.to_vec(),
            });
        }
        // Only the structure set's row matters here; its bytes are read by the delivering side.
        results.push(NewResult {
            kind: ResultKind::StructureSet,
            sop_class: "1.2.840.10008.5.1.4.1.1.481.3".into(),
            instance: InstanceUid::derive(&["structure set", &case.to_string()]),
            series: SeriesUid::derive(&["structure set", &case.to_string()]),
            blob_key: "results/none".into(),
            sha256: sha256_hex(b"none"),
            byte_count: 4,
            profile: "generic".into(),
            destinations: destinations.to_vec(),
        });
        let result = CaseResult {
            model_name: "phantom-v1".into(),
            model_digest: "c0ffee".repeat(10),
            config_digest: "0".repeat(64),
            report: json!({"warnings": [ODD]}),
            structures,
            results,
            held: held.map(str::to_owned),
        };
        self.pg().finish_job(case, holder, &result).await.unwrap();
        case
    }
}

/// Anisotropic, non-square, off-centre, turned by 6 degrees about the long axis.
pub fn head_grid() -> Arc<Grid> {
    let (s, c) = 6f64.to_radians().sin_cos();
    let axes = [Vec3::new(c, s, 0.0), Vec3::new(-s, c, 0.0), Vec3::new(0.0, 0.0, 1.0)];
    let frame = FrameOfReferenceUid::parse("1.2.840.77.9").unwrap();
    Arc::new(Grid::new(frame, Shape::new(80, 64, 24), Lps::new(-61.5, -88.0, 12.25), axes, [1.5, 2.5, 3.0]).unwrap())
}

pub fn ellipsoid(grid: &Arc<Grid>, centre: [f64; 3], radii: [f64; 3]) -> Mask {
    let mut mask = Mask::empty(Arc::clone(grid));
    for offset in 0..mask.data().len() {
        let v = mask.voxel(offset);
        let distance: f64 = (0..3).map(|a| ((v[a] as f64 - centre[a]) / radii[a]).powi(2)).sum();
        mask.data_mut()[offset] = distance <= 1.0;
    }
    mask
}

/// One eye only, on the patient's left (+i), two structures on the midline; the other eight are absent.
pub fn truth() -> Vec<(Structure, Mask)> {
    let grid = head_grid();
    vec![
        (Structure::Brain, ellipsoid(&grid, [41.0, 36.0, 14.0], [30.0, 20.0, 8.6])),
        (Structure::Brainstem, ellipsoid(&grid, [42.0, 41.0, 8.0], [7.0, 5.0, 4.5])),
        (Structure::Eye_L, ellipsoid(&grid, [56.0, 9.0, 9.0], [8.0, 4.8, 4.0])),
        (Structure::Lens_L, ellipsoid(&grid, [56.5, 5.8, 9.0], [3.0, 1.6, 1.2])),
    ]
}

pub fn head() -> Volume<f32> {
    let grid = head_grid();
    let mut volume = Volume::filled(Arc::clone(&grid), 20.0);
    for (n, (_, mask)) in truth().iter().enumerate() {
        for (value, _) in volume.data_mut().iter_mut().zip(mask.data()).filter(|(_, inside)| **inside) {
            *value = [700.0, 520.0, 240.0, 420.0][n];
        }
    }
    for offset in 0..volume.data().len() {
        let [i, j, k] = volume.voxel(offset);
        volume.data_mut()[offset] += (i * 7 + j * 13 + k * 3) as f32 % 40.0;
    }
    volume
}

pub fn images(volume: &Volume<f32>, series: &str) -> Vec<EncodedInstance> {
    mr_series(volume, series, NAME)
}

/// What the daemon would store of the truth: all twelve structures, those that are absent said so.
pub fn structures() -> Vec<NewStructure> {
    let truth = truth();
    let row = |structure: Structure| match truth.iter().find(|(s, _)| *s == structure) {
        Some((_, mask)) => NewStructure {
            structure,
            volume_cc: Some(mask.cc()),
            agreement: Some(0.93),
            report: json!({
                "effects": [RuleEffect { rule: Rule::LargestComponent, added: 0, removed: 31 }],
                "light": match structure { Structure::Eye_L => "red", Structure::Lens_L => "amber", _ => "green" },
                "reasons": match structure {
                    Structure::Eye_L => vec![Flag::SideUncertain { distance_mm: 3.2 }.to_string()],
                    Structure::Lens_L => vec!["networks disagree on 46 % of its voxels <b>".to_owned()],
                    _ => vec![],
                },
                "flags": if structure == Structure::Eye_L { vec![Flag::SideUncertain { distance_mm: 3.2 }] } else { vec![] },
            }),
            contours: serde_json::to_value(contours_of(mask, &ContourConfig::default()).unwrap()).unwrap(),
        },
        None => NewStructure {
            structure,
            volume_cc: None,
            agreement: None,
            report: json!({"effects": [], "flags": [Flag::NotFound { predicted: 0 }]}),
            contours: json!([]),
        },
    };
    Structure::ALL.into_iter().map(row).collect()
}

/// Stores and accepts the images of a patient (its ID and name) as the receiving side does.
pub async fn accept_all(pg: &PgStore, blobs: &Blobs, objects: &[EncodedInstance], [id, name]: [&str; 2]) {
    for object in objects {
        let sha256 = sha256_hex(&object.bytes);
        let key = BlobKey::instance(&object.series, &object.instance, &sha256);
        blobs.put(&key, Bytes::from(object.bytes.clone())).await.unwrap();
        let arrival = Arrival {
            study: StudyUid::parse("1.2.840.77.1").unwrap(),
            series: object.series.clone(),
            frame: None,
            modality: "MR".into(),
            series_description: "T1 MPRAGE post".into(),
            patient_id: PatientText(Phi::new(id.into())),
            patient_name: PatientText(Phi::new(name.into())),
            calling: AeTitle::parse("SCANNER").unwrap(),
            called: AeTitle::parse("CONTOURD").unwrap(),
            route: "default".into(),
            role: CaseRole::Contours,
            priority: 5,
            models: Vec::new(),
        };
        let new = NewInstance {
            arrival,
            instance: object.instance.clone(),
            sop_class: object.sop_class.clone(),
            transfer_syntax: object.transfer_syntax.clone(),
            blob_key: key.as_str().into(),
            sha256,
            byte_count: object.bytes.len() as u64,
            plane: None,
            announced: None,
            acquisition: None,
        };
        pg.accept_instance(&new).await.unwrap();
    }
}
