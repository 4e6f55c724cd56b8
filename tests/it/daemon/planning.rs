//! The structure set on the planning CT: sent by DCMTK's storescu, received by its storescp.

use std::path::PathBuf;

use contourd::contour::rasterise;
use contourd::dicom::data::{StructureSet, drawn_planes};
use contourd::evaluation::dice;
use contourd::store::{CaseRole, PlanningState, PlanningView};

use super::*;
use crate::conformance::judges::dciodvfy;
use crate::net::sending::StoreScp;
use crate::support::{RegistrationOf, files_in, registration};
use crate::system::storescu;

const MR_FRAME: &str = "1.2.826.9";
const CT_FRAME: &str = "1.2.826.10";
const STUDY: &str = "1.2.840.77.1";
const SAME: [f64; 16] = [1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0];

/// From the MR to the CT: a turn about (3, 1, 2) by some degrees, then a shift. Rodrigues' formula, row by row.
fn matrix(degrees: f64, shift: [f64; 3]) -> [f64; 16] {
    let (s, c) = degrees.to_radians().sin_cos();
    let [x, y, z] = [3.0, 1.0, 2.0].map(|v: f64| v / 14f64.sqrt());
    let t = 1.0 - c;
    let rows = [
        [t * x * x + c, t * x * y - s * z, t * x * z + s * y],
        [t * x * y + s * z, t * y * y + c, t * y * z - s * x],
        [t * x * z - s * y, t * y * z + s * x, t * z * z + c],
    ];
    let mut m = SAME;
    for (n, row) in rows.iter().enumerate() {
        m[4 * n..4 * n + 3].copy_from_slice(row);
        m[4 * n + 3] = shift[n];
    }
    m
}

fn there(m: &[f64; 16], p: Lps) -> Lps {
    let row = |n: usize| m[n] * p.x + m[n + 1] * p.y + m[n + 2] * p.z + m[n + 3];
    Lps::new(row(0), row(4), row(8))
}

/// What turns transposed, and the shift taken back.
fn inverse(m: &[f64; 16]) -> [f64; 16] {
    let mut back = SAME;
    for a in 0..3 {
        for b in 0..3 {
            back[4 * a + b] = m[4 * b + a];
        }
        back[4 * a + 3] = -(0..3).map(|b| m[4 * b + a] * m[4 * b + 3]).sum::<f64>();
    }
    back
}

const SHIFT: [f64; 3] = [40.0, -25.0, 60.0];

/// The middle of what is carried, in the MR: of axial slices, and of sagittal ones.
const MIDDLE: Lps = Lps::new(-12.5, 23.5, 17.0);
const SAGITTAL: Lps = Lps::new(-28.0, 20.5, -4.0);

/// The planning CT around a place of the MR: other spacing, another frame of reference, everything soft tissue.
fn ct(uid: &str, frame: &str, around: Lps) -> Vec<EncodedInstance> {
    let frame = FrameOfReferenceUid::parse(frame).unwrap();
    let middle = if frame.as_str() == MR_FRAME { around } else { there(&matrix(25.0, SHIFT), around) };
    let (shape, spacing) = (Shape::new(70, 64, 30), [0.6, 0.7, 1.5]);
    let origin = Lps::new(middle.x - 21.0, middle.y - 22.0, middle.z - 22.0);
    let grid = Arc::new(Grid::axis_aligned(frame, shape, origin, spacing).unwrap());
    let values = (0..shape.voxels()).map(|n| 30.0 + (n % 17) as f32).collect();
    let mut files = mr_series_called(&Volume::new(grid, values).unwrap(), uid, "Doe^Jane", "Planning CT head");
    as_ct(&mut files);
    files.iter_mut().for_each(|file| file.sop_class = CT.into());
    files
}

/// A registration to the CT's frame, made at this hour.
fn to_ct(instance: &str, hour: &str, m: [f64; 16]) -> EncodedInstance {
    let of = RegistrationOf {
        instance,
        study: STUDY,
        patient_id: "P-0815",
        made: ["20260102", hour],
        registered: CT_FRAME,
        kind: "RIGID",
    };
    registration(&of, &[(MR_FRAME, m), (CT_FRAME, SAME)])
}

/// A daemon with a route that asks for planning CTs, and what it sends to.
struct Clinic {
    t: TestStore,
    pacs: StoreScp,
    running: Running,
    sent: tempfile::TempDir,
}

