//! The generic cell rate algorithm (ITU-T I.371, virtual scheduling) as a pure function.

use std::time::Duration;

use super::Quota;

/// What the algorithm says about one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// Goes on; the cell's new state.
    Admitted { arrival: u64 },
    /// Comes too early, by this much. The state stays: refusals cost the caller nothing.
    Refused { retry_after: Duration },
}

/// Decides about one request.
///
/// The state of a cell is its theoretical arrival time: when, at the steady rate, the next request would be due. `arrival` is
/// that state (zero for a new cell), `now` the time of the request, both in nanoseconds since the same beginning. A cell whose
/// state is not after `now` is fully replenished, and the same as a new one.
pub(super) fn decide(arrival: u64, now: u64, quota: Quota) -> Decision {
    let interval = quota.interval.get();
    let due = arrival.max(now);
    let tolerance = interval.saturating_mul(u64::from(quota.burst.get()).saturating_sub(1));
    let early = due.saturating_sub(now).saturating_sub(tolerance);
    if early > 0 {
        Decision::Refused { retry_after: Duration::from_nanos(early) }
    } else {
        Decision::Admitted { arrival: due.saturating_add(interval) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn admitted(times: &[u64], quota: Quota) -> Vec<bool> {
        let mut state = 0;
        times
            .iter()
            .map(|now| match decide(state, *now, quota) {
                Decision::Admitted { arrival } => {
                    state = arrival;
                    true
                }
                Decision::Refused { .. } => false,
            })
            .collect()
    }

    #[test]
    fn a_burst_and_then_the_steady_rate() {
        let quota = Quota::per_second(1).burst(3);
        assert_eq!(admitted(&[0, 0, 0, 0], quota), [true, true, true, false]);
        assert_eq!(admitted(&[0, 0, 0, SECOND - 1, SECOND], quota), [true, true, true, false, true]);
        assert_eq!(
            admitted(&[0, 0, 0, 3 * SECOND, 3 * SECOND, 3 * SECOND, 3 * SECOND], quota)[3..],
            [true, true, true, false]
        );
    }

    #[test]
    fn who_waits_as_told_is_admitted() {
        for (count, window, burst) in [(1, 1, 1), (7, 3, 2), (600, 60, 10), (3, 1, 5)] {
            let quota = Quota::new(count, Duration::from_secs(window)).unwrap().burst(burst);
            let (mut state, mut now) = (0, 12_345);
            for _ in 0..100 {
                match decide(state, now, quota) {
                    Decision::Admitted { arrival } => state = arrival,
                    Decision::Refused { retry_after } => {
                        now += u64::try_from(retry_after.as_nanos()).unwrap();
                        assert!(matches!(decide(state, now, quota), Decision::Admitted { .. }));
                        assert!(matches!(decide(state, now - 1, quota), Decision::Refused { .. }));
                    }
                }
            }
        }
    }

    #[test]
    fn no_window_admits_more_than_rate_and_burst() {
        let quota = Quota::per_second(100).burst(10);
        let times: Vec<u64> = (0..50_000_u64).map(|step| step * 1_000_000 / 5).collect();
        let passed = admitted(&times, quota).iter().filter(|passed| **passed).count();
        assert!((1000..=1011).contains(&passed), "{passed} in 10 s");
    }

    #[test]
    fn the_end_of_numbers_is_no_panic() {
        let quota = Quota::new(1, Duration::from_secs(3_000_000_000)).unwrap().burst(u32::MAX);
        let _ = decide(u64::MAX, 0, quota);
        let _ = decide(u64::MAX, u64::MAX, quota);
    }
}
