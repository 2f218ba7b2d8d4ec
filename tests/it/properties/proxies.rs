//! Chains of proxies, and whatever a caller writes before them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use http::{HeaderMap, HeaderValue};
use portcullis::TrustedProxies;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::check;

const NETWORKS: [&str; 3] = ["10.0.0.0/8", "fd00::/8", "192.0.2.9"];

fn is_trusted(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.octets()[0] == 10 || v4.octets() == [192, 0, 2, 9],
        IpAddr::V6(v6) => v6.octets()[0] == 0xfd,
    }
}

fn trusted() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        any::<[u8; 3]>().prop_map(|[a, b, c]| Ipv4Addr::new(10, a, b, c).into()),
        any::<u128>().prop_map(|bits| Ipv6Addr::from_bits(bits >> 8 | 0xfd << 120).into()),
        Just(IpAddr::from([192, 0, 2, 9])),
    ]
}

const NEAR: [&str; 8] =
    ["9.255.255.255", "11.0.0.0", "192.0.2.8", "192.0.2.10", "fcff::1", "fe00::", "::1", "::"];

fn untrusted() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        any::<u32>().prop_map(|bits| Ipv4Addr::from_bits(bits).into()),
        any::<u128>().prop_map(|bits| Ipv6Addr::from_bits(bits).into()),
        select(&NEAR[..]).prop_map(|text| text.parse().unwrap()),
    ]
    .prop_map(|address: IpAddr| address.to_canonical())
    .prop_filter("trusted", |address| !is_trusted(*address))
}

/// A hop that somebody made, and how the proxy that it reached writes it down.
#[derive(Clone, Debug)]
struct Hop {
    address: IpAddr,
    mapped: bool,
    port: Option<u16>,
    /// Spaces before and behind.
    padding: (&'static str, &'static str),
    /// Whether the element goes into a line of its own.
    own_line: bool,
    /// What `Forwarded` says of the host, which a caller chooses.
    host: String,
    host_first: bool,
}

fn hop(address: impl Strategy<Value = IpAddr>) -> impl Strategy<Value = Hop> {
    let padding = || select(&["", " ", "\t", "  "][..]);
    let style = (any::<bool>(), any::<Option<u16>>(), (padding(), padding()), any::<bool>());
    (address, style, "[ -~]{0,12}", any::<bool>()).prop_map(
        |(address, (mapped, port, padding, own_line), host, host_first)| Hop {
            address,
            mapped,
            port,
            padding,
            own_line,
            host,
            host_first,
        },
    )
}

impl Hop {
    fn address(&self) -> IpAddr {
        match self.address {
            IpAddr::V4(v4) if self.mapped => v4.to_ipv6_mapped().into(),
            address => address,
        }
    }

    fn listed(&self) -> String {
        match (self.address(), self.port) {
            (address, None) => address.to_string(),
            (IpAddr::V4(v4), Some(port)) => format!("{v4}:{port}"),
            (IpAddr::V6(v6), Some(port)) => format!("[{v6}]:{port}"),
        }
    }

    fn forwarded(&self) -> String {
        let node = match self.address() {
            IpAddr::V4(v4) => v4.to_string(),
            IpAddr::V6(v6) => format!("[{v6}]"),
        };
        let port = self.port.map(|port| format!(":{port}")).unwrap_or_default();
        let quote = if node.starts_with('[') || !port.is_empty() { "\"" } else { "" };
        let node = format!("for={quote}{node}{port}{quote}");
        let host = format!("host=\"{}\"", self.host.replace('\\', "\\\\").replace('"', "\\\""));
        if self.host_first { format!("{host};{node}") } else { format!("{node};{host}") }
    }

    /// What a proxy does to the header.
    fn append(&self, lines: &mut Vec<Vec<u8>>, element: &str) {
        let (before, behind) = self.padding;
        let element = format!("{before}{element}{behind}");
        match lines.last_mut() {
            Some(last) if !self.own_line => last.extend_from_slice(format!(",{element}").as_bytes()),
            _ => lines.push(element.into_bytes()),
        }
    }
}

/// Lines that a caller sends: text that looks right, text that nearly does, and anything else.
fn lines() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let part = prop_oneof![
        4 => select(&["for=", "host=", "\"", "\\", ",", ";", "=", " ", "unknown", "_x", "[", "]", ":80"][..])
            .prop_map(String::from),
        2 => prop_oneof![trusted(), untrusted()].prop_map(|address| address.to_string()),
        2 => hop(prop_oneof![trusted(), untrusted()]).prop_map(|hop| hop.forwarded() + ","),
        2 => hop(prop_oneof![trusted(), untrusted()]).prop_map(|hop| hop.listed() + ","),
        1 => "[ -~]{0,8}",
    ];
    let line = prop_oneof![
        4 => vec(part, 0..8).prop_map(|parts| parts.concat().into_bytes()),
        1 => vec(prop_oneof![0x20..0x7f_u8, 0x80..=0xff_u8, Just(b'\t')], 0..60),
    ];
    vec(line, 0..4)
}

fn headers(name: &'static str, lines: &[Vec<u8>]) -> HeaderMap {
    lines.iter().map(|line| (name.parse().unwrap(), HeaderValue::from_bytes(line).unwrap())).collect()
}

/// A header, who reads it, and how a proxy writes a hop into it.
struct Form {
    name: &'static str,
    proxies: TrustedProxies,
    element: fn(&Hop) -> String,
}

fn forms() -> [Form; 2] {
    let listed = TrustedProxies::x_forwarded_for(NETWORKS).unwrap();
    let forwarded = TrustedProxies::forwarded(NETWORKS).unwrap();
    [
        Form { name: "x-forwarded-for", proxies: listed, element: Hop::listed },
        Form { name: "forwarded", proxies: forwarded, element: Hop::forwarded },
    ]
}

impl Form {
    /// The answer to a request that came by hops, the last of which is the peer, which nobody writes down.
    fn answer(&self, mut lines: Vec<Vec<u8>>, hops: &[&Hop]) -> IpAddr {
        let (peer, told) = hops.split_last().unwrap();
        told.iter().for_each(|hop| hop.append(&mut lines, &(self.element)(hop)));
        self.proxies.client_addr(peer.address(), &headers(self.name, &lines))
    }
}

/// Hops in the order in which they were made: the last one that is not trusted is the caller, whatever stands before.
#[test]
fn nothing_that_a_caller_writes_changes_its_address() {
    let forms = forms();
    let before = vec(hop(prop_oneof![trusted(), untrusted()]), 0..4);
    let input = (lines(), before, hop(untrusted()), vec(hop(trusted()), 1..6));
    check(input, |(written, before, caller, proxies)| {
        let hops: Vec<_> = before.iter().chain([&caller]).chain(&proxies).collect();
        for form in &forms {
            assert_eq!(form.answer(written.clone(), &hops), caller.address, "{}", form.name);
        }
    });
}

#[test]
fn a_caller_that_connects_itself_cannot_change_its_address() {
    let forms = forms();
    check((lines(), hop(untrusted())), |(written, caller)| {
        for form in &forms {
            assert_eq!(form.answer(written.clone(), &[&caller]), caller.address, "{}", form.name);
        }
    });
}

#[test]
fn a_chain_of_proxies_alone_ends_at_the_first_one() {
    let forms = forms();
    check(vec(hop(trusted()), 1..6), |hops| {
        let hops: Vec<_> = hops.iter().collect();
        for form in &forms {
            assert_eq!(form.answer(Vec::new(), &hops), hops[0].address, "{}", form.name);
        }
    });
}
