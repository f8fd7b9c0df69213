//! Which hosts a listener answers for: the check against DNS rebinding (`basic/transports/streamable-http`, "Security
//! Warning"). It belongs on every listener, in both eras, before anything else reads the request.

use http::header::{HOST, ORIGIN};
use http::{HeaderMap, HeaderName, HeaderValue, Uri};

#[cfg(test)]
mod tests;

/// The hosts that `Host` and `Origin` may name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllowedHosts(Vec<Authority>);

/// A host in lower case, with its port where one is stated.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Authority {
    host: String,
    port: Option<u16>,
}

/// A text that is not `host` or `host:port`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a host name or address with an optional port")]
pub struct HostError(String);

/// Why a request is not for us. The HTTP status is 403.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OriginError {
    /// No host is named.
    #[error("the request names no host")]
    HostMissing,
    /// `Host` or `Origin` stands twice, or the target and `Host` differ.
    #[error("the request names two hosts or two origins")]
    Repeated,
    /// A host that this listener does not answer for.
    #[error("the host is not allowed")]
    Host,
    /// A page of another site, an opaque origin, or a scheme other than http and https.
    #[error("the origin is not allowed")]
    Origin,
}

impl AllowedHosts {
    /// What a listener on a loopback address answers for: `localhost`, `127.0.0.1` and `[::1]` with any port.
    pub fn loopback() -> Self {
        let any_port = |host: &str| Authority { host: host.into(), port: None };
        Self(vec![any_port("localhost"), any_port("127.0.0.1"), any_port("[::1]")])
    }

    /// Hosts as `host` (any port) or `host:port`; an IPv6 address stands in brackets.
    pub fn new<S: AsRef<str>>(hosts: impl IntoIterator<Item = S>) -> Result<Self, HostError> {
        let parse = |host: S| Authority::parse(host.as_ref()).ok_or_else(|| HostError(host.as_ref().into()));
        hosts.into_iter().map(parse).collect::<Result<_, _>>().map(Self)
    }

    /// These hosts and those.
    #[must_use]
    pub fn and(mut self, others: Self) -> Self {
        self.0.extend(others.0);
        self
    }

    /// Whether `host:port` is one of them. Without a port the default one of http or https is meant.
    fn allow(&self, asked: &Authority, default_ports: &[u16]) -> bool {
        self.0.iter().any(|allowed| {
            let port = |port: u16| asked.port.map_or(default_ports.contains(&port), |asked| asked == port);
            allowed.host == asked.host && allowed.port.is_none_or(port)
        })
    }
}

impl Authority {
    /// No user information, no trailing dot, no empty port: what a browser would not send is not what we answer to.
    fn parse(text: &str) -> Option<Self> {
        let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((address, rest)) => {
                let bracketed = text.get(..address.len() + 2)?;
                address.parse::<std::net::Ipv6Addr>().ok()?;
                match rest {
                    "" => (bracketed, None),
                    rest => (bracketed, Some(rest.strip_prefix(':')?)),
                }
            }
            None => match text.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (text, None),
            },
        };
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
        let named = host.starts_with('[') || (host.bytes().all(plain) && !host.ends_with('.'));
        if host.is_empty() || !named {
            return None;
        }
        let port = match port {
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => Some(digits.parse().ok()?),
            Some(_) => return None,
            None => None,
        };
        Some(Self { host: host.to_ascii_lowercase(), port })
    }
}

/// Checks `Host` and, where there is one, `Origin`.
pub fn check(headers: &HeaderMap, allowed: &AllowedHosts) -> Result<(), OriginError> {
    let host = single(headers, &HOST)?.ok_or(OriginError::HostMissing)?;
    check_host(host, allowed)?;
    check_origin(headers, allowed)
}

/// [`check`] for a request whose target may name the host: `:authority` of HTTP/2, the absolute form of HTTP/1.1. Where
/// the target and `Host` both name one, they must be equal.
pub fn check_request(uri: &Uri, headers: &HeaderMap, allowed: &AllowedHosts) -> Result<(), OriginError> {
    let Some(target) = uri.authority() else {
        return check(headers, allowed);
    };
    if single(headers, &HOST)?.is_some_and(|host| !host.eq_ignore_ascii_case(target.as_str())) {
        return Err(OriginError::Repeated);
    }
    check_host(target.as_str(), allowed)?;
    check_origin(headers, allowed)
}

fn check_host(host: &str, allowed: &AllowedHosts) -> Result<(), OriginError> {
    let asked = Authority::parse(host).ok_or(OriginError::Host)?;
    if allowed.allow(&asked, &[80, 443]) { Ok(()) } else { Err(OriginError::Host) }
}

fn check_origin(headers: &HeaderMap, allowed: &AllowedHosts) -> Result<(), OriginError> {
    let Some(origin) = single(headers, &ORIGIN)? else {
        return Ok(());
    };
    let (rest, default_port) = match (origin.strip_prefix("http://"), origin.strip_prefix("https://")) {
        (Some(rest), _) => (rest, 80),
        (_, Some(rest)) => (rest, 443),
        (None, None) => return Err(OriginError::Origin),
    };
    let asked = Authority::parse(rest).ok_or(OriginError::Origin)?;
    if allowed.allow(&asked, &[default_port]) { Ok(()) } else { Err(OriginError::Origin) }
}

fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, OriginError> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(OriginError::Repeated);
    }
    // What is no visible ASCII matches no host.
    Ok(Some(HeaderValue::to_str(value).unwrap_or_default()))
}
