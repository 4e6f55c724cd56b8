//! Classes that a card describes, and models that know fewer than eight.

use std::collections::BTreeMap;

use super::*;
use crate::anatomy::{CardCode, Description, GenericRule, describe};
use crate::geometry::Extent;

/// A class that no other test describes otherwise: sided, within the brain.
fn knot() -> Description {
    Description {
        name: "knot".into(),
        sided: true,
        structures: vec!["Knot_L".into(), "Knot_R".into()],
        colours: vec![[5, 0, 5], [0, 5, 5]],
        rules: GenericRule::LargestComponent,
        enclosed_by: Some(Class::Brain),
        volume_cc: None,
        volume_source: None,
        code: CardCode { value: "KNOT".into(), scheme: "99TEST".into(), meaning: "Knot".into() },
    }
}

/// One on the midline of which nothing is known but its name.
fn string() -> Description {
    Description {
        name: "string".into(),
        sided: false,
        structures: vec!["String".into()],
        colours: vec![[5, 5, 0]],
        rules: GenericRule::None,
        enclosed_by: None,
        code: CardCode { value: "STRING".into(), ..knot().code },
        ..knot()
    }
}

/// The classes and structures of the two.
fn described() -> ([Class; 2], [Structure; 3]) {
    let classes = describe(&[knot(), string()]).unwrap();
    let structures: Vec<Structure> = classes.iter().flat_map(|class| class.structures()).collect();
    (classes.try_into().unwrap(), structures.try_into().unwrap())
}

fn balls(grid: &Arc<Grid>, balls: &[(Lps, f64)]) -> Part {
    let s = grid.shape();
    let whole = Extent { lo: [0; 3], hi: [s.cols - 1, s.rows - 1, s.slices - 1] };
    let mut part = Part::empty(grid, whole).unwrap();
    for k in 0..s.slices {
        for j in 0..s.rows {
            for i in 0..s.cols {
                let at = grid.centre(i, j, k);
                if balls.iter().any(|(centre, radius)| at.distance(*centre) <= *radius) {
                    part.insert([i, j, k]);
                }
            }
        }
    }
    part
}

/// The classes of a head that a model knows, and parts of its own.
fn parts(labels: &Volume<u8>, known: &[Class], own: &[(Class, Part)]) -> Parts {
    let eight = Part::of_labels(labels).unwrap().into_iter().filter(|(class, _)| known.contains(class));
    let all: BTreeMap<Class, Part> = eight.chain(own.iter().cloned()).collect();
    Parts::new(Arc::clone(labels.grid()), all).unwrap()
}

fn run_on(parts: &Parts, cfg: &RulesConfig) -> Consistent {
    let image = Volume::filled(Arc::clone(parts.grid()), 300.0);
    apply_to(&Case { parts, image: &image, fat_suppressed: false, acquired: None }, cfg).unwrap()
}

#[test]
fn a_described_class_is_split_enclosed_and_kept_in_one_piece() {
    let ([knot, string], [left, right, midline]) = described();
    let head = turned();
    let labels = labels(&head);
    let grid = labels.grid();
    // On the left one with a speck beside it; on the right one that reaches out of the brain, below.
    let stem = head.place([0.0, 10.0, -20.0]);
    let knots = balls(
        grid,
        &[
            (head.place([30.0, 0.0, 20.0]), 8.0),
            (head.place([50.0, 20.0, 10.0]), 4.0),
            (head.place([-62.0, 5.0, 15.0]), 14.0),
        ],
    );
    let strings = balls(grid, &[(stem, 6.0), (head.place([20.0, 60.0, 10.0]), 4.0)]);
    let own = [(knot, knots.clone()), (string, strings.clone())];
    let all = parts(&labels, &Class::ALL, &own);
    let result = run_on(&all, &RulesConfig::default());
    let eight = run(&labels, &RulesConfig::default());
    for structure in Structure::ALL {
        assert_eq!(
            result.structures[&structure].mask.data(),
            eight.structures[&structure].mask.data(),
            "the eight are as without it"
        );
    }
    assert_eq!(result.structures.len(), Structure::ALL.len() + 3);
    let brain = &result.structures[&Structure::Brain].mask;
    for (own, side) in [(left, Side::Left), (right, Side::Right)] {
        let mask = &result.structures[&own].mask;
        assert!(mask.count() > 200 && mask.data().iter().zip(brain.data()).all(|(own, brain)| !own || *brain));
        assert!(mask.inside().all(|[i, j, k]| result.plane.side(grid.centre(i, j, k)) == side));
        assert_eq!(result.structures[&own].flags, [], "{}", own.name());
    }
    assert!(
        inside(&result, left, head.place([30.0, 0.0, 20.0])) && !inside(&result, left, head.place([50.0, 20.0, 10.0]))
    );
    assert!(effect(&result, left, Rule::LargestComponent).unwrap().1 > 20, "the speck");
    assert!(effect(&result, right, Rule::Enclosed).unwrap().1 > 50, "what lay outside the brain");
    // Of the other one all is kept, as nothing was asked for.
    assert_eq!(result.structures[&midline].mask.count(), strings.mask().count());
    assert_eq!(result.structures[&midline].flags, [Flag::SeveralParts { parts: 2 }]);

    let bare = run_on(&all, &RulesConfig { described: false, ..RulesConfig::default() });
    let kept = [left, right].map(|s| bare.structures[&s].mask.count());
    assert_eq!(kept.iter().sum::<usize>(), knots.mask().count(), "told apart, and nothing else");
}

