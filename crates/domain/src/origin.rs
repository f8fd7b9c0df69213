use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::Digest;

/// Where a request comes from, as far as limits tell requests apart.
///
/// An IPv6 address counts as its network of 64 bits: whoever has one address there has all of them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Origin(Place);

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Place {
    V4([u8; 4]),
    V6([u8; 8]),
    Named(Digest),
}

impl Origin {
    /// The origin of a request from this address.
    pub fn of(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V4(address) => Place::V4(address.octets()),
            IpAddr::V6(address) => {
                let [a, b, c, d, e, f, g, h, ..] = address.octets();
                Place::V6([a, b, c, d, e, f, g, h])
            }
        })
    }

    /// The origin that a program names: an address, or any name that it knows its callers by.
    pub fn named(text: &str) -> Self {
        text.parse().map_or_else(|_| Self(Place::Named(Digest::of(text.as_bytes()))), Self::of)
    }
}

/// `192.0.2.1`, `2001:db8::/64`, or the digest of a name: the same at every gateway.
impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Place::V4(octets) => Ipv4Addr::from(octets).fmt(f),
            Place::V6([a, b, c, d, e, g, h, i]) => {
                write!(f, "{}/64", Ipv6Addr::from([a, b, c, d, e, g, h, i, 0, 0, 0, 0, 0, 0, 0, 0]))
            }
            Place::Named(digest) => digest.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(address: &str) -> Origin {
        Origin::of(address.parse().unwrap())
    }

    #[test]
    fn addresses_that_one_host_can_have_are_one_origin() {
        assert_eq!(origin("192.0.2.1"), origin("::ffff:192.0.2.1"));
        assert_eq!(origin("2001:db8::1"), origin("2001:db8::ffff:0:1"));
        assert_ne!(origin("2001:db8::1"), origin("2001:db8:0:1::1"), "control");
        assert_ne!(origin("192.0.2.1"), origin("192.0.2.2"), "control");
    }

    #[test]
    fn an_origin_has_one_text() {
        assert_eq!(origin("::ffff:192.0.2.1").to_string(), "192.0.2.1");
        assert_eq!(origin("2001:db8::1").to_string(), "2001:db8::/64");
        assert_eq!(Origin::named("tenant 7").to_string().len(), 64);
    }

    #[test]
    fn a_named_origin_is_an_address_where_it_is_one() {
        assert_eq!(Origin::named("192.0.2.1"), origin("192.0.2.1"));
        assert_eq!(Origin::named("tenant 7"), Origin::named("tenant 7"));
        assert_ne!(Origin::named("tenant 7"), Origin::named("tenant 8"));
    }
}
