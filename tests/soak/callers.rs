//! Ten million callers, more than a limit in memory remembers: it stays as small as it was made, who was limited stays limited,
//! and the newcomers have one quota together.

use std::time::Instant;

use portcullis::{Charge, MemoryRateLimits, Quota, Quotas, RateKey, RateLimitStore};

use crate::Plan;
use crate::garbage::resident;

const MIB: usize = 1024 * 1024;

/// By how much memory may grow.
const GROWTH: usize = 16 * MIB;
const CELLS: usize = 100_000;

pub async fn run(plan: &Plan) -> bool {
    let (store, quotas) = (MemoryRateLimits::new(CELLS), Quotas::from(Quota::per_day(1).unwrap()));
    let admitted = async |name: &str| {
        let charge = Charge::new(RateKey::of(&[name]), quotas.as_slice(), 1);
        store.charge(&charge).answer().await.unwrap().granted() > 0
    };
    let (start, before) = (Instant::now(), resident());
    assert!(admitted("ann").await && !admitted("ann").await);
    let mut passed = 0;
    for number in 0..plan.callers {
        passed += usize::from(admitted(&number.to_string()).await);
    }
    let grown = resident().saturating_sub(before);
    println!(
        "callers: {} in {:?}: {passed} admitted, {} cells, memory grew by {:.1} MiB",
        plan.callers,
        start.elapsed(),
        store.len(),
        grown as f64 / MIB as f64
    );
    assert!(!admitted("ann").await, "nobody is freed by others");
    assert!(store.len() <= CELLS + 64, "{}", store.len());
    assert!(passed <= store.len() + 1, "those with a cell, and one for all others");
    assert!(grown <= GROWTH, "{grown}");
    true
}
