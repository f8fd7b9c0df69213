//! A price on the routes and tools of your own server: in front of an axum or hyper service as a tower layer, or around one
//! tool of your own MCP server. No other process: ledger, rails and receipts live in yours.
//!
//! ```no_run
//! use axum::{Router, routing::get};
//! use tollgate::{Paid, Settings, Tollgate};
//!
//! async fn weather(paid: Paid) -> String {
//!     format!("Sunny. Thank you, {}.", paid.caller())
//! }
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let tollgate = Tollgate::open(Settings::dev("tollgate-data")).await?;
//!     let toll = tollgate.price("weather", "0.01USDC, 10sat")?;
//!     let app = Router::new().route("/weather", get(weather)).route_layer(toll).merge(tollgate.routes());
//!     axum::serve(tokio::net::TcpListener::bind("127.0.0.1:4021").await?, app).await?;
//!     Ok(tollgate.close().await)
//! }
//! ```
//!
//! The handler takes [`Paid`] as an argument; where no toll stands before it, the request is refused instead of served for
//! nothing.
//!
//! # What a toll promises
//!
//! - One proof runs the handler once. The same proof for the same request brings the kept answer (or 409 while it runs); for
//!   any other request it is refused. A request is its method, path, query and body.
//! - A 2xx is settled, before its caller gets it. Any other answer, a panic, a missed deadline and a caller who hangs up
//!   cost nothing.
//! - Every refusal is decided before any money moves and says what to do next; the handler does not hear of it.
//! - What a crash left open is finished when the data directory is opened again, before the first call is taken.
//! - Each paid call has a signed receipt, in the header `tollgate-receipt` or a result's `_meta`.
//!
//! It shares the whole street with the gateway (`tollgate-gate`) and its till (`tollgate-till`); it has no listener, no command
//! line and no configuration of servers.
#![forbid(unsafe_code)]

#[cfg(feature = "axum")]
mod axum_door;
mod catalog;
mod error;
mod house;
mod http;
mod paid;
mod ports;
mod run;
mod settings;
mod terms;
mod tool;

use std::sync::Arc;

pub use error::{OpenError, PriceError, SettingsError};
pub use http::{Body, Gated, Peer, Toll};
pub use paid::{Paid, Payment};
pub use settings::Settings;
pub use terms::Terms;
pub use tollgate_domain::{Amount, AssetId, CallId, Principal, Rail};
pub use tollgate_till::Complaint;
pub use tollgate_till::raw::{
    RawAsset as AssetSettings, RawLightning as LightningSettings, RawX402 as X402Settings,
};
pub use tool::{Asked, Reply, Tool};

#[cfg(feature = "axum")]
pub use axum_door::NoToll;

use house::House;

/// The money of one data directory, and the maker of tolls. Clones share it; it lives as long as any toll.
#[derive(Clone, Debug)]
pub struct Tollgate {
    house: Arc<House>,
}

impl Tollgate {
    /// Opens a data directory, makes it when it is not there, and finishes what the last run left open. One process at a
    /// time.
    ///
    /// # Errors
    /// What cannot be used, as sentences for the operator.
    pub async fn open(settings: Settings) -> Result<Self, OpenError> {
        Ok(Self { house: House::open(&settings).await? })
    }

    /// A toll with this name and price: `0.01USDC`, or `0.01USDC, 10sat` where either will do.
    ///
    /// # Errors
    /// [`PriceError`]: what is wrong with the name or the price.
    pub fn price(&self, name: &str, price: &str) -> Result<Toll, PriceError> {
        self.toll(Terms::new(name, price))
    }

    /// A toll on these terms.
    ///
    /// # Errors
    /// As [`Tollgate::price`].
    pub fn toll(&self, terms: Terms) -> Result<Toll, PriceError> {
        let listed = self.house.offer(&terms)?;
        Ok(Toll::new(Arc::clone(&self.house), listed, terms.is_flowing))
    }

    /// A tool with this name and price, around a function; see [`Tool`].
    ///
    /// # Errors
    /// As [`Tollgate::price`].
    pub fn tool<A, H, F, T, E>(&self, name: &str, price: &str, handler: H) -> Result<Tool, PriceError>
    where
        A: serde::de::DeserializeOwned + 'static,
        H: Fn(A, Paid) -> F + Send + Sync + 'static,
        F: Future<Output = Result<T, E>> + Send + 'static,
        T: serde::Serialize,
        E: serde::Serialize,
    {
        self.tool_on(Terms::new(name, price), handler)
    }

    /// A tool on these terms.
    ///
    /// # Errors
    /// As [`Tollgate::price`].
    pub fn tool_on<A, H, F, T, E>(&self, terms: Terms, handler: H) -> Result<Tool, PriceError>
    where
        A: serde::de::DeserializeOwned + 'static,
        H: Fn(A, Paid) -> F + Send + Sync + 'static,
        F: Future<Output = Result<T, E>> + Send + 'static,
        T: serde::Serialize,
        E: serde::Serialize,
    {
        Tool::new(&self.house, &terms, handler)
    }

    /// The public keys that receipts verify with, as a JSON Web Key Set; `routes` serves it at `/.well-known/jwks.json`.
    pub fn receipt_keys(&self) -> String {
        tollgate_attest::jwks(&self.house.receipt_keys)
    }

    /// Waits for the calls that are being carried out. Call it behind your server's own graceful end: what is still running
    /// when the process ends is in doubt at the next start, and is not charged.
    pub async fn close(&self) {
        self.house.close().await;
    }
}
