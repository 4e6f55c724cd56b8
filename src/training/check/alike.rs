//! Structures that only a card describes: nobody said where they lie, but the cases of a store say it of each other.

use super::{CaseCheck, CheckFlag, Suspicion};
use crate::anatomy::{Class, Structure};

/// What is compared of a structure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Seen {
    /// Distance of its middle from the plane between left and right, mm.
    pub lateral: f64,
    /// Distance of its middle from that of the brain, mm; none without a brain.
    pub apart: Option<f64>,
    /// Volume, cm3.
    pub cc: f64,
}

/// Fewer cases than this say nothing of each other.
const FEWEST: usize = 6;
/// So many deviations (1.4826 times the median distance from the median) from the median are unlike the others.
const FAR: f64 = 5.0;

/// Flags structures of described classes that lie elsewhere, or are of another size, than in the other cases of the store.
pub fn compare_cases(cases: &mut [CaseCheck]) {
    let mut described: Vec<Structure> = cases.iter().flat_map(|case| case.seen.keys().copied()).collect();
    described.sort();
    described.dedup();
    described.retain(|structure| matches!(structure.class(), Class::Described(_)));
    for structure in described {
        let mut look = |what: &'static str, floor: &dyn Fn(f64) -> f64, value: &dyn Fn(&Seen) -> Option<f64>| {
            let of = |case: &CaseCheck| case.seen.get(&structure).and_then(value);
            let values: Vec<f64> = cases.iter().filter_map(of).collect();
            let Some([least, most]) = usual(values, floor) else { return };
            for case in cases.iter_mut() {
                if let Some(value) = of(case).filter(|v| !(least..=most).contains(v)) {
                    let suspicion = Suspicion::Unlike { what, value, others: [least, most] };
                    case.flags.push(CheckFlag { what: structure.name().to_owned(), suspicion });
                }
            }
        };
        // Heads differ by millimetres and organs by half their volume, even where the cases of a store happen to agree.
        look("mm off the plane between left and right", &|_| 6.0, &|seen| Some(seen.lateral));
        look("mm from the middle of the brain", &|_| 10.0, &|seen| seen.apart);
        look("cm3", &|median| 0.6 * median, &|seen| Some(seen.cc));
    }
}

/// The range about the median that is like the others; none of too few values.
fn usual(mut values: Vec<f64>, floor: &dyn Fn(f64) -> f64) -> Option<[f64; 2]> {
    if values.len() < FEWEST {
        return None;
    }
    let middle = |values: &mut Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    let median = middle(&mut values);
    let mut off: Vec<f64> = values.iter().map(|v| (v - median).abs()).collect();
    let width = (FAR * 1.4826 * middle(&mut off)).max(floor(median));
    Some([median - width, median + width])
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::anatomy::{CardCode, Description, GenericRule, PlaneSource, describe};

    #[test]
    fn what_is_unlike_the_others_is_outside_their_range() {
        let values = vec![20.0, 21.0, 19.5, 20.5, 20.2, 60.0, 20.1];
        let [least, most] = usual(values.clone(), &|_| 6.0).unwrap();
        assert!(least < 19.5 && most > 21.0 && most < 60.0, "{least} {most}");
        // Ordinary variation of a wide class is not flagged.
        let wide = vec![10.0, 14.0, 18.0, 22.0, 26.0, 30.0, 34.0];
        let [least, most] = usual(wide, &|_| 6.0).unwrap();
        assert!(least < 10.0 && most > 34.0);
        assert_eq!(usual(values[..5].to_vec(), &|_| 6.0), None);
    }

    #[test]
    fn a_described_structure_is_held_against_the_other_cases() {
        let code = CardCode { value: "STONE".into(), scheme: "99CONTOURD".into(), meaning: "Stone".into() };
        let stone = Description {
            name: "stone".into(),
            sided: false,
            structures: vec!["Stone".into()],
            colours: vec![[9, 9, 9]],
            rules: GenericRule::None,
            enclosed_by: None,
            volume_cc: None,
            volume_source: None,
            code,
        };
        let stone = describe(&[stone]).unwrap()[0].structures().next().unwrap();
        let case = |n: usize, seen: Seen| CaseCheck {
            case: n.to_string(),
            patient: None,
            plane: PlaneSource::Brain,
            volumes_cc: BTreeMap::new(),
            // What is known has a usual place of its own and is left alone here.
            seen: BTreeMap::from([(stone, seen), (Structure::Brain, Seen { cc: 1.0 + n as f64 * 900.0, ..seen })]),
            flags: Vec::new(),
        };
        let ordinary = Seen { lateral: 20.0, apart: Some(50.0), cc: 0.2 };
        let mut cases: Vec<CaseCheck> = (0..8).map(|n| case(n, ordinary)).collect();
        cases[3].seen.insert(stone, Seen { lateral: 33.0, ..ordinary });
        cases[5].seen.insert(stone, Seen { cc: 0.9, apart: None, ..ordinary });
        compare_cases(&mut cases);
        let flags: Vec<Vec<String>> = cases
            .iter()
            .map(|c| c.flags.iter().map(|f| format!("{}: {}", f.what, f.suspicion.words())).collect())
            .collect();
        let off = "Stone: 33.00 mm off the plane between left and right (the other cases of the store: 14.00 to 26.00)";
        assert_eq!(flags[3], [off]);
        assert_eq!(flags[5], ["Stone: 0.90 cm3 (the other cases of the store: 0.08 to 0.32)"]);
        assert!(flags.iter().enumerate().all(|(n, f)| f.is_empty() || n == 3 || n == 5), "{flags:?}");
    }
}
