//! Pools of client addresses.

use std::collections::HashSet;

use ipnet::IpNet;
use visor_logs::{network, resolved::Clients, resolved::Distribution};

use crate::{
    choice::{InvalidWeights, Table},
    random::{Random, Seed},
    text::Text,
};

/// The default networks of clients with their weights: those that are reserved for documentation
/// and benchmarks (RFC 5737, RFC 2544 and RFC 3849).
const NETWORKS: &[(&str, u64)] = &[
    ("192.0.2.0/24", 150),
    ("198.51.100.0/24", 200),
    ("203.0.113.0/24", 200),
    ("198.18.0.0/15", 300),
    ("2001:db8::/32", 150),
];

/// The share of requests from all addresses of a pool alike, in the binomial distribution: without it
/// most addresses of a large pool would never be drawn.
const EVERYBODY: f64 = 0.01;

/// Creates the table of a pool. Its addresses are different and depend on the seed alone; they need
/// no escaping in any format.
///
/// # Errors
///
/// If the networks have fewer addresses, which the rules of documents exclude, or if the built-in
/// list of networks is invalid.
pub fn pool(clients: &Clients, seed: Seed) -> Result<Table<Text>, InvalidWeights> {
    let mut networks: Vec<(IpNet, u64)> = match &clients.networks {
        Some(networks) => {
            networks.iter().map(|(network, weight)| (*network, u64::from(weight))).collect()
        }
        None => NETWORKS
            .iter()
            .filter_map(|(network, weight)| Some((network.parse().ok()?, *weight)))
            .collect(),
    };
    let mut random = seed.child("clients").random();
    let size = clients.pool.get();
    let mut addresses = Vec::with_capacity(size as usize);
    let mut taken = HashSet::with_capacity(size as usize);
    let mut table = Table::new(networks.iter().copied())?;
    while addresses.len() < size as usize {
        let network = *table.draw(&mut random);
        let drawn = draw_host(&network, &mut random);
        if let Some(host) = next_free(&network, drawn, &taken) {
            let address = network::address(&network, host);
            taken.insert((address.is_ipv6(), host));
            addresses.push(Text::new(address.to_string().as_bytes()));
        } else {
            // All its addresses are in the pool.
            networks.retain(|(other, _)| *other != network);
            table = Table::new(networks.iter().copied())?;
        }
    }
    Table::new(addresses.into_iter().zip(weights(clients.distribution, size)))
}

/// The number of a random host of a network.
fn draw_host(network: &IpNet, random: &mut Random) -> u128 {
    let hosts = network::hosts(network);
    match network {
        IpNet::V4(_) => {
            let count = u64::try_from(hosts.end() - hosts.start() + 1).unwrap_or(u64::MAX);
            hosts.start() + u128::from(random.below(count))
        }
        IpNet::V6(_) => {
            let bits = u128::from(random.bits()) << 64 | u128::from(random.bits());
            hosts.start() | (bits & (hosts.end() - hosts.start()))
        }
    }
}

/// The first host from `drawn` on, starting over at the end of the network, that isn't taken.
fn next_free(network: &IpNet, drawn: u128, taken: &HashSet<(bool, u128)>) -> Option<u128> {
    let hosts = network::hosts(network);
    let is_free = |host: &u128| !taken.contains(&(matches!(network, IpNet::V6(_)), *host));
    (drawn..=*hosts.end()).find(is_free).or_else(|| (*hosts.start()..drawn).find(is_free))
}

/// The weights of a pool of this size.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "weights are from 0 to 2^40, and their fractions don't show"
)]
fn weights(distribution: Distribution, size: u32) -> Vec<u64> {
    const SCALE: f64 = (1u64 << 40) as f64;
    match distribution {
        Distribution::Uniform => vec![1; size as usize],
        Distribution::Zipf => (1..=size).map(|n| (SCALE / f64::from(n)) as u64).collect(),
        Distribution::Binomial => {
            let chances = binomial(size - 1);
            let total: f64 = chances.iter().sum();
            let any = EVERYBODY / f64::from(size);
            let weight = |chance: &f64| (1.0 - EVERYBODY) * chance / total + any;
            chances.iter().map(|chance| (weight(chance) * SCALE) as u64).collect()
        }
    }
}

