//! The committed limits: lines of a name, a colon and a number.

use std::collections::HashMap;
use std::fs;

/// What was counted for one name, in one run or several.
pub struct Row {
    pub name: String,
    pub least: i64,
    pub most: i64,
}

impl Row {
    pub fn new(name: impl Into<String>, count: i64) -> Self {
        Self { name: name.into(), least: count, most: count }
    }

    pub fn join(&mut self, other: &Self) {
        self.least = self.least.min(other.least);
        self.most = self.most.max(other.most);
    }

    pub fn told(&self) -> String {
        if self.least == self.most {
            self.most.to_string()
        } else {
            format!("{} to {}", self.least, self.most)
        }
    }
}

pub struct Limits(HashMap<String, i64>);

impl Limits {
    pub const FILE: &str = "benches/instructions/limits.txt";

    /// Beneath this part of its limit a count is told loudly: the limit no longer guards what was won.
    const LOW: f64 = 0.9;

    /// What `--write` allows beyond the count: hash seeds, and other versions of the compiler.
    const ROOM: f64 = 1.03;

    pub fn read() -> Self {
        let text = fs::read_to_string(Self::path()).unwrap_or_default();
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let pairs = lines.filter_map(|line| line.split_once(": "));
        Self(pairs.map(|(name, limit)| (name.to_owned(), limit.parse().expect("a number"))).collect())
    }

    pub fn write(rows: &[Row]) {
        let mut text =
            "# Instructions that a request may cost. Written by `scripts/instructions --write`.\n".to_owned();
        for row in rows {
            let limit = (row.most as f64 * Self::ROOM).ceil();
            text.push_str(&format!("{}: {limit}\n", row.name));
        }
        fs::write(Self::path(), text).expect("the limits are written");
    }

    /// The limit, and what is to be said.
    pub fn judge(&self, row: &Row) -> (Option<i64>, &'static str) {
        let limit = self.0.get(&row.name).copied();
        let remark = match limit {
            None => "**NO LIMIT: write one**",
            // Something else than it was made for was counted.
            Some(_) if row.least <= 0 => "**NOTHING COUNTED**",
            Some(limit) if row.most > limit => "**TOO MANY**",
            Some(limit) if (row.most as f64) < limit as f64 / Self::ROOM * Self::LOW => {
                "**FELL BY MORE THAN 10 %: lower the limit (scripts/instructions --write)**"
            }
            Some(_) => "",
        };
        (limit, remark)
    }

    fn path() -> std::path::PathBuf {
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("limits.txt")
    }
}
