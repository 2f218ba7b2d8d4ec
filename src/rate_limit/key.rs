//! Who is counted.

use std::hash::{BuildHasher as _, Hash, RandomState};
use std::net::IpAddr;
use std::sync::LazyLock;

use crate::principal::Principal;

/// Whose quota a request spends.
///
/// A 128-bit digest under a secret of this process: of fixed size whatever callers send, and nobody outside can make two
/// callers collide.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RateKey(u128);

static SECRET: LazyLock<[RandomState; 2]> = LazyLock::new(|| [RandomState::new(), RandomState::new()]);

impl RateKey {
    /// A key of your own, from parts that are kept apart.
    ///
    /// # Security
    /// Nothing in it should be free for a caller to choose, such as a header: who can choose the key has no limit.
    #[must_use]
    pub fn of(parts: &[&str]) -> Self {
        Self::digest(&("own", parts))
    }

    /// The address of the connection's other end. IPv6 addresses count by /64, since a single caller has that many.
    #[must_use]
    pub fn address(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(v4) => Self::digest(&("v4", v4)),
            IpAddr::V6(v6) => Self::digest(&("v6", v6.to_bits() >> 64)),
        }
    }

    /// One cell for all that nothing is known about.
    #[must_use]
    pub fn anonymous() -> Self {
        Self::digest(&"anonymous")
    }

    /// The client; else the subject; else `None`.
    #[must_use]
    pub fn client(principal: &Principal) -> Option<Self> {
        let client = principal.client_id().map(|id| Self::party("client", principal, id));
        client.or_else(|| principal.subject().map(|id| Self::party("subject", principal, id)))
    }

    /// The subject; else the client; else `None`.
    #[must_use]
    pub fn subject(principal: &Principal) -> Option<Self> {
        let subject = principal.subject().map(|id| Self::party("subject", principal, id));
        subject.or_else(|| principal.client_id().map(|id| Self::party("client", principal, id)))
    }

    /// Names of two issuers, or of two authenticators, are two parties.
    fn party(kind: &str, principal: &Principal, id: &str) -> Self {
        Self::digest(&(kind, principal.issuer(), principal.method(), id))
    }

    fn digest(parts: &impl Hash) -> Self {
        let [first, second] = SECRET.each_ref().map(|state| u128::from(state.hash_one(parts)));
        Self(first << 64 | second)
    }

    /// Which of `count` shards holds it.
    pub(super) fn shard(self, count: usize) -> usize {
        usize::try_from(self.0 & 0xFFFF_FFFF).unwrap_or(0).checked_rem(count).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parties_are_kept_apart() {
        let party = |issuer: &str, method| {
            Principal::builder(method).issuer(issuer).subject("a").client_id("a").build()
        };
        let one = party("https://x", "jwt");
        assert_eq!(RateKey::client(&one), RateKey::client(&party("https://x", "jwt")));
        assert_ne!(RateKey::client(&one), RateKey::client(&party("https://y", "jwt")));
        assert_ne!(RateKey::client(&one), RateKey::client(&party("https://x", "introspection")));
        assert_ne!(RateKey::client(&one), RateKey::subject(&one));
        assert_ne!(RateKey::of(&["ab", "c"]), RateKey::of(&["a", "bc"]));
        assert!(RateKey::client(&Principal::builder("jwt").build()).is_none());
    }

    #[test]
    fn addresses_of_one_ipv6_network_are_one() {
        let key = |text: &str| RateKey::address(text.parse().unwrap());
        assert_eq!(key("2001:db8::1"), key("2001:db8::ffff:1"));
        assert_ne!(key("2001:db8::1"), key("2001:db8:0:1::1"));
        assert_ne!(key("192.0.2.1"), key("192.0.2.2"));
        assert_eq!(key("::ffff:192.0.2.1"), key("192.0.2.1"));
    }
}
