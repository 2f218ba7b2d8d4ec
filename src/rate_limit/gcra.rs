//! The generic cell rate algorithm (ITU-T I.371, virtual scheduling) as pure functions.
//!
//! A cell is the spending of one caller under one quota. Its state is its *backlog*: after how long the quota would be whole
//! again, if nothing more was spent. Stores keep it as the time at which that is (the theoretical arrival time), which need not be
//! touched as time goes by. All numbers are nanoseconds.

use std::time::Duration;

use super::quota::Quota;

/// The backlog of a quota of which nothing is left.
pub(super) fn capacity(quota: Quota) -> u64 {
    quota.interval.get().saturating_mul(u64::from(quota.burst.get()))
}

/// The backlog of a cell that is whole again at `due`. It can be more than the quota's: where that was larger once, a clock was set
/// back, or more was spent than there was room for.
pub(super) const fn backlog(due: u64, now: u64) -> u64 {
    due.saturating_sub(now)
}

/// The backlog after spending one more, whether there was room or not: as much again as the quota's at most.
pub(super) fn overdraw(backlog: u64, quota: Quota) -> u64 {
    spend(backlog, 1, quota).min(capacity(quota).saturating_mul(2)).max(backlog)
}

/// The backlog after spending so many requests.
pub(super) fn spend(backlog: u64, count: u32, quota: Quota) -> u64 {
    backlog.saturating_add(quota.interval.get().saturating_mul(u64::from(count)))
}

/// Whether there is room for so many.
pub(super) fn has_room(backlog: u64, count: u32, quota: Quota) -> bool {
    let spent = quota.interval.get().checked_mul(count.into());
    // At the end of numbers there is no room, rather than any.
    spent.and_then(|spent| spent.checked_add(backlog)).is_some_and(|spent| spent <= capacity(quota))
}

/// How many there is room for.
pub(super) fn room(backlog: u64, quota: Quota) -> u32 {
    let left = capacity(quota).saturating_sub(backlog);
    u32::try_from(left.div_euclid(quota.interval.get())).unwrap_or(u32::MAX)
}

/// After how long there is room for so many; never, for more than a quota allows at once.
pub(super) fn wait(backlog: u64, count: u32, quota: Quota) -> Duration {
    Duration::from_nanos(spend(backlog, count, quota).saturating_sub(capacity(quota)))
}

/// After how long there is room for one more than now.
pub(super) fn next(backlog: u64, quota: Quota) -> Duration {
    if backlog == 0 { Duration::ZERO } else { wait(backlog, room(backlog, quota).saturating_add(1), quota) }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    const SECOND: u64 = 1_000_000_000;

    /// Spends one, if there is room.
    fn one(due: &mut u64, now: u64, quota: Quota) -> bool {
        let before = backlog(*due, now);
        let room = has_room(before, 1, quota);
        if room {
            *due = now.saturating_add(spend(before, 1, quota));
        }
        room
    }

    fn admitted(times: &[u64], quota: Quota) -> Vec<bool> {
        let mut due = 0;
        times.iter().map(|now| one(&mut due, *now, quota)).collect()
    }

    #[test]
    fn a_burst_and_then_the_steady_rate() {
        let quota = Quota::per_second(1).unwrap().burst(3).unwrap();
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
            let quota = Quota::new(count, Duration::from_secs(window)).unwrap().burst(burst).unwrap();
            let (mut due, mut now) = (0, 12_345);
            for _ in 0..100 {
                if !one(&mut due, now, quota) {
                    let wait = wait(backlog(due, now), 1, quota);
                    now += u64::try_from(wait.as_nanos()).unwrap();
                    assert!(!one(&mut due, now - 1, quota));
                    assert!(one(&mut due, now, quota));
                }
            }
        }
    }

    #[test]
    fn no_window_admits_more_than_rate_and_burst() {
        let quota = Quota::per_second(100).unwrap().burst(10).unwrap();
        let times: Vec<u64> = (0..50_000_u64).map(|step| step * 1_000_000 / 5).collect();
        let passed = admitted(&times, quota).iter().filter(|passed| **passed).count();
        assert!((1000..=1011).contains(&passed), "{passed} in 10 s");
    }

    #[test]
    fn room_is_what_can_be_spent_and_grows_when_it_says() {
        let quota = Quota::new(7, Duration::from_secs(3)).unwrap().burst(5).unwrap();
        for backlog in (0..=capacity(quota)).step_by(10_000_019) {
            let room = room(backlog, quota);
            assert!(has_room(backlog, room, quota) && !has_room(backlog, room + 1, quota), "{backlog}");
            let later = backlog.saturating_sub(u64::try_from(next(backlog, quota).as_nanos()).unwrap());
            if room < 5 {
                assert!(super::room(later, quota) == room + 1, "{backlog}");
                assert!(super::room(later + 1, quota) == room, "{backlog}");
            }
        }
    }

    #[test]
    fn the_end_of_numbers_is_no_panic_and_no_room() {
        let quota = Quota::new(1, Duration::from_secs(3_000_000_000)).unwrap();
        let quota = Quota { burst: NonZeroU32::MAX, ..quota };
        assert!(has_room(0, room(0, quota), quota) && !has_room(0, u32::MAX, quota));
        for (due, now) in [(u64::MAX, 0), (u64::MAX, u64::MAX), (0, u64::MAX)] {
            let backlog = backlog(due, now);
            let _ = (room(backlog, quota), wait(backlog, u32::MAX, quota), next(backlog, quota));
        }
    }
}
