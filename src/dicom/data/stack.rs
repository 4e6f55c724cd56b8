//! Whether slices make one regular stack, from their positions and orientations alone (never instance numbers, slice
//! locations or file order).

use dicom_dictionary_std::tags;

use super::Instance;
use super::refusal::{Refusal, RefusalCode};
use super::values::tag_name;
use crate::geometry::{Lps, Vec3};

/// Fewer slices than this are a localiser, not a head.
const MIN_SLICES: usize = 10;
/// Difference of a direction component between slices of one orientation.
const ORIENTATION_TOLERANCE: f64 = 1e-4;
/// Two positions closer than this (mm) are the same position.
const SAME_POSITION: f64 = 0.01;
/// A gap may differ from the median gap by this share of it, or by [`LEAST_GAP`] if that is more.
const SPACING_TOLERANCE: f64 = 0.01;
/// What positions rounded to 0.01 mm make of equal gaps (mm), with room for binary fractions.
const LEAST_GAP: f64 = 0.0101;
/// A slice may lie this share of the spacing away from where equal distances put it, or [`LEAST_DRIFT`] if that is
/// more. Errors of single gaps, each too small to be refused, must not add up.
const DRIFT_TOLERANCE: f64 = 0.1;
/// Twice what positions rounded to 0.01 mm can make (mm).
const LEAST_DRIFT: f64 = 0.02;
/// Sideways shift (mm) of a slice against the stack's axis.
const SHEAR_TOLERANCE: f64 = 0.05;

/// A regular stack: its slices in order along the normal (row direction x column direction).
pub(super) struct Stack {
    pub slices: Vec<Instance>,
    /// The unit normal.
    pub normal: Vec3,
    /// mm between slices.
    pub spacing: f64,
    pub warnings: Vec<String>,
}

/// Sorts slices along their normal and checks that they make a stack.
///
/// # Errors
/// Everything that speaks against it.
pub(super) fn stack(instances: Vec<Instance>) -> Result<Stack, Vec<Refusal>> {
    let mut refusals = Vec::new();
    let mut warnings = Vec::new();
    let mut slices = without_copies(instances, &mut refusals);
    refusals.extend(sizes(&slices));
    refusals.extend(pixel_spacings(&slices));
    let (odd, normal) = orientations(&mut slices);
    refusals.extend(odd);
    let Some(normal) = normal else { return Err(refusals) };

    let along = |slice: &Instance| normal.dot(slice.position - Lps::new(0.0, 0.0, 0.0));
    slices.sort_by(|a, b| along(a).total_cmp(&along(b)).then_with(|| a.uid().cmp(b.uid())));
    same_positions(&mut slices, along, &mut refusals, &mut warnings);
    if slices.len() < MIN_SLICES {
        let message = format!(
            "{} slices are too few for a head (at least {MIN_SLICES} are needed): this is a localiser, or most of the series is missing",
            slices.len()
        );
        refusals.push(Refusal::new(RefusalCode::TooFewSlices, message));
    }
    let spacing = gaps(&slices, along, &mut refusals);
    refusals.extend(shear(&slices, normal));
    match spacing {
        Some(spacing) if refusals.is_empty() => Ok(Stack { slices, normal, spacing, warnings }),
        _ => Err(refusals),
    }
}

/// Keeps one of several transfers of the same object; two different objects under one UID are refused.
fn without_copies(mut instances: Vec<Instance>, refusals: &mut Vec<Refusal>) -> Vec<Instance> {
    instances.sort_by(|a, b| a.uid().cmp(b.uid()));
    let mut kept: Vec<Instance> = Vec::with_capacity(instances.len());
    for next in instances {
        match kept.last() {
            Some(last) if last.uid() == next.uid() => {
                if !same_image(last, &next) {
                    let message = "two different images carry the same SOP Instance UID; ask for the series to be \
                                   exported again with its own identifiers";
                    refusals.push(
                        Refusal::new(RefusalCode::ConflictingDuplicate, message)
                            .with_tag(tag_name(tags::SOP_INSTANCE_UID))
                            .with_instance(next.uid().clone()),
                    );
                }
            }
            _ => kept.push(next),
        }
    }
    kept
}

/// Same pixels in the same place.
fn same_image(a: &Instance, b: &Instance) -> bool {
    a.frame == b.frame
        && a.position == b.position
        && a.orientation == b.orientation
        && a.spacing == b.spacing
        && a.image.columns == b.image.columns
        && a.image.rows == b.image.rows
        && a.image.values == b.image.values
}

