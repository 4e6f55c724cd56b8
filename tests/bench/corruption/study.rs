//! Damaged heads through the rules, with every rule's switch, against the truth.

use std::collections::BTreeMap;

use contourd::anatomy::rules::{
    Consistent, CorrectionsConfig, Finding, Flag, NerveConfig, NervePath, NotTraced, Rule, RulesConfig, apply,
};
use contourd::anatomy::{Class, Side, Structure};
use contourd::evaluation::measure;
use contourd::geometry::{Mask, Volume};
use contourd::phantom::Rng;

use super::damage::{Damage, damaged, false_eye};
use super::heads::Subject;
use crate::nerve_damage::{connected, mark};

/// A damaged head: what the networks say of it, and the truth.
pub struct Case {
    pub labels: Volume<u8>,
    pub image: Volume<f32>,
    pub truth: BTreeMap<Structure, Mask>,
    pub damages: BTreeMap<Structure, Damage>,
    pub removed: Option<Side>,
}

impl Case {
    /// Damages a head: of each structure one kind of error, drawn from a seed. One head in eight has a tumour that pushes
    /// the chiasm; in an orbit without an eye pieces of a false one are marked.
    pub fn new(subject: &Subject, seed: u64) -> Self {
        let mut rng = Rng::new(seed, "corruption");
        let mut head = subject.clone();
        let mut labels = head.image.map(|_| 0u8);
        let mut damages = BTreeMap::new();
        let pushed = rng.chance(0.125) && head.push_chiasm(&mut rng).is_some();
        let mut masks = BTreeMap::new();
        for structure in Structure::ALL {
            let damage = match structure {
                Structure::OpticChiasm if pushed => Damage::Pushed,
                _ => Damage::draw(structure.class(), &mut rng),
            };
            if let Some(mask) = damaged(&mut head, structure, damage, &mut rng) {
                masks.insert(structure, mask);
                damages.insert(structure, damage);
            }
        }
        masks.iter().for_each(|(structure, mask)| mark(&mut labels, structure.class(), mask));
        if let Some((eye, lens)) = false_eye(&head, &mut rng) {
            mark(&mut labels, Class::Eye, &eye);
            mark(&mut labels, Class::Lens, &lens);
        }
        let sides = [Side::Right, Side::Left];
        let removed = sides.into_iter().find(|s| head.truth[&eye(*s)].is_empty());
        Self { labels, image: head.image, truth: head.truth, damages, removed }
    }

    /// What the rules make of it.
    pub fn run(&self, cfg: &RulesConfig) -> Consistent {
        apply(&self.labels, &self.image, cfg).expect("one grid")
    }

    /// The nerves that should be connected and are not: those whose eye and chiasm were both found.
    pub fn unconnected(&self, result: &Consistent) -> Vec<Structure> {
        let of = |s: Structure| &result.structures[&s].mask;
        let sides = [Side::Left, Side::Right].into_iter();
        let nerves = sides.filter_map(|side| {
            let nerve = Structure::of(Class::OpticNerve, Some(side))?;
            let both = !of(eye(side)).is_empty() && !of(Structure::OpticChiasm).is_empty();
            let promised = both && !would_meet(&result.structures[&nerve]);
            (promised && !connected(of(nerve), of(eye(side)), of(Structure::OpticChiasm))).then_some(nerve)
        });
        nerves.collect()
    }

    /// What no case may show, in words: a nerve that is not connected, a removed eye that comes back.
    pub fn faults(&self, result: &Consistent) -> Vec<String> {
        let nerves = self.unconnected(result).into_iter().map(|nerve| {
            let flags: Vec<String> = result.structures[&nerve].flags.iter().map(Flag::to_string).collect();
            format!("{} ({:?}) is not connected: {flags:?}", nerve.name(), self.damages.get(&nerve))
        });
        let back = self.removed.filter(|side| !result.structures[&eye(*side)].mask.is_empty());
        nerves.chain(back.map(|side| format!("the removed {side:?} eye is back"))).collect()
    }
}

/// Outside the promise, and flagged: of two nerves that would end at one place the one that was not followed.
pub fn would_meet(nerve: &Finding) -> bool {
    nerve.flags.iter().any(|f| matches!(f, Flag::NerveNotTraced { why: NotTraced::CloseLandmarks { .. } }))
}

fn eye(side: Side) -> Structure {
    if side == Side::Left { Structure::Eye_L } else { Structure::Eye_R }
}

/// One structure against its truth. A removed organ of which nothing is delivered has Dice 1, and no distances.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Score {
    pub dice: f64,
    /// Hausdorff and mean distance, mm.
    pub distances: Option<[f64; 2]>,
}

impl Score {
    fn of(found: &Mask, truth: &Mask) -> Self {
        if found.data() == truth.data() {
            return Self { dice: 1.0, distances: (!truth.is_empty()).then_some([0.0; 2]) };
        }
        let measured = measure(found, truth, &[]).expect("one grid");
        Self {
            dice: measured.overlap.map_or(1.0, |o| o.dice),
            distances: measured.distances.map(|d| [d.hausdorff_mm, d.mean_mm]),
        }
    }
}

/// The scores of every structure.
pub type Scores = BTreeMap<Structure, Score>;

