//! The one guarded HTTP client of Tollgate: every request that leaves the gateway leaves through here.
//!
//! [`Policy`] says which addresses may be connected to, and decides on the address that is really connected, after name
//! resolution: there is no moment between the check and the connection in which a name could change its mind. [`Client`]
//! sends one request and returns one whole answer within [`Limits`], or its head and the rest as it comes. [`Connector`] is the same door without the limits, for a
//! pool that streams.
//!
//! This crate never follows a redirect, never decompresses, never reads proxy settings from the environment, never retries a
//! request that may have arrived, and never puts user information or a query string into an error.
//!
//! ```
//! use std::net::IpAddr;
//! use tollgate_egress::Policy;
//!
//! let metadata: IpAddr = "169.254.169.254".parse()?;
//! assert!(Policy::public().check("innocent.example", 80, metadata).is_err());
//!
//! let local: IpAddr = "10.1.2.3".parse()?;
//! let operator = Policy::public().allow_endpoint("lnd.internal", 8080);
//! assert!(operator.check("lnd.internal", 8080, local).is_ok());
//! assert!(operator.check("other.internal", 8080, local).is_err());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod address;
mod client;
mod connector;
mod host;
mod policy;
mod shown;
mod streamed;
mod tls;

pub use address::AddressKind;
pub use client::{Client, EgressError, Limits, Source};
pub use connector::{ConnectError, Connector, TcpConnector, connector, http2_connector};
pub use policy::{Policy, Refusal};
pub use shown::shown_url;
pub use streamed::Streamed;
