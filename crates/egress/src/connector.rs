//! From a URL to an open connection, through the policy.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::host::Host;
use crate::policy::{Policy, Refusal};
use crate::tls;

/// The guarded connector with TLS for `https`, for a pool of one's own.
pub type Connector = HttpsConnector<TcpConnector>;

/// How many addresses of one name are tried; a name with a thousand addresses must not make one call last for ever.
const ADDRESSES_MAX: usize = 8;

/// Why no connection was opened. Nothing of a request was sent.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The URL has no host, user information in it, or a host that is neither a name nor a plainly written address.
    #[error("the host of the URL is not a name or a plainly written address")]
    Host,
    /// Every address that the name led to is forbidden; the first refusal.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The name could not be resolved.
    #[error("could not resolve the host name")]
    Resolve(#[source] io::Error),
    /// No permitted address accepted a connection; the last reason.
    #[error("could not connect to {address}")]
    Connect {
        /// The address that was tried last.
        address: SocketAddr,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// Resolving and connecting took longer than allowed.
    #[error("connecting took longer than {0} ms")]
    Timeout(u64),
}

/// The guarded TCP connector: resolves, asks the policy about each address, and connects to a permitted one.
#[derive(Clone, Debug)]
pub struct TcpConnector {
    policy: Policy,
    connect_ms_max: u64,
}

/// A connector under `policy` that gives up after `connect_ms_max` milliseconds. Its connections speak HTTP/1.1.
///
/// # Errors
/// [`rustls::Error`] if the TLS provider offers no protocol version, which a sound build rules out.
pub fn connector(policy: Policy, connect_ms_max: u64) -> Result<Connector, rustls::Error> {
    let tls = tls::config()?;
    let tcp = TcpConnector { policy, connect_ms_max };
    Ok(HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().wrap_connector(tcp))
}

/// The same, for a pool that speaks HTTP/2 as well: with TLS, where the server agrees to it in the handshake. Without TLS its
/// connections speak HTTP/1.1.
///
/// # Errors
/// As [`connector`].
pub fn http2_connector(policy: Policy, connect_ms_max: u64) -> Result<Connector, rustls::Error> {
    let tls = tls::config()?;
    let tcp = TcpConnector { policy, connect_ms_max };
    let builder = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http();
    Ok(builder.enable_http1().enable_http2().wrap_connector(tcp))
}

impl TcpConnector {
    async fn connect(self, url: Uri) -> Result<TcpStream, ConnectError> {
        let limit = Duration::from_millis(self.connect_ms_max);
        match tokio::time::timeout(limit, self.connect_in_time(&url)).await {
            Ok(result) => result,
            Err(_) => Err(ConnectError::Timeout(self.connect_ms_max)),
        }
    }

    async fn connect_in_time(&self, url: &Uri) -> Result<TcpStream, ConnectError> {
        let authority = url.authority().filter(|authority| !authority.as_str().contains('@'));
        let host = authority.ok_or(ConnectError::Host)?.host();
        let port = url.port_u16().unwrap_or(if url.scheme_str() == Some("https") { 443 } else { 80 });
        let mut failure = None;
        for address in self.permitted(host, port).await? {
            match TcpStream::connect(address).await.and_then(without_delay) {
                Ok(stream) => return Ok(stream),
                Err(source) => failure = Some(ConnectError::Connect { address, source }),
            }
        }
        Err(failure.unwrap_or_else(|| ConnectError::Resolve(io::ErrorKind::NotFound.into())))
    }

    /// The addresses that may be connected to. These very addresses are connected, so a name that changes between the check
    /// and the connection changes nothing.
    async fn permitted(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, ConnectError> {
        let candidates: Vec<SocketAddr> = match Host::parse(host).ok_or(ConnectError::Host)? {
            Host::Address(address) => vec![SocketAddr::new(address, port)],
            Host::Name(name) => {
                tokio::net::lookup_host((name, port)).await.map_err(ConnectError::Resolve)?.collect()
            }
        };
        let mut permitted = Vec::with_capacity(candidates.len().min(ADDRESSES_MAX));
        let mut refusal = None;
        for candidate in candidates {
            match self.policy.check(host, port, candidate.ip()) {
                Ok(()) if permitted.len() < ADDRESSES_MAX => permitted.push(candidate),
                Ok(()) => break,
                Err(refused) => refusal = refusal.or(Some(refused)),
            }
        }
        match refusal {
            Some(refused) if permitted.is_empty() => Err(refused.into()),
            _ => Ok(permitted),
        }
    }
}

/// Small messages go out at once: with Nagle's algorithm a call would wait for the acknowledgement of the one before.
fn without_delay(stream: TcpStream) -> io::Result<TcpStream> {
    stream.set_nodelay(true)?;
    Ok(stream)
}

impl tower::Service<Uri> for TcpConnector {
    type Response = TokioIo<TcpStream>;
    type Error = ConnectError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, ConnectError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, url: Uri) -> Self::Future {
        let connecting = self.clone().connect(url);
        Box::pin(async move { connecting.await.map(TokioIo::new) })
    }
}
