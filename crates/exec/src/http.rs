//! An upstream that speaks streamable HTTP itself: its messages pass unparsed, in both directions, as they come.

use std::fmt;
use std::time::Duration;

use http::header::{CONTENT_LENGTH, HOST, HeaderMap, HeaderName, HeaderValue};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Request, Response, Uri, Version};
use tollgate_domain::ServerName;
use tollgate_egress::Policy;

use crate::headers::{remove, strip_hop_by_hop};
use crate::in_place::boxed;
use crate::pool::Pool;
use crate::{Body, BoxFuture, Upstream, UpstreamError};

/// What the operator says about one upstream.
#[derive(Clone)]
pub struct HttpConfig {
    /// Its name.
    pub name: ServerName,
    /// Its MCP endpoint: an absolute `http` or `https` URL without user information.
    pub url: Uri,
    /// The gateway's own headers, its credential among them; each replaces whatever the caller sent under that name.
    pub headers: Vec<OwnHeader>,
    /// Request headers that must not reach it: the caller's credentials and payment carriers.
    pub strip: Vec<HeaderName>,
    /// Which addresses may be connected to.
    pub policy: Policy,
    /// How long resolving, connecting and the TLS handshake may take, in milliseconds.
    pub connect_ms_max: u64,
    /// How long the head of an answer may take, in milliseconds. `None`: as long as the caller waits, which is right for
    /// streams on which nothing may happen for hours.
    pub head_ms_max: Option<u64>,
    /// How many idle connections are kept.
    pub idle_connections_max: usize,
}

impl HttpConfig {
    /// The defaults for an endpoint: five seconds to connect, no limit on the head, 256 idle connections.
    pub fn new(name: ServerName, url: Uri, policy: Policy) -> Self {
        Self {
            name,
            url,
            headers: Vec::new(),
            strip: Vec::new(),
            policy,
            connect_ms_max: 5_000,
            head_ms_max: None,
            idle_connections_max: 256,
        }
    }
}

impl fmt::Debug for HttpConfig {
    /// A query may carry a key: of the URL only the host is printed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = self.url.host();
        f.debug_struct("HttpConfig").field("name", &self.name).field("host", &host).finish_non_exhaustive()
    }
}

/// A header of the gateway's own, such as its credential for the upstream.
#[derive(Clone)]
pub struct OwnHeader {
    pub(crate) name: HeaderName,
    pub(crate) value: HeaderValue,
}

impl OwnHeader {
    /// The header `name: value`. Its value is taken for a secret.
    pub fn new(name: HeaderName, mut value: HeaderValue) -> Self {
        value.set_sensitive(true);
        Self { name, value }
    }

    /// Puts it in place of whatever stands under its name.
    pub(crate) fn put_into(&self, headers: &mut HeaderMap) {
        headers.insert(self.name.clone(), self.value.clone());
    }
}

impl fmt::Debug for OwnHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OwnHeader({}: [redacted])", self.name)
    }
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum HttpConfigError {
    /// Not an absolute `http` or `https` URL with a host and without user information.
    #[error("the URL of {0} is not an absolute http or https URL without user information")]
    Url(ServerName),
    /// No TLS is to be had.
    #[error("could not set up TLS")]
    Tls(#[source] tollgate_egress::Source),
}

/// An upstream over HTTP/1.1, or HTTP/2 where TLS agrees on it, with a pool of connections of its own.
pub struct HttpUpstream {
    name: ServerName,
    url: Uri,
    host: HeaderValue,
    headers: Vec<OwnHeader>,
    strip: Vec<HeaderName>,
    head_max: Option<Duration>,
    pool: Pool,
}

impl HttpUpstream {
    /// An upstream as configured. Connects to nothing yet; must be used inside a tokio runtime.
    ///
    /// # Errors
    /// [`HttpConfigError`].
    pub fn new(config: HttpConfig) -> Result<Self, HttpConfigError> {
        let HttpConfig { name, url, headers, strip, policy, .. } = config;
        let Some((url, host)) = endpoint(url) else {
            return Err(HttpConfigError::Url(name));
        };
        let pool = Pool::new(url.clone(), policy, config.connect_ms_max, config.idle_connections_max)?;
        let head_max = config.head_ms_max.map(Duration::from_millis);
        Ok(Self { name, url, host, headers, strip, head_max, pool })
    }

    /// One exchange, streamed both ways: [`Upstream::exchange`] without its box.
    ///
    /// The caller's path and query stay behind: the endpoint is the one that was configured.
    ///
    /// # Errors
    /// [`UpstreamError::Unreachable`] if nothing was sent, [`UpstreamError::TimedOut`] if the head of the answer took longer
    /// than configured, [`UpstreamError::Abandoned`] if the body of the request broke off, else [`UpstreamError::Broken`].
    pub async fn forward(&self, mut request: Request<Body>) -> Result<Response<Body>, UpstreamError> {
        self.address(&mut request);
        let answering = self.pool.request(request);
        let answer = match self.head_max {
            None => answering.await,
            Some(limit) => {
                tokio::time::timeout(limit, answering).await.map_err(|_| UpstreamError::TimedOut)?
            }
        };
        let mut response = answer?.map(Body::Incoming);
        strip_hop_by_hop(response.headers_mut());
        *response.version_mut() = Version::HTTP_11;
        Ok(response)
    }

    /// Turns a request to the gateway into one to the upstream.
    fn address(&self, request: &mut Request<Body>) {
        *request.uri_mut() = self.url.clone();
        *request.version_mut() = Version::HTTP_11;
        // A body of ours has its own length; what the caller announced belongs to the caller's.
        let is_ours = !matches!(request.body(), Body::Incoming(_));
        let headers = request.headers_mut();
        strip_hop_by_hop(headers);
        remove(headers, |name| self.strip.contains(name) || (is_ours && *name == CONTENT_LENGTH));
        headers.insert(HOST, self.host.clone());
        self.headers.iter().for_each(|own| own.put_into(headers));
    }
}

/// A URL that can be an endpoint, and its `Host` header. Both spell the authority alike, as HTTP/2 asks (RFC 9113, section
/// 8.3.1).
pub(crate) fn endpoint(url: Uri) -> Option<(Uri, HeaderValue)> {
    let scheme = url.scheme().filter(|scheme| [&Scheme::HTTP, &Scheme::HTTPS].contains(scheme))?;
    let authority = url.authority().filter(|a| !a.as_str().contains('@') && !a.host().is_empty())?;
    url.path_and_query().filter(|path| PathAndQuery::as_str(path).starts_with('/'))?;
    let default = if *scheme == Scheme::HTTPS { 443 } else { 80 };
    let spelled = match authority.port_u16() {
        Some(port) if port != default => authority.as_str(),
        _ => authority.host(),
    };
    let (host, authority) = (HeaderValue::from_str(spelled).ok()?, Authority::try_from(spelled).ok()?);
    let mut parts = url.into_parts();
    parts.authority = Some(authority);
    Some((Uri::from_parts(parts).ok()?, host))
}

impl Upstream for HttpUpstream {
    fn name(&self) -> &ServerName {
        &self.name
    }

    fn exchange(&self, request: Request<Body>) -> BoxFuture<'_, Result<Response<Body>, UpstreamError>> {
        boxed(|| self.forward(request))
    }
}

impl fmt::Debug for HttpUpstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpUpstream")
            .field("name", &self.name)
            .field("host", &self.url.host())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
