//! The classes that a model's card describes, by the rules that it asks for.

use super::config::RulesConfig;
use super::draft::Draft;
use super::report::{Flag, Rule};
use super::sides::{flag_distance, split};
use super::{Class, Structure};
use crate::anatomy::axes::SidePlane;
use crate::anatomy::described::{Described, GenericRule};
use crate::anatomy::part::Part;
use crate::anatomy::parts::Parts;

/// Drafts of every described class that was looked for. `known` are the others as they are delivered; `flags` concern every
/// structure with a side.
pub(super) fn all(parts: &Parts, known: &[Draft], plane: &SidePlane, flags: &[Flag], cfg: &RulesConfig) -> Vec<Draft> {
    let described = parts.classes().filter_map(|class| match class {
        Class::Described(described) => Some((described, parts.of(class))),
        _ => None,
    });
    let drafts = described.flat_map(|(class, part)| {
        let structures: Vec<Structure> = class.structures().collect();
        let mut drafts = match structures[..] {
            [left, right] => sided([left, right], part, plane, flags, cfg),
            _ => structures.into_iter().map(|one| Draft::new(one, part.clone())).collect(),
        };
        if cfg.described {
            drafts.iter_mut().for_each(|draft| rules(draft, class, known));
        }
        drafts
    });
    drafts.collect()
}

/// Left and right, told apart and flagged as hippocampi are.
fn sided(of: [Structure; 2], part: &Part, plane: &SidePlane, flags: &[Flag], cfg: &RulesConfig) -> Vec<Draft> {
    let mut pair = split(of, part, plane, cfg);
    for (side, draft) in pair.each() {
        flag_distance(draft, side, plane, cfg);
        flags.iter().for_each(|flag| draft.flag(flag.clone()));
    }
    vec![pair.left, pair.right]
}

fn rules(draft: &mut Draft, class: Described, known: &[Draft]) {
    let asked = class.description();
    if let Some(by) = asked.enclosed_by {
        let within: Vec<&Part> = known.iter().filter(|d| d.structure.class() == by).map(|d| &d.part).collect();
        if within.iter().all(|part| part.mask().is_empty()) {
            draft.flag(Flag::EnclosureMissing { by: by.name().to_owned() });
        } else {
            draft.replace(Rule::Enclosed, draft.part.within(&within));
        }
    }
    match asked.rules {
        GenericRule::None => {}
        GenericRule::LargestComponent => draft.keep_largest(),
    }
}
