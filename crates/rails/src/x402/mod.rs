//! x402 version 2, scheme `exact` over EIP-3009 (`specs/schemes/exact/scheme_exact_evm.md`).
//!
//! - [`wire`]: the JSON objects and their header form, tolerant in what is read, canonical in what is written.
//! - [`exact`]: the rail. It also answers for MPP's `evm` method, under the same payment key.
//! - [`settler`]: the port behind which money moves; [`sandbox`] and [`crate::evm::settler`] stand behind it.
//! - [`pay`]: the payer's side.

pub mod exact;
pub mod pay;
pub mod sandbox;
pub mod settler;
#[cfg(test)]
pub(crate) mod testing;
pub mod wire;

pub use exact::{ExactEvm, ExactEvmConfig, ExactEvmConfigError, SETTLE_MARGIN_SECONDS};
pub use pay::{SignPaymentError, sign_payment};
pub use sandbox::{
    SandboxBook, SandboxDecision, SandboxError, SandboxRefusal, SandboxSettler, SandboxTransfer,
};
pub use settler::Settler;
