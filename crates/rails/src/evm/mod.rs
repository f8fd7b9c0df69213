//! The EVM pieces that paying with EIP-3009 needs, written by hand: addresses, Keccak, EIP-712, signatures, the one
//! transaction type a relayer sends, and JSON-RPC.
//!
//! Everything but [`rpc`], [`chain`] and [`settler`] is pure.

pub mod address;
pub mod chain;
pub mod eip3009;
pub mod eip712;
pub mod payout;
pub mod rpc;
pub mod settler;
pub mod signature;
pub mod transaction;

pub use address::{Address, AddressError};
pub use chain::Chain;
pub use eip712::{Domain, keccak256};
pub use eip3009::{Authorization, ProofTextError, SignedAuthorization};
pub use payout::EvmPayouts;
pub use rpc::{HttpRpc, JsonRpc, RpcError};
pub use settler::{EvmSettler, EvmSettlerConfig};
pub use signature::{Signature, SignatureError, SigningKey, SigningKeyError};
