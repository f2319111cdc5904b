//! An address with a prefix, and what can be counted of it.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An address in its network: `10.0.0.5/24`. A lone address has the full prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    pub six: bool,
    pub ip: u128,
    pub prefix: u8,
}

impl Network {
    /// Reads `address` or `address/prefix`, the prefix also as a netmask or hostmask.
    pub fn read(text: &str) -> Option<Self> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let (six, ip) = read_address(address)?;
        let bits = if six { 128 } else { 32 };
        let prefix = match prefix {
            None => bits,
            Some(prefix) if prefix.bytes().all(|byte| byte.is_ascii_digit()) => {
                prefix.parse().ok()?
            }
            Some(mask) => prefix_of_mask(mask, six)?,
        };
        (prefix <= bits).then_some(Self { six, ip, prefix })
    }

    /// The number as an address of its own.
    pub fn single(six: bool, ip: u128) -> Self {
        Self { six, ip, prefix: if six { 128 } else { 32 } }
    }

    /// From a number that may be too large for the version.
    pub fn of_number(number: u128, six: bool, prefix: u8) -> Option<Self> {
        let fits = six || number <= u128::from(u32::MAX);
        (fits && prefix <= if six { 128 } else { 32 }).then_some(Self { six, ip: number, prefix })
    }

    pub fn bits(&self) -> u8 {
        if self.six { 128 } else { 32 }
    }

    pub fn version(&self) -> i64 {
        if self.six { 6 } else { 4 }
    }

    fn host_bits(&self) -> u8 {
        self.bits() - self.prefix
    }

    /// The mask's host part; also the greatest offset in the network.
    pub fn hostmask(&self) -> u128 {
        match u32::from(self.host_bits()) {
            128 => u128::MAX,
            bits => (1 << bits) - 1,
        }
    }

    pub fn netmask(&self) -> u128 {
        let all = if self.six { u128::MAX } else { u128::from(u32::MAX) };
        all ^ self.hostmask()
    }

    pub fn first(&self) -> u128 {
        self.ip & !self.hostmask()
    }

    pub fn last(&self) -> u128 {
        self.ip | self.hostmask()
    }

    /// How many addresses; `::/0` has one more than fit into the type.
    pub fn size(&self) -> u128 {
        self.hostmask().saturating_add(1)
    }

    /// Whether the address is the network's own, which hosts do not have.
    pub fn is_network(&self) -> bool {
        self.ip == self.first()
    }

    /// Whether a host may have this address; networks of two are all hosts.
    pub fn is_host(&self) -> bool {
        self.size() <= 2 || !self.is_network()
    }

    /// The address for all hosts; networks of one or two addresses have none.
    pub fn broadcast(&self) -> Option<u128> {
        (self.size() > 2).then(|| self.last())
    }

    /// The first and the last address for hosts.
    pub fn usable(&self) -> Option<(u128, u128)> {
        match self.size() {
            1 => None,
            2 => Some((self.first(), self.last())),
            _ => Some((self.first() + 1, self.last() - 1)),
        }
    }

    /// The network itself, without the host's part of the address.
    pub fn cidr(&self) -> Self {
        Self { ip: self.first(), ..*self }
    }

    pub fn contains(&self, other: &Self) -> bool {
        self.six == other.six && self.first() <= other.first() && other.last() <= self.last()
    }

    /// An address of the same version as a text.
    pub fn address(&self, ip: u128) -> String {
        match u32::try_from(ip) {
            // As C writes an address that is one of version 4 but for its length.
            Ok(four) if self.six && four > 0xffff => format!("::{}", Ipv4Addr::from_bits(four)),
            _ => to_address(self.six, ip).to_string(),
        }
    }

    pub fn own_address(&self) -> String {
        self.address(self.ip)
    }

    /// The address this far from another, if there is one.
    pub fn offset(&self, from: u128, amount: i64) -> Option<u128> {
        let found = from.checked_add_signed(i128::from(amount))?;
        (self.six || found <= u128::from(u32::MAX)).then_some(found)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.own_address(), self.prefix)
    }
}

fn to_address(six: bool, ip: u128) -> IpAddr {
    match u32::try_from(ip) {
        Ok(ip) if !six => IpAddr::V4(Ipv4Addr::from_bits(ip)),
        _ => IpAddr::V6(Ipv6Addr::from_bits(ip)),
    }
}

/// The version and number of an address.
fn read_address(text: &str) -> Option<(bool, u128)> {
    match text.parse().ok()? {
        IpAddr::V4(ip) => Some((false, u128::from(ip.to_bits()))),
        IpAddr::V6(ip) => Some((true, ip.to_bits())),
    }
}

fn prefix_of_mask(text: &str, six: bool) -> Option<u8> {
    let (mask_six, mask) = read_address(text)?;
    let all = if six { u128::MAX } else { u128::from(u32::MAX) };
    // A hostmask is a netmask the other way round; all zeros are a netmask.
    let mask = if mask != 0 && mask & mask.wrapping_add(1) == 0 && mask != all {
        all ^ mask
    } else {
        mask
    };
    let hosts = all ^ mask;
    let is_mask = mask_six == six && hosts & hosts.wrapping_add(1) == 0;
    is_mask.then(|| u8::try_from(mask.count_ones()).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_are_prefixes_as_well() {
        for (text, expected) in [
            ("10.1.2.3", "10.1.2.3/32"),
            ("10.1.2.3/24", "10.1.2.3/24"),
            ("10.1.2.3/255.255.0.0", "10.1.2.3/16"),
            ("10.1.2.3/0.0.0.255", "10.1.2.3/24"),
            ("10.1.2.3/0.0.0.0", "10.1.2.3/0"),
            ("fd00::1/64", "fd00::1/64"),
        ] {
            assert_eq!(
                Network::read(text).map(|network| network.to_string()).as_deref(),
                Some(expected)
            );
        }
        for text in ["10.1.2", "10.1.2.3/33", "10.1.2.3/255.0.255.0", "::1/129", "x", ""] {
            assert_eq!(Network::read(text), None, "{text}");
        }
    }

    #[test]
    fn the_largest_networks_do_not_overflow() {
        let all = Network::read("::/0").expect("a network");
        assert_eq!((all.first(), all.last(), all.size()), (0, u128::MAX, u128::MAX));
        let four = Network::read("0.0.0.0/0").expect("a network");
        assert_eq!((four.size(), four.last()), (1 << 32, u128::from(u32::MAX)));
    }
}
