use std::sync::Arc;

use time::macros::datetime;

use super::*;
use crate::contour::contours_of;
use crate::dicom::data::{
    MrAcquisition, MrSeriesAttributes, PatientStudy, assemble, drawn_planes, parse_instances, read_rtstruct,
    write_mr_series,
};
use crate::evaluation::dice;
use crate::geometry::{Shape, Vec3, Volume};
use crate::ids::{FrameOfReferenceUid, Phi, SeriesUid, StudyUid};

fn frame(n: u32) -> FrameOfReferenceUid {
    FrameOfReferenceUid::parse(&format!("1.2.826.5.{n}")).unwrap()
}

/// Rows of the matrix that turns by 27 degrees about (1, 2, 3) (Rodrigues) and then shifts.
fn matrix() -> [f64; 16] {
    let (s, c) = 27f64.to_radians().sin_cos();
    let [x, y, z] = [1.0, 2.0, 3.0].map(|v: f64| v / 14f64.sqrt());
    let t = 1.0 - c;
    [
        t * x * x + c,
        t * x * y - s * z,
        t * x * z + s * y,
        12.5,
        t * x * y + s * z,
        t * y * y + c,
        t * y * z - s * x,
        -7.25,
        t * x * z - s * y,
        t * y * z + s * x,
        t * z * z + c,
        31.0,
        0.0,
        0.0,
        0.0,
        1.0,
    ]
}

/// The matrix by hand, and its inverse by hand: the transpose of what turns.
fn forth(p: Lps) -> Lps {
    let m = matrix();
    let row = |n: usize| m[n] * p.x + m[n + 1] * p.y + m[n + 2] * p.z + m[n + 3];
    Lps::new(row(0), row(4), row(8))
}

fn back(p: Lps) -> Lps {
    let m = matrix();
    let q = [p.x - m[3], p.y - m[7], p.z - m[11]];
    let column = |n: usize| m[n] * q[0] + m[n + 4] * q[1] + m[n + 8] * q[2];
    Lps::new(column(0), column(1), column(2))
}

fn way() -> Rigid {
    Rigid::new(frame(1), frame(2), &[matrix()]).unwrap()
}

fn series(grid: Grid, uid: &str, value: impl Fn(Lps) -> f32) -> Series {
    series_of(grid, uid, value).0
}

fn series_of(grid: Grid, uid: &str, value: impl Fn(Lps) -> f32) -> (Series, Vec<Vec<u8>>) {
    let phi = |text: &str| Phi::new(text.to_owned());
    let shape = grid.shape();
    let places =
        (0..shape.slices).flat_map(|k| (0..shape.rows).flat_map(move |j| (0..shape.cols).map(move |i| [i, j, k])));
    let values = places.map(|[i, j, k]| value(grid.centre(i, j, k))).collect();
    let volume = Volume::new(Arc::new(grid), values).unwrap();
    let attributes = MrSeriesAttributes {
        patient: PatientStudy {
            study: StudyUid::parse("1.2.826.5").unwrap(),
            patient_name: phi("Doe^Jane"),
            patient_id: phi("1"),
            issuer_of_patient_id: phi(""),
            birth_date: phi(""),
            sex: "O".into(),
            age: phi(""),
            size: phi(""),
            weight: phi(""),
            study_date: "20250102".into(),
            study_time: "101112".into(),
            study_id: phi("1"),
            accession_number: phi(""),
            referring_physician: phi(""),
            study_description: String::new(),
        },
        series: SeriesUid::parse(uid).unwrap(),
        series_number: 3,
        series_description: String::new(),
        image_type: ["ORIGINAL", "PRIMARY", "OTHER"].map(str::to_owned).to_vec(),
        manufacturer: "Test".into(),
        model_name: "Scanner".into(),
        software_versions: vec!["1".into()],
        acquisition: MrAcquisition::default(),
        lossy: false,
        position_reference_indicator: String::new(),
        created: datetime!(2025-03-04 05:06:07),
        derivation: None,
        sources: Vec::new(),
    };
    let files: Vec<Vec<u8>> = write_mr_series(&volume, &attributes).unwrap().into_iter().map(|o| o.bytes).collect();
    (assemble(parse_instances(&files).unwrap()).unwrap(), files)
}

/// Middles and half axes, mm, in the MR's frame: nothing is symmetric, and the left is not like the right.
const ORGANS: [(Structure, [f64; 3], [f64; 3]); 5] = [
    (Structure::Brain, [3.0, 4.0, 5.0], [28.0, 24.0, 19.0]),
    (Structure::Eye_L, [25.0, -30.0, 2.0], [9.0, 8.0, 7.0]),
    (Structure::Eye_R, [-22.0, -28.0, -4.0], [6.0, 7.0, 8.0]),
    (Structure::Hippocampus_L, [17.0, 8.0, -6.0], [4.0, 11.0, 5.0]),
    (Structure::OpticChiasm, [1.0, -12.0, -7.0], [6.0, 4.0, 3.0]),
];

