//! How long to wait before something that failed is tried again.

use std::time::Duration;

const FIRST_RETRY: Duration = Duration::from_secs(1);
const LAST_RETRY: Duration = Duration::from_secs(4);

/// How long to wait after so many failures in a row: 1, 2, then every 4 seconds. Short enough that whoever comes
/// back is noticed at once, long enough that a broken one is not hammered.
pub(crate) fn backoff(failures: u32) -> Duration {
    let doubled = 1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX);
    FIRST_RETRY.saturating_mul(doubled).min(LAST_RETRY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retries_slow_down_and_never_stop() {
        let seconds: Vec<u64> =
            [1, 2, 3, 4, 5, 40, u32::MAX].map(|failures| backoff(failures).as_secs()).into();
        assert_eq!(seconds, [1, 2, 4, 4, 4, 4, 4]);
    }
}
