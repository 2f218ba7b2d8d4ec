//! What callers are told of their quotas, in response headers.

use std::cmp::Reverse;
use std::io::{self, Write};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

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

/// Returns `"burst";r=19;t=1, "daily";r=4999;t=18`.
fn standing_field<'a>(standing: impl Iterator<Item = (&'a NamedQuota, u64)> + Clone) -> Option<HeaderValue> {
    // One or two quotas fit on the stack, so that the field value is the only allocation.
    let mut buffer = [0_u8; 128];
    let mut rest = &mut buffer[..];
    if write_standing(&mut rest, standing.clone()).is_ok() {
        let left = rest.len();
        return HeaderValue::from_bytes(buffer.get(..buffer.len().checked_sub(left)?)?).ok();
    }
    let mut field = Vec::new();
    write_standing(&mut field, standing).ok()?;
    HeaderValue::try_from(field).ok()
}

fn write_standing<'a>(
    field: &mut impl Write,
    standing: impl Iterator<Item = (&'a NamedQuota, u64)>,
) -> io::Result<()> {
    let mut digits = itoa::Buffer::new();
    for (index, (named, backlog)) in standing.enumerate() {
        let quota = named.quota();
        field.write_all(if index == 0 { b"\"" } else { b", \"" })?;
        field.write_all(named.name().as_bytes())?;
        field.write_all(b"\";r=")?;
        field.write_all(digits.format(gcra::room(backlog, quota)).as_bytes())?;
        field.write_all(b";t=")?;
        field.write_all(digits.format(seconds(gcra::next(backlog, quota))).as_bytes())?;
    }
    Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn standing_of_many_quotas_is_written_in_full() {
        let names: Vec<String> = (0..20).map(|number| format!("{number:x>64}")).collect();
        for count in [1, 2, 20] {
            let named = names.iter().take(count).map(|name| (name.as_str(), Quota::per_hour(3_600).unwrap()));
            let quotas = Quotas::new(named).unwrap();
            let backlog = Duration::from_secs(60);
            let standing = Standing::new(1, std::iter::repeat_n(backlog, count));
            let members: Vec<_> =
                names.iter().take(count).map(|name| format!("\"{name}\";r=3540;t=1")).collect();
            let field = standing_field(standing.of(quotas.as_slice())).unwrap();
            assert_eq!(field, members.join(", "));
        }
    }
}