/// The MR: near axial, anisotropic; its planes and the structure set that was delivered on it.
fn drawn() -> (SlicePlanes, StructureSet) {
    let (s, c) = 8f64.to_radians().sin_cos();
    let axes = [Vec3::new(1.0, 0.0, 0.0), Vec3::new(0.0, c, s), Vec3::new(0.0, -s, c)];
    let grid =
        Grid::new(frame(1), Shape::new(90, 96, 44), Lps::new(-42.0, -47.0, -26.0), axes, [0.9, 1.0, 1.5]).unwrap();
    let (mr, files) = series_of(grid, "1.2.826.5.10", |p| (p.x + 2.0 * p.y + 3.0 * p.z + 500.0) as f32);
    let rois: Vec<RoiContours> = ORGANS
        .iter()
        .map(|(structure, middle, radii)| {
            let mask = organ(mr.volume.grid(), *middle, *radii);
            let contours = contours_of(&mask, &ContourConfig::default()).unwrap();
            RoiContours {
                roi: (*structure).into(),
                contours,
                volume_cc: mask.cc(),
                description: "amber: odd; networks agree on 90 % of its voxels".into(),
            }
        })
        .collect();
    let meta = StructureSetMeta {
        label: "AI RESEARCH".into(),
        research: true,
        model_name: "demo".into(),
        model_digest: "d".into(),
        config_digest: "c".into(),
        revision: 1,
        predecessor: None,
        carried: None,
        created: datetime!(2025-03-04 05:06:07),
    };
    let file = write_rtstruct(&mr, &rois, &meta, &Profile::generic()).unwrap();
    (drawn_planes(&files).unwrap(), read_rtstruct(&file.bytes).unwrap())
}

fn organ(grid: &Arc<Grid>, middle: [f64; 3], radii: [f64; 3]) -> Mask {
    let mut mask = Mask::empty(Arc::clone(grid));
    for n in 0..mask.data().len() {
        let [i, j, k] = mask.voxel(n);
        let p = grid.centre(i, j, k).to_array();
        mask.data_mut()[n] = (0..3).map(|a| ((p[a] - middle[a]) / radii[a]).powi(2)).sum::<f64>() < 1.0;
    }
    mask
}

/// The CT: its own spacing and place; `rows` of it, `value` in Hounsfield units.
fn ct(rows: usize, value: impl Fn(Lps) -> f32) -> Series {
    let shape = Shape::new(170, rows, 66);
    let grid = Grid::axis_aligned(frame(2), shape, Lps::new(-48.0, -75.0, -15.0), [0.7, 0.8, 1.4]).unwrap();
    series(grid, "1.2.826.5.20", value)
}

fn tissue(_: Lps) -> f32 {
    40.0
}

fn carry(set: &StructureSet, drawn_on: &SlicePlanes, ct: &Series, way: &Rigid) -> Result<CarriedSet, SegmentError> {
    let registration = InstanceUid::parse("1.2.826.5.99").unwrap();
    let order = CarryOrder {
        model_name: "demo".into(),
        model_digest: "d".into(),
        config_digest: "c".into(),
        revision: 1,
        predecessor: Some(InstanceUid::parse("1.2.826.5.98").unwrap()),
        created: datetime!(2025-03-06 05:06:07),
    };
    let carriage = Carriage {
        set,
        drawn_on,
        ct,
        way,
        registration: Some(&registration),
        profile: &Profile::generic(),
        contours: &ContourConfig::default(),
        order: &order,
    };
    carriage.carry()
}

/// Middle of a mask, mm.
fn centroid(mask: &Mask) -> Lps {
    let inside = (0..mask.data().len()).filter(|n| mask.data()[*n]);
    let (mut sum, mut count) = ([0.0; 3], 0.0);
    for n in inside {
        let [i, j, k] = mask.voxel(n);
        let p = mask.grid().centre(i, j, k).to_array();
        (0..3).for_each(|a| sum[a] += p[a]);
        count += 1.0;
    }
    Lps::new(sum[0] / count, sum[1] / count, sum[2] / count)
}

