//! Medians, and how sure they are.

use serde::{Deserialize, Serialize};

/// A median with its 95 % bootstrap interval.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Estimate {
    pub median: f64,
    pub low: f64,
    pub high: f64,
}

impl Estimate {
    /// Of values of which there is at least one; NaN values come last, so that they show.
    pub fn of(values: &[f64]) -> Self {
        let (low, high) = interval(values);
        Self { median: median(values.to_vec()), low, high }
    }
}

pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}

/// By a small generator of its own, so that it is the same each time.
fn interval(values: &[f64]) -> (f64, f64) {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut medians: Vec<f64> = (0..1000)
        .map(|_| median((0..values.len()).map(|_| values[(next() % values.len() as u64) as usize]).collect()))
        .collect();
    medians.sort_unstable_by(f64::total_cmp);
    (medians[25], medians[974])
}