/// Scores of a result; structures that are the same in another result that is known keep its scores.
pub fn scores(case: &Case, result: &Consistent, known: Option<(&Consistent, &Scores)>) -> Scores {
    let score = |structure: &Structure| {
        let mask = &result.structures[structure].mask;
        let same = known.filter(|(other, _)| other.structures[structure].mask.data() == mask.data());
        same.map_or_else(|| Score::of(mask, &case.truth[structure]), |(_, scores)| scores[structure])
    };
    Structure::ALL.iter().map(|s| (*s, score(s))).collect()
}

/// Every rule on: those that are by default, and the pituitary's floor. Voxels that make a landmark are counted, so that on
/// larger voxels (edges in mm) than the thesis's fewer are asked for.
pub fn all_rules(spacing: [f64; 3]) -> RulesConfig {
    let usual = NerveConfig::default();
    let volume = |edges: [f64; 3]| edges.iter().product::<f64>();
    let share = volume(usual.voxel_mm) / volume(spacing);
    let nerve = NerveConfig { landmark_points: (usual.landmark_points as f64 * share).round() as usize, ..usual };
    let corrections = CorrectionsConfig { pituitary_floor: true, ..CorrectionsConfig::default() };
    RulesConfig { nerve, corrections, ..RulesConfig::default() }
}

/// A switch of the rules.
pub struct Switch {
    pub name: &'static str,
    /// Switches it off.
    pub off: fn(&mut RulesConfig),
    /// The rule and the classes in whose reports its work is seen; `None` where leaving it out can matter all the same.
    seen: Option<(Rule, &'static [Class])>,
}

impl Switch {
    /// Whether its rule did nothing to a case, so that without it the result is the same.
    pub fn idle(&self, result: &Consistent) -> bool {
        self.seen.is_some_and(|(rule, classes)| {
            let findings = result.structures.iter().filter(|(s, _)| classes.contains(&s.class()));
            let mut effects = findings.flat_map(|(_, f)| &f.effects).filter(|e| e.rule == rule);
            effects.all(|e| e.added == 0 && e.removed == 0)
        })
    }
}

const fn switch(name: &'static str, off: fn(&mut RulesConfig), seen: Option<(Rule, &'static [Class])>) -> Switch {
    Switch { name, off, seen }
}

/// Every switch of the rules.
#[rustfmt::skip] // the list is a table
pub const SWITCHES: &[Switch] = &[
    switch("brain_largest_component", |c| c.brain_largest_component = false, Some((Rule::LargestComponent, &[Class::Brain]))),
    switch("brain_fill_holes", |c| c.brain_fill_holes = false, Some((Rule::FillHoles, &[Class::Brain]))),
    switch("brain_hole_planes (without: 1, as the thesis)", |c| c.brain_hole_planes = 1, None),
    switch("brain_hole_planes (without: 2)", |c| c.brain_hole_planes = 2, None),
    switch("cut_at_plane", |c| c.cut_at_plane = false, None),
    switch("eye_remove_small", |c| c.eye_remove_small = false, Some((Rule::LeastVolume, &[Class::Eye]))),
    switch("lens_inside_eye", |c| c.lens_inside_eye = false, Some((Rule::InsideEye, &[Class::Lens]))),
    switch("chiasm_largest_component", |c| c.chiasm_largest_component = false, Some((Rule::LargestComponent, &[Class::Chiasm]))),
    switch("optic_nerve_largest_component", |c| c.optic_nerve_largest_component = false, None),
    switch("nerve.path", |c| c.nerve = NerveConfig { path: NervePath::Off, ..c.nerve.clone() }, None),
    switch("nerve.fat", |c| c.nerve.fat = false, None),
    switch("nerve.trim", |c| c.nerve.trim = false, None),
    switch("nerve.opening", |c| c.nerve.opening = false, None),
    switch("hippocampus_largest_component", |c| c.hippocampus_largest_component = false, Some((Rule::LargestComponent, &[Class::Hippocampus]))),
    switch("brainstem_largest_component", |c| c.brainstem_largest_component = false, Some((Rule::LargestComponent, &[Class::Brainstem]))),
    switch("pituitary_largest_component", |c| c.pituitary_largest_component = false, Some((Rule::LargestComponent, &[Class::Pituitary]))),
    switch("drop_off_brain", |c| c.drop_off_brain = false, Some((Rule::OnBrain, &[Class::Hippocampus, Class::Brainstem]))),
    switch("add_to_brain", |c| c.add_to_brain = false, Some((Rule::HoldsOrgans, &[Class::Brain]))),
    switch("corrections.eye_complete", |c| c.corrections.eye_complete = false, Some((Rule::EyeBall, &[Class::Eye]))),
    switch("corrections.eye_trim", |c| c.corrections.eye_trim = false, Some((Rule::EyeBall, &[Class::Eye]))),
    switch("corrections.organ_fill_holes", |c| c.corrections.organ_fill_holes = false,
        Some((Rule::FillHoles, &[Class::Pituitary, Class::Hippocampus, Class::Brainstem]))),
    switch("corrections.hippocampus_dark", |c| c.corrections.hippocampus_dark = false, Some((Rule::Fluid, &[Class::Hippocampus]))),
    switch("corrections.chiasm_trim", |c| c.corrections.chiasm_trim = false, Some((Rule::ChiasmReach, &[Class::Chiasm]))),
    switch("corrections.pituitary_floor", |c| c.corrections.pituitary_floor = false, Some((Rule::GlandFloor, &[Class::Pituitary]))),
];