/// Groups slices by a property; the groups, largest first (the earlier one of two as large).
fn groups(slices: &[Instance], same: impl Fn(&Instance, &Instance) -> bool) -> Vec<Vec<usize>> {
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for (n, slice) in slices.iter().enumerate() {
        let fits = |group: &&mut Vec<usize>| group.first().and_then(|m| slices.get(*m)).is_some_and(|m| same(m, slice));
        match groups.iter_mut().find(fits) {
            Some(group) => group.push(n),
            None => groups.push(vec![n]),
        }
    }
    groups.sort_by_key(|group| std::cmp::Reverse(group.len()));
    groups
}

/// One refusal for each group but the largest: what its slices have, and what most have.
fn odd_groups(
    slices: &[Instance],
    same: impl Fn(&Instance, &Instance) -> bool,
    code: RefusalCode,
    tag: dicom_core::Tag,
    what: &str,
    show: impl Fn(&Instance) -> String,
) -> Vec<Refusal> {
    let groups = groups(slices, same);
    let first = |group: &Vec<usize>| group.first().and_then(|n| slices.get(*n));
    let Some((most, reference)) = groups.first().and_then(|g| Some((g.len(), first(g)?))) else { return Vec::new() };
    let odd = groups.iter().skip(1).filter_map(|group| {
        let slice = first(group)?;
        let message = format!(
            "{} of the slices have {what} {}, {most} have {}; send one acquisition at a time, without localisers",
            group.len(),
            show(slice),
            show(reference)
        );
        Some(Refusal::new(code, message).with_tag(tag_name(tag)).with_instance(slice.uid().clone()))
    });
    odd.collect()
}

fn sizes(slices: &[Instance]) -> Vec<Refusal> {
    odd_groups(
        slices,
        |a, b| (a.image.columns, a.image.rows) == (b.image.columns, b.image.rows),
        RefusalCode::MixedSizes,
        tags::ROWS,
        "the size",
        |s| format!("{} columns x {} rows", s.image.columns, s.image.rows),
    )
}

fn pixel_spacings(slices: &[Instance]) -> Vec<Refusal> {
    odd_groups(
        slices,
        |a, b| a.spacing.iter().zip(b.spacing).all(|(x, y)| (x - y).abs() <= 1e-4),
        RefusalCode::MixedSpacings,
        tags::PIXEL_SPACING,
        "the pixel spacing",
        |s| format!("{} mm between rows, {} mm between columns", s.spacing[1], s.spacing[0]),
    )
}

/// Refuses all orientations but the most frequent, drops their slices, and gives the normal of those left.
fn orientations(slices: &mut Vec<Instance>) -> (Vec<Refusal>, Option<Vec3>) {
    let same = |a: &Instance, b: &Instance| {
        let component = |d: [Vec3; 2]| d.map(Vec3::to_array).concat();
        component(a.orientation)
            .iter()
            .zip(component(b.orientation))
            .all(|(x, y)| (x - y).abs() <= ORIENTATION_TOLERANCE)
    };
    let refusals = odd_groups(
        slices,
        same,
        RefusalCode::MixedOrientations,
        tags::IMAGE_ORIENTATION_PATIENT,
        "the orientation",
        |s| format!("{:.4?}", s.orientation.map(Vec3::to_array).concat()),
    );
    let Some(main) = groups(slices, same).into_iter().next() else { return (refusals, None) };
    // The gaps that the others leave would only repeat the same reason.
    let mut n = 0;
    slices.retain(|_| {
        n += 1;
        main.contains(&(n - 1))
    });
    let normal = slices.first().and_then(|s| s.orientation[0].cross(s.orientation[1]).unit());
    (refusals, normal)
}

/// Two images at one position: the same image under two UIDs is kept once, different images are refused.
fn same_positions(
    slices: &mut Vec<Instance>,
    along: impl Fn(&Instance) -> f64,
    refusals: &mut Vec<Refusal>,
    warnings: &mut Vec<String>,
) {
    let mut copies = 0;
    slices.dedup_by(|next, kept| {
        if along(next) - along(kept) >= SAME_POSITION {
            return false;
        }
        if same_image(kept, next) {
            copies += 1;
        } else {
            let message = format!(
                "two different images lie at the same position ({:.2} mm along the slice normal; the other is instance {}): \
                 several echoes, phases or time points are mixed; send one of them",
                along(next),
                kept.uid()
            );
            refusals.push(
                Refusal::new(RefusalCode::ConflictingDuplicate, message)
                    .with_tag(tag_name(tags::IMAGE_POSITION_PATIENT))
                    .with_instance(next.uid().clone()),
            );
        }
        true
    });
    if copies > 0 {
        warnings.push(format!("{copies} slices were sent twice under different identifiers; each was used once"));
    }
}

