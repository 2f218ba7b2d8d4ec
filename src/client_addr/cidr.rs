//! Networks, as configuration writes them.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::error::ConfigError;

/// One of IPv4 or IPv6 that holds addresses in their canonical form, and not all of them; an address is a network of one.
pub(super) fn parse(text: &str) -> Result<IpNet, ConfigError> {
    let wrong = |problem| ConfigError::Network { network: text.to_owned(), problem };
    let (address, prefix) =
        text.split_once('/').map_or((text, None), |(address, prefix)| (address, Some(prefix)));
    // The parser of `ipnet` takes leading zeros, which others read as octal.
    let address: IpAddr = address.parse().map_err(|_| wrong("is not an address or network"))?;
    let Some(prefix) = prefix else { return Ok(address.to_canonical().into()) };
    // A number in Rust may begin with a plus sign.
    let prefix = Some(prefix).filter(|prefix| prefix.bytes().all(|byte| byte.is_ascii_digit()));
    let network = prefix.and_then(|prefix| IpNet::new(address, prefix.parse().ok()?).ok());
    let network = network.ok_or_else(|| wrong("the prefix does not fit the address"))?;
    if network.prefix_len() == 0 {
        return Err(wrong("everybody would be trusted"));
    }
    if network.network() != address {
        return Err(wrong("has bits set behind its prefix"));
    }
    // It would hold nothing, since addresses are compared in their IPv4 form.
    if address != address.to_canonical() {
        return Err(wrong("must be written as an IPv4 network"));
    }
    Ok(network)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_those_that_can_be_meant() {
        for good in [
            "10.0.0.0/8",
            "10.0.0.1/32",
            "10.0.0.1",
            "128.0.0.0/1",
            "fd00::/8",
            "8000::/1",
            "2001:DB8::1/128",
            "2001:db8::1",
            "::ffff:10.0.0.1",
        ] {
            assert!(parse(good).is_ok(), "{good}");
        }
        for (bad, expected) in [
            ("", "is not an address or network"),
            ("/8", "is not an address or network"),
            ("proxy.example.com", "is not an address or network"),
            (" 10.0.0.0/8", "is not an address or network"),
            ("10.0.0.0 /8", "is not an address or network"),
            ("010.0.0.0/8", "is not an address or network"),
            ("10/8", "is not an address or network"),
            ("10.0.0.1:80", "is not an address or network"),
            ("[fd00::1]", "is not an address or network"),
            ("fe80::1%1", "is not an address or network"),
            ("10.0.0.0/", "the prefix does not fit the address"),
            ("10.0.0.0/+8", "the prefix does not fit the address"),
            ("10.0.0.0/8 ", "the prefix does not fit the address"),
            ("10.0.0.0/33", "the prefix does not fit the address"),
            ("10.0.0.0/255.0.0.0", "the prefix does not fit the address"),
            ("fd00::/129", "the prefix does not fit the address"),
            ("0.0.0.0/0", "everybody would be trusted"),
            ("10.0.0.0/0", "everybody would be trusted"),
            ("::/0", "everybody would be trusted"),
            ("10.0.0.1/8", "has bits set behind its prefix"),
            ("fd00::1/64", "has bits set behind its prefix"),
            ("::ffff:10.0.0.0/104", "must be written as an IPv4 network"),
            ("::ffff:0.0.0.0/96", "must be written as an IPv4 network"),
        ] {
            let expected = ConfigError::Network { network: bad.to_owned(), problem: expected };
            assert_eq!(parse(bad), Err(expected));
        }
    }
}
