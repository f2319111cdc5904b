//! Networks in networks: cutting, counting and merging them.

use ipnet::IpNet;

use super::super::super::{TemplateError, Value, python};
use super::network::Network;
use super::query::{Subject, no};

/// The network that a value stands for; of an address with host bits only `cidr` keeps them.
pub fn network_of(value: &Value) -> Option<Network> {
    let network = Subject::read(value, None)?.network;
    value.is_true().then_some(network)
}

/// `ipsubnet(query, index)`
pub fn ipsubnet(value: &Value, query: &str, index: Option<i64>) -> Result<Value, TemplateError> {
    let Some(network) = network_of(value) else { return Ok(no()) };
    let network = network.cidr();
    if query.is_empty() {
        return Ok(Value::from(network.to_string()));
    }
    if !query.bytes().all(|byte| byte.is_ascii_digit()) {
        return place_in(&network, query);
    }
    let Some(prefix) = query.parse::<u8>().ok().filter(|prefix| *prefix <= network.bits()) else {
        return Ok(no());
    };
    match index {
        _ if network.size() == 1 => supernet(&network, prefix, index.unwrap_or(0)),
        None if prefix < network.prefix => {
            Err(TemplateError::new(format!("Requested subnet size of {prefix} is invalid")))
        }
        None => Ok(Value::from(match u32::from(prefix - network.prefix) {
            128 => "340282366920938463463374607431768211456".to_owned(),
            bits => (1u128 << bits).to_string(),
        })),
        Some(index) => Ok(subnet(&network, prefix, index)
            .map_or_else(no, |subnet| Value::from(subnet.to_string()))),
    }
}

/// The networks around a lone address, the largest first.
fn supernet(address: &Network, prefix: u8, index: i64) -> Result<Value, TemplateError> {
    let bits = i64::from(address.bits());
    if index > bits + 1 - index || index < i64::from(prefix) - bits {
        return Ok(no());
    }
    let wanted = if index < 0 { bits + index } else { i64::from(prefix) + index };
    let wanted =
        u8::try_from(wanted).ok().filter(|wanted| (prefix..address.bits()).contains(wanted));
    let prefix = wanted.ok_or_else(|| TemplateError::new("ipsubnet: list index out of range"))?;
    Ok(Value::from(Network { prefix, ..*address }.cidr().to_string()))
}

/// The subnet of this size and number; negative ones count from the end.
fn subnet(network: &Network, prefix: u8, index: i64) -> Option<Network> {
    let Some(bits) = prefix.checked_sub(network.prefix) else {
        return (index == 0).then_some(Network { prefix, ..*network });
    };
    let count = 1u128.checked_shl(u32::from(bits)).unwrap_or(u128::MAX);
    let index = match u128::try_from(index) {
        Ok(index) => index,
        Err(_) => count.checked_sub(u128::from(index.unsigned_abs()))?,
    };
    let offset = index.checked_shl(u32::from(network.bits() - prefix)).unwrap_or_default();
    (index < count).then(|| Network { ip: network.ip + offset, prefix, ..*network })
}

/// Which one of the subnets of its size in another network this is, from one on.
fn place_in(network: &Network, outer: &str) -> Result<Value, TemplateError> {
    let outer = network_of(&Value::from(outer)).ok_or_else(|| {
        TemplateError::new(format!(
            "You must pass a valid subnet or IP address; {outer} is invalid"
        ))
    })?;
    if !outer.contains(network) {
        return Err(TemplateError::new(format!("{network} is not in the subnet {}", outer.cidr())));
    }
    let offset = network.ip - outer.first();
    let place = offset.checked_shr(u32::from(network.bits() - network.prefix)).unwrap_or_default();
    Ok(Value::from((place + 1).to_string()))
}

/// The address this far from the value's, when hosts can have it.
pub fn nth_usable(value: &Value, offset: i64) -> Value {
    let Some(network) = network_of(value) else { return no() };
    // A network without host bits is counted from its own address.
    let usable = network.usable();
    let found = network.offset(network.ip, offset);
    let found = found.filter(|ip| usable.is_some_and(|(first, last)| (first..=last).contains(ip)));
    found.map_or_else(|| Value::from(()), |ip| Value::from(network.address(ip)))
}

pub fn nth_host(value: &Value, nth: i64) -> Result<Value, TemplateError> {
    let Some(network) = network_of(value) else { return Ok(no()) };
    if nth >= 0 && u128::from(nth.unsigned_abs()) >= network.size() {
        return Ok(no());
    }
    let found = match nth {
        0.. => network.offset(network.first(), nth),
        _ => network.offset(network.last(), nth + 1).filter(|ip| *ip >= network.first()),
    };
    let found = found.ok_or_else(|| TemplateError::new("nthhost: index out of range"))?;
    Ok(Value::from(network.address(found)))
}

/// The first and last address of a network, as far as comparisons of networks count them.
pub fn bounds(network: &Network) -> (u128, u128) {
    (network.first(), network.broadcast().unwrap_or(network.first()))
}

/// Whether both ends of `inner` are in `first` to `last`.
pub fn is_in(inner: &Network, first: u128, last: u128) -> bool {
    let (from, to) = bounds(inner);
    (first..=last).contains(&from) && (first..=last).contains(&to)
}

fn networks(value: &Value) -> Result<Vec<IpNet>, TemplateError> {
    let read = |item: &Value| {
        let text = python::text(item);
        let network = Network::read(&text);
        network.and_then(|network| network.to_string().parse().ok()).ok_or_else(|| {
            TemplateError::new(format!("cidr_merge: error in netaddr:\ninvalid IPNetwork {text}"))
        })
    };
    python::items(value)?.iter().map(read).collect()
}

/// `cidr_merge(action)`
pub fn cidr_merge(value: &Value, action: &str) -> Result<Value, TemplateError> {
    match action {
        "merge" => {
            let networks: Vec<IpNet> = networks(value)?.iter().map(IpNet::trunc).collect();
            Ok(IpNet::aggregate(&networks).iter().map(|net| Value::from(net.to_string())).collect())
        }
        "span" => span(&networks(value)?),
        other => Err(TemplateError::new(format!("cidr_merge: invalid action '{other}'"))),
    }
}

/// The smallest network around all of them.
fn span(networks: &[IpNet]) -> Result<Value, TemplateError> {
    let Some(first) = networks.first() else { return Ok(Value::from(())) };
    if let [only] = networks {
        return Ok(Value::from(only.to_string()));
    }
    let mut around = first.trunc();
    while !networks.iter().all(|network| around.contains(network)) {
        around = around.supernet().ok_or_else(|| {
            TemplateError::new(
                "cidr_merge: error in netaddr:\nIP sequence cannot contain both IPv4 and IPv6!",
            )
        })?;
    }
    Ok(Value::from(around.to_string()))
}
