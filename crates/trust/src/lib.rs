//! Who calls, and how far to believe them.
//!
//! Owns three questions: which API key a request presents ([`presented_key`], [`ApiKey`]), who the caller therefore is
//! ([`authenticate`]), and whether that caller is trusted enough for a tool ([`evaluate`]). Reputation is local: the
//! store keeps it from this gateway's own settled calls, this crate judges it.
//!
//! This crate never does I/O, reads a clock or draws randomness; keys come from a [`KeyDirectory`], standings from whoever
//! asks. A secret is never printed, and only its digest is ever looked up or stored.
//!
//! Invariants: a credential that is presented and not valid is refused, never ignored; nobody gains standing by leaving
//! something out.
//!
//! ```
//! use tollgate_domain::{Bps, Caller, KeyId, KyaTier, Requirement};
//! use tollgate_trust::{ApiKey, ApiKeys, KeyRecord, NEWCOMER, authenticate, evaluate};
//!
//! let secret = ApiKey::from_random([7; 32]);
//! let id = KeyId::from_bytes([1; 16]);
//! let labels = "team=research".parse()?;
//! let record = KeyRecord { id, name: "ci".into(), revoked: false, tier: KyaTier::Sandbox, labels };
//! let keys = ApiKeys::new([(secret.hash(), record)]);
//!
//! let caller = authenticate(Some(secret.expose()), None, &keys)?;
//! assert_eq!(caller, Caller::ApiKey(id));
//!
//! let requirement = Requirement { api_key: true, min_reputation: Bps::new(5_000) };
//! assert!(evaluate(&requirement, &caller, &NEWCOMER).is_ok());
//! assert!(evaluate(&requirement, &Caller::Anonymous, &NEWCOMER).is_err());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(clippy::arithmetic_side_effects, clippy::as_conversions, clippy::float_arithmetic)
)]

mod admin_key;
mod api_key;
mod authenticate;
mod credential;
mod directory;
mod reputation;

pub use admin_key::{AdminKey, admin_presented};
pub use api_key::{ApiKey, ApiKeyError};
pub use authenticate::{AuthenticateError, authenticate};
pub use credential::{PresentedKeyError, presented_key};
pub use directory::{ApiKeys, KeyDirectory, KeyRecord};
pub use reputation::{NEWCOMER, TrustShortfall, evaluate, judged};
