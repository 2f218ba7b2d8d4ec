//! Who is counted.

use std::hash::{Hash, Hasher};
use std::net::IpAddr;

use sha2::{Digest as _, Sha256};

use crate::principal::Principal;

/// Whose quota a request spends: 128 bits of a SHA-256, of fixed size whatever callers send.
///
/// The hash has no key, so that all processes come to the same one for the same caller. Nobody can make two callers collide, and
/// names that are hard to guess stay so.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RateKey([u64; 2]);

impl RateKey {
    /// A key of your own, from parts that are kept apart.
    ///
    /// # Security
    /// Nothing in it should be free for a caller to choose, such as a header: who can choose the key has no limit.
    #[must_use]
    pub fn of(parts: &[&str]) -> Self {
        Self::digest("own", parts.iter().map(|part| part.as_bytes()))
    }

    /// The address of the connection's other end. IPv6 addresses count by /64, since a single caller has that many.
    ///
    /// An IPv4 address has one key in all its forms: itself, mapped (`::ffff:0:0/96`), and
    /// translated by a NAT64 (`64:ff9b::/96`, RFC 6052 §2.1).
    #[must_use]
    pub fn address(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(v4) => Self::digest("v4", [&v4.octets()[..]]),
            IpAddr::V6(v6) => match v6.octets() {
                [0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0, v4 @ ..] => Self::digest("v4", [&v4[..]]),
                _ => Self::digest("v6", [&(v6.to_bits() >> 64).to_be_bytes()[..]]),
            },
        }
    }

    /// One cell for all that nothing is known about.
    #[must_use]
    pub fn anonymous() -> Self {
        Self::digest("anonymous", [])
    }

    /// The client; else the subject; else `None`.
    ///
    /// A client of an issuer has one key for all kinds of its credentials, such as JWTs and opaque
    /// tokens. Without an issuer each authenticator ([`Principal::method`]) has keys of its own.
    #[must_use]
    pub fn client(principal: &Principal) -> Option<Self> {
        let client = principal.client_id().map(|id| Self::party("client", principal, [id]));
        client.or_else(|| principal.subject().map(|id| Self::party("subject", principal, [id])))
    }

    /// The subject; else the client; else `None`.
    ///
    /// A client that is its own subject (RFC 9068 §2.2) has the key of the client, because many
    /// introspection responses name no subject for it.
    #[must_use]
    pub fn subject(principal: &Principal) -> Option<Self> {
        match principal.subject() {
            Some(subject) if principal.client_id() != Some(subject) => {
                Some(Self::party("subject", principal, [subject]))
            }
            _ => Self::client(principal),
        }
    }

    /// The subject with the client together, so that a user has a quota with each client; the one that is there if the other is
    /// not; else `None`. A client that is its own subject has the key of the client.
    #[must_use]
    pub fn client_and_subject(principal: &Principal) -> Option<Self> {
        match (principal.client_id(), principal.subject()) {
            (Some(client), Some(subject)) if client != subject => {
                Some(Self::party("both", principal, [client, subject]))
            }
            _ => Self::client(principal),
        }
    }

    /// The API key that the request came with; without one as [`client`](Self::client).
    #[must_use]
    pub fn api_key(principal: &Principal) -> Option<Self> {
        let key = principal.api_key_id().map(|id| Self::party("api key", principal, [id]));
        key.or_else(|| Self::client(principal))
    }

    /// Names of two issuers are two parties. Without an issuer, so are those of two authenticators.
    fn party<const N: usize>(kind: &'static str, principal: &Principal, ids: [&str; N]) -> Self {
        let authority = match principal.issuer() {
            Some(issuer) => ["issuer", issuer],
            None => ["method", principal.method()],
        };
        Self::digest(kind, authority.into_iter().chain(ids).map(str::as_bytes))
    }

    /// The same caller under a plan: one that has several spends of each apart.
    pub(super) fn under(self, plan: Option<&str>) -> Self {
        let Some(plan) = plan else { return self };
        let [first, second] = self.0.map(u64::to_be_bytes);
        Self::digest("plan", [&first[..], &second, plan.as_bytes()])
    }

    /// Each part comes with its length, as 64 bits.
    fn digest<'a>(kind: &'a str, parts: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut hash = Sha256::new();
        for part in std::iter::once(kind.as_bytes()).chain(parts) {
            hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            hash.update(part);
        }
        let digest = hash.finalize();
        let mut words = digest.chunks_exact(8).map(|word| word.try_into().map_or(0, u64::from_be_bytes));
        Self([words.next().unwrap_or_default(), words.next().unwrap_or_default()])
    }

    pub(super) const fn words(self) -> [u64; 2] {
        self.0
    }

    pub(super) const fn from_words(words: [u64; 2]) -> Self {
        Self(words)
    }

    /// The 128 bits, for stores of your own.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 16] {
        let [first, second] = self.0;
        (u128::from(first) << 64 | u128::from(second)).to_be_bytes()
    }

    /// The caller's cell of the quota with this mark.
    pub(super) const fn of_quota(self, mark: u64) -> Self {
        let [first, second] = self.0;
        Self([first, second ^ mark])
    }

    /// A name as a number.
    pub(super) fn mark(name: &str) -> u64 {
        let [first, _] = Self::digest("quota", [name.as_bytes()]).0;
        first
    }

    /// Which of `count` shards holds all cells of a caller. Who does not know the secret cannot tell which callers meet there.
    pub(super) fn shard(self, secret: u64, count: usize) -> usize {
        // The upper bits of a product depend on all bits of both.
        let spread = self.0[0].wrapping_mul(secret | 1) >> 56;
        usize::try_from(spread).unwrap_or(0).checked_rem(count).unwrap_or(0)
    }
}

