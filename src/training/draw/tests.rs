//! What regions become.

use super::*;
use crate::geometry::Shape;
use crate::ids::FrameOfReferenceUid;

fn grid(shape: [usize; 3], spacing: [f64; 3]) -> Arc<Grid> {
    let frame = FrameOfReferenceUid::parse("1.2.3").unwrap();
    let origin = Lps::new(-30.0, -20.0, -15.0);
    Arc::new(Grid::axis_aligned(frame, Shape::new(shape[0], shape[1], shape[2]), origin, spacing).unwrap())
}

/// A ball around a patient point.
fn ball(grid: &Arc<Grid>, centre: [f64; 3], radius: f64) -> Mask {
    let [x, y, z] = centre;
    let mut mask = Mask::empty(Arc::clone(grid));
    for offset in 0..mask.data().len() {
        let [i, j, k] = mask.voxel(offset);
        let inside = grid.centre(i, j, k).distance(Lps::new(x, y, z)) < radius;
        mask.data_mut()[offset] = inside;
    }
    mask
}

fn region(class: Class, declared: Declared, name: &str) -> Region {
    Region { class, declared, name: name.into() }
}

const LEFT: [f64; 3] = [20.0, -5.0, 0.0];
const RIGHT: [f64; 3] = [-17.0, -4.0, 1.0];

#[test]
fn two_sides_make_a_known_class_with_a_box_each() {
    let (drawn, working) = (grid([61, 41, 31], [1.0; 3]), grid([75, 52, 33], [0.8, 0.8, 0.95]));
    let regions = [
        region(Class::Eye, Declared::Right, "Auge re"),
        region(Class::Eye, Declared::Left, "Auge li"),
        region(Class::Pituitary, Declared::Midline, "Hypophyse"),
    ];
    let masks = [ball(&drawn, RIGHT, 7.0), ball(&drawn, LEFT, 8.0), ball(&drawn, [1.0, 2.0, 3.0], 4.0)];
    let out = labelled(&regions, &Class::ALL, &working, OneSided::Unknown, |n| Ok(masks[n].clone()));
    assert_eq!(out.known, [Class::Eye, Class::Pituitary]);
    assert!(out.unknown.is_empty() && out.notes.is_empty(), "{:?} {:?}", out.unknown, out.notes);
    let (left, right) = (out.extents[&Structure::Eye_L], out.extents[&Structure::Eye_R]);
    assert!(left.lo[0] > right.hi[0], "left is +x");
    // Volumes survive the change of grid; of a ball of 4 mm only 400 centres of voxels say how much is left.
    let eyes = (Class::Eye, masks[0].cc() + masks[1].cc(), 0.01);
    for (class, wanted, most) in [eyes, (Class::Pituitary, masks[2].cc(), 0.06)] {
        let bit = u32::from(class.bit());
        let cc = out.labels.data().iter().filter(|w| **w & bit != 0).count() as f64 * working.voxel_cc();
        assert!((cc / wanted - 1.0).abs() < most, "{}: {cc} {wanted}", class.name());
    }
    // On the grid that it was drawn on, a region is what it was.
    let same = labelled(&regions[2..], &Class::ALL, &drawn, OneSided::Unknown, |_| Ok(masks[2].clone()));
    let bit = u32::from(Class::Pituitary.bit());
    assert!(same.labels.data().iter().zip(masks[2].data()).all(|(w, m)| (*w & bit != 0) == *m));
}

#[test]
fn one_side_alone_is_taught_only_when_the_other_is_said_to_be_absent() {
    let drawn = grid([61, 41, 31], [1.0; 3]);
    let regions = [region(Class::Lens, Declared::Left, "Lens_L")];
    let mask = ball(&drawn, LEFT, 5.0);
    let unknown = labelled(&regions, &Class::ALL, &drawn, OneSided::Unknown, |_| Ok(mask.clone()));
    assert!(unknown.known.is_empty() && unknown.extents.is_empty());
    assert!(unknown.unknown[&Class::Lens].contains("only the left one"), "{:?}", unknown.unknown);
    assert!(unknown.labels.data().iter().all(|w| *w == 0));
    let known = labelled(&regions, &Class::ALL, &drawn, OneSided::Known, |_| Ok(mask.clone()));
    assert_eq!((known.known.as_slice(), known.notes.len()), ([Class::Lens].as_slice(), 1));
    assert_eq!(known.extents.keys().collect::<Vec<_>>(), [&Structure::Lens_L]);
}

