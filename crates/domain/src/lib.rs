//! The nouns that several rooms of Tollgate need, and nothing else.
//!
//! Every value here can only be built in a valid form: fields are private, constructors fail, and each value has **one
//! canonical text form** that `Display`, `FromStr` and serde share.
//!
//! This crate never does I/O, never reads a clock, never draws randomness and never uses a float.
//!
//! ```
//! use tollgate_domain::{Amount, Asset};
//!
//! let usdc = Asset::new("eip155:84532/erc20:0x036cbd53842c5426634e7929541ec2318f3dcf7e", "USDC", 6)?;
//! let price = usdc.parse("0.01")?;
//! assert_eq!(price, Amount::new(10_000));
//! assert_eq!(usdc.display(price), "0.01 USDC");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(clippy::arithmetic_side_effects, clippy::as_conversions, clippy::float_arithmetic)
)]

mod amount;
mod asset;
mod caller;
mod digest;
mod id;
mod labels;
mod name;
mod origin;
mod outcome;
mod payment;
mod price;
pub mod pricing;
mod settle;
mod splits;
mod time;
mod trust;

pub use amount::{Amount, AmountError};
pub use asset::{Asset, AssetError, AssetId, Assets, Money, MoneyError};
pub use caller::{Caller, Principal, PrincipalError};
pub use digest::{Digest, DigestError};
pub use id::{AdminKey, Approval, Call, Escrow, Id, IdError, Key, Kind, Payout, Receipt, Transfer};
pub use labels::{Labels, LabelsError};
pub use name::{NameError, ServerName, ToolName, ToolRef};
pub use origin::Origin;
pub use outcome::{FailureKind, Outcome};
pub use payment::{Binding, PaymentKey, PaymentKeyError, Rail, RailError};
pub use price::{Price, Quote};
pub use pricing::{Formula, FormulaError, FreeCall, FreeCallError, Period, PriceUnknown, Pricing, Usage};
pub use settle::{Settle, SettleError};
pub use splits::{Splits, SplitsError};
pub use time::UnixMillis;
pub use trust::{Bps, BpsError, KyaTier, Requirement, Standing};

/// The id of one tool call: `call_1…`.
pub type CallId = Id<Call>;
/// The id of one receipt: `rcpt_1…`.
pub type ReceiptId = Id<Receipt>;
/// The id of one ledger transfer: `xfer_1…`.
pub type TransferId = Id<Transfer>;
/// The id of one API key: `key_1…`.
pub type KeyId = Id<Key>;
/// The id of one admin key: `adm_1…`.
pub type AdminKeyId = Id<AdminKey>;
/// The id of one asked approval: `appr_1…`.
pub type ApprovalId = Id<Approval>;
/// The id of one escrow: `esc_1…`.
pub type EscrowId = Id<Escrow>;
/// The id of one payout: `po_1…`.
pub type PayoutId = Id<Payout>;
