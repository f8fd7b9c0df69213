//! The toll of HTTP services: a tower layer.

mod answer;
mod arrived;
mod body;
mod flow;
mod layer;
mod stored;

#[cfg(feature = "axum")]
pub(crate) use answer::respond;
pub use body::Body;
pub use layer::{Gated, Toll};

/// Any error, as services and bodies have them.
pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The address that a request came from, where its server knows it: put it into the request's extensions, so that limits
/// count each unknown caller apart. Under axum its own `ConnectInfo<SocketAddr>` does the same.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Peer(pub std::net::SocketAddr);
