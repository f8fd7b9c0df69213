//! What is signed of money that an escrow moves: one receipt for each event that moves some, sealed in its commit.

use tollgate_domain::{Digest, EscrowId, ReceiptId, UnixMillis};

use super::engine::EscrowChanges;

/// What a receipt is to say of one event. Whoever seals it spells it out.
#[derive(Clone, Copy, Debug)]
pub struct EscrowReceipt<'a> {
    /// The receipt's id.
    pub id: ReceiptId,
    /// The event, what moved, and the escrow after it.
    pub changes: &'a EscrowChanges,
    /// Whether the money is real: `sandbox` or `live`.
    pub mode: &'static str,
}

/// The id of the receipt of the event that made this version of an escrow, if it moved money. It follows from the escrow, so that
/// whoever knows the one finds the other.
pub fn escrow_receipt_id(escrow: &EscrowId, version: u64, at: UnixMillis) -> ReceiptId {
    let digest = Digest::of(format!("escrow/{escrow}/{version}/receipt").as_bytes());
    let mut bytes = [0; 10];
    for (slot, byte) in bytes.iter_mut().zip(digest.as_bytes()) {
        *slot = *byte;
    }
    ReceiptId::new(at, bytes)
}
