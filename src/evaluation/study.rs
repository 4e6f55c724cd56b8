//! Many cases, their rows, and what they say together.

use serde::{Deserialize, Serialize};

use super::pairing::{Pair, Pairing, Unmatched};
use super::{Measures, Metric, Pool, measure};
use crate::anatomy::Structure;
use crate::geometry::{GeometryError, Mask};

/// One structure, or one row of the thesis, in one case.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CaseRow {
    /// Name of the structure, or of the thesis's row.
    pub structure: String,
    /// Whether it is a row of the thesis: the union of its parts.
    pub pooled: bool,
    /// What was united: the parts that the reference of this case has.
    pub parts: Vec<String>,
    /// All that was measured.
    #[serde(flatten)]
    pub measures: Measures,
}

/// One case.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Case {
    /// Its name in tables.
    pub case: String,
    /// Structures first, then the rows of the thesis.
    pub rows: Vec<CaseRow>,
    /// What was not measured, since it stands in one set only.
    pub unmatched: Unmatched,
    /// What else a reader has to know.
    pub notes: Vec<String>,
}

/// Which of the two sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Set {
    /// What is held to be true.
    Reference,
    /// What is measured.
    Test,
}

/// Measures every pair of a case, and the thesis's rows of those that the reference has. `draw` gives the mask of a
/// structure by its position in a set, all of them on the grid of `nothing`, which is empty.
///
/// # Errors
/// [`GeometryError::GridMismatch`].
pub fn measure_case(
    pairing: &Pairing,
    nothing: &Mask,
    tolerances_mm: &[f64],
    draw: impl Fn(Set, usize) -> Mask,
) -> Result<Vec<CaseRow>, GeometryError> {
    let masks = |pair: &Pair| {
        let found = pair.found.map_or_else(|| nothing.clone(), |at| draw(Set::Test, at));
        [found, draw(Set::Reference, pair.reference)]
    };
    let row = |structure: &str,
               pooled,
               parts: Vec<String>,
               [found, reference]: &[Mask; 2]|
     -> Result<CaseRow, GeometryError> {
        let measures = measure(found, reference, tolerances_mm)?;
        Ok(CaseRow { structure: structure.to_owned(), pooled, parts, measures })
    };
    let (mut rows, mut pooled) = (Vec::new(), Vec::new());
    let is_part = |pool: Pool, pair: &Pair| pool.parts().iter().any(|part| part.name() == pair.name);
    for pool in Pool::ALL {
        let mut union: Option<[Mask; 2]> = None;
        let mut parts = Vec::new();
        for pair in pairing.pairs.iter().filter(|pair| is_part(pool, pair)) {
            let drawn = masks(pair);
            rows.push(row(&pair.name, false, vec![pair.name.clone()], &drawn)?);
            parts.push(pair.name.clone());
            match &mut union {
                None => union = Some(drawn),
                Some(union) => union.iter_mut().zip(&drawn).try_for_each(|(whole, part)| whole.join(part))?,
            }
        }
        match (union, rows.last()) {
            // One part alone has been measured.
            (Some(_), Some(last)) if parts.len() == 1 => {
                let measures = last.measures.clone();
                pooled.push(CaseRow { structure: pool.name().to_owned(), pooled: true, parts, measures });
            }
            (Some(union), _) => pooled.push(row(pool.name(), true, parts, &union)?),
            (None, _) => {}
        }
    }
    for pair in pairing.pairs.iter().filter(|pair| !Pool::ALL.iter().any(|pool| is_part(*pool, pair))) {
        rows.push(row(&pair.name, false, vec![pair.name.clone()], &masks(pair))?);
    }
    rows.append(&mut pooled);
    Ok(rows)
}

/// One measure of one structure over all cases.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// As [`CaseRow::structure`].
    pub structure: String,
    /// As [`CaseRow::pooled`].
    pub pooled: bool,
    /// Which measure: [`Metric::key`].
    pub measure: String,
    /// Cases that count: one of the two structures at least is not empty.
    pub cases: usize,
    /// Those of them in which the measure is undefined.
    pub undefined: usize,
    /// Of the defined values; `None` when there are none.
    pub spread: Option<Spread>,
    /// The thesis's mean of its final result.
    pub thesis: Option<f64>,
    /// The thesis's mean of one raw network.
    pub thesis_axial: Option<f64>,
}

/// Where some values lie. Quartiles between two values are interpolated linearly.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spread {
    /// Arithmetic mean.
    pub mean: f64,
    /// Standard deviation of a sample (n - 1); 0 for a single value.
    pub sd: f64,
    /// Smallest.
    pub min: f64,
    /// A quarter of the values lies below.
    pub quartile1: f64,
    /// Half.
    pub median: f64,
    /// Three quarters.
    pub quartile3: f64,
    /// Largest.
    pub max: f64,
    /// 95 % interval of the mean, by Student's distribution; `None` for fewer than two values.
    pub interval: Option<[f64; 2]>,
}