/// Distance between slices; refuses missing slices and irregular distances.
fn gaps(slices: &[Instance], along: impl Fn(&Instance) -> f64, refusals: &mut Vec<Refusal>) -> Option<f64> {
    let distance = |pair: &[Instance]| match pair {
        [a, b] => along(b) - along(a),
        _ => 0.0,
    };
    let mut sorted: Vec<f64> = slices.windows(2).map(distance).collect();
    if sorted.is_empty() {
        return None;
    }
    let middle = (sorted.len() - 1) / 2;
    let median = *sorted.select_nth_unstable_by(middle, f64::total_cmp).1;
    let tolerance = (SPACING_TOLERANCE * median).max(LEAST_GAP);
    for pair in slices.windows(2) {
        let [before, after] = pair else { continue };
        let gap = distance(pair);
        if (gap - median).abs() <= tolerance {
            continue;
        }
        let steps = (gap / median).round();
        let place = format!(
            "between the slices at {:.2} mm and {:.2} mm along the slice normal (instances {} and {})",
            along(before),
            along(after),
            before.uid(),
            after.uid()
        );
        let (code, message) = if steps >= 2.0 && (gap - steps * median).abs() <= steps * tolerance {
            let lost = steps - 1.0;
            let what = if lost > 1.0 { format!("{lost} slices are missing") } else { "a slice is missing".to_owned() };
            let advice = "send the whole series again";
            (RefusalCode::MissingSlice, format!("{what} {place}, where slices are {median:.3} mm apart; {advice}"))
        } else {
            let message = format!(
                "the distance {place} is {gap:.3} mm, elsewhere {median:.3} mm; a volume needs equal distances"
            );
            (RefusalCode::IrregularSpacing, message)
        };
        refusals.push(
            Refusal::new(code, message)
                .with_tag(tag_name(tags::IMAGE_POSITION_PATIENT))
                .with_instance(after.uid().clone()),
        );
    }
    let (first, last) = (slices.first()?, slices.last()?);
    let spacing = (along(last) - along(first)) / (slices.len() - 1) as f64;
    if refusals.is_empty() {
        refusals.extend(drift(slices, |slice| along(slice) - along(first), spacing));
    }
    Some(spacing)
}

/// Refuses slices that drift away from the uniform grid between the first and the last: the volume would show them, and
/// take their outlines, where they are not. `along` counts from the first slice.
fn drift(slices: &[Instance], along: impl Fn(&Instance) -> f64, spacing: f64) -> Option<Refusal> {
    let off = |(k, slice): (usize, &Instance)| along(slice) - k as f64 * spacing;
    let (k, worst) = slices.iter().enumerate().max_by(|a, b| off(*a).abs().total_cmp(&off(*b).abs()))?;
    let distance = off((k, worst));
    if distance.abs() <= (DRIFT_TOLERANCE * spacing).max(LEAST_DRIFT) {
        return None;
    }
    let message = format!(
        "slice {} of {} along the slice normal lies {:.2} mm from where equal distances of {spacing:.3} mm put it: the \
         distances change through the stack; a volume needs equal distances",
        k + 1,
        slices.len(),
        distance.abs()
    );
    Some(
        Refusal::new(RefusalCode::IrregularSpacing, message)
            .with_tag(tag_name(tags::IMAGE_POSITION_PATIENT))
            .with_instance(worst.uid().clone()),
    )
}

/// Refuses a stack whose slices drift sideways (a tilted gantry, or slices of two acquisitions).
fn shear(slices: &[Instance], normal: Vec3) -> Option<Refusal> {
    let first = slices.first()?;
    let sideways = |slice: &Instance| {
        let d = slice.position - first.position;
        (d - normal * normal.dot(d)).norm()
    };
    let worst = slices.iter().max_by(|a, b| sideways(a).total_cmp(&sideways(b)))?;
    if sideways(worst) <= SHEAR_TOLERANCE {
        return None;
    }
    let message = format!(
        "the slices are shifted sideways against each other by up to {:.2} mm: the stack is sheared and makes no regular volume",
        sideways(worst)
    );
    Some(
        Refusal::new(RefusalCode::Shear, message)
            .with_tag(tag_name(tags::IMAGE_POSITION_PATIENT))
            .with_instance(worst.uid().clone()),
    )
}