#[test]
fn structures_lie_on_the_ct_where_the_matrix_takes_them_with_their_sides_and_volumes() {
    let (planes, set) = drawn();
    let ct = ct(150, tissue);
    let carried = carry(&set, &planes, &ct, &way()).unwrap();
    let read = read_rtstruct(&carried.object.bytes).unwrap();
    assert_eq!(read.rois.len(), ORGANS.len());
    let grid = ct.volume.grid();
    for (structure, middle, radii) in ORGANS {
        let name = structure.name();
        let on_mr = rasterise(&set.roi(name).unwrap().placed_on(&planes).unwrap(), &planes.grid);
        let on_ct = rasterise(&read.roi(name).unwrap().plane_contours(&ct).unwrap(), grid);
        // By brute force: the nearest voxel of the MR to every pixel of the CT, taken back by hand.
        let shape = planes.grid.shape();
        let mut expected = Mask::empty(Arc::clone(grid));
        for n in 0..expected.data().len() {
            let [i, j, k] = expected.voxel(n);
            let at = planes.grid.to_index(back(grid.centre(i, j, k)));
            let [i, j, k] = [at.i, at.j, at.k].map(|v| v.round());
            let sides = [shape.cols as f64, shape.rows as f64, shape.slices as f64];
            let within = [i, j, k].iter().zip(sides).all(|(v, n)| *v >= 0.0 && *v < n);
            expected.data_mut()[n] = within && on_mr.data()[on_mr.offset(i as usize, j as usize, k as usize)];
        }
        let likeness = dice(&on_ct, &expected).unwrap().unwrap();
        // Of blocks of voxels a small organ is a rough picture: it is more like what they were made of.
        assert!(likeness > if on_mr.cc() > 1.0 { 0.94 } else { 0.85 }, "{name}: {likeness}");
        let mut truth = Mask::empty(Arc::clone(grid));
        for n in 0..truth.data().len() {
            let [i, j, k] = truth.voxel(n);
            let p = back(grid.centre(i, j, k)).to_array();
            truth.data_mut()[n] = (0..3).map(|a| ((p[a] - middle[a]) / radii[a]).powi(2)).sum::<f64>() < 1.0;
        }
        let likeness = dice(&on_ct, &truth).unwrap().unwrap();
        assert!(likeness > if on_mr.cc() > 1.0 { 0.95 } else { 0.9 }, "{name}: {likeness} with the truth");
        let volume = on_ct.cc() / on_mr.cc() - 1.0;
        assert!(volume.abs() < if on_mr.cc() > 1.0 { 0.02 } else { 0.04 }, "{name}: {} {}", on_ct.cc(), on_mr.cc());
        let off = centroid(&on_ct).distance(forth(centroid(&on_mr)));
        assert!(off < 0.5, "{name}: {off}");
        // Its own side, and no other: the middle of the organ as it was drawn.
        let [x, y, z] = middle;
        assert!(centroid(&on_ct).distance(forth(Lps::new(x, y, z))) < 0.5, "{name}");
        let told = carried.rois.iter().find(|roi| roi.name == name).unwrap();
        assert_eq!((told.covered, told.remarks.as_slice()), (1.0, &[][..]));
        assert!((told.ct_cc - on_ct.cc()).abs() < 1e-9 && (told.drawn_cc - on_mr.cc()).abs() < 1e-9);
    }
}

#[test]
fn the_set_says_through_what_it_came_and_refers_to_the_ct() {
    let (planes, set) = drawn();
    let ct = ct(150, tissue);
    let file = carry(&set, &planes, &ct, &way()).unwrap().object;
    let read = read_rtstruct(&file.bytes).unwrap();
    assert_eq!((read.approval.as_str(), read.label.as_str()), ("UNAPPROVED", "AI RESEARCH"));
    assert_eq!(read.name, "Research use only, not reviewed: demo");
    assert_eq!(read.header.series_description, "Research use only, not reviewed (MR contours on CT)");
    assert_eq!((read.referenced_frame.as_ref(), read.header.frame.as_ref()), (Some(&frame(2)), Some(&frame(2))));
    assert_eq!(read.referenced_series.as_ref(), Some(&ct.attributes.series));
    assert_eq!(read.referenced_images.len(), ct.slices.len());
    assert_eq!(read.predecessor.as_ref().map(InstanceUid::as_str), Some("1.2.826.5.98"));
    let eye = read.roi("Eye_L").unwrap();
    assert_eq!(eye.description, "Research use only, not reviewed. amber: odd; networks agree on 90 % of its voxels");
    assert_eq!(eye.code, set.roi("Eye_L").unwrap().code);
    assert_eq!(eye.laterality, set.roi("Eye_L").unwrap().laterality);
    let said = String::from_utf8_lossy(&file.bytes).into_owned();
    let words = format!(
        "Research use only, not reviewed. Drawn on MR series 1.2.826.5.10 (structure set {}), carried to this CT through \
         the rigid registration 1.2.826.5.99",
        set.header.instance
    );
    assert!(said.contains(&words) && said.contains("MR, registration 1.2.826.5.99"));
    assert_eq!(carry(&set, &planes, &ct, &way()).unwrap().object, file, "the same again is the same bytes");
}

