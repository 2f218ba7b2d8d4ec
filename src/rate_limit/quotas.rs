//! The quotas of one kind of caller.

use std::fmt::Write as _;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;

use super::gcra;
use super::key::RateKey;
use super::quota::Quota;
use crate::error::ConfigError;

/// What a quota is called that was given no name.
const DEFAULT_NAME: &str = "default";

/// Characters of a name.
const MAX_NAME_LEN: usize = 64;

/// Several quotas that hold together: a request is admitted if all have room for it, and spends none if one has not. Or none at
/// all: [`Quotas::unlimited`].
///
/// ```
/// use portcullis::{Quota, Quotas, RateLimitLayer};
/// # fn main() -> Result<(), portcullis::ConfigError> {
/// let limit = RateLimitLayer::per_client(Quotas::from_static([
///     ("burst", Quota::per_second(10)?.burst(20)?),
///     ("daily", Quota::per_day(5_000)?),
/// ]));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Quotas(Arc<All>);

#[derive(Debug)]
struct All {
    named: Box<[NamedQuota]>,
    /// As `RateLimit-Policy` tells them, which is always the same.
    policy: Option<HeaderValue>,
}

/// A quota and its name, by which callers and operators are told of it.
#[derive(Clone, Debug)]
pub struct NamedQuota {
    name: Arc<str>,
    quota: Quota,
    /// The name as a number; zero for the one that is given to quotas without.
    mark: u64,
}

impl Quotas {
    /// Quotas with names: 1 to 64 visible ASCII characters without quotes and backslashes, each another. The names stand in
    /// response headers, in metrics and in the keys of a shared store.
    ///
    /// # Errors
    /// If a name is not like that or stands twice, or if there is no quota.
    pub fn new(named: impl IntoIterator<Item = (impl Into<Arc<str>>, Quota)>) -> Result<Self, ConfigError> {
        let misnamed = |named: &NamedQuota, problem| {
            let value = Some(named.name.to_string());
            Err(ConfigError::Setting { setting: "name", value, problem })
        };
        let list: Box<[NamedQuota]> =
            named.into_iter().map(|(name, quota)| NamedQuota::new(name.into(), quota)).collect();
        if list.is_empty() {
            let problem = "must be at least one; callers without limit have `Quotas::unlimited()`";
            return Err(ConfigError::Setting { setting: "quotas", value: None, problem });
        }
        if let Some(named) = list.iter().find(|named| !is_name(&named.name)) {
            let problem = "must have 1 to 64 visible ASCII characters, and no quotes or backslashes";
            return misnamed(named, problem);
        }
        let twice = |(index, named): &(usize, &NamedQuota)| {
            list.iter().take(*index).any(|earlier| earlier.name == named.name)
        };
        if let Some((_, named)) = list.iter().enumerate().find(twice) {
            return misnamed(named, "two quotas have one name");
        }
        Ok(Self::of(list))
    }

