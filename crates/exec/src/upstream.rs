//! What every upstream does, and the ways in which it fails.

use std::error::Error;
use std::fmt;

use http::{Request, Response};
use tollgate_domain::{FailureKind, ServerName};

use crate::Body;
use crate::breaker::Resting;
use tollgate_risk::room::Full;

/// A boxed future: upstreams are a run-time plural (`Arc<dyn Upstream>`).
pub type BoxFuture<'a, T> = futures_util::future::BoxFuture<'a, T>;

/// The inner reason of an [`UpstreamError`], for the log.
pub type Source = Box<dyn Error + Send + Sync>;

/// A server that speaks MCP over streamable HTTP, or is made to look like one.
pub trait Upstream: fmt::Debug + Send + Sync {
    /// The name under which the operator configured it.
    fn name(&self) -> &ServerName;

    /// One exchange of MCP's streamable HTTP: a POST, GET or DELETE and what answers it, streamed both ways.
    ///
    /// The request's own URL is ignored but for its method, headers and body. Dropping the future, or later the response's body,
    /// ends the exchange on the server's side too: that is how a caller who goes away is passed on.
    ///
    /// # Errors
    /// [`UpstreamError`], when no HTTP answer came at all. An answer that says no is an answer.
    fn exchange(&self, request: Request<Body>) -> BoxFuture<'_, Result<Response<Body>, UpstreamError>>;

    /// Whether requests are under way that [`Upstream::stop`] would break off. Streams to listen on are not.
    fn is_busy(&self) -> bool {
        false
    }

    /// Ends what this upstream keeps running, such as child processes. Exchanges under way break off.
    fn stop(&self) {}
}

/// Why no usable answer came from a server. Texts name no header, argument or URL.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// No connection or no process: nothing of the request was sent.
    #[error("could not reach the server")]
    Unreachable(#[source] Source),
    /// The connection or the process ended before the answer did; the request may have been carried out.
    #[error("the server broke off")]
    Broken(#[source] Source),
    /// What came is no answer to the request; it may have been carried out.
    #[error("the server did not answer the request: {0}")]
    NotAnAnswer(&'static str),
    /// The deadline passed; the request may have been carried out.
    #[error("the server did not answer in time")]
    TimedOut,
    /// The answer is longer than the limit, in bytes.
    #[error("the server answered more than {0} bytes")]
    TooLarge(usize),
    /// The answers that are held already take all the room there is; the server did nothing wrong.
    #[error("there is no room for what the server answered")]
    NoRoom,
    /// The caller went away before the answer; the server was told.
    #[error("the caller went away")]
    Abandoned,
    /// The server failed too often and is given a rest: nothing was sent.
    #[error(transparent)]
    Resting(#[from] Resting),
}

impl From<Full> for UpstreamError {
    fn from(Full: Full) -> Self {
        Self::NoRoom
    }
}

impl UpstreamError {
    /// The failure as the rest of the house knows it.
    pub const fn kind(&self) -> FailureKind {
        match self {
            Self::Unreachable(_) | Self::Resting(_) => FailureKind::Unreachable,
            Self::Broken(_) | Self::NotAnAnswer(_) | Self::TooLarge(_) => FailureKind::Broken,
            Self::NoRoom => FailureKind::NoRoom,
            Self::TimedOut => FailureKind::TimedOut,
            Self::Abandoned => FailureKind::Abandoned,
        }
    }
}
