use tollgate_domain::Digest;

use crate::key::PublicKey;
use crate::seal::FIRST_PREVIOUS;
use crate::verify::{Verified, VerifyError, verify};

/// The receipts of one key, from its first to its last, without a gap.
///
/// What was cut off the end leaves no trace in the receipts themselves: compare `last_seq` and `head` with what the gateway
/// says, or with a later receipt.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Segment {
    /// The key.
    pub key_id: String,
    /// The sequence number of its last receipt; also how many there are.
    pub last_seq: u64,
    /// The hash of its last receipt.
    pub head: Digest,
}

/// Where a history of receipts is not whole, and how.
#[derive(Debug, thiserror::Error)]
#[error("receipt {index} of the history: {fault}")]
pub struct ChainError {
    /// Which of the given envelopes, counted from 0.
    pub index: usize,
    /// What is wrong with it.
    #[source]
    pub fault: ChainFault,
}

/// What can be wrong with a receipt in its history.
#[derive(Debug, thiserror::Error)]
pub enum ChainFault {
    /// It does not verify on its own: it was edited, or somebody else's was put there.
    #[error(transparent)]
    Receipt(#[from] VerifyError),
    /// Receipts before it are missing.
    #[error(
        "number {found} of key {key_id} stands where number {expected} belongs: receipts before it are missing"
    )]
    Missing {
        /// The key.
        key_id: String,
        /// The number that should have come.
        expected: u64,
        /// The number that came.
        found: u64,
    },
    /// It stands in the wrong place, or twice.
    #[error("number {found} of key {key_id} stands where number {expected} belongs: the order was changed")]
    OutOfOrder {
        /// The key.
        key_id: String,
        /// The number that should have come.
        expected: u64,
        /// The number that came.
        found: u64,
    },
    /// It has the right number, but follows another receipt than the one before it here: history was rewritten by whoever
    /// holds the key.
    #[error("number {seq} of key {key_id} names {named} as the one before it, which is {actual}")]
    Forked {
        /// The key.
        key_id: String,
        /// Its number.
        seq: u64,
        /// The hash that it names.
        named: Digest,
        /// The hash of the receipt before it.
        actual: Digest,
    },
}

/// Checks a whole history: every receipt on its own, and that those of each key follow one another from the first on.
/// Receipts of different keys may be interleaved, as they are after a key was changed. Returns one [`Segment`] per key, in
/// the order in which the keys first appear.
///
/// # Errors
/// [`ChainError`] with the place of the first receipt that was edited, is missing, stands elsewhere or follows another.
pub fn verify_chain<E: AsRef<str>>(
    envelopes: impl IntoIterator<Item = E>,
    keys: &[PublicKey],
) -> Result<Vec<Segment>, ChainError> {
    let mut segments: Vec<Segment> = Vec::new();
    let mut envelopes = envelopes.into_iter().enumerate();
    while let Some((index, envelope)) = envelopes.next() {
        let at = |fault: ChainFault| ChainError { index, fault };
        let receipt = verify(envelope.as_ref(), keys).map_err(|error| at(error.into()))?;
        let known = segments.iter().position(|segment| segment.key_id == receipt.key_id());
        let (last_seq, head) = known
            .and_then(|position| segments.get(position))
            .map_or((0, FIRST_PREVIOUS), |segment| (segment.last_seq, segment.head));
        let expected = last_seq.saturating_add(1);
        if receipt.place().seq != expected {
            let elsewhere =
                || envelopes.any(|(_, later)| is_number(later.as_ref(), keys, receipt.key_id(), expected));
            return Err(at(misplaced(&receipt, expected, elsewhere)));
        }
        if receipt.place().prev != head {
            let (key_id, named) = (receipt.key_id().to_owned(), receipt.place().prev);
            return Err(at(ChainFault::Forked { key_id, seq: expected, named, actual: head }));
        }
        let segment =
            Segment { key_id: receipt.key_id().to_owned(), last_seq: expected, head: *receipt.hash() };
        match known.and_then(|position| segments.get_mut(position)) {
            Some(known) => *known = segment,
            None => segments.push(segment),
        }
    }
    Ok(segments)
}

/// A number that does not follow: missing receipts before it, unless the expected one stands `elsewhere`.
fn misplaced(receipt: &Verified, expected: u64, elsewhere: impl FnOnce() -> bool) -> ChainFault {
    let (key_id, found) = (receipt.key_id().to_owned(), receipt.place().seq);
    if found < expected || elsewhere() {
        ChainFault::OutOfOrder { key_id, expected, found }
    } else {
        ChainFault::Missing { key_id, expected, found }
    }
}

fn is_number(envelope: &str, keys: &[PublicKey], key_id: &str, seq: u64) -> bool {
    verify(envelope, keys).is_ok_and(|receipt| receipt.key_id() == key_id && receipt.place().seq == seq)
}

#[cfg(test)]
mod tests;
