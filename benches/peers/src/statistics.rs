//! Medians, and how sure they are.

use serde::{Deserialize, Serialize};

/// How many times the rounds are drawn anew.
const DRAWS: usize = 2000;

/// A median over rounds with the 95 % bootstrap interval of it. What is infinite is `null` in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    pub median: f64,
    pub low: f64,
    pub high: f64,
}

impl Estimate {
    pub fn of(values: &[f64]) -> Self {
        let mut random = Random(0x9E37_79B9_7F4A_7C15);
        let mut medians: Vec<f64> = (0..DRAWS)
            .map(|_| median(&values.iter().map(|_| values[random.below(values.len())]).collect::<Vec<_>>()))
            .collect();
        medians.sort_unstable_by(f64::total_cmp);
        Self { median: median(values), low: medians[DRAWS / 40], high: medians[DRAWS - 1 - DRAWS / 40] }
    }
}

pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 { sorted[middle] } else { f64::midpoint(sorted[middle - 1], sorted[middle]) }
}

/// Its own, so that the same rounds have the same interval.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end as u64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_and_one_outlier_does_not_move_it() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[1.0, 3.0]), 2.0);
        assert_eq!(median(&[1.0, 2.0, f64::INFINITY]), 2.0);
    }

    #[test]
    fn the_interval_holds_the_median_and_is_wider_where_rounds_differ_more() {
        let narrow = Estimate::of(&[1.00, 1.01, 0.99, 1.00, 1.02, 0.98, 1.00]);
        let wide = Estimate::of(&[1.0, 1.5, 0.5, 1.0, 2.0, 0.2, 1.0]);
        assert!(narrow.low <= narrow.median && narrow.median <= narrow.high);
        assert!(wide.high - wide.low > narrow.high - narrow.low);
    }
}