#[test]
fn a_region_of_both_sides_is_split_where_it_lies() {
    let drawn = grid([61, 41, 31], [1.0; 3]);
    let mut both = ball(&drawn, LEFT, 5.0);
    both.join(&ball(&drawn, RIGHT, 6.0)).unwrap();
    for declared in [Declared::Both, Declared::Unsaid] {
        let out = labelled(&[region(Class::Eye, declared, "Yeux")], &Class::ALL, &drawn, OneSided::Unknown, |_| {
            Ok(both.clone())
        });
        assert_eq!(out.extents.len(), 2);
        assert!(out.extents[&Structure::Eye_L].lo[0] > out.extents[&Structure::Eye_R].hi[0]);
    }
    let one = ball(&drawn, RIGHT, 6.0);
    let alone = [region(Class::Eye, Declared::Unsaid, "Auge")];
    let out = labelled(&alone, &Class::ALL, &drawn, OneSided::Known, |_| Ok(one.clone()));
    assert_eq!(out.extents.keys().collect::<Vec<_>>(), [&Structure::Eye_R]);
    assert!(labelled(&alone, &Class::ALL, &drawn, OneSided::Unknown, |_| Ok(one.clone())).known.is_empty());
}

/// A nerve in two pieces is one nerve: the other one is not there, and is not to be taught as background.
#[test]
fn what_lies_on_one_side_is_one_organ_in_however_many_pieces() {
    let drawn = grid([61, 41, 31], [1.0; 3]);
    let mut pieces = ball(&drawn, LEFT, 3.0);
    pieces.join(&ball(&drawn, [LEFT[0], LEFT[1], LEFT[2] + 9.0], 3.0)).unwrap();
    assert_eq!(components(&pieces, Connectivity::Corners).list.len(), 2);
    for declared in [Declared::Both, Declared::Unsaid] {
        let nerve = [region(Class::OpticNerve, declared, "Sehnerv")];
        let out = labelled(&nerve, &Class::ALL, &drawn, OneSided::Unknown, |_| Ok(pieces.clone()));
        assert!(out.known.is_empty(), "{declared:?}: {:?}", out.extents);
        let out = labelled(&nerve, &Class::ALL, &drawn, OneSided::Known, |_| Ok(pieces.clone()));
        assert_eq!(out.extents.keys().collect::<Vec<_>>(), [&Structure::OpticNrv_L], "{declared:?}");
    }
}

#[test]
fn what_is_ambiguous_empty_or_swapped_is_said() {
    let drawn = grid([61, 41, 31], [1.0; 3]);
    let (left, right) = (ball(&drawn, LEFT, 5.0), ball(&drawn, RIGHT, 5.0));
    let eye = |declared, name| region(Class::Eye, declared, name);
    let twice = [eye(Declared::Left, "Eye_L"), eye(Declared::Left, "Oeil G"), eye(Declared::Right, "Eye_R")];
    let out = labelled(&twice, &Class::ALL, &drawn, OneSided::Known, |_| Ok(left.clone()));
    assert!(out.known.is_empty() && out.unknown[&Class::Eye].contains("\"Oeil G\""));
    let pair = [eye(Declared::Left, "Eye_L"), eye(Declared::Right, "Eye_R")];
    let swapped = labelled(&pair, &Class::ALL, &drawn, OneSided::Unknown, |n| Ok([&right, &left][n].clone()));
    assert!(swapped.known == [Class::Eye] && swapped.notes[0].contains("further to the patient's right"));
    let empty = Mask::empty(Arc::clone(&drawn));
    let out = labelled(&pair, &Class::ALL, &drawn, OneSided::Known, |n| Ok([&left, &empty][n].clone()));
    assert!(out.unknown[&Class::Eye].contains("encloses nothing"));
    let out = labelled(&pair, &Class::ALL, &drawn, OneSided::Known, |_| Err("open lines".into()));
    assert_eq!(out.unknown[&Class::Eye], "open lines");
}
