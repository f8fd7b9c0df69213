//! The other side of the street: a client that calls one MCP tool and pays for it within a limit.
//!
//! [`PayingClient`] sends a `tools/call` over streamable HTTP, reads what the server asks for, checks the offer against
//! what its owner allowed (asset, network, amount: everything else is refused), pays once, and sends the same call again
//! with the payment. A [`bridge`] does the same for a client that only speaks plain MCP over stdio, within a [`budget`]. Money
//! leaves a wallet in one place only, `payment::make`, behind those checks.
//!
//! This crate never takes the first offer it sees, never pays twice for one call (an unclear answer is asked again with
//! the same payment), never reads a clock or randomness by itself, and never puts a key or a payment into an error or a
//! `Debug` text.
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use tollgate_domain::{Asset, Assets, UnixMillis};
//! use tollgate_egress::{Client, Limits, Policy};
//! use tollgate_payer::{EvmWallet, PayingClient, Randomness, Wallets};
//!
//! # async fn example(randomness: Arc<dyn Randomness>, now: UnixMillis) -> Result<(), Box<dyn std::error::Error>> {
//! let usdc = Asset::new("eip155:84532/erc20:0x036cbd53842c5426634e7929541ec2318f3dcf7e", "USDC", 6)?;
//! let assets = Assets::new([usdc]);
//! let wallet = EvmWallet::open_or_create("payer.key".as_ref(), randomness.as_ref())?;
//! let wallets = Wallets { evm: Some(wallet), lightning: None };
//!
//! let client = Client::new(Policy::public().allow_loopback(), Limits::default());
//! let payer = PayingClient::new(client, "http://127.0.0.1:3100/mcp", wallets, randomness).allow_networks_of(&assets);
//! let limit = assets.parse("0.01USDC")?;
//! let paid = payer.call("weather", r#"{"city":"Oslo"}"#, &limit, now).await?;
//! println!("{}", paid.result);
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod answer;
pub mod bridge;
pub mod budget;
mod client;
mod demand;
mod error;
mod lightning;
mod mirror;
mod offer;
mod payment;
mod randomness;
mod request;
mod session;
mod verdict;
mod wallet;

pub use client::{Asked, Paid, PaidWith, PayingClient, Priced, Proof, Retries};
pub use error::{ExitCode, PayError};
pub use lightning::{DevLightning, LightningError, LightningFuture, LightningPayer};
pub use offer::Terms;
pub use randomness::{NoRandomness, Randomness};
pub use wallet::{EvmWallet, WalletError, Wallets};