impl Clinic {
    async fn open() -> Self {
        let (t, pacs) = (TestStore::new().await, StoreScp::start(&[]).await);
        let mut config = config(pacs.port, "bright");
        config.destinations[0].confirm = Confirm::None;
        let route = RouteConfig { calling_ae: None, planning_ct: true, ..route("head", "MR1", "bright") };
        config.routes = vec![route];
        config.receive.quiet_seconds = 1;
        let running = launch(&t, config, &Arc::new(Threshold::default()), listener().await.0);
        Self { t, pacs, running, sent: tempfile::tempdir().unwrap() }
    }

    /// Sends with DCMTK; every object must be acknowledged.
    async fn send(&self, objects: &[EncodedInstance]) {
        let files: Vec<PathBuf> = objects
            .iter()
            .map(|object| {
                let file = self.sent.path().join(object.instance.as_str());
                std::fs::write(&file, &object.bytes).unwrap();
                file
            })
            .collect();
        let port = self.running.to.port;
        let (well, all) = (objects.len(), files);
        let sent = tokio::task::spawn_blocking(move || crate::system::acknowledged(storescu(port, &all)));
        assert_eq!(sent.await.unwrap(), (true, well));
    }

    async fn case_of(&self, series: &str) -> Option<Case> {
        cases(&self.t).await.into_iter().rfind(|case| case.series_uid == series)
    }

