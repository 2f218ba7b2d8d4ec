//! Rounds in which all sides take turns, and what is made of them.

use serde_json::json;

use super::table::Cell;

/// Seconds for one request: of each side in each round.
pub struct Rounds(Vec<Vec<f64>>);

/// What is timed: one turn gives the seconds for one request.
pub type Side<'a> = Box<dyn FnMut() -> f64 + 'a>;

impl Rounds {
    /// Runs so many rounds, and a tenth more beforehand that does not count. Who begins and in which direction it goes changes
    /// from round to round, so that nobody always comes after the same one.
    pub fn run(count: usize, mut sides: Vec<Side<'_>>) -> Self {
        let warm_up = count / 10;
        let number = sides.len();
        let mut round = |round: usize| {
            let mut seconds = vec![0.0; number];
            for turn in 0..number {
                let side = (round / 2 + turn) % number;
                let side = if round.is_multiple_of(2) { side } else { number - 1 - side };
                seconds[side] = sides[side]();
            }
            seconds
        };
        Self((0..count + warm_up).map(&mut round).skip(warm_up).collect())
    }

    /// The median of what is made of each round.
    pub fn median(&self, of: impl Fn(&[f64]) -> f64) -> f64 {
        median(self.0.iter().map(|round| of(round)).collect())
    }

    pub fn ratio(&self, of: impl Fn(&[f64]) -> f64) -> Ratio {
        Ratio::of(&self.0.iter().map(|round| of(round)).collect::<Vec<_>>())
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }
}

/// The median of ratios, with the 95 % bootstrap interval.
#[derive(Clone, Copy)]
pub struct Ratio {
    pub median: f64,
    pub low: f64,
    pub high: f64,
}

impl Ratio {
    pub fn of(values: &[f64]) -> Self {
        let (low, high) = interval(values);
        Self { median: median(values.to_vec()), low, high }
    }

    pub fn cell(self) -> Cell {
        let Self { median, low, high } = self;
        let text = format!("{median:.3} ({low:.3} to {high:.3})");
        Cell::new(text, json!({"median": median, "low": low, "high": high}))
    }
}

pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}

/// With a small generator of its own, so that it is the same each time.
fn interval(values: &[f64]) -> (f64, f64) {
    let mut random = Random::default();
    let mut medians: Vec<f64> = (0..1000)
        .map(|_| median((0..values.len()).map(|_| values[random.below(values.len())]).collect()))
        .collect();
    medians.sort_unstable_by(f64::total_cmp);
    (medians[25], medians[974])
}

/// Marsaglia's xorshift, from a fixed beginning.
pub struct Random(u64);

impl Default for Random {
    fn default() -> Self {
        Self(0x9E37_79B9_7F4A_7C15)
    }
}

impl Random {
    /// Another sequence for each number.
    pub fn of(number: usize) -> Self {
        let Self(start) = Self::default();
        Self(start.wrapping_mul(number as u64 * 2 + 1))
    }

    pub fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end as u64) as usize
    }
}
