//! What callers are told of their quotas, in response headers.

use std::cmp::Reverse;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};

use super::gcra;
use super::quota::Quota;
use super::quotas::{NamedQuota, Quotas, seconds};
use super::store::Standing;
use crate::clock::Clock;

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// Which headers tell callers how they stand, on all responses beneath a limit but redirections: see
/// [`RateLimitLayer::headers`](super::RateLimitLayer::headers).
///
/// `Retry-After` is not among them: every 429 has it.
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct RateLimitHeaders {
    draft: Option<Draft>,
    legacy: Option<(LegacyNames, ResetUnit)>,
}

/// The version of a draft whose names are about to change again.
#[derive(Clone, Copy, Debug)]
enum Draft {
    Eleven,
}

/// How the older headers are spelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LegacyNames {
    /// `X-RateLimit-Limit`, `X-RateLimit-Remaining`, `X-RateLimit-Reset`.
    XRateLimit,
    /// `X-Rate-Limit-Limit`, `X-Rate-Limit-Remaining`, `X-Rate-Limit-Reset`.
    XRateLimitHyphenated,
}

/// What the number in an older `-Reset` header counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ResetUnit {
    /// The second since the Unix epoch, UTC, at which it is.
    EpochSeconds,
    /// In how many seconds it is.
    DeltaSeconds,
}

impl RateLimitHeaders {
    /// `RateLimit-Policy` and `RateLimit` of draft-ietf-httpapi-ratelimit-headers-11: the default.
    ///
    /// For each quota `q` is how many requests may come at once, and `w` after how many seconds that many have come back; `r` is
    /// how many may come now, and `t` in how many seconds it will be one more, so that nobody who paces himself by them comes too
    /// often. Seconds are rounded up.
    pub const fn draft_11() -> Self {
        Self { draft: Some(Draft::Eleven), legacy: None }
    }

    /// The older headers alone, of the quota of which the least is left: `-Limit` and `-Remaining` are as `q` and `r`, and
    /// `-Reset` is when all of it will have come back. What the number counts differs between services, so there is no default.
    pub const fn legacy(names: LegacyNames, reset: ResetUnit) -> Self {
        Self { draft: None, legacy: Some((names, reset)) }
    }

    /// Adds the [older headers](Self::legacy).
    pub const fn and_legacy(self, names: LegacyNames, reset: ResetUnit) -> Self {
        Self { legacy: Some((names, reset)), ..self }
    }

    /// None: nothing is told, and nothing is written on the way of a request.
    pub const fn none() -> Self {
        Self { draft: None, legacy: None }
    }

    pub(super) const fn are_none(&self) -> bool {
        self.draft.is_none() && self.legacy.is_none()
    }

    pub(super) fn write<B>(
        &self,
        quotas: &Quotas,
        standing: &Standing,
        clock: &dyn Clock,
        response: &mut Response<B>,
    ) {
        if redirects(response.status()) {
            return;
        }
        let headers = response.headers_mut();
        if let (Some(Draft::Eleven), Some(policy)) = (self.draft, quotas.policy()) {
            // Lists, to which each limit on the way out adds its own (RFC 9651 §4.2).
            headers.append(RATE_LIMIT_POLICY, policy.clone());
            if let Some(value) = standing_field(standing.of(quotas.as_slice())) {
                headers.append(RATE_LIMIT, value);
            }
        }
        if let Some((names, unit)) = self.legacy {
            let least = standing
                .of(quotas.as_slice())
                .min_by_key(|(named, backlog)| (gcra::room(*backlog, named.quota()), Reverse(*backlog)));
            if let Some((named, backlog)) = least {
                let whole = Duration::from_nanos(backlog).max(standing.earliest());
                let reset = match unit {
                    ResetUnit::DeltaSeconds => seconds(whole),
                    ResetUnit::EpochSeconds => epoch_seconds(clock.now(), whole),
                };
                names.write(named.quota(), backlog, reset, headers);
            }
        }
    }
}

impl Default for RateLimitHeaders {
    fn default() -> Self {
        Self::draft_11()
    }
}

/// A client that reads them could wait before it follows the redirection, for a request that may be free.
const fn redirects(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::MOVED_PERMANENTLY
            | StatusCode::FOUND
            | StatusCode::SEE_OTHER
            | StatusCode::TEMPORARY_REDIRECT
            | StatusCode::PERMANENT_REDIRECT
    )
}

/// Writes `"burst";r=19;t=1, "daily";r=4999;t=18`.
fn standing_field<'a>(standing: impl Iterator<Item = (&'a NamedQuota, u64)> + Clone) -> Option<HeaderValue> {
    // A buffer of the exact size becomes the field value without another allocation or copy.
    let len = standing.clone().map(member_len).fold(0_usize, usize::saturating_add).saturating_sub(2);
    let (mut field, mut decimal) = (Vec::with_capacity(len), itoa::Buffer::new());
    for (named, backlog) in standing {
        let (room, next) = room_and_next(named.quota(), backlog);
        field.extend_from_slice(if field.is_empty() { b"\"" } else { b", \"" });
        field.extend_from_slice(named.name().as_bytes());
        field.extend_from_slice(b"\";r=");
        field.extend_from_slice(decimal.format(room).as_bytes());
        field.extend_from_slice(b";t=");
        field.extend_from_slice(decimal.format(next).as_bytes());
    }
    HeaderValue::from_maybe_shared(Bytes::from(field)).ok()
}

/// How many requests may come now, and after how many seconds one more may.
fn room_and_next(quota: Quota, backlog: u64) -> (u32, u64) {
    (gcra::room(backlog, quota), seconds(gcra::next(backlog, quota)))
}

/// Bytes of one member of the field with the comma and the space before it.
fn member_len((named, backlog): (&NamedQuota, u64)) -> usize {
    const PUNCTUATION: usize = r#", "";r=;t="#.len();
    let (room, next) = room_and_next(named.quota(), backlog);
    let digits = |number: u64| number.checked_ilog10().map_or(1, |log| log.saturating_add(1));
    let digits = usize::try_from(digits(room.into()).saturating_add(digits(next))).unwrap_or_default();
    named.name().len().saturating_add(digits).saturating_add(PUNCTUATION)
}

impl LegacyNames {
    const fn names(self) -> [HeaderName; 3] {
        match self {
            Self::XRateLimit => [
                HeaderName::from_static("x-ratelimit-limit"),
                HeaderName::from_static("x-ratelimit-remaining"),
                HeaderName::from_static("x-ratelimit-reset"),
            ],
            Self::XRateLimitHyphenated => [
                HeaderName::from_static("x-rate-limit-limit"),
                HeaderName::from_static("x-rate-limit-remaining"),
                HeaderName::from_static("x-rate-limit-reset"),
            ],
        }
    }

    /// Where a limit beneath has written them, those of the one with less left stay.
    fn write(self, quota: Quota, backlog: u64, reset: u64, headers: &mut HeaderMap) {
        let [limit, remaining, resets] = self.names();
        let room = gcra::room(backlog, quota);
        let beneath = headers.get(&remaining).and_then(|value| value.to_str().ok()?.parse::<u32>().ok());
        if beneath.is_some_and(|beneath| beneath <= room) {
            return;
        }
        headers.insert(limit, quota.capacity().into());
        headers.insert(remaining, room.into());
        headers.insert(resets, reset.into());
    }
}

fn epoch_seconds(now: SystemTime, after: Duration) -> u64 {
    let then = now.duration_since(UNIX_EPOCH).unwrap_or_default().saturating_add(after);
    seconds(then)
}
