//! The filters' arguments.

use minijinja::value::ValueKind;

use super::super::super::call::{Call, Plugin};
use super::super::super::{TemplateError, Value, python};
use super::hardware;
use super::network::Network;
use super::query::{ipaddr, no};
use super::subnets;

pub const FILTERS: &[Plugin] = &[
    Plugin::new("ipaddr", &["value", "query", "version", "alias"], |call| {
        let version = call.some("version").filter(|version| version.is_true());
        let version = version.map(|version| call.as_integer("version", version)).transpose()?;
        ipaddr(subject(call, "ipaddr", true)?, &query(call), version, "ipaddr")
    }),
    Plugin::new("ipv4", &["value", "query"], |call| of_version(call, 4, "ipv4")),
    Plugin::new("ipv6", &["value", "query"], |call| of_version(call, 6, "ipv6")),
    Plugin::new("ipwrap", &["value", "query"], ipwrap),
    Plugin::new("ipsubnet", &["value", "query", "index"], |call| {
        let index = call.some("index").map(|index| call.as_integer("index", index)).transpose()?;
        subnets::ipsubnet(call.value()?, &query(call), index)
    }),
    Plugin::new("ipmath", &["value", "amount"], ipmath),
    Plugin::new("ip4_hex", &["arg", "delimiter"], ip4_hex),
    Plugin::new("ipcut", &["value", "amount"], ipcut),
    Plugin::new("ipv6form", &["value", "format"], ipv6form),
    Plugin::new("next_nth_usable", &["value", "offset"], |call| {
        Ok(subnets::nth_usable(call.value()?, call.integer("offset", 0)?))
    }),
    Plugin::new("previous_nth_usable", &["value", "offset"], |call| {
        Ok(subnets::nth_usable(call.value()?, call.integer("offset", 0)?.saturating_neg()))
    }),
    Plugin::new("nthhost", &["value", "query"], |call| match query(call).trim().parse() {
        Ok(nth) => subnets::nth_host(call.value()?, nth),
        Err(_) => Ok(no()),
    }),
    Plugin::new("network_in_network", &["value", "test"], |call| in_network(call, subnets::bounds)),
    Plugin::new("network_in_usable", &["value", "test"], |call| {
        in_network(call, |network| network.usable().unwrap_or((network.ip, network.ip)))
    }),
    Plugin::new("reduce_on_network", &["value", "network"], reduce_on_network),
    Plugin::new("cidr_merge", &["value", "action"], |call| {
        subnets::cidr_merge(call.value()?, &call.text_or("action", "merge"))
    }),
    Plugin::new("usable_range", &["ip"], usable_range),
    Plugin::new("slaac", &["value", "query"], slaac),
    Plugin::new("hwaddr", &["value", "query"], |call| {
        hardware::hwaddr(&call.text("value")?, &query(call), "hwaddr")
    }),
    Plugin::new("macaddr", &["value", "query"], |call| {
        hardware::hwaddr(&call.text("value")?, &query(call), "macaddr")
    }),
];

/// A range with more addresses than this is not written out.
const MAX_ADDRESSES: u128 = 1 << 17;

fn query(call: &Call) -> String {
    call.text_or("query", "")
}

fn invalid(value: &str) -> TemplateError {
    TemplateError::new(format!("You must pass a valid IP address; {value} is invalid"))
}

/// The value, unless it is of a type that holds no addresses.
fn subject<'a>(call: &'a Call, alias: &str, numbers: bool) -> Result<&'a Value, TemplateError> {
    let value = call.value()?;
    let wrong = matches!(value.kind(), ValueKind::None | ValueKind::Map)
        || (!numbers && value.kind() == ValueKind::Number);
    if wrong {
        return Err(TemplateError::new(format!(
            "Unrecognized type <<class '{}'>> for {alias} filter <value>",
            python::type_name(value)
        )));
    }
    Ok(value)
}

fn of_version(call: &mut Call, version: i64, alias: &str) -> Result<Value, TemplateError> {
    ipaddr(subject(call, alias, true)?, &query(call), Some(version), alias)
}

/// Addresses of version 6 in brackets, all else as it is.
fn ipwrap(call: &mut Call) -> Result<Value, TemplateError> {
    let query = query(call);
    let wrapped = |value: &Value, checked: Value| match checked.is_true() {
        true => ipaddr(&checked, "wrap", None, "ipwrap"),
        false => Ok(value.clone()),
    };
    let value = subject(call, "ipwrap", false)?;
    if value.kind() == ValueKind::Seq {
        let items = python::items(value)?;
        let items = items.iter().map(|item| {
            let passes = ipaddr(item, &query, None, "ipwrap")?.is_true();
            wrapped(item, if passes { item.clone() } else { no() })
        });
        return items.collect::<Result<Vec<_>, _>>().map(Value::from);
    }
    wrapped(value, ipaddr(value, &query, None, "ipwrap").unwrap_or_else(|_| no()))
}