#[test]
fn a_described_class_near_the_plane_or_without_its_enclosure_is_flagged() {
    let ([knot, _], [left, right, _]) = described();
    let head = turned();
    let labels = labels(&head);
    let near = balls(labels.grid(), &[(head.place([3.0, 10.0, 30.0]), 2.5)]);
    let result = run_on(&parts(&labels, &Class::ALL, &[(knot, near.clone())]), &RulesConfig::default());
    let flags = &result.structures[&left].flags;
    assert!(
        matches!(flags[..], [Flag::SideUncertain { distance_mm }] if (1.0..5.0).contains(&distance_mm)),
        "{flags:?}"
    );
    assert!(matches!(result.structures[&right].flags[..], [Flag::NotFound { predicted: 0 }]));

    // A head whose brain was not found: nothing is taken away for it, and both that and the side are flagged.
    let empty = labels.map(|v| v & !Class::Brain.bit());
    let result = run_on(&parts(&empty, &Class::ALL, &[(knot, near.clone())]), &RulesConfig::default());
    assert_eq!(result.structures[&left].mask.count(), near.mask().count());
    let flags = &result.structures[&left].flags;
    assert!(flags.contains(&Flag::EnclosureMissing { by: "brain".into() }), "{flags:?}");
    assert!(flags.contains(&Flag::SidesWithoutBrain), "{flags:?}");
    assert!(flags.iter().any(|f| f.to_string() == "no brain was found: what lies outside it was not removed"));
}

/// What a model does not look for is in no result, and the rules that need it say so.
#[test]
fn a_model_of_fewer_classes_has_fewer_structures() {
    let head = turned();
    let labels = labels(&head);
    let of = |known: &[Class]| run_on(&parts(&labels, known, &[]), &RulesConfig::default()).structures;
    let whole = run(&labels, &RulesConfig::default()).structures;
    let without = |gone: Class| {
        let known: Vec<Class> = Class::ALL.into_iter().filter(|class| *class != gone).collect();
        let found = of(&known);
        let names = whole.keys().filter(|s| s.class() != gone);
        assert!(found.keys().eq(names), "{gone:?}: {:?}", found.keys());
        found
    };
    for class in Class::ALL {
        without(class);
    }
    let untraced = |f: &Flag| matches!(f, Flag::NerveNotTraced { why: NotTraced::NoChiasm { .. } });
    assert!(without(Class::Chiasm)[&Structure::OpticNrv_L].flags.iter().any(untraced));
    let untraced = |f: &Flag| matches!(f, Flag::NerveNotTraced { why: NotTraced::NoEye { .. } });
    assert!(without(Class::Eye)[&Structure::OpticNrv_L].flags.iter().any(untraced));
    let brainless = without(Class::Brain);
    assert!(brainless[&Structure::Hippocampus_L].flags.contains(&Flag::BrainMissing));
    assert!(brainless[&Structure::Eye_L].flags.contains(&Flag::SidesWithoutBrain));
    let alone = of(&[Class::Pituitary]);
    assert_eq!(alone.keys().collect::<Vec<_>>(), [&Structure::Pituitary]);
    assert_eq!(alone[&Structure::Pituitary].mask.data(), whole[&Structure::Pituitary].mask.data());
    assert!(of(&[]).is_empty());
}