impl Spread {
    /// `None` for no values.
    pub fn of(values: &[f64]) -> Option<Self> {
        let mut sorted = values.to_vec();
        sorted.sort_unstable_by(f64::total_cmp);
        let (min, max) = (*sorted.first()?, *sorted.last()?);
        let n = sorted.len() as f64;
        let mean = sorted.iter().sum::<f64>() / n;
        let squares: f64 = sorted.iter().map(|v| (v - mean).powi(2)).sum();
        let at = |q: f64| {
            let place = q * (n - 1.0);
            let (low, high) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
            low + (high - low) * place.fract()
        };
        let sd = if n > 1.0 { (squares / (n - 1.0)).sqrt() } else { 0.0 };
        let half = student(sorted.len()).map(|t| t * sd / n.sqrt());
        let interval = half.map(|half| [mean - half, mean + half]);
        Some(Self { mean, sd, min, quartile1: at(0.25), median: at(0.5), quartile3: at(0.75), max, interval })
    }
}

/// The 97.5 % quantile of Student's distribution for the mean of `n` values, to a hundredth: by Hill's expansion (Commun ACM
/// 13, 1970, algorithm 396), from a table below five degrees of freedom, where it is not good enough.
fn student(n: usize) -> Option<f64> {
    const TABLE: [f64; 4] = [12.706, 4.303, 3.182, 2.776];
    let freedom = n.checked_sub(1).filter(|f| *f > 0)?;
    if let Some(t) = TABLE.get(freedom - 1) {
        return Some(*t);
    }
    let (f, z) = (freedom as f64, 1.959_964_f64);
    let (z3, z5, z7) = (z.powi(3), z.powi(5), z.powi(7));
    let g1 = (z3 + z) / 4.0;
    let g2 = (5.0 * z5 + 16.0 * z3 + 3.0 * z) / 96.0;
    let g3 = (3.0 * z7 + 19.0 * z5 + 17.0 * z3 - 15.0 * z) / 384.0;
    Some(z + g1 / f + g2 / f.powi(2) + g3 / f.powi(3))
}

/// Cases measured with the same tolerances.
#[derive(Debug, Clone, PartialEq)]
pub struct Study {
    /// Of surface Dice, mm.
    pub tolerances_mm: Vec<f64>,
    /// In the order of their names.
    pub cases: Vec<Case>,
}

/// What a row is called.
#[derive(Debug, Clone, PartialEq)]
pub struct RowName {
    /// As [`CaseRow::structure`].
    pub name: String,
    /// The thesis's row that it is, if it is one.
    pub pool: Option<Pool>,
}

impl Study {
    /// Names of the rows, each once: the thesis's in its order, then structures, those of the catalogue first.
    pub fn rows(&self) -> Vec<RowName> {
        let all = || self.cases.iter().flat_map(|case| &case.rows);
        let named = |pool: &Pool| all().any(|row| row.pooled && row.structure == pool.name());
        let pools = Pool::ALL.into_iter().filter(named);
        let mut names: Vec<&str> = all().filter(|row| !row.pooled).map(|row| row.structure.as_str()).collect();
        let place = |name: &str| Structure::ALL.iter().position(|s| s.name() == name).unwrap_or(usize::MAX);
        names.sort_unstable_by_key(|name| (place(name), *name));
        names.dedup();
        let structures = names.into_iter().map(|name| RowName { name: name.to_owned(), pool: None });
        pools.map(|pool| RowName { name: pool.name().to_owned(), pool: Some(pool) }).chain(structures).collect()
    }

    /// The measures of a row in the cases that count.
    pub(super) fn counted<'a>(&'a self, row: &'a RowName) -> impl Iterator<Item = &'a Measures> {
        let wanted = |r: &&CaseRow| r.pooled == row.pool.is_some() && r.structure == row.name;
        self.cases
            .iter()
            .flat_map(|case| &case.rows)
            .filter(wanted)
            .map(|r| &r.measures)
            .filter(|m| m.overlap.is_some())
    }

    /// One measure of one row over all cases.
    pub fn summary(&self, row: &RowName, metric: Metric) -> Summary {
        let values: Vec<Option<f64>> = self.counted(row).map(|m| metric.of(m)).collect();
        let defined: Vec<f64> = values.iter().copied().flatten().collect();
        Summary {
            structure: row.name.clone(),
            pooled: row.pool.is_some(),
            measure: metric.key(),
            cases: values.len(),
            undefined: values.len() - defined.len(),
            spread: Spread::of(&defined),
            thesis: row.pool.and_then(|pool| metric.thesis(pool)),
            thesis_axial: row.pool.and_then(|pool| metric.thesis_axial(pool)),
        }
    }

