//! What kind of network an IP address belongs to, by the IANA special-purpose registries (RFC 6890 and its updates).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The kind of network an address belongs to. Only [`AddressKind::Public`] is reachable without an operator's word.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum AddressKind {
    /// A globally reachable unicast address.
    Public,
    /// This machine: 127.0.0.0/8, ::1.
    Loopback,
    /// A private network: RFC 1918, unique local fc00::/7.
    Private,
    /// Carrier-grade NAT, 100.64.0.0/10 (RFC 6598).
    Shared,
    /// 169.254.0.0/16, fe80::/10.
    LinkLocal,
    /// Deprecated site-local, fec0::/10 (RFC 3879).
    SiteLocal,
    /// An instance metadata service of a cloud.
    Metadata,
    /// 224.0.0.0/4, ff00::/8.
    Multicast,
    /// 0.0.0.0/8, ::.
    Unspecified,
    /// An IPv6 address that carries an IPv4 address inside: IPv4-mapped, IPv4-compatible, 6to4, NAT64, Teredo, ISATAP.
    Embedded,
    /// Reserved for documentation, benchmarks, protocols or the future.
    Reserved,
}

impl AddressKind {
    /// The kind of `address`.
    pub fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => of_v4(address),
            IpAddr::V6(address) => of_v6(address),
        }
    }
}

impl fmt::Display for AddressKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Public => "public",
            Self::Loopback => "loopback",
            Self::Private => "private",
            Self::Shared => "carrier-grade NAT",
            Self::LinkLocal => "link-local",
            Self::SiteLocal => "site-local",
            Self::Metadata => "cloud metadata",
            Self::Multicast => "multicast",
            Self::Unspecified => "unspecified",
            Self::Embedded => "IPv4 inside IPv6",
            Self::Reserved => "reserved",
        })
    }
}

fn of_v4(address: Ipv4Addr) -> AddressKind {
    match address.octets() {
        [169, 254, 169, 254 | 253 | 123] | [169, 254, 170, 2 | 23] => AddressKind::Metadata,
        [100, 100, 100, 200] | [168, 63, 129, 16] | [192, 0, 0, 192] => AddressKind::Metadata,
        [0, ..] => AddressKind::Unspecified,
        [127, ..] => AddressKind::Loopback,
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => AddressKind::Private,
        [100, 64..=127, ..] => AddressKind::Shared,
        [169, 254, ..] => AddressKind::LinkLocal,
        [224..=239, ..] => AddressKind::Multicast,
        // Protocol assignments, documentation (RFC 5737), the 6to4 relay anycast, benchmarks (RFC 2544), class E.
        [192, 0, 0 | 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => AddressKind::Reserved,
        [192, 88, 99, _] | [198, 18 | 19, ..] | [240..=255, ..] => AddressKind::Reserved,
        _ => AddressKind::Public,
    }
}

fn of_v6(address: Ipv6Addr) -> AddressKind {
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0] => AddressKind::Unspecified,
        [0, 0, 0, 0, 0, 0, 0, 1] => AddressKind::Loopback,
        // AWS and Google answer for metadata inside unique local space.
        [0xfd00, 0x0ec2, ..] | [0xfd20, 0x00ce, ..] => AddressKind::Metadata,
        [0xfc00..=0xfdff, ..] => AddressKind::Private,
        [0xfe80..=0xfebf, ..] => AddressKind::LinkLocal,
        [0xfec0..=0xfeff, ..] => AddressKind::SiteLocal,
        [0xff00..=0xffff, ..] => AddressKind::Multicast,
        // ::/64 holds IPv4-mapped, IPv4-compatible and IPv4-translated; 64:ff9b::/32 the NAT64 prefixes; 2002::/16 is 6to4;
        // 2001::/32 is Teredo.
        [0, 0, 0, 0, ..] | [0x0064, 0xff9b, ..] | [0x2002, ..] | [0x2001, 0, ..] => AddressKind::Embedded,
        // ISATAP (RFC 5214) marks its interface ids, whatever the prefix.
        [_, _, _, _, 0x0000 | 0x0200, 0x5efe, ..] => AddressKind::Embedded,
        // IETF protocol assignments, documentation (RFC 3849, RFC 9637).
        [0x2001, 0x0000..=0x01ff | 0x0db8, ..] | [0x3fff, 0x0000..=0x0fff, ..] => AddressKind::Reserved,
        // Global unicast is 2000::/3; the rest is not handed out.
        [0x2000..=0x3fff, ..] => AddressKind::Public,
        _ => AddressKind::Reserved,
    }
}

#[cfg(test)]
mod tests;
