//! Tests of ansible.utils about addresses and networks, as Python's `ipaddress` reads them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::super::call::{Call, Plugin};
use super::super::filters::address::{Network, hardware_address};
use super::super::{TemplateError, Value, python};

pub const TESTS: &[Plugin] = &[
    Plugin::new("ip", &["ip"], |call| is_network(call, |_| true)),
    Plugin::new("ipv4", &["ip"], |call| is_network(call, |network| !network.six)),
    Plugin::new("ipv6", &["ip"], |call| is_network(call, |network| network.six)),
    Plugin::new("ip_address", &["ip"], |call| is_address(call, |_| true)),
    Plugin::new("ipv4_address", &["ip"], |call| is_address(call, |ip| ip.is_ipv4())),
    Plugin::new("ipv6_address", &["ip"], |call| is_address(call, |ip| ip.is_ipv6())),
    Plugin::new("ipv4_netmask", &["mask"], |call| is_mask(call, |mask| mask.leading_ones())),
    Plugin::new("ipv4_hostmask", &["mask"], |call| is_mask(call, |mask| mask.trailing_ones())),
    Plugin::new("ipv6_ipv4_mapped", &["ip"], |call| six(call, |ip| ip.to_ipv4_mapped().is_some())),
    Plugin::new("ipv6_sixtofour", &["ip"], |call| six(call, |ip| ip.segments()[0] == 0x2002)),
    Plugin::new("ipv6_teredo", &["ip"], |call| six(call, |ip| ip.segments()[..2] == [0x2001, 0])),
    Plugin::new("loopback", &["ip"], |call| is_address(call, |ip| ip.is_loopback())),
    Plugin::new("multicast", &["ip"], |call| is_address(call, |ip| ip.is_multicast())),
    Plugin::new("unspecified", &["ip"], |call| is_address(call, |ip| ip.is_unspecified())),
    Plugin::new("private", &["ip"], |call| {
        is_address(call, |ip| within(ip, PRIVATE) && !is_shared(ip))
    }),
    Plugin::new("public", &["ip"], |call| is_address(call, |ip| !within(ip, PRIVATE))),
    Plugin::new("reserved", &["ip"], |call| is_address(call, |ip| within(ip, RESERVED))),
    Plugin::new("mac", &["mac"], |call| {
        Ok(Value::from(call.value()?.as_str().is_some_and(|text| {
            // A bare number is a hardware address to the filters alone.
            text.len() >= 11 && hardware_address(text).is_some()
        })))
    }),
    Plugin::new("in_network", &["ip", "network"], |call| in_networks(call, "network", |n| n == 1)),
    Plugin::new("subnet_of", &["network", "other"], |call| in_networks(call, "other", |n| n == 1)),
    Plugin::new("supernet_of", &["network", "other"], |call| {
        let (outer, inner) = (network(call.value()?), network(call.need("other")?));
        Ok(Value::from(outer.zip(inner).is_some_and(|(outer, inner)| outer.contains(&inner))))
    }),
    Plugin::new("in_any_network", &["ip", "networks"], |call| {
        in_networks(call, "networks", |count| count > 0)
    }),
    Plugin::new("in_one_network", &["ip", "networks"], |call| {
        in_networks(call, "networks", |count| count == 1)
    }),
];

const PRIVATE: &[&str] = &[
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/29",
    "192.0.0.170/31",
    "192.0.2.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "240.0.0.0/4",
    "::/127",
    "::ffff:0:0/96",
    "100::/64",
    "2001::/23",
    "2001:db8::/32",
    "fc00::/7",
    "fe80::/10",
];

/// What IETF keeps for later.
const RESERVED: &[&str] = &[
    "240.0.0.0/4",
    "::/3",
    "4000::/2",
    "8000::/2",
    "c000::/3",
    "e000::/4",
    "f000::/5",
    "f800::/6",
    "fe00::/9",
];

fn within(ip: &IpAddr, networks: &[&str]) -> bool {
    let own = Network::read(&ip.to_string());
    own.is_some_and(|own| {
        networks.iter().filter_map(|text| Network::read(text)).any(|outer| outer.contains(&own))
    })
}

/// Addresses between carriers and customers are neither private nor public.
fn is_shared(ip: &IpAddr) -> bool {
    within(ip, &["100.64.0.0/10"])
}

/// A network, which must have no host bits.
fn network(value: &Value) -> Option<Network> {
    Network::read(&python::text(value)).filter(Network::is_network)
}

fn is_network(call: &mut Call, is: fn(&Network) -> bool) -> Result<Value, TemplateError> {
    Ok(Value::from(network(call.value()?).is_some_and(|network| is(&network))))
}

fn is_address(call: &mut Call, is: fn(&IpAddr) -> bool) -> Result<Value, TemplateError> {
    let address = python::text(call.value()?).parse();
    Ok(Value::from(address.is_ok_and(|address| is(&address))))
}

fn six(call: &mut Call, is: fn(&Ipv6Addr) -> bool) -> Result<Value, TemplateError> {
    let address = python::text(call.value()?).parse();
    Ok(Value::from(address.is_ok_and(|address| is(&address))))
}

fn is_mask(call: &mut Call, ones: fn(u32) -> u32) -> Result<Value, TemplateError> {
    let mask = python::text(call.value()?).parse::<Ipv4Addr>().map(Ipv4Addr::to_bits);
    Ok(Value::from(mask.is_ok_and(|mask| ones(mask) == mask.count_ones())))
}

/// Whether the value is in as many of the networks as it has to be.
fn in_networks(
    call: &mut Call,
    name: &str,
    enough: fn(usize) -> bool,
) -> Result<Value, TemplateError> {
    let given = call.need(name)?;
    let outer = if given.as_str().is_some() { vec![given.clone()] } else { python::items(given)? };
    let Some(inner) = network(call.value()?) else { return Ok(Value::from(false)) };
    let count = outer.iter().filter_map(network).filter(|outer| outer.contains(&inner)).count();
    Ok(Value::from(enough(count)))
}
