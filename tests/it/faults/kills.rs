//! kill -9 while receiving, segmenting and delivering.

use std::time::Duration;

use contourd::phantom::{Acquisition, Rng};

use super::{acquired, daemon, everything_acknowledged_is_there, series, wait_for_state};
use crate::system::{Daemon, Pacs, SlowLine, acknowledged, coarse_model, free_port, storescu, wait_for};

/// What is killed how often for one series.
struct Plan {
    seed: u64,
    acquisition: Acquisition,
    receiving: usize,
    segmenting: usize,
    delivering: usize,
}

/// Thirty kills. The sagittal one goes back on derived planes: many objects instead of one, so that there is time to fall into.
const PLANS: [Plan; 5] = [
    Plan { seed: 31, acquisition: Acquisition::Axial, receiving: 2, segmenting: 2, delivering: 1 },
    Plan { seed: 32, acquisition: Acquisition::Axial, receiving: 2, segmenting: 2, delivering: 1 },
    Plan { seed: 33, acquisition: Acquisition::Axial, receiving: 2, segmenting: 2, delivering: 1 },
    Plan { seed: 34, acquisition: Acquisition::Sagittal, receiving: 2, segmenting: 2, delivering: 6 },
    Plan { seed: 35, acquisition: Acquisition::Axial, receiving: 2, segmenting: 2, delivering: 1 },
];
/// So many of thirty must have hit their state: what a kill was aimed at may be over when it strikes.
const FLOORS: [(&str, usize); 3] = [("receiving", 8), ("segmenting", 8), ("delivering", 6)];

/// Kills at random moments.
struct Killer {
    rng: Rng,
    /// The state of the case right before each kill.
    hit: Vec<String>,
}

impl Killer {
    /// Kills within `most` milliseconds from now.
    fn strike(&mut self, daemon: &mut Daemon, series: &str, most: f64) {
        std::thread::sleep(Duration::from_millis(self.rng.within(0.0, most) as u64));
        let state = daemon.state_of(series).unwrap_or_else(|| "nothing received".into());
        daemon.kill_and_restart();
        println!("kill {} of {series} while {state}", self.hit.len() + 1);
        self.hit.push(state);
    }
}

fn instances_of(daemon: &Daemon, series: &str) -> usize {
    daemon.sql(&format!("select count(*) from instances where series_uid = '{series}'"))[0].parse().unwrap()
}

/// How long a segmentation takes on this machine, in milliseconds, when nothing else keeps it busy: kills within it fall
/// into later ones, too.
fn quickest_segmentation(daemon: &Daemon) -> f64 {
    let each = "select sum((stage->>1)::float8) * 1000 as ms from cases, jsonb_array_elements(report->'seconds') stage \
                group by cases.id";
    daemon.sql(&format!("select min(ms) from ({each}) segmented"))[0].parse().unwrap()
}