    async fn until(&self, series: &str, state: CaseState) -> Case {
        for _ in 0..600 {
            if let Some(case) = self.case_of(series).await.filter(|case| case.state == state) {
                return case;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("{series} did not become {state:?}: {:?}", cases(&self.t).await);
    }

    /// What became of the MR on its planning CT, once it is in this state and its words hold these.
    async fn planned(&self, state: PlanningState, words: &str) -> PlanningView {
        let mut latest = None;
        for _ in 0..600 {
            if let Some(case) = self.case_of("1.2.826.2").await {
                latest = self.t.pg.plannings_of(case.id).await.unwrap().pop();
                if let Some(view) = latest.clone()
                    && view.state == state
                    && view.outcome.as_ref().is_some_and(|outcome| outcome.contains(words))
                {
                    return view;
                }
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("it did not become {state:?} ({words}): {latest:?}, {:?}", cases(&self.t).await);
    }

    /// The structure sets that arrived, by frame of reference, in the order of arrival; once there are this many.
    async fn sets(&self, frame: &str, count: usize) -> Vec<(PathBuf, StructureSet)> {
        let mut found = Vec::new();
        for _ in 0..300 {
            let mut files = files_in(self.pacs.folder.path());
            files.sort_by_key(|file| std::fs::metadata(file).unwrap().modified().unwrap());
            let read = |file: PathBuf| Some((file.clone(), read_rtstruct(&std::fs::read(&file).unwrap()).ok()?));
            let here =
                |(_, set): &(PathBuf, StructureSet)| set.header.frame.as_ref().is_some_and(|f| f.as_str() == frame);
            found = files.into_iter().filter_map(read).filter(here).collect();
            if found.len() >= count {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert_eq!(found.len(), count, "structure sets in frame {frame}");
        found
    }
}

/// Compares with the block of the MR, each pixel of the CT taken back by hand.
fn lies_where(set: &StructureSet, images: &[EncodedInstance], m: &[f64; 16]) {
    let files: Vec<&[u8]> = images.iter().map(|o| o.bytes.as_slice()).collect();
    let planes = drawn_planes(&files).unwrap();
    let roi = set.roi("Brainstem").unwrap();
    let drawn = rasterise(&roi.placed_on(&planes).unwrap(), &planes.grid);
    let back = inverse(m);
    let mut expected = Mask::empty(Arc::clone(&planes.grid));
    for n in 0..expected.data().len() {
        let [i, j, k] = expected.voxel(n);
        let p = there(&back, planes.grid.centre(i, j, k));
        let [i, j, k] = [(p.x + 20.0) / 0.9, (p.y - 12.0) / 1.1, (p.z - 7.0) / 2.0].map(f64::round);
        expected.data_mut()[n] = (3.0..14.0).contains(&i) && (5.0..17.0).contains(&j) && (2.0..9.0).contains(&k);
    }
    let likeness = dice(&drawn, &expected).unwrap().unwrap();
    assert!(likeness > 0.93, "{likeness}");
    let cc = 11.0 * 12.0 * 7.0 * 0.9 * 1.1 * 2.0 / 1000.0;
    assert!(
        (drawn.cc() / cc - 1.0).abs() < 0.02 && (roi.volume_cc.unwrap() - drawn.cc()).abs() < 1e-6,
        "{}",
        drawn.cc()
    );
    let images: Vec<_> = roi.contours.iter().flat_map(|c| &c.images).collect();
    assert!(images.iter().all(|image| planes.slices.iter().any(|s| s.instance == **image)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registration_that_comes_hours_later_brings_the_contours_to_the_planning_ct() {
    let clinic = Clinic::open().await;
    clinic.send(&series("1.2.826.2", false)).await;
    clinic.until("1.2.826.2", CaseState::Sent).await;
    let images = ct("1.2.826.20", CT_FRAME, MIDDLE);
    clinic.send(&images).await;
    let kept = clinic.until("1.2.826.20", CaseState::Kept).await;
    assert_eq!(kept.role, CaseRole::PlanningCt);
    assert!(kept.reason.unwrap().starts_with("a planning CT of 30 slices"));
    clinic.planned(PlanningState::Waiting, "waits for a rigid registration").await;
    clinic.sets(CT_FRAME, 0).await;

    let m = matrix(25.0, SHIFT);
    let first = to_ct("1.2.826.30", "101010", m);
    clinic.send(std::slice::from_ref(&first)).await;
    let made = clinic
        .planned(
            PlanningState::Made,
            "through registration 1.2.826.30 of 2026-01-02 10:10, which turns by 25.0 degrees",
        )
        .await;
    assert_eq!((made.ct_series.as_str(), made.ct_description.as_str()), ("1.2.826.20", "Planning CT head"));
    let (file, set) = clinic.sets(CT_FRAME, 1).await.remove(0);
    lies_where(&set, &images, &m);
    assert_eq!(dciodvfy(&file), Vec::<String>::new());
    assert_eq!((set.approval.as_str(), set.predecessor.clone()), ("UNAPPROVED", None));
    let said = run(std::process::Command::new("dcmdump").args(["+L", "+P", "3006,0006", "+P", "3006,0038"]).arg(&file));
    assert!(
        said.contains("Research use only, not reviewed. Drawn on MR series 1.2.826.2 (structure set 2.25."),
        "{said}"
    );
    assert!(said.contains("registration 1.2.826.30") && said.contains("[MR, registration 1.2.826.30]"), "{said}");
    let case = clinic.until("1.2.826.2", CaseState::Sent).await;
    assert_eq!(clinic.t.pg.deliveries_of(case.id).await.unwrap().len(), 2);

    // The same registration again changes nothing.
    clinic.send(std::slice::from_ref(&first)).await;
    // An older one neither: it is looked at, and the newest stays.
    clinic.send(&[to_ct("1.2.826.31", "090000", matrix(20.0, SHIFT))]).await;
    clinic
        .planned(PlanningState::Made, "through registration 1.2.826.30 of 2026-01-02 10:10, the newest of 2, which")
        .await;
    clinic.sets(CT_FRAME, 1).await;

    // A newer one makes a new set that takes the first one's place.
    let better = matrix(28.0, [39.0, -25.5, 60.5]);
    clinic.send(&[to_ct("1.2.826.32", "113000", better)]).await;
    clinic
        .planned(PlanningState::Made, "through registration 1.2.826.32 of 2026-01-02 11:30, the newest of 3, which")
        .await;
    let (_, second) = clinic.sets(CT_FRAME, 2).await.remove(1);
    lies_where(&second, &images, &better);
    assert_eq!(second.predecessor.as_ref(), Some(&set.header.instance));
    clinic.sets(MR_FRAME, 1).await;
    assert_eq!(clinic.t.pg.verify_audit(&[]).await.unwrap().broken, 0);
    clinic.running.daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ct_and_registration_may_come_first_and_in_either_direction() {
    let clinic = Clinic::open().await;
    let (images, m) = (ct("1.2.826.20", CT_FRAME, SAGITTAL), matrix(25.0, SHIFT));
    let of = RegistrationOf {
        instance: "1.2.826.30",
        study: STUDY,
        patient_id: "P-0815",
        made: ["20260102", "101010"],
        registered: MR_FRAME,
        kind: "RIGID",
    };
    clinic.send(&[registration(&of, &[(CT_FRAME, inverse(&m))])]).await;
    clinic.send(&images[..20]).await;
    clinic.until("1.2.826.20", CaseState::Kept).await;
    // The MR is sagittal: what is carried was drawn on slices derived from it.
    clinic.send(&series("1.2.826.2", true)).await;
    clinic.planned(PlanningState::Made, "through registration 1.2.826.30").await;
    let (_, short) = clinic.sets(CT_FRAME, 1).await.remove(0);
    assert_eq!(short.referenced_images.len(), 20);

    // More slices of the CT make it another one, with a set of its own in the place of the first.
    clinic.send(&images[20..]).await;
    let whole = clinic.sets(CT_FRAME, 2).await.remove(1).1;
    assert_eq!((whole.referenced_images.len(), whole.predecessor.as_ref()), (30, Some(&short.header.instance)));
    let states: Vec<CaseState> =
        cases(&clinic.t).await.into_iter().filter(|c| c.series_uid == "1.2.826.20").map(|c| c.state).collect();
    assert_eq!(states, [CaseState::Superseded, CaseState::Kept]);
    clinic.running.daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_one_frame_of_reference_no_registration_is_needed() {
    let clinic = Clinic::open().await;
    let images = ct("1.2.826.20", MR_FRAME, MIDDLE);
    clinic.send(&series("1.2.826.2", false)).await;
    clinic.send(&images).await;
    clinic.planned(PlanningState::Made, "in the frame of reference that MR and CT share").await;
    let sets = clinic.sets(MR_FRAME, 2).await;
    let (file, set) = &sets[1];
    assert_eq!(set.referenced_series.as_ref().map(|s| s.as_str()), Some("1.2.826.20"));
    lies_where(set, &images, &SAME);
    assert_eq!(dciodvfy(file), Vec::<String>::new());
    clinic.running.daemon.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_of_another_study_or_patient_or_not_rigid_carries_nothing() {
    let clinic = Clinic::open().await;
    clinic.send(&series("1.2.826.2", false)).await;
    clinic.send(&ct("1.2.826.20", CT_FRAME, MIDDLE)).await;
    clinic.planned(PlanningState::Waiting, "waits for a rigid registration").await;
    let m = matrix(25.0, SHIFT);
    let of = |instance, study, patient_id, kind| {
        let of =
            RegistrationOf { instance, study, patient_id, made: ["20260102", "101010"], registered: CT_FRAME, kind };
        registration(&of, &[(MR_FRAME, m)])
    };
    clinic.send(&[of("1.2.826.40", "1.2.840.77.2", "P-0815", "RIGID")]).await;
    clinic.until("1.2.826.40.0", CaseState::Kept).await;
    clinic.send(&[of("1.2.826.41", STUDY, "P-0000", "RIGID")]).await;
    clinic.planned(PlanningState::Waiting, "what came names another patient").await;
    clinic.send(&[of("1.2.826.42", STUDY, "P-0815", "AFFINE")]).await;
    let refused = clinic.until("1.2.826.42.0", CaseState::Refused).await;
    assert!(refused.reason.unwrap().contains("its matrix scales and shears (AFFINE)"));

    // A CT with a tilted gantry is refused in sight, too: positions that run along z only.
    let frame = FrameOfReferenceUid::parse(CT_FRAME).unwrap();
    let (s, c) = 12f64.to_radians().sin_cos();
    let axes = [Vec3::new(1.0, 0.0, 0.0), Vec3::new(0.0, c, s), Vec3::new(0.0, -s, c)];
    let shape = Shape::new(20, 20, 12);
    let leaning = Grid::new(frame, shape, Lps::new(0.0, 0.0, 0.0), axes, [1.0, 1.0, 2.0]).unwrap();
    let volume = Volume::new(Arc::new(leaning), vec![40.0; shape.voxels()]).unwrap();
    let mut tilted = mr_series_called(&volume, "1.2.826.21", "Doe^Jane", "Head");
    as_ct(&mut tilted);
    clinic.send(&tilted).await;
    let refused = clinic.until("1.2.826.21", CaseState::Refused).await;
    assert!(refused.reason.unwrap().contains("lean by 12.0 degrees from axial ones"));
    clinic.sets(CT_FRAME, 0).await;
    clinic.running.daemon.stop().await;
}
