//! Networks of clients: their text form, and the addresses that hosts can have. Pure.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    ops::RangeInclusive,
};

use ipnet::IpNet;

use crate::{message::shown, parsed::Meaning};

impl Meaning for IpNet {
    fn parse(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| {
            let advice = match text.parse::<IpAddr>() {
                Ok(address) => format!("for that one address write `{}`", Self::from(address)),
                Err(_) => "write one such as `203.0.113.0/24` or `2001:db8::/32`".to_owned(),
            };
            format!("`{}` is not a network; {advice}", shown(text))
        })
    }
}

/// The addresses of hosts in a network, as numbers: all but the first and the last one of an IPv4
/// network with more than two, and all of an IPv6 network.
pub fn hosts(network: &IpNet) -> RangeInclusive<u128> {
    let (first, last) = (number(network.network()), number(network.broadcast()));
    match network {
        IpNet::V4(network) if network.prefix_len() < 31 => first + 1..=last - 1,
        IpNet::V4(_) | IpNet::V6(_) => first..=last,
    }
}

/// The address with this number, in the family of a network.
#[expect(clippy::cast_possible_truncation, reason = "IPv4 addresses have 32 bits")]
pub fn address(network: &IpNet, number: u128) -> IpAddr {
    match network {
        IpNet::V4(_) => Ipv4Addr::from(number as u32).into(),
        IpNet::V6(_) => Ipv6Addr::from(number).into(),
    }
}

/// The number of different addresses that hosts in these networks can have; at most `u128::MAX`.
pub fn count_hosts<'a>(networks: impl IntoIterator<Item = &'a IpNet>) -> u128 {
    let mut ranges: Vec<(bool, u128, u128)> = networks
        .into_iter()
        .map(|network| {
            let hosts = hosts(network);
            (matches!(network, IpNet::V6(_)), *hosts.start(), *hosts.end())
        })
        .collect();
    ranges.sort_unstable();
    let mut count: u128 = 0;
    let mut counted: Option<(bool, u128)> = None;
    for (family, first, last) in ranges {
        // Networks may overlap: only what lies after the last counted address is new.
        let first = match counted {
            Some((of, until)) if of == family && until >= first => until.saturating_add(1),
            _ => first,
        };
        if first <= last {
            count = count.saturating_add((last - first).saturating_add(1));
            counted = Some((family, last));
        }
    }
    count
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u32::from(address).into(),
        IpAddr::V6(address) => address.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_counted_once() {
        for (networks, count) in [
            (&["203.0.113.0/24"][..], 254),
            (&["203.0.113.0/30"], 2),
            (&["203.0.113.0/31"], 2),
            (&["203.0.113.7/32", "203.0.113.7/32"], 1),
            (&["203.0.113.0/24", "203.0.113.128/25", "203.0.113.0/32"], 255),
            (&["10.0.0.0/8", "10.1.0.0/16", "192.0.2.0/29"], (1 << 24) - 2 + 6),
            (&["0.0.0.0/0"], (1 << 32) - 2),
            (&["::/126", "0.0.0.0/30"], 6),
            (&["::/0", "::/1"], u128::MAX),
        ] {
            let networks: Vec<IpNet> = networks.iter().map(|text| text.parse().unwrap()).collect();
            assert_eq!(count_hosts(&networks), count, "{networks:?}");
        }
    }
}
