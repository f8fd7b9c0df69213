//! Who signs receipts, and what comes of it.

use tollgate_domain::{Digest, ReceiptId};

use crate::Refusal;
use crate::escrow::EscrowReceipt;

/// Seals receipts, each for the place after the one before it.
pub trait Sealer {
    /// Signs a statement for the next place in the chain. What was sealed and then not committed is sealed again by whoever
    /// asks again: the place is taken with the commit.
    ///
    /// # Errors
    /// [`Refusal::NoSigner`], [`Refusal::Seal`]; the place is still free then.
    fn seal(&mut self, statement: &str) -> Result<Sealed, Refusal>;

    /// The same of what an event of an escrow moved: its statement is spelled out where receipts are.
    ///
    /// # Errors
    /// As [`Self::seal`].
    fn seal_escrow(&mut self, moved: &EscrowReceipt<'_>) -> Result<Sealed, Refusal>;
}

/// What sealing gives.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sealed {
    /// What is written of it.
    pub receipt: SealedReceipt,
    /// The envelope as JSON text, for whoever is answered.
    pub envelope: String,
}

/// A signed receipt with its place in the chain.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SealedReceipt {
    /// Its id.
    pub id: ReceiptId,
    /// Its place in the chain of the key that signed it, from 1.
    pub seq: u64,
    /// What the next receipt of this key names as the one before it.
    pub hash: Digest,
    /// The envelope, in the form in which the store keeps it.
    pub kept: String,
}