#[test]
fn what_the_ct_does_not_cover_is_cut_and_said_or_left_out_and_said() {
    let (planes, set) = drawn();
    // The end of the CT goes through the brain and takes most of what lies behind.
    let carried = carry(&set, &planes, &ct(98, tissue), &way()).unwrap();
    let of = |name: &str| carried.rois.iter().find(|roi| roi.name == name).unwrap().clone();
    let brain = of("Brain");
    assert!((0.5..0.95).contains(&brain.covered), "{}", brain.covered);
    assert!(brain.remarks[0].starts_with("cut by the end of the CT, which covers "), "{:?}", brain.remarks);
    let expected = brain.drawn_cc * brain.covered;
    assert!((brain.ct_cc / expected - 1.0).abs() < 0.03, "{} {expected}", brain.ct_cc);
    let read = read_rtstruct(&carried.object.bytes).unwrap();
    assert!(
        read.roi("Brain")
            .unwrap()
            .description
            .starts_with("Research use only, not reviewed. amber: odd; cut by the end")
    );

    let carried = carry(&set, &planes, &ct(75, tissue), &way()).unwrap();
    let gone = carried.rois.iter().find(|roi| roi.name == "Brain").unwrap();
    assert!(gone.covered < 0.5 && gone.ct_cc == 0.0, "{}", gone.covered);
    assert!(gone.remarks[0].starts_with("left out, because the CT covers "), "{:?}", gone.remarks);
    assert!(read_rtstruct(&carried.object.bytes).unwrap().roi("Brain").is_none());
    let said = String::from_utf8_lossy(&carried.object.bytes).into_owned();
    assert!(said.contains("Brain: left out, because the CT covers "));

    let SegmentError::Refused(why) = carry(&set, &planes, &ct(12, tissue), &way()).unwrap_err() else { panic!() };
    assert!(why.to_string().contains("the CT covers none of the structures"), "{why}");
}

#[test]
fn a_way_that_leads_into_the_air_is_refused() {
    let (planes, set) = drawn();
    // The head lies elsewhere on this CT.
    let beside = ct(150, |p| if p.x > 40.0 { 40.0 } else { -1000.0 });
    let SegmentError::Refused(why) = carry(&set, &planes, &beside, &way()).unwrap_err() else { panic!() };
    assert!(
        why.has(RefusalCode::Registration) && why.to_string().contains(" of the structures would lie in air"),
        "{why}"
    );
}

#[test]
fn a_way_between_other_frames_or_backwards_is_never_taken() {
    let (planes, set) = drawn();
    let ct = ct(150, tissue);
    let elsewhere = Rigid::new(frame(1), frame(3), &[matrix()]).unwrap();
    for way in [way().inverse(), elsewhere] {
        let error = carry(&set, &planes, &ct, &way).unwrap_err();
        assert!(matches!(&error, SegmentError::Bug(why) if why.contains("frames of reference")), "{error}");
    }
}

#[test]
fn a_contour_that_departs_from_the_mr_is_seen() {
    let (planes, set) = drawn();
    let ct = ct(150, tissue);
    let (profile, contours) = (Profile::generic(), ContourConfig::default());
    let order = CarryOrder {
        model_name: String::new(),
        model_digest: String::new(),
        config_digest: String::new(),
        revision: 1,
        predecessor: None,
        created: datetime!(2025-03-06 05:06:07),
    };
    let way = way();
    let carriage = Carriage {
        set: &set,
        drawn_on: &planes,
        ct: &ct,
        way: &way,
        registration: None,
        profile: &profile,
        contours: &contours,
        order: &order,
    };
    let roi = set.roi("Eye_L").unwrap();
    let mask = rasterise(&roi.placed_on(&planes).unwrap(), &planes.grid);
    let seen = ct.volume.grid().moved(&way.inverse()).unwrap();
    let mut outlines = outline_on(&Field::new(&mask, None).unwrap(), &seen, &contours).unwrap();
    carriage.check_place(roi, &mask, &outlines).unwrap();
    // Two pixels to the left.
    outlines.contours.iter_mut().flat_map(|c| &mut c.points).for_each(|p| p[0] += 2.0);
    let error = carriage.check_place(roi, &mask, &outlines).unwrap_err();
    assert!(error.to_string().contains("Eye_L on the CT departs from Eye_L on the MR"), "{error}");
}
