//! Whether a series is complete, by what is known of it. Pure.

use std::collections::BTreeSet;
use std::time::Duration;

use super::complete::ReceiveConfig;
use crate::store::{CaseRole, Incoming, Judgement};

/// Two places this many mm apart are one: several images of one plane.
const SAME_PLACE: f64 = 0.01;
/// A step this many times the usual one is a gap: half a slice more would be a fault of the scanner, a whole one is missing.
const GAP: f64 = 1.6;
/// Steps may differ by this share of the usual one, and be even all the same.
const EVEN: f64 = 0.1;
/// With fewer images nothing is said of spacing.
const FEWEST: usize = 3;

/// How the planes of a series lie.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Spacing {
    /// One stack, each plane as far from the next.
    Even,
    /// One stack with a gap of so many mm among steps of so many.
    Gap { wide: f64, usual: f64 },
    /// Several stacks, several images of one plane, none: nothing follows from it.
    Untold,
}

/// What is to become of a series of which nothing came for `silent`, while something could have come. `may_go_on`: an
/// association is open that brought some of it.
///
/// Silence of `quiet_seconds` is always enough, unless the images themselves say that some are missing: then
/// `missing_seconds` are waited. Before that, evidence is enough that its sender has said all: its associations are over,
/// nothing came for `settled_seconds`, the planes are evenly spaced, and either the count that every header has, of one
/// acquisition, is reached, or the sender has asked for the storage commitment of just these images.
pub(super) fn judge(series: &Incoming, config: &ReceiveConfig, silent: Duration, may_go_on: bool) -> Judgement {
    let count = series.images.len();
    let most = series.images.iter().filter_map(|image| image.announced).max();
    let announced = most.and_then(|n| usize::try_from(n).ok());
    let spacing = spacing(series);
    if silent >= config.quiet() {
        let contours = series.role == CaseRole::Contours;
        let lacks = match (announced, spacing) {
            _ if !contours => None,
            (Some(all), _) if all > count => Some(format!("{count} of {all} images of the acquisition are here")),
            (_, Spacing::Gap { wide, usual }) => {
                Some(format!("images are missing: {wide:.1} mm lie between two slices, {usual:.1} mm between others"))
            }
            _ => None,
        };
        return match lacks {
            Some(lacks) if silent < config.missing() => {
                let until = config.missing().as_secs();
                Judgement::Waits(Some(format!("{lacks}; the rest is waited for until nothing came for {until} s")))
            }
            Some(lacks) => {
                Judgement::Complete(format!("nothing came for {} s, though {lacks}", config.missing().as_secs()))
            }
            None => Judgement::Complete(format!("nothing came for {} s", config.quiet_seconds)),
        };
    }
    if silent < Duration::from_secs(config.settled_seconds) || may_go_on || spacing != Spacing::Even {
        return Judgement::Waits(None);
    }
    // Several acquisitions have a count each, and the next one may be on its way.
    let agreed: BTreeSet<_> = series.images.iter().map(|image| (image.announced, image.acquisition)).collect();
    if announced == Some(count) && agreed.len() == 1 {
        return Judgement::Complete(format!("all {count} images of the acquisition came, evenly spaced"));
    }
    // A count that is not reached speaks against it, whatever the sender asked for.
    if announced.is_none() {
        let by = format!("its sender asked for the commitment of all {count} images, evenly spaced");
        return Judgement::IfVouchedFor(by);
    }
    Judgement::Waits(None)
}

