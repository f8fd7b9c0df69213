//! x402 version 2, scheme `exact` over EIP-3009 (`specs/schemes/exact/scheme_exact_evm.md`).
//!
//! - [`wire`]: the JSON objects and their header form, tolerant in what is read, canonical in what is written.
//! - [`exact`]: the rail. It also answers for MPP's `evm` method, under the same payment key.
//! - [`settler`]: the port behind which money moves on a chain; [`crate::evm::settler`] stands behind it. Sandbox money is
//!   on the gateway's own books and has none.
//! - [`pay`]: the payer's side.

pub mod exact;
pub mod pay;
pub mod settler;
#[cfg(test)]
pub(crate) mod testing;
pub mod wire;

pub use exact::{ExactEvm, ExactEvmConfig, ExactEvmConfigError, SETTLE_MARGIN_SECONDS, Settling};
pub use pay::{SignPaymentError, sign_payment};
pub use settler::Settler;
