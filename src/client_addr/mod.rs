//! Who called, where proxies stand before the server.

pub(crate) mod cidr;
pub(crate) mod forwarded;
pub(crate) mod peer;

use std::net::IpAddr;
use std::sync::Arc;

use http::header::FORWARDED;
use http::{HeaderMap, HeaderName};
use ipnet::IpNet;

use crate::error::ConfigError;

/// The proxies that stand before the server, and the one header in which they say who called.
///
/// A proxy writes the address of whoever connected to it behind what was there, so the header is read from the right, and only
/// as far as a proxy of the list wrote it.
///
/// ```
/// use portcullis::TrustedProxies;
/// # use http::{HeaderMap, HeaderValue};
/// # use std::net::IpAddr;
/// # fn main() -> Result<(), portcullis::ConfigError> {
/// let proxies = TrustedProxies::x_forwarded_for(["10.0.0.0/8", "2001:db8::7"])?;
///
/// // The caller wrote the first address, the outer proxy the second, the inner one the third.
/// let mut headers = HeaderMap::new();
/// headers.insert("x-forwarded-for", HeaderValue::from_static("192.0.2.66, 198.51.100.1, 10.0.0.2"));
/// let caller = IpAddr::from([198, 51, 100, 1]);
/// assert_eq!(proxies.client_addr(IpAddr::from([10, 0, 0, 1]), &headers), caller);
///
/// // Who does not come through a proxy is not asked.
/// let direct = IpAddr::from([203, 0, 113, 5]);
/// assert_eq!(proxies.client_addr(direct, &headers), direct);
/// # Ok(())
/// # }
/// ```
///
/// # Security
/// A caller writes headers freely. What counts is only what proxies of this list appended:
/// - List the proxies and nothing else. Whoever calls from an address of the list is taken for a proxy, and can claim any
///   address: a network in which callers live too does not belong there.
/// - Name the header that every one of these proxies writes, behind what the caller sent or in its place, in the last line of that
///   name. A proxy that passes it on as it came lets callers choose their address. No other header is ever looked at, so it does
///   not matter which of them a proxy passes on.
/// - Give the address of the connection as the peer, never one that stands in a header.
///
/// Not checked: that a proxy writes the header at all, that it escapes what it quotes in `Forwarded` (such as the host that the
/// caller named), and that nobody but the proxies can use their addresses.
#[derive(Clone, Debug)]
pub struct TrustedProxies {
    networks: Arc<[IpNet]>,
    field: Field,
}

#[derive(Clone, Copy, Debug)]
enum Field {
    XForwardedFor,
    Forwarded,
}

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// A chain of proxies is a few long; a caller may send thousands of elements.
const MAX_ELEMENTS: usize = 64;

impl TrustedProxies {
    /// Proxies that write `X-Forwarded-For`: addresses divided by commas, also with ports (`192.0.2.1:80`, `[2001:db8::1]:443`).
    ///
    /// `networks` are single addresses (`192.0.2.1`) or networks (`10.0.0.0/8`, `fd00::/8`).
    ///
    /// # Errors
    /// If there is none, or one is not an address or network, has bits set behind its prefix (`10.0.0.1/8`), is an IPv6 form of
    /// an IPv4 network, or holds all addresses (`/0`), so that everybody would be trusted.
    pub fn x_forwarded_for(networks: impl IntoIterator<Item = impl AsRef<str>>) -> Result<Self, ConfigError> {
        Self::new(networks, Field::XForwardedFor)
    }

    /// Proxies that write `Forwarded` (RFC 7239). Read by its grammar to the letter: IPv6 addresses in brackets and quoted, no
    /// spaces around `;` and `=`. That other parameters than `for` stand once is not checked.
    ///
    /// `networks` are as in [`x_forwarded_for`](Self::x_forwarded_for).
    ///
    /// # Errors
    /// As those of [`x_forwarded_for`](Self::x_forwarded_for).
    pub fn forwarded(networks: impl IntoIterator<Item = impl AsRef<str>>) -> Result<Self, ConfigError> {
        Self::new(networks, Field::Forwarded)
    }

