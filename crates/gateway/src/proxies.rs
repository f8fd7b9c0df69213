//! Where a request really comes from: the address that it connects from, or what a trusted proxy says of it.
//!
//! Anybody can write a header. It is read from its end, where the nearest proxy wrote, and only as far as the addresses in it
//! are those of trusted proxies: the first other address is the client's, and whatever stands before it is hearsay. One
//! header is read, not two: a proxy that writes the one passes the other on as the client sent it.

use std::net::IpAddr;
use std::str::FromStr;

use http::{HeaderMap, HeaderName, HeaderValue};

/// How many proxies in a row are followed.
const HOPS_MAX: usize = 32;

/// The proxies whose word is taken.
#[derive(Clone, Debug, Default)]
pub struct TrustedProxies {
    networks: Vec<Network>,
    header: ForwardedIn,
}

/// The header in which they say who asked them.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum ForwardedIn {
    /// `X-Forwarded-For`.
    #[default]
    XForwardedFor,
    /// `Forwarded` (RFC 7239).
    Forwarded,
}

/// A network of addresses, or a single one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

/// Why a text is not a [`Network`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("not an address or a network such as 10.0.0.0/8")]
pub struct NetworkError;

impl TrustedProxies {
    /// These proxies, who use this header.
    pub fn new(networks: Vec<Network>, header: ForwardedIn) -> Self {
        Self { networks, header }
    }

    /// The address of the client behind a connection.
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer.to_canonical();
        if !self.trusts(client) {
            return client;
        }
        let lines = headers.get_all(self.header.name()).iter().rev();
        for hop in lines.flat_map(elements).take(HOPS_MAX) {
            // What cannot be read is nobody's address: the proxy that passed it on answers for it.
            let Some(address) = hop.and_then(|hop| self.header.address(hop)) else { break };
            client = address.to_canonical();
            if !self.trusts(client) {
                break;
            }
        }
        client
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.networks.iter().any(|network| network.contains(address))
    }
}

/// The parts of a line, the last one first. `None`: the line is no text.
fn elements(line: &HeaderValue) -> impl Iterator<Item = Option<&str>> {
    let text = line.to_str().ok();
    let unreadable = text.is_none().then_some(None);
    text.into_iter().flat_map(|text| text.rsplit(',').map(Some)).chain(unreadable)
}

impl ForwardedIn {
    const fn name(self) -> HeaderName {
        match self {
            Self::XForwardedFor => HeaderName::from_static("x-forwarded-for"),
            Self::Forwarded => HeaderName::from_static("forwarded"),
        }
    }

    fn address(self, element: &str) -> Option<IpAddr> {
        match self {
            Self::XForwardedFor => node(element.trim()),
            Self::Forwarded => {
                let mut named = element.split(';').filter_map(|pair| {
                    let (name, value) = pair.split_once('=')?;
                    name.trim().eq_ignore_ascii_case("for").then_some(value.trim())
                });
                let value = named.next().filter(|_| named.next().is_none())?;
                let quoted = value.strip_prefix('"').map(|rest| rest.strip_suffix('"'));
                node(quoted.unwrap_or(Some(value))?)
            }
        }
    }
}

/// An address, with or without a port; an IPv6 address with one stands in brackets.
fn node(text: &str) -> Option<IpAddr> {
    if let Some(rest) = text.strip_prefix('[') {
        let (address, port) = rest.split_once(']')?;
        let is_port = port.is_empty() || port.strip_prefix(':').is_some_and(is_digits);
        return address.parse().ok().filter(|_| is_port).map(IpAddr::V6);
    }
    text.parse().ok().or_else(|| {
        let (address, port) = text.split_once(':')?;
        address.parse().ok().filter(|_| is_digits(port)).map(IpAddr::V4)
    })
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

impl Network {
    fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                same(own.to_bits().into(), other.to_bits().into(), 32, self.prefix)
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => same(own.to_bits(), other.to_bits(), 128, self.prefix),
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

/// Whether two addresses of so many bits agree in the first `prefix`.
fn same(one: u128, other: u128, bits: u8, prefix: u8) -> bool {
    (one ^ other).checked_shr(u32::from(bits.saturating_sub(prefix))).unwrap_or(0) == 0
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| NetworkError)?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            None => bits,
            Some(digits) if is_digits(digits) => digits.parse().map_err(|_| NetworkError)?,
            Some(_) => return Err(NetworkError),
        };
        if prefix > bits {
            return Err(NetworkError);
        }
        Ok(Self { address, prefix })
    }
}

#[cfg(test)]
mod tests;
