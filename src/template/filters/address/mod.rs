//! Addresses and networks, as ansible.utils has them (and ansible.netcommon had).

mod family;
mod hardware;
mod network;
mod query;
mod subnets;

pub use self::family::FILTERS;
pub use self::hardware::read as hardware_address;
pub use self::network::Network;
