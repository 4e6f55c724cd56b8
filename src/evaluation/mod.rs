//! Measures between masks.

use crate::geometry::{GeometryError, Mask};

/// Dice coefficient of two masks on one grid; `None` when both are empty (not counted, method.md section 6).
///
/// # Errors
/// [`GeometryError::GridMismatch`].
pub fn dice(a: &Mask, b: &Mask) -> Result<Option<f64>, GeometryError> {
    a.same_grid(b)?;
    let both = a.data().iter().zip(b.data()).filter(|(a, b)| **a && **b).count();
    let total = a.count() + b.count();
    Ok((total > 0).then(|| 2.0 * both as f64 / total as f64))
}