    /// The address of the caller: the peer, if that is not one of the proxies; else the right-most address in the header that is
    /// not.
    ///
    /// Where the header ends before, or goes on with something that is not an address (`unknown`, an obfuscated name, an
    /// address with a zone, an empty element), the answer is the last proxy that was reached, since nobody trusted told more;
    /// so too after 64 elements. An IPv4 address in its IPv6 form (`::ffff:192.0.2.1`) is given as IPv4.
    ///
    /// # Security
    /// It says from where a request came, not who sent it: good for counting and logging, not for authentication. All whose
    /// address is not told share that of their proxy.
    #[must_use]
    pub fn client_addr(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let peer = peer.to_canonical();
        if !self.trusts(peer) {
            return peer;
        }
        match self.field {
            Field::XForwardedFor => {
                let lines = headers.get_all(X_FORWARDED_FOR).iter().rev();
                let elements = lines.flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','));
                self.walk(peer, elements.map(listed_address))
            }
            Field::Forwarded => {
                let lines = headers.get_all(FORWARDED).iter().rev();
                let elements = lines.flat_map(|line| forwarded::elements(line.as_bytes()));
                self.walk(peer, elements.map(forwarded::address))
            }
        }
    }

    /// From hop to hop, as long as the hop is a proxy that tells who connected to it.
    fn walk(&self, peer: IpAddr, told: impl Iterator<Item = Option<IpAddr>>) -> IpAddr {
        let mut reached = peer;
        for address in told.take(MAX_ELEMENTS).map_while(|address| address) {
            reached = address.to_canonical();
            if !self.trusts(reached) {
                break;
            }
        }
        reached
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.networks.iter().any(|network| network.contains(&address))
    }

    fn new(networks: impl IntoIterator<Item = impl AsRef<str>>, field: Field) -> Result<Self, ConfigError> {
        let networks = networks.into_iter().map(|network| cidr::parse(network.as_ref()));
        let networks: Arc<[IpNet]> = networks.collect::<Result<_, _>>()?;
        if networks.is_empty() {
            let problem = "must name at least one address or network";
            return Err(ConfigError::Setting { setting: "TrustedProxies", value: None, problem });
        }
        Ok(Self { networks, field })
    }
}

