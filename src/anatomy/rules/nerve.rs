//! The optic nerves: from what the networks predicted to the nerve delivered on each side.

use super::Structure;
use super::config::{RulesConfig, SideRule};
use super::sides::{self, Eyes, Pair};
use crate::anatomy::axes::SidePlane;
use crate::anatomy::part::Part;

/// The nerves, each on the side of the eye that it reaches.
pub(super) fn nerves(part: &Part, eyes: &Pair, plane: &SidePlane, cfg: &RulesConfig) -> Pair {
    let mut pair = sides::split([Structure::OpticNrv_L, Structure::OpticNrv_R], part, plane, cfg);
    let balls = Eyes::of(eyes);
    if cfg.sides == SideRule::HeadAxes {
        sides::follow_reached_eyes(&mut pair, &balls, cfg);
    }
    for (side, nerve) in pair.each() {
        // The component rule. It is also what remains of a side where no path from eye to chiasm can be followed.
        if cfg.optic_nerve_largest_component {
            nerve.keep_largest();
        }
        if cfg.sides == SideRule::HeadAxes && sides::reaches_eye(nerve, side, &balls, cfg) {
            sides::flag_as_eye(nerve, side, eyes.of(side), plane);
        } else {
            sides::flag_distance(nerve, side, plane, cfg);
        }
    }
    pair
}
