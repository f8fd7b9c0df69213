//! Evidence: what a call came to, signed so that anybody can check it offline with a public key alone.
//!
//! Owns the receipt, from what it says ([`Statement`]) over how it is signed ([`seal`]) to how it is checked ([`verify()`],
//! [`verify_chain`]). A receipt is canonical JSON (RFC 8785) in a DSSE envelope (secure-systems-lab/dsse, protocol 1.0),
//! signed with Ed25519 (RFC 8032). Each names the digest of the one before it under the same key, so a history that was
//! edited, cut or reordered shows where. Arguments and results stand in it as salted digests only: the parties, who hold
//! the salt, can prove what they were; nobody else can guess them.
//!
//! This crate never does I/O, reads a clock or draws randomness; keys, salts and moments are arguments. A signing key is
//! never printed.
//!
//! Invariants: what is signed is exactly what is read back (canonical bytes, no second reading); a receipt names the key
//! that signed it; sealing assigns the place in the chain and changes nothing else.
//!
//! ```
//! use tollgate_attest::{FIRST_PREVIOUS, Signer, StatementDraft, salted_digest, seal, verify, verify_chain};
//! use tollgate_domain::{CallId, Caller, Digest, ReceiptId, ToolRef, UnixMillis};
//!
//! let now = UnixMillis::from_secs(1_795_219_200);
//! let arguments = br#"{"city":"Oslo"}"#; // canonical JSON
//! let salt = [9; 16];
//! let draft = StatementDraft {
//!     receipt_id: ReceiptId::new(now, [1; 10]),
//!     call_id: CallId::new(now, [2; 10]),
//!     ts: now.plus_millis(40),
//!     caller: Caller::Anonymous.principal(),
//!     tool: ToolRef { server: "demo".parse()?, tool: "weather".parse()? },
//!     schema_sha256: None,
//!     args_sha256: salted_digest(&salt, Digest::of(arguments).as_bytes()),
//!     result_sha256: None,
//!     outcome: "timed_out",
//!     charged: false,
//!     price: None,
//!     payment_ref: None,
//!     refunded: None,
//!     settlement: "free",
//!     escrow: None,
//!     decision: None,
//!     mode: "sandbox",
//! };
//!
//! let signer = Signer::from_seed(&[7; 32])?;
//! let sealed = seal(&draft.to_text(), 1, &FIRST_PREVIOUS, &signer)?;
//!
//! let keys = [signer.public()];
//! let receipt = verify(&sealed.envelope, &keys)?;
//! assert_eq!(receipt.call().unwrap().outcome, "timed_out");
//! assert!(receipt.matches_arguments(&salt, arguments));
//! assert!(!receipt.matches_arguments(&salt, br#"{"city":"Bergen"}"#));
//! assert_eq!(verify_chain([&sealed.envelope], &keys)?.len(), 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod chain;
mod did;
mod digest;
mod draft;
mod dsse;
mod escrow;
mod jwks;
mod kept;
mod key;
mod moment;
mod seal;
mod statement;
mod verify;
mod wire;

pub use chain::{ChainError, ChainFault, Segment, verify_chain};
pub use digest::salted_digest;
pub use escrow::{EscrowDraft, EscrowStatement, Moved};
pub use jwks::{JwksError, jwks, keys_from_jwks};
pub use kept::envelope_of;
pub use key::{KeyError, PublicKey, Signer};
pub use seal::{FIRST_PREVIOUS, SealError, Sealed, seal};
pub use statement::{Statement, StatementDraft};
pub use verify::{Place, Said, Verified, VerifyError, kept_statement, verify};
pub use wire::StatementError;

/// The media type of a receipt's payload: what its signature is about, part of the signed bytes.
pub const PAYLOAD_TYPE: &str = "application/vnd.tollgate.call-receipt+json";