/// With the default number of attempts: a daemon that is killed does not use them up.
/// `CONTOURD_KILLS=300` for more.
#[test]
fn thirty_kills_lose_nothing_and_double_nothing() {
    let kills = std::env::var("CONTOURD_KILLS").map_or(30, |kills| kills.parse::<usize>().unwrap());
    let rounds = kills.div_ceil(30);
    let folder = tempfile::tempdir().unwrap();
    let model = coarse_model(folder.path());
    let pacs = Pacs::start(free_port(), None);
    // Slow enough that a kill can fall into the sending, and between the answer and its record.
    let to_pacs = SlowLine::to(pacs.dicom, 256 * 1024);
    let mut daemon = daemon(to_pacs.port, (folder.path(), model));
    // And into the receiving.
    let from_scanner = SlowLine::to(daemon.dicom, 1024 * 1024);
    let (uid, files) = series(30, folder.path());
    assert!(acknowledged(storescu(daemon.dicom, &files)).0);
    wait_for_state(&daemon, &uid, &["delivered"]);
    let mut sent = vec![(uid, files)];
    let mut killer = Killer { rng: Rng::new(20_261_123, "kills"), hit: Vec::new() };
    let mut cut_off = 0;
    for (round, plan) in (0..rounds).flat_map(|round| PLANS.iter().map(move |plan| (round, plan))) {
        let seed = plan.seed + 10 * round as u64;
        let (uid, files) = acquired(seed, plan.acquisition, folder.path());
        let mut begun = daemon.logged("segmentation begins");
        // What was acknowledged before must be there after.
        for _ in 0..plan.receiving {
            let before = instances_of(&daemon, &uid);
            let sender = storescu(from_scanner.port, &files);
            wait_for("one instance more", || (instances_of(&daemon, &uid) > before).then_some(()));
            killer.strike(&mut daemon, &uid, 300.0);
            let (whole, count) = acknowledged(sender);
            cut_off += usize::from(!whole);
            everything_acknowledged_is_there(&daemon, &files[..count]);
        }
        let (whole, count) = acknowledged(storescu(daemon.dicom, &files));
        assert!(whole && count == files.len(), "the sender sends again and is served");
        let segmenting = quickest_segmentation(&daemon);
        println!("a segmentation takes {segmenting:.0} ms");
        // The state outlives a kill, so the log says when the work begins anew.
        for _ in 0..plan.segmenting {
            begun = wait_for("the next attempt", || {
                let ended = ["delivering", "delivered"].map(String::from).contains(&daemon.state_of(&uid)?);
                let now = daemon.logged("segmentation begins");
                (ended || now > begun).then_some(now)
            });
            killer.strike(&mut daemon, &uid, 0.6 * segmenting);
        }
        for _ in 0..plan.delivering {
            wait_for_state(&daemon, &uid, &["delivering", "delivered"]);
            killer.strike(&mut daemon, &uid, 1200.0);
        }
        wait_for_state(&daemon, &uid, &["delivered"]);
        sent.push((uid, files));
    }
    assert_eq!(killer.hit.len(), 30 * rounds);
    println!("{cut_off} senders were cut off");
    for (state, floor) in FLOORS {
        let hits = killer.hit.iter().filter(|hit| *hit == state).count();
        println!("{hits} kills while {state}");
        assert!(hits >= floor * rounds, "only {hits} kills while {state}: {:?}", killer.hit);
    }
    assert!(cut_off >= 8 * rounds, "only {cut_off} senders were cut off");
    for (uid, files) in &sent {
        everything_acknowledged_is_there(&daemon, files);
        assert_eq!(daemon.cases_of(uid).len(), 1, "one revision of {uid}");
    }
    // One structure set for each series; for the sagittal one it refers to the derived series, which is there once.
    let derived = daemon.sql("select sop_instance_uid from results where kind = 'derived_image' order by 1");
    let mut expected = Vec::new();
    for (place, (uid, _)) in sent.iter().enumerate() {
        let of_it = format!(
            "select distinct r.series_uid from results r join cases c on c.id = r.case_id
             where r.kind = 'derived_image' and c.series_uid = '{uid}'"
        );
        let series = daemon.sql(&of_it);
        // The first one of all comes before the plans.
        let sagittal = place > 0 && PLANS[(place - 1) % PLANS.len()].acquisition == Acquisition::Sagittal;
        assert_eq!(series.len(), usize::from(sagittal), "derived series of {uid}");
        expected.push(series.first().unwrap_or(uid).clone());
    }
    assert!(derived.len() > 50 * rounds, "{} derived slices", derived.len());
    expected.sort();
    assert_eq!(pacs.structure_sets(), expected, "one structure set for each series");
    assert_eq!(pacs.find("Series", "MR").len(), rounds, "no image goes to the PACS but the derived ones");
    assert_eq!(pacs.instance_uids("MR"), derived, "each derived slice is there once");
}