    /// Every measure of every row over all cases.
    pub fn summaries(&self) -> Vec<Summary> {
        let metrics = Metric::all(&self.tolerances_mm);
        self.rows().iter().flat_map(|row| metrics.iter().map(|metric| self.summary(row, *metric))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::pairing::{Renamed, pair};
    use super::super::test_support::block;
    use super::*;

    /// Nerves of one voxel each, a chiasm, a lens that was missed, an eye that is not there, a structure of no catalogue.
    fn study() -> Study {
        let reference = ["OpticNrv_L", "OpticNrv_R", "OpticChiasm", "Lens_L", "Eye_R", "Cochlea_L"];
        let test = ["Eye_R", "OpticChiasm", "OpticNrv_L", "OpticNrv_R", "Cochlea_L"];
        let nothing = block([0; 3], [0; 3]);
        let places = [[1, 1, 1], [5, 1, 1], [3, 2, 1], [8, 5, 4], [0, 0, 0], [9, 5, 1]];
        let size = |n: usize| if n == 4 { [0; 3] } else { [2, 1, 1] };
        let draw = |set, at: usize| {
            let at = match set {
                Set::Reference => at,
                Set::Test => reference.iter().position(|name| *name == test[at]).unwrap(),
            };
            // The right nerve lies one voxel, 0.5 mm, off.
            let off = usize::from(set == Set::Test && at == 1);
            block([places[at][0] + off, places[at][1], places[at][2]], size(at))
        };
        let pairing = pair(&reference, &test, &Renamed::new()).unwrap();
        let rows = measure_case(&pairing, &nothing, &[1.0], draw).unwrap();
        let case = |name: &str| Case {
            case: name.into(),
            rows: rows.clone(),
            unmatched: pairing.unmatched.clone(),
            notes: Vec::new(),
        };
        Study { tolerances_mm: vec![1.0], cases: vec![case("a"), case("b")] }
    }

    #[test]
    fn sides_are_measured_apart_and_together() {
        let study = study();
        let dice = |structure: &str, pooled| {
            let row = study.cases[0].rows.iter().find(|r| r.structure == structure && r.pooled == pooled).unwrap();
            (row.parts.len(), Metric::Dice.of(&row.measures))
        };
        assert_eq!((dice("OpticNrv_L", false), dice("OpticNrv_R", false)), ((1, Some(1.0)), (1, Some(0.5))));
        assert_eq!(dice("optic nerves and chiasm", true), (3, Some(5.0 / 6.0)));
        assert_eq!((dice("Lens_L", false), dice("lens", true)), ((1, Some(0.0)), (1, Some(0.0))));
        assert_eq!((dice("Eye_R", false), dice("Cochlea_L", false)), ((1, None), (1, Some(1.0))));
        assert!(!study.cases[0].rows.iter().any(|r| r.structure == "brain"));
    }

    #[test]
    fn what_is_undefined_is_counted_and_what_is_nowhere_is_not() {
        let study = study();
        let rows = study.rows();
        let names: Vec<&str> = rows.iter().map(|r| r.name.as_str()).collect();
        let structures = ["Eye_R", "Lens_L", "OpticNrv_L", "OpticNrv_R", "OpticChiasm", "Cochlea_L"];
        assert_eq!(names[..3], ["eye", "lens", "optic nerves and chiasm"]);
        assert_eq!(names[3..], structures);
        let lens = study.summary(&rows[1], Metric::Hausdorff);
        assert_eq!((lens.cases, lens.undefined, lens.spread, lens.thesis), (2, 2, None, Some(3.7)));
        let lens = study.summary(&rows[1], Metric::Dice);
        assert_eq!((lens.cases, lens.undefined, lens.spread.map(|s| s.mean)), (2, 0, Some(0.0)));
        assert_eq!(study.summary(&rows[0], Metric::Dice).cases, 0);
        assert_eq!(study.summaries().len(), 9 * Metric::all(&[1.0]).len());
    }

    #[test]
    fn the_spread_of_five_values() {
        let s = Spread::of(&[4.0, 1.0, 10.0, 2.0, 3.0]).unwrap();
        assert_eq!((s.min, s.quartile1, s.median, s.quartile3, s.max, s.mean), (1.0, 2.0, 3.0, 4.0, 10.0, 4.0));
        assert!((s.sd - 12.5f64.sqrt()).abs() < 1e-12);
        assert_eq!(Spread::of(&[7.0, 9.0]).unwrap().quartile1, 7.5);
        // Tabulated: t(4) = 2.776, t(9) = 2.262, t(59) = 2.001.
        let half = s.interval.map(|[lo, hi]| (hi - lo) / 2.0).unwrap();
        assert!((half - 2.776 * s.sd / 5f64.sqrt()).abs() < 1e-9);
        assert!((student(10).unwrap() - 2.262).abs() < 2e-3 && (student(60).unwrap() - 2.001).abs() < 1e-3);
        assert!((student(6).unwrap() - 2.571).abs() < 5e-3 && student(1).is_none());
        assert_eq!((Spread::of(&[]), Spread::of(&[2.0]).unwrap().sd), (None, 0.0));
    }
}
