//! L402: a call is paid by a Lightning invoice and shown by a macaroon that was made for it, plus the preimage.
//!
//! The paid path is arithmetic on what the caller sent: derive the root key, check the signature chain, read the caveats,
//! hash the preimage. It asks no wallet, reads no table and parses no invoice (L402 protocol specification; identifier and
//! caveats of its `macaroon-spec.md`).
//!
//! - [`L402`]: the rail. It also answers for MPP's `lightning` method, over the same invoice and the same payment key.
//! - [`macaroon`], [`identifier`], [`caveats`], [`terms`]: what a token is, names and promises.
//! - [`challenge`]: the payer's side. [`www_authenticate`] reads any challenge header.

pub mod caveats;
pub mod challenge;
pub mod identifier;
pub mod macaroon;
mod rail;
pub mod secret;
pub mod terms;
pub mod www_authenticate;

pub use challenge::{ChallengeError, L402Challenge};
pub use identifier::Identifier;
pub use macaroon::Macaroon;
pub use rail::{L402, L402Config, L402ConfigError, Opened, TTL_SECONDS_DEFAULT, TTL_SECONDS_MAX};
pub use secret::{GateSecret, ShortSecret};