    /// Creates quotas whose names are written in the program.
    ///
    /// # Panics
    /// If a name is not allowed or appears twice, or if there is no quota. Names from configuration
    /// come in through [`Quotas::new`].
    #[must_use]
    #[track_caller]
    #[expect(clippy::panic, reason = "documented: names written in the program")]
    pub fn from_static<const N: usize>(named: [(&'static str, Quota); N]) -> Self {
        match Self::new(named) {
            Ok(quotas) => quotas,
            Err(error) => panic!("{error}"),
        }
    }

    fn of(named: Box<[NamedQuota]>) -> Self {
        let policy = policy_field(&named);
        Self(Arc::new(All { named, policy }))
    }

    /// No limit, said in so many words.
    #[must_use]
    pub fn unlimited() -> Self {
        Self::of(Box::default())
    }

    /// The quotas; empty if there is no limit.
    #[must_use]
    pub fn as_slice(&self) -> &[NamedQuota] {
        &self.0.named
    }

    pub(super) fn policy(&self) -> Option<&HeaderValue> {
        self.0.policy.as_ref()
    }

    /// One of so many parts of each, with room for at least one request of this cost.
    pub(super) fn part(&self, parts: NonZeroU32, cost: NonZeroU32) -> Self {
        let part = |named: &NamedQuota| NamedQuota { quota: named.quota.part(parts, cost), ..named.clone() };
        Self::of(self.as_slice().iter().map(part).collect())
    }
}

impl NamedQuota {
    fn new(name: Arc<str>, quota: Quota) -> Self {
        let mark = if *name == *DEFAULT_NAME { 0 } else { RateKey::mark(&name) };
        Self { name, quota, mark }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How much it allows.
    #[must_use]
    pub const fn quota(&self) -> Quota {
        self.quota
    }

    pub(super) const fn mark(&self) -> u64 {
        self.mark
    }

    pub(super) const fn shared_name(&self) -> &Arc<str> {
        &self.name
    }
}

/// A quota by itself is called `default`.
impl From<Quota> for Quotas {
    fn from(quota: Quota) -> Self {
        Self::of(Box::new([NamedQuota::new(DEFAULT_NAME.into(), quota)]))
    }
}

/// Does the same as [`Quotas::new`]: a name that is not allowed is an error.
impl<const N: usize> TryFrom<[(&'static str, Quota); N]> for Quotas {
    type Error = ConfigError;

    fn try_from(named: [(&'static str, Quota); N]) -> Result<Self, ConfigError> {
        Self::new(named)
    }
}

/// What needs no escape in a String of RFC 9651, and no care in anything else.
fn is_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\';
    (1..=MAX_NAME_LEN).contains(&name.len()) && name.bytes().all(plain)
}

/// `"burst";q=20;w=2, "daily";q=5000;w=86400`. Names need no escape.
fn policy_field(quotas: &[NamedQuota]) -> Option<HeaderValue> {
    let mut field = String::new();
    for named in quotas {
        let quota = named.quota();
        let window = seconds(Duration::from_nanos(gcra::capacity(quota))).max(1);
        let comma = if field.is_empty() { "" } else { ", " };
        write!(field, "{comma}\"{}\";q={};w={window}", named.name(), quota.capacity()).ok()?;
    }
    HeaderValue::try_from(field).ok().filter(|field| !field.is_empty())
}

/// Returns a duration in seconds, rounded up as the headers have it.
pub(super) fn seconds(duration: Duration) -> u64 {
    duration.as_secs().saturating_add(u64::from(duration.subsec_nanos() > 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_plain_and_told_apart() {
        let quota = Quota::per_second(1).unwrap();
        let named = |names: &[&str]| Quotas::new(names.iter().map(|name| (*name, quota)));
        assert_eq!(named(&["burst", "daily"]).unwrap().as_slice().len(), 2);
        let long = "n".repeat(65);
        for names in [&["burst", "burst"][..], &[""], &["a b"], &["a\"b"], &["a\\b"], &["é"], &[&long], &[]]
        {
            assert!(named(names).is_err(), "{names:?}");
        }
        let error = |names: &[&str]| named(names).unwrap_err().to_string();
        assert_eq!(error(&["burst", "daily", "burst"]), "`name` is `burst`: two quotas have one name");
        assert!(error(&["burst", "a\n"]).starts_with("`name` is `a\\n`: must have 1 to 64 visible"));
        assert!(error(&[]).starts_with("`quotas`: must be at least one"));
        assert_eq!(named(&[&long[..64]]).unwrap().as_slice()[0].name(), &long[..64]);
        assert_eq!(Quotas::from(quota).as_slice()[0].name(), "default");
        assert!(Quotas::unlimited().as_slice().is_empty());
    }

    #[test]
    fn a_part_has_room_for_one_request() {
        let [three, five] = [3, 5].map(|number| NonZeroU32::new(number).unwrap());
        let part =
            Quotas::from(Quota::per_minute(60).unwrap()).part(three, NonZeroU32::MIN).as_slice()[0].quota();
        assert_eq!((part.capacity(), part.interval().as_secs()), (20, 3));
        let part = Quotas::from(Quota::per_minute(6).unwrap()).part(three, five).as_slice()[0].quota();
        assert_eq!((part.capacity(), part.interval().as_secs()), (5, 30));
    }

    #[test]
    fn names_in_an_array_are_checked() {
        let quota = Quota::per_second(1).unwrap();
        assert!(Quotas::try_from([("a", quota), ("a", quota)]).is_err());
        assert_eq!(Quotas::try_from([("a", quota), ("b", quota)]).unwrap().as_slice().len(), 2);
    }

    #[test]
    fn names_in_the_program_are_accepted() {
        let quota = Quota::per_second(1).unwrap();
        assert_eq!(Quotas::from_static([("a", quota), ("b", quota)]).as_slice()[1].name(), "b");
    }

    #[test]
    #[should_panic(expected = "two quotas")]
    fn names_in_the_program_that_repeat_panic() {
        let quota = Quota::per_second(1).unwrap();
        let _ = Quotas::from_static([("a", quota), ("a", quota)]);
    }
}
