//! A sample of the study `cargo bench --bench nerve`: on turned heads with damaged nerves, the path along the nerve's own
//! axis connects every nerve and is better than the component rule and the thesis's path.

#[path = "../bench/nerve_cases.rs"]
mod cases;

use cases::{Case, methods, outcomes};

use crate::nerve_damage::Damage;

#[test]
fn damaged_nerves_on_turned_heads_are_connected_and_nearer_to_the_truth() {
    let (mut dice, mut distance) = ([0.0f64; 3], [(0.0f64, 0.0f64); 3]);
    let mut whole = [0; 3];
    let mut nerves = 0;
    for (seed, pose) in [(131, [38.0, -6.0, 9.0]), (132, [-21.0, 14.0, -12.0])] {
        let case = Case::new(seed, pose);
        for damage in Damage::ALL {
            let labels = case.damaged(seed, damage);
            nerves += 2;
            for (m, (name, cfg)) in methods().into_iter().enumerate() {
                let (both, _) = outcomes(&case, &labels, &cfg);
                for (side, outcome) in ["left", "right"].into_iter().zip(both) {
                    println!("{pose:?} {damage:?} {name} {side}: {outcome:?}");
                    dice[m] += outcome.dice;
                    distance[m].0 += outcome.hausdorff_mm.expect("two nerves");
                    distance[m].1 += outcome.mean_mm.expect("two nerves");
                    whole[m] += usize::from(outcome.connected);
                }
            }
        }
    }
    let [component, thesis, own] = dice.map(|sum| sum / f64::from(nerves));
    println!(
        "mean Dice: component {component:.3}, thesis {thesis:.3}, own axis {own:.3}; connected {whole:?} of {nerves}"
    );
    println!("sums of Hausdorff and mean distances, mm: {distance:.1?}");
    assert_eq!(whole[2], nerves as usize, "every nerve is connected");
    assert!(whole[1] < whole[2] && whole[0] < whole[1]);
    assert!(own > thesis + 0.03 && own > component + 0.05);
    assert!((0..2).all(|m| distance[2].0 < 0.7 * distance[m].0 && distance[2].1 < 0.7 * distance[m].1));
}