/// It has a length of its own, which need not be hashed along.
impl Hash for RateKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let [first, second] = self.0;
        state.write_u64(first);
        state.write_u64(second);
    }
}

/// Shows too little to find the caller by.
impl std::fmt::Debug for RateKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RateKey({:08x}…)", self.0[0] >> 32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rate_limit::quota::Quota;
    use crate::rate_limit::quotas::Quotas;

    #[test]
    fn parties_are_kept_apart() {
        let party = |issuer: &str, method| {
            Principal::builder(method).issuer(issuer).subject("s").client_id("a").build()
        };
        let one = party("https://x", "jwt");
        assert_eq!(RateKey::client(&one), RateKey::client(&party("https://x", "jwt")));
        assert_ne!(RateKey::client(&one), RateKey::client(&party("https://y", "jwt")));
        assert_eq!(RateKey::client(&one), RateKey::client(&party("https://x", "introspection")));
        let without_issuer = |method| Principal::builder(method).client_id("a").build();
        let jwt = without_issuer("jwt");
        assert_eq!(RateKey::client(&jwt), RateKey::client(&without_issuer("jwt")));
        assert_ne!(RateKey::client(&jwt), RateKey::client(&without_issuer("introspection")));
        // An issuer is no method, even where both have one name.
        assert_ne!(RateKey::client(&jwt), RateKey::client(&party("jwt", "jwt")));
        assert_ne!(RateKey::client(&one), RateKey::subject(&one));
        assert_ne!(RateKey::client_and_subject(&one), RateKey::subject(&one));
        assert_eq!(RateKey::api_key(&one), RateKey::client(&one));
        assert_ne!(RateKey::of(&["ab", "c"]), RateKey::of(&["a", "bc"]));
        assert!(RateKey::client(&Principal::builder("jwt").build()).is_none());
    }

    #[test]
    fn plans_and_quotas_have_cells_of_their_own() {
        let key = RateKey::of(&["ann"]);
        assert_eq!(key.under(None), key);
        assert_ne!(key.under(Some("gold")), key);
        assert_ne!(key.under(Some("gold")), key.under(Some("free")));
        let quotas = Quotas::from_static(["a", "b"].map(|name| (name, Quota::per_second(1).unwrap())));
        let [a, b] = [0, 1].map(|index| key.of_quota(quotas.as_slice()[index].mark()));
        assert_ne!(a, b);
        assert_eq!(a.shard(7, 64), b.shard(7, 64));
    }

    /// Other processes, and other versions of this crate, come to the same.
    #[test]
    fn keys_are_the_same_everywhere() {
        let hex = |key: RateKey| key.to_bytes().map(|byte| format!("{byte:02x}")).concat();
        assert_eq!(hex(RateKey::of(&["a"])), hex(RateKey::digest("own", [&b"a"[..]])));
        let mut hash = Sha256::new();
        hash.update(*b"\0\0\0\0\0\0\0\x03own\0\0\0\0\0\0\0\x01a");
        assert_eq!(hex(RateKey::of(&["a"])), format!("{:x}", hash.finalize())[..32]);
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