/// An element of `X-Forwarded-For`, which no standard defines: IPv6 addresses stand bare or, with a port, in brackets.
fn listed_address(element: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(element.trim_ascii()).ok()?;
    text.parse().ok().or_else(|| forwarded::node(text))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    const NETWORKS: [&str; 3] = ["10.0.0.0/8", "fd00::/8", "192.0.2.9"];
    const PROXY: &str = "10.0.0.1";

    /// The answer for lines of a header, to a proxy.
    fn behind(proxies: &TrustedProxies, name: &'static str, lines: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(name, HeaderValue::from_bytes(line.as_bytes()).unwrap());
        }
        proxies.client_addr(PROXY.parse().unwrap(), &headers).to_string()
    }

    fn listed(lines: &[&str]) -> String {
        behind(&TrustedProxies::x_forwarded_for(NETWORKS).unwrap(), "x-forwarded-for", lines)
    }

    fn forwarded(lines: &[&str]) -> String {
        behind(&TrustedProxies::forwarded(NETWORKS).unwrap(), "forwarded", lines)
    }

    #[test]
    fn the_right_most_address_that_is_no_proxy_is_the_caller() {
        assert_eq!(listed(&["203.0.113.1"]), "203.0.113.1");
        assert_eq!(listed(&["203.0.113.66, 203.0.113.1"]), "203.0.113.1");
        assert_eq!(listed(&["203.0.113.66, 203.0.113.1, 192.0.2.9,10.9.9.9 ,\tfd00::1"]), "203.0.113.1");
        assert_eq!(listed(&["203.0.113.1, 192.0.2.8"]), "192.0.2.8", "a neighbour is no proxy");
        assert_eq!(forwarded(&["for=203.0.113.66, for=203.0.113.1"]), "203.0.113.1");
        assert_eq!(forwarded(&["for=203.0.113.1;by=10.0.0.2, for=\"[fd00::1]:1\";by=_b"]), "203.0.113.1");
    }

    #[test]
    fn a_caller_that_is_no_proxy_is_not_asked() {
        let proxies = TrustedProxies::x_forwarded_for(NETWORKS).unwrap();
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-for", HeaderValue::from_static("203.0.113.66"));
        let from = |peer: &str| proxies.client_addr(peer.parse().unwrap(), &headers).to_string();
        assert_eq!(from("203.0.113.1"), "203.0.113.1");
        assert_eq!(from("192.0.2.9"), "203.0.113.66");
    }

    #[test]
    fn only_the_header_that_the_proxies_write_is_looked_at() {
        let mut headers = HeaderMap::new();
        headers.insert("forwarded", HeaderValue::from_static("for=203.0.113.66"));
        headers.insert("x-real-ip", HeaderValue::from_static("203.0.113.67"));
        let peer = PROXY.parse().unwrap();
        let proxies = TrustedProxies::x_forwarded_for(NETWORKS).unwrap();
        assert_eq!(proxies.client_addr(peer, &headers), peer);
        headers.insert("x-forwarded-for", HeaderValue::from_static("203.0.113.1"));
        assert_eq!(proxies.client_addr(peer, &headers), IpAddr::from([203, 0, 113, 1]));
        let proxies = TrustedProxies::forwarded(NETWORKS).unwrap();
        assert_eq!(proxies.client_addr(peer, &headers), IpAddr::from([203, 0, 113, 66]));
        headers.remove("forwarded");
        assert_eq!(proxies.client_addr(peer, &headers), peer);
    }

    #[test]
    fn where_nobody_trusted_tells_more_the_last_proxy_is_the_answer() {
        for garbage in [
            "",
            " ",
            "unknown",
            "_hidden",
            "localhost",
            "203.0.113.1 203.0.113.2",
            "203.0.113.1;",
            "\"203.0.113.1\"",
            "203.0.113.1:",
            "203.0.113.1:http",
            "203.0.113.01",
            "[203.0.113.1]",
            "[2001:db8::1",
            "2001:db8::1]",
            "fe80::1%eth0",
            "[fe80::1%2]:80",
            "203.0.113.0/24",
            "\u{e9}",
        ] {
            assert_eq!(listed(&[garbage]), PROXY, "{garbage}");
            assert_eq!(listed(&[&format!("203.0.113.66, {garbage}, 10.0.0.2")]), "10.0.0.2", "{garbage}");
            assert_eq!(listed(&[&format!("{garbage}, 203.0.113.1, 10.0.0.2")]), "203.0.113.1", "{garbage}");
        }
        for garbage in
            ["", "for=unknown", "for=_hidden", "by=_x", "203.0.113.1", "for=203.0.113.1;for=203.0.113.1"]
        {
            assert_eq!(forwarded(&[garbage]), PROXY, "{garbage}");
            let lines = [&format!("for=203.0.113.66, {garbage}, for=10.0.0.2")[..]];
            assert_eq!(forwarded(&lines), "10.0.0.2", "{garbage}");
            let lines = [&format!("{garbage}, for=203.0.113.1, for=10.0.0.2")[..]];
            assert_eq!(forwarded(&lines), "203.0.113.1", "{garbage}");
        }
        assert_eq!(listed(&["203.0.113.1,"]), PROXY, "a trailing comma");
        assert_eq!(listed(&["10.0.0.3, 10.0.0.2"]), "10.0.0.3", "nobody but proxies");
        assert_eq!(listed(&[]), PROXY);
        assert_eq!(forwarded(&[]), PROXY);
    }

    #[test]
    fn lines_are_one_list() {
        assert_eq!(listed(&["203.0.113.66", "203.0.113.1"]), "203.0.113.1");
        assert_eq!(listed(&["203.0.113.66", "203.0.113.1, 10.0.0.3", "10.0.0.2"]), "203.0.113.1");
        assert_eq!(listed(&["203.0.113.66", "", "10.0.0.2"]), "10.0.0.2");
        assert_eq!(
            forwarded(&["for=203.0.113.66", "for=203.0.113.1, for=10.0.0.3", "for=10.0.0.2"]),
            "203.0.113.1"
        );
        assert_eq!(forwarded(&["for=203.0.113.66;host=\"", "for=203.0.113.1;host=\"x\""]), "203.0.113.1");
    }

    #[test]
    fn a_caller_cannot_hide_behind_quotes() {
        for left in
            ["for=\"203.0.113.66", "host=\"a\\", "\"", "\"\"\"", "for=203.0.113.66, host=\"\\\"", "\\"]
        {
            let line = format!("{left}, for=203.0.113.1;host=\"b,\\\",c\", for=10.0.0.2");
            assert_eq!(forwarded(&[&line]), "203.0.113.1", "{left}");
        }
        // A host that a proxy quoted is no element, whatever it looks like.
        assert_eq!(forwarded(&["for=203.0.113.1;host=\"a, for=203.0.113.66\""]), "203.0.113.1");
        assert_eq!(forwarded(&["for=203.0.113.1;host=\"a\\\", for=203.0.113.66\""]), "203.0.113.1");
    }

    #[test]
    fn an_address_may_have_a_port() {
        for (element, address) in [
            ("203.0.113.1:80", "203.0.113.1"),
            ("2001:db8::1", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("[2001:db8::1]:443", "2001:db8::1"),
        ] {
            assert_eq!(listed(&[&format!("{element}, 10.0.0.2:1, [fd00::1]:2")]), address);
        }
    }

    #[test]
    fn an_ipv4_address_has_one_form() {
        assert_eq!(listed(&["203.0.113.66, ::ffff:203.0.113.1, ::ffff:10.0.0.2"]), "203.0.113.1");
        assert_eq!(forwarded(&["for=203.0.113.66, for=\"[::ffff:203.0.113.1]:1\""]), "203.0.113.1");
        let headers = HeaderMap::from_iter([(X_FORWARDED_FOR, HeaderValue::from_static("203.0.113.1"))]);
        let from = |proxies: &str, peer: &str| {
            let proxies = TrustedProxies::x_forwarded_for([proxies]).unwrap();
            proxies.client_addr(peer.parse().unwrap(), &headers).to_string()
        };
        assert_eq!(from("10.0.0.0/8", "::ffff:10.0.0.1"), "203.0.113.1");
        assert_eq!(from("::ffff:10.0.0.1", "10.0.0.1"), "203.0.113.1");
        assert_eq!(from("10.0.0.0/8", "::ffff:11.0.0.1"), "11.0.0.1");
        // An IPv6 network that spans the IPv6 forms does not hold the addresses.
        assert_eq!(from("::/64", "10.0.0.1"), "10.0.0.1");
    }

    #[test]
    fn at_most_64_elements_are_looked_at() {
        let chain = |hops: std::ops::Range<u32>, hop: fn(u32) -> String| -> String {
            hops.map(hop).collect::<Vec<_>>().join(", ")
        };
        let proxy = |index: u32| format!("10.1.{}.{}", index / 256, index % 256);
        let proxy_for = |index: u32| format!("for=10.1.{}.{}", index / 256, index % 256);
        assert_eq!(listed(&[&chain(0..10_000, proxy)]), proxy(10_000 - 64));
        assert_eq!(forwarded(&[&chain(0..10_000, proxy_for)]), proxy(10_000 - 64));
        assert_eq!(listed(&[&format!("203.0.113.1, {}", chain(0..63, proxy))]), "203.0.113.1");
        assert_eq!(listed(&[&format!("203.0.113.1, {}", chain(0..64, proxy))]), proxy(0));
        let lines: Vec<_> = (0..10_000).map(proxy).collect();
        let lines: Vec<_> = lines.iter().map(String::as_str).collect();
        assert_eq!(listed(&lines), proxy(10_000 - 64));
    }

    #[test]
    fn a_list_names_somebody_and_every_one_of_it_is_judged() {
        let none: [&str; 0] = [];
        let refused = TrustedProxies::x_forwarded_for(none);
        assert!(matches!(refused, Err(ConfigError::Setting { setting: "TrustedProxies", .. })));
        assert!(TrustedProxies::forwarded(none).is_err());
        assert!(TrustedProxies::x_forwarded_for([PROXY, "0.0.0.0/0"]).is_err());
        assert!(TrustedProxies::forwarded([PROXY, "0.0.0.0/0"]).is_err());
        assert!(TrustedProxies::x_forwarded_for([PROXY, "0.0.0.0/1"]).is_ok());
        assert!(TrustedProxies::forwarded(vec![PROXY.to_owned()]).is_ok());
    }
}
