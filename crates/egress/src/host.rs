//! The host of a URL, read in one strict way.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A host as written in a URL: an address in its one canonical spelling, or a name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Host<'a> {
    Address(IpAddr),
    Name(&'a str),
}

impl<'a> Host<'a> {
    /// Reads a host. `None` for what resolvers would take for an address in disguise: octal, hexadecimal, short or overlong
    /// IPv4 (`0177.0.0.1`, `0x7f.1`, `127.1`, `2130706433`), IPv6 with a zone, and for what is no host name at all.
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        if let Some(inner) = text.strip_prefix('[') {
            let address: Ipv6Addr = inner.strip_suffix(']')?.parse().ok()?;
            return Some(Self::Address(address.into()));
        }
        if let Ok(address) = text.parse::<Ipv4Addr>() {
            return Some(Self::Address(address.into()));
        }
        let name = text.strip_suffix('.').unwrap_or(text);
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        let label_is_sound =
            |label: &str| !label.is_empty() && label.len() <= 63 && label.bytes().all(allowed);
        if name.len() > 253 || !name.split('.').all(label_is_sound) {
            return None;
        }
        let last = name.rsplit('.').next().unwrap_or(name);
        if ends_like_a_number(last) { None } else { Some(Self::Name(text)) }
    }
}

/// Whether the last label makes the whole host a number, as the URL standard's "ends in a number" checker says.
fn ends_like_a_number(label: &str) -> bool {
    let hexadecimal = label.strip_prefix("0x").or_else(|| label.strip_prefix("0X"));
    label.bytes().all(|byte| byte.is_ascii_digit())
        || hexadecimal.is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests;