/// The probabilities of 0 to `trials` successes relative to the most likely one, for the binomial
/// distribution with p = 1/2. Computed outwards from the middle by the ratio of neighbors, so that
/// large pools don't underflow.
fn binomial(trials: u32) -> Vec<f64> {
    let middle = trials / 2;
    let mut chances = vec![0.0; trials as usize + 1];
    chances[middle as usize] = 1.0;
    for successes in middle..trials {
        let ratio = f64::from(trials - successes) / f64::from(successes + 1);
        chances[successes as usize + 1] = chances[successes as usize] * ratio;
    }
    for successes in (0..middle).rev() {
        let ratio = f64::from(successes + 1) / f64::from(trials - successes);
        chances[successes as usize] = chances[successes as usize + 1] * ratio;
    }
    chances
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, net::IpAddr};

    use super::*;
    use crate::testing;
    use serde_json::json;
    use statrs::distribution::{Binomial, ChiSquared, ContinuousCDF, Discrete};
    use visor_logs::resolved::Log;

    /// Pearson's test of drawn indices against wanted chances, over the values that are expected
    /// at least five times; a p-value below one in a thousand fails. The seed is fixed.
    fn assert_drawn_as(distribution: Distribution, size: u32, chance: impl Fn(u32) -> f64) {
        const DRAWS: u32 = 50_000;
        let table = Table::new((0..size).zip(weights(distribution, size))).unwrap();
        let mut random = Seed::new(11).random();
        let mut counts = vec![0.0; size as usize];
        for _ in 0..DRAWS {
            counts[*table.draw(&mut random) as usize] += 1.0;
        }
        let (mut statistic, mut cells) = (0.0, 0.0);
        for (member, count) in (0..).zip(&counts) {
            let expected = chance(member) * f64::from(DRAWS);
            if expected >= 5.0 {
                statistic += (count - expected) * (count - expected) / expected;
                cells += 1.0;
            }
        }
        let p = ChiSquared::new(cells - 1.0).unwrap().sf(statistic);
        assert!(p > 0.001, "{distribution:?}: p = {p}");
    }

    #[test]
    fn each_distribution_draws_its_members_as_often_as_it_should() {
        assert_drawn_as(Distribution::Uniform, 50, |_| 1.0 / 50.0);
        let harmonic: f64 = (1..=50).map(|n| 1.0 / f64::from(n)).sum();
        assert_drawn_as(Distribution::Zipf, 50, |n| 1.0 / f64::from(n + 1) / harmonic);
        let wanted = Binomial::new(0.5, 49).unwrap();
        assert_drawn_as(Distribution::Binomial, 50, |n| {
            0.99 * wanted.pmf(u64::from(n)) + 0.01 / 50.0
        });
    }

    /// The configured clients.
    fn clients(document: &serde_json::Value) -> Clients {
        let generator = json!({"name": "web", "access": {"clients": document}});
        match testing::generator(&generator).log {
            Log::Access(log) => log.requests.clients,
            Log::Error(_) => unreachable!("it is an access log"),
        }
    }

    #[test]
    fn addresses_are_of_their_networks_and_depend_on_the_seed_alone() {
        let clients = clients(&json!({
            "pool": 200,
            "distribution": "Uniform",
            "networks": [{"value": "192.0.2.0/30"}, {"value": "2001:db8:7::/48"}],
        }));
        let table = pool(&clients, Seed::new(3)).unwrap();
        for address in table.values() {
            let text = std::str::from_utf8(address).unwrap();
            let address: IpAddr = text.parse().unwrap();
            let fits = match address {
                IpAddr::V4(_) => ["192.0.2.1", "192.0.2.2"].contains(&text),
                IpAddr::V6(_) => text.starts_with("2001:db8:7:"),
            };
            assert!(fits, "{text}");
        }
        assert_eq!(table, pool(&clients, Seed::new(3)).unwrap());
        assert_ne!(table, pool(&clients, Seed::new(4)).unwrap());
    }

    /// A pool has as many addresses as it should, also where networks overlap and are used up.
    #[test]
    fn a_pool_has_as_many_addresses_as_it_says() {
        for (size, networks) in [
            (254, json!([{"value": "203.0.113.0/24"}])),
            (2, json!([{"value": "203.0.113.0/31", "weight": 3}])),
            (255, json!([{"value": "203.0.113.0/24"}, {"value": "203.0.113.0/32", "weight": 9}])),
            (300, json!([{"value": "192.0.2.0/30", "weight": 1_000_000}, {"value": "10.0.0.0/8"}])),
            (16, json!([{"value": "2001:db8::/124"}])),
            (4094, json!([{"value": "10.7.0.0/20"}])),
            (65_536, json!([])),
        ] {
            let clients =
                clients(&json!({"pool": size, "networks": networks, "distribution": "Uniform"}));
            let table = pool(&clients, Seed::new(5)).unwrap();
            let addresses: BTreeSet<&[u8]> =
                table.values().iter().map(|address| &**address).collect();
            assert_eq!(addresses.len(), size, "{networks}");
        }
    }

    /// Each address of a pool is drawn.
    #[test]
    fn every_address_of_a_pool_comes_up() {
        for (size, draws) in [(50, 100_000), (500, 1_000_000)] {
            for distribution in ["Uniform", "Binomial", "Zipf"] {
                let clients = clients(&json!({"pool": size, "distribution": distribution}));
                let table = pool(&clients, Seed::new(5)).unwrap();
                let mut random = Seed::new(6).random();
                let seen: BTreeSet<usize> =
                    (0..draws).map(|_| table.draw_index(&mut random)).collect();
                assert_eq!(seen.len(), size, "{distribution}");
            }
        }
    }

    #[test]
    fn the_networks_of_our_own_are_networks() {
        for (network, weight) in NETWORKS {
            assert!(network.parse::<IpNet>().is_ok() && *weight > 0, "{network}");
        }
    }

    #[test]
    fn the_largest_and_the_smallest_pool_and_network_work() {
        for (size, network) in [(65_536, "0.0.0.0/0"), (1, "198.51.100.7/32"), (3, "::/0")] {
            let clients = clients(&json!({"pool": size, "networks": [{"value": network}]}));
            let drawn = pool(&clients, Seed::new(1)).unwrap();
            let is_address = |text: &Text| {
                std::str::from_utf8(text).is_ok_and(|text| text.parse::<IpAddr>().is_ok())
            };
            assert!(drawn.values().iter().all(is_address), "{network}");
        }
    }
}
