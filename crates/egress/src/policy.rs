//! Which addresses may be connected to.

use std::net::IpAddr;
use std::sync::Arc;

use http::Uri;

use crate::AddressKind;
use crate::host::Host;

/// Which addresses may be connected to: public ones, plus what the operator has named. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    loopback: bool,
    endpoints: Arc<Vec<Endpoint>>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Endpoint {
    host: String,
    port: u16,
}

/// Why an address is not connected to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{address} is a {kind} address, and this endpoint is not on the operator's list")]
pub struct Refusal {
    /// The address that the name led to.
    pub address: IpAddr,
    /// What kind of network it belongs to.
    pub kind: AddressKind,
}

impl Policy {
    /// Public addresses only.
    pub fn public() -> Self {
        Self::default()
    }

    /// Also this machine itself (127.0.0.0/8 and ::1), on any port: for dev mode, where everything runs on one machine.
    #[must_use]
    pub fn allow_loopback(mut self) -> Self {
        self.loopback = true;
        self
    }

    /// Also this endpoint, named by the operator. `host` is compared without regard to case, as written in the URL (an IPv6
    /// address with or without its brackets).
    ///
    /// An address that the operator wrote out is trusted as it stands. A *name* may lead to a public, private, shared or
    /// loopback address, and never to link-local, metadata, multicast or embedded ones: no operator's server lives there, and
    /// whoever can change the name must not reach them.
    #[must_use]
    pub fn allow_endpoint(mut self, host: &str, port: u16) -> Self {
        let endpoint = Endpoint { host: canonical(host), port };
        Arc::make_mut(&mut self.endpoints).push(endpoint);
        self
    }

    /// [`Policy::allow_endpoint`] for the host and port of a URL that the operator wrote. A URL without a host changes nothing.
    #[must_use]
    pub fn allow_url(self, url: &Uri) -> Self {
        let port = url.port_u16().unwrap_or(if url.scheme_str() == Some("https") { 443 } else { 80 });
        match url.host() {
            Some(host) => self.allow_endpoint(host, port),
            None => self,
        }
    }

    /// Whether the endpoint `host:port` may be reached at `address`.
    ///
    /// # Errors
    /// The [`Refusal`] that says what kind of address it is.
    pub fn check(&self, host: &str, port: u16, address: IpAddr) -> Result<(), Refusal> {
        let kind = AddressKind::of(address);
        let permitted = match kind {
            AddressKind::Public => true,
            AddressKind::Loopback if self.loopback => true,
            _ => self.names(host, port) && Self::may_be_named(host, address, kind),
        };
        if permitted { Ok(()) } else { Err(Refusal { address, kind }) }
    }

    fn names(&self, host: &str, port: u16) -> bool {
        let host = canonical(host);
        self.endpoints.iter().any(|endpoint| endpoint.port == port && endpoint.host == host)
    }

    fn may_be_named(host: &str, address: IpAddr, kind: AddressKind) -> bool {
        match Host::parse(host) {
            Some(Host::Address(written)) => written == address,
            Some(Host::Name(_)) => matches!(
                kind,
                AddressKind::Public | AddressKind::Loopback | AddressKind::Private | AddressKind::Shared
            ),
            None => false,
        }
    }
}

/// One spelling per host: lower case, no trailing dot, IPv6 in brackets.
fn canonical(host: &str) -> String {
    let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    match host.trim_matches(['[', ']']).parse::<IpAddr>() {
        Ok(IpAddr::V6(address)) => format!("[{address}]"),
        _ => host,
    }
}

#[cfg(test)]
mod tests;
