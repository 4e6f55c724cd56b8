//! One head of a seed to rows: each structure's evidence and how good it really is.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use contourd::anatomy::Structure;
use contourd::anatomy::quality::Evidence;
use contourd::anatomy::rules::{Case, Flag, RulesConfig, apply_to};
use contourd::evaluation::dice;
use contourd::geometry::{Grid, Mask, Volume, working_volume};
use contourd::ids::sha256_hex;
use contourd::inference::{Model, evidence};
use contourd::phantom::{Rng, truth};
use serde::{Deserialize, Serialize};

use crate::damage::{Damage, damage};
use crate::images::{Hard, kind, scanned};
use crate::votes::Marks;

/// What spoiled a structure, besides chance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Cause {
    /// Nothing: an ordinary head.
    Ordinary,
    /// The image.
    Image(Hard),
    /// The vote was damaged.
    Vote(Damage),
}

/// One structure of a vote.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Row {
    pub cause: Cause,
    pub structure: Structure,
    /// Dice with the truth, on the working grid; nothing where it is neither there nor found, which is right.
    pub dice: Option<f64>,
    /// Whether it is counted: once of every head, and again where its vote was damaged or another's damage changed it.
    pub counted: bool,
    pub evidence: Option<Evidence>,
    pub flags: Vec<Flag>,
}

/// What was made of one vote, all twelve structures.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Seen {
    pub seed: u64,
    pub rows: Vec<Row>,
}

/// What is made of the head of a seed: of the networks' vote as it is, then of as many damaged ones as `draws`.
pub fn seen(model: &Model, seed: u64, number: u64, draws: u64, folder: &Path) -> Vec<Seen> {
    let kept = folder.join(format!("{}.rows", name(model, [seed, number, draws])));
    if let Some(known) = std::fs::read(&kept).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()) {
        return known;
    }
    let (head, image) = scanned(seed, kind(number));
    let working = working_volume(&image, &model.card().working).expect("a head");
    let marks = Marks::of(model, &working, folder);
    let truth = truth(&head, working.grid());
    let scene = Scene { working: &working, acquired: image.grid(), truth: &truth };
    let usual = kind(number).map_or(Cause::Ordinary, Cause::Image);
    let plain = scene.run(&marks, &|_| usual);
    let mut all = vec![Seen { seed, rows: plain.clone() }];
    for draw in 0..draws {
        let mut rng = Rng::new(seed, &format!("damage {draw}"));
        let (mut spoiled, mut causes) = (marks.clone(), BTreeMap::new());
        for structure in Structure::ALL {
            if rng.chance(0.35)
                && let Some(how) = damage(&mut spoiled, working.grid(), structure, &truth[&structure], &mut rng)
            {
                causes.insert(structure, how);
            }
        }
        let mut rows = scene.run(&spoiled, &|s| causes.get(&s).map_or(usual, |how| Cause::Vote(*how)));
        for (row, before) in rows.iter_mut().zip(&plain) {
            let moved = row.dice.zip(before.dice).is_none_or(|(now, before)| (now - before).abs() > 0.01);
            row.counted = causes.contains_key(&row.structure) || moved;
        }
        all.push(Seen { seed, rows });
    }
    std::fs::write(&kept, serde_json::to_vec(&all).expect("rows")).expect("room for what is kept");
    all
}

/// What rows depend on: the networks, the seed, and the code that makes heads, images, votes, structures and evidence.
fn name(model: &Model, numbers: [u64; 3]) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let rooms = ["src/anatomy", "src/anatomy/rules", "src/anatomy/rules/corrections", "src/anatomy/rules/nerve"];
    let rooms = rooms.into_iter().chain([
        "src/evaluation",
        "src/geometry",
        "src/inference",
        "src/phantom",
        "src/phantom/brain",
        "src/phantom/face",
        "src/phantom/optic",
        "tests/bench/quality",
    ]);
    let listed = rooms.flat_map(|room| std::fs::read_dir(root.join(room)).expect("a room").flatten());
    let mut files: Vec<PathBuf> = listed.map(|entry| entry.path()).collect();
    files.extend([root.join("src/anatomy/quality/measure.rs"), root.join("tests/bench/scans.rs")]);
    files.push(root.join("models/atlas/icbm152.bin.gz"));
    files.sort();
    let card = model.card();
    let mut all = format!("{numbers:?} {:?} {:?}", card.classes, card.working).into_bytes();
    // These read and fit what was made.
    let apart = ["card.rs", "fit.rs", "logistic.rs", "table.rs", "tests.rs"];
    for file in files.iter().filter(|f| f.extension().is_some_and(|e| e == "rs" || e == "gz")) {
        if !apart.iter().any(|name| file.ends_with(name)) {
            all.extend(std::fs::read(file).expect("a file of the code"));
        }
    }
    card.network.iter().for_each(|network| all.extend(network.sha256.as_bytes()));
    sha256_hex(&all)
}

struct Scene<'a> {
    working: &'a Volume<f32>,
    acquired: &'a Arc<Grid>,
    truth: &'a BTreeMap<Structure, Mask>,
}

impl Scene<'_> {
    /// Rules, evidence and truth of one vote.
    fn run(&self, marks: &Marks, cause: &dyn Fn(Structure) -> Cause) -> Vec<Row> {
        let vote = marks.vote(self.working.grid());
        let case = Case {
            parts: &vote.parts().expect("boxes"),
            image: self.working,
            fat_suppressed: false,
            acquired: Some(self.acquired.as_ref()),
        };
        let found = apply_to(&case, &RulesConfig::default()).expect("one grid");
        let mut known = evidence(&vote, &found);
        let row = |structure: Structure| {
            let finding = &found.structures[&structure];
            Row {
                cause: cause(structure),
                structure,
                dice: dice(&finding.mask, &self.truth[&structure]).expect("one grid"),
                counted: true,
                evidence: known.remove(&structure),
                flags: finding.flags.clone(),
            }
        };
        Structure::ALL.into_iter().map(row).collect()
    }
}