fn ipmath(call: &mut Call) -> Result<Value, TemplateError> {
    let text = call.text("value")?;
    let network = Network::read(&text).ok_or_else(|| invalid(&text))?;
    let amount = call.need("amount")?;
    let amount = amount.as_i64().filter(|_| amount.is_integer()).ok_or_else(|| {
        TemplateError::new(format!(
            "You must pass an integer for arithmetic; {} is not a valid integer",
            python::text(amount)
        ))
    })?;
    let found = network.offset(network.ip, amount);
    found
        .map(|ip| Value::from(network.address(ip)))
        .ok_or_else(|| call.error("result outside valid IP address boundary!"))
}

fn ip4_hex(call: &mut Call) -> Result<Value, TemplateError> {
    let (text, delimiter) = (call.text("arg")?, call.text_or("delimiter", ""));
    let address: std::net::Ipv4Addr = text.parse().map_err(|_| invalid(&text))?;
    let octets = address.octets().map(|octet| format!("{octet:02x}"));
    Ok(Value::from(octets.join(&delimiter)))
}

/// The first bits of an address, or (when negative) its last, in whole groups.
fn ipcut(call: &mut Call) -> Result<Value, TemplateError> {
    let text = call.text("value")?;
    let network =
        Network::read(&text).filter(|_| !text.contains('/')).ok_or_else(|| invalid(&text))?;
    let amount = call.integer("amount", 0)?;
    let width = usize::from(network.bits());
    let bits = format!("{:0width$b}", network.ip);
    let count = usize::try_from(amount.unsigned_abs()).unwrap_or(width).min(width);
    let cut = if amount < 0 { bits.get(width - count..) } else { bits.get(..count) };
    let cut = cut.unwrap_or_default().as_bytes();
    let groups = cut.chunks(if network.six { 16 } else { 8 }).map(|group| {
        let number = group.iter().fold(0u32, |bits, digit| bits << 1 | u32::from(*digit == b'1'));
        if network.six { format!("{number:x}") } else { number.to_string() }
    });
    let groups: Vec<String> = groups.collect();
    Ok(Value::from(groups.join(if network.six { ":" } else { "." })))
}

fn ipv6form(call: &mut Call) -> Result<Value, TemplateError> {
    let text = call.text("value")?;
    let address: std::net::Ipv6Addr = text.parse().map_err(|_| invalid(&text))?;
    let groups = |padded: bool| {
        let group = |group| if padded { format!("{group:04x}") } else { format!("{group:x}") };
        address.segments().map(group).join(":")
    };
    match call.text("format")?.as_str() {
        "expand" => Ok(Value::from(groups(true))),
        "compress" => Ok(Value::from(address.to_string())),
        "x509" => Ok(Value::from(groups(false))),
        other => Err(TemplateError::new(format!(
            "You must pass valid format; {other} is not a valid format"
        ))),
    }
}

fn in_network(
    call: &mut Call,
    bounds: fn(&Network) -> (u128, u128),
) -> Result<Value, TemplateError> {
    let outer = subnets::network_of(call.value()?);
    let inner = subnets::network_of(call.need("test")?);
    Ok(Value::from(outer.zip(inner).is_some_and(|(outer, inner)| {
        let (first, last) = bounds(&outer.cidr());
        outer.six == inner.six && subnets::is_in(&inner, first, last)
    })))
}

fn reduce_on_network(call: &mut Call) -> Result<Value, TemplateError> {
    let Some(network) = subnets::network_of(call.need("network")?) else {
        return Ok(Value::from(Vec::<Value>::new()));
    };
    let (first, last) = subnets::bounds(&network);
    let mut items = call.items("value")?;
    items.retain(|item| {
        subnets::network_of(item)
            .is_some_and(|inner| inner.six == network.six && subnets::is_in(&inner, first, last))
    });
    Ok(Value::from(items))
}

fn usable_range(call: &mut Call) -> Result<Value, TemplateError> {
    let text = call.text("ip")?;
    let failed = |reason: String| {
        TemplateError::new(format!("Error while using plugin 'usable_range': {reason}"))
    };
    let network = Network::read(&text)
        .ok_or_else(|| failed(format!("'{text}' does not appear to be an IPv4 or IPv6 network")))?;
    if !network.is_network() {
        return Err(failed(format!("{text} has host bits set")));
    }
    if network.size() > MAX_ADDRESSES {
        return Err(failed(format!("{text} has more than {MAX_ADDRESSES} addresses")));
    }
    let ips: Vec<Value> =
        (network.first()..=network.last()).map(|ip| Value::from(network.address(ip))).collect();
    Ok(Value::from_pairs([
        ("usable_ips", Value::from(ips)),
        ("number_of_ips", super::query::number(network.size())),
    ]))
}

/// The address that a host with this hardware address gives itself.
fn slaac(call: &mut Call) -> Result<Value, TemplateError> {
    let network = subnets::network_of(call.value()?).filter(|network| network.six);
    let hardware = hardware::read(&query(call));
    Ok(network.zip(hardware).map_or_else(no, |(network, hardware)| {
        let ip = network.first() + u128::from(hardware::interface_id(hardware));
        Value::from(network.address(ip))
    }))
}