fn spacing(series: &Incoming) -> Spacing {
    let normals: BTreeSet<Option<&String>> = series.images.iter().map(|image| image.normal.as_ref()).collect();
    let mut places: Vec<f64> = series.images.iter().filter_map(|image| image.place).collect();
    if normals.len() != 1 || places.len() < FEWEST || places.len() < series.images.len() {
        return Spacing::Untold;
    }
    places.sort_by(f64::total_cmp);
    let mut steps: Vec<f64> = places.windows(2).map(|two| two[1] - two[0]).collect();
    steps.sort_by(f64::total_cmp);
    let (least, usual, wide) = (steps[0], steps[steps.len() / 2], steps[steps.len() - 1]);
    if least < SAME_PLACE {
        Spacing::Untold
    } else if wide > GAP * usual {
        Spacing::Gap { wide, usual }
    } else if wide - least <= EVEN * usual {
        Spacing::Even
    } else {
        Spacing::Untold
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::store::ImageEvidence;

    fn series(places: &[f64], silent: u64) -> Incoming {
        let normal = Some("0 0.26 0.97".to_owned());
        let image = |place: &f64| ImageEvidence {
            place: Some(*place),
            normal: normal.clone(),
            announced: None,
            acquisition: Some(4),
        };
        Incoming {
            case: Uuid::nil(),
            series_uid: "1.2".into(),
            role: CaseRole::Contours,
            silent: Duration::from_secs(silent),
            images: places.iter().map(image).collect(),
        }
    }

    fn announcing(mut series: Incoming, count: i32) -> Incoming {
        series.images.iter_mut().for_each(|image| image.announced = Some(count));
        series
    }

    /// What is said of it: complete, or why it is waited for.
    fn said(series: &Incoming, may_go_on: bool) -> Result<String, Option<String>> {
        let config =
            ReceiveConfig { quiet_seconds: 30, missing_seconds: 120, settled_seconds: 5, ..Default::default() };
        match judge(series, &config, series.silent, may_go_on) {
            Judgement::Complete(why) => Ok(why),
            Judgement::IfVouchedFor(why) => Err(Some(why)),
            Judgement::Waits(why) => Err(why),
        }
    }

    // Given in no order; the slices of scanners are not spaced to the last digit.
    const EVENLY: [f64; 5] = [-3.0, 0.01, 6.0, 2.99, -6.02];
    const WITH_A_GAP: [f64; 5] = [-3.0, 0.0, 9.0, 3.0, 12.0];

    #[test]
    fn silence_is_enough_unless_images_say_that_some_are_missing() {
        let by_commitment = said(&series(&EVENLY, 29), false).unwrap_err().unwrap();
        assert_eq!(by_commitment, "its sender asked for the commitment of all 5 images, evenly spaced");
        assert_eq!(said(&series(&EVENLY, 30), true), Ok("nothing came for 30 s".into()));
        assert_eq!(said(&series(&[], 30), false), Ok("nothing came for 30 s".into()));
        let waits = said(&series(&WITH_A_GAP, 119), false).unwrap_err().unwrap();
        assert!(waits.contains("6.0 mm lie between two slices, 3.0 mm"), "{waits}");
        assert!(said(&series(&WITH_A_GAP, 120), false).unwrap().contains("for 120 s, though images are missing"));
        let waits = said(&announcing(series(&EVENLY, 60), 7), false).unwrap_err().unwrap();
        assert!(waits.starts_with("5 of 7 images of the acquisition are here"), "{waits}");
        // More than were announced: several acquisitions in one series.
        assert!(said(&announcing(series(&EVENLY, 30), 3), false).is_ok());
        // Of what is not contoured nothing is waited for.
        let ct = Incoming { role: CaseRole::PlanningCt, ..series(&WITH_A_GAP, 30) };
        assert!(said(&ct, false).is_ok());
    }

    #[test]
    fn evidence_is_enough_before_silence_is() {
        let whole = || announcing(series(&EVENLY, 5), 5);
        assert_eq!(said(&whole(), false), Ok("all 5 images of the acquisition came, evenly spaced".into()));
        assert_eq!(said(&whole(), true), Err(None), "its association is open");
        assert_eq!(said(&Incoming { silent: Duration::from_secs(4), ..whole() }, false), Err(None));
        assert!(said(&series(&EVENLY, 5), false).unwrap_err().unwrap().contains("commitment of all 5 images"));
        assert_eq!(said(&series(&EVENLY, 5), true), Err(None));
        assert_eq!(said(&announcing(series(&EVENLY, 5), 7), false), Err(None));
        // No gap, no doubled place, no two stacks.
        assert_eq!(said(&series(&WITH_A_GAP, 5), false), Err(None));
        assert_eq!(said(&series(&[0.0, 3.0, 3.0, 6.0], 5), false), Err(None));
        assert_eq!(said(&series(&[0.0, 3.0], 5), false), Err(None));
        let mut two = series(&EVENLY, 5);
        two.images[2].normal = Some("1 0 0".into());
        assert_eq!(said(&two, false), Err(None));
        // One that says nothing of a count, or is of another acquisition.
        let mut silent = whole();
        silent.images[2].announced = None;
        assert_eq!(said(&silent, false), Err(None));
        let mut two = whole();
        two.images[2].acquisition = Some(5);
        assert_eq!(said(&two, false), Err(None));
        let mut unplaced = announcing(series(&EVENLY, 5), 5);
        unplaced.images[4].place = None;
        assert_eq!(said(&unplaced, false), Err(None));
    }
}
