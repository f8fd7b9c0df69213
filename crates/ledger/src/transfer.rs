//! Transfers: the only thing that moves money. Owns their shape and how their ids follow from what caused them.

use std::fmt;

use tollgate_domain::{Amount, AssetId, CallId, Digest, PaymentKey, Principal, TransferId, UnixMillis};

use crate::AccountName;

/// How a transfer counts (TigerBeetle, "Two-phase transfers").
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum TransferKind {
    /// At once and for good.
    Posted,
    /// Reserved until a later transfer posts or voids it.
    Pending,
    /// Makes the named pending transfer good, all of it or a part; the rest is released.
    PostPending(TransferId),
    /// Releases the named pending transfer.
    VoidPending(TransferId),
}

/// Why a stored word and reference are no [`TransferKind`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{word:?} is no kind of transfer, or its reference to a pending transfer is missing or superfluous")]
pub struct TransferKindError {
    word: String,
}

impl TransferKind {
    /// The word it is stored and shown with.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Posted => "posted",
            Self::Pending => "pending",
            Self::PostPending(_) => "post_pending",
            Self::VoidPending(_) => "void_pending",
        }
    }

    /// The pending transfer that this one resolves.
    pub const fn resolves(&self) -> Option<TransferId> {
        match self {
            Self::PostPending(of) | Self::VoidPending(of) => Some(*of),
            Self::Posted | Self::Pending => None,
        }
    }

    /// The kind with this word and this resolved transfer.
    ///
    /// # Errors
    /// [`TransferKindError`] when they do not fit together.
    pub fn from_parts(word: &str, resolves: Option<TransferId>) -> Result<Self, TransferKindError> {
        match (word, resolves) {
            ("posted", None) => Ok(Self::Posted),
            ("pending", None) => Ok(Self::Pending),
            ("post_pending", Some(of)) => Ok(Self::PostPending(of)),
            ("void_pending", Some(of)) => Ok(Self::VoidPending(of)),
            _ => Err(TransferKindError { word: word.chars().take(32).collect() }),
        }
    }
}

impl fmt::Display for TransferKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// One movement of money; once written it never changes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Transfer {
    /// Its id, chosen by what caused it: booking the same cause twice meets the same id.
    pub id: TransferId,
    /// How it counts.
    pub kind: TransferKind,
    /// The debited account.
    pub debit: AccountName,
    /// The credited account.
    pub credit: AccountName,
    /// Of what.
    pub asset: AssetId,
    /// How much, in atomic units; never zero.
    pub amount: Amount,
    /// The call it is for.
    pub call: Option<CallId>,
    /// Why it was booked, for people.
    pub note: String,
    /// When.
    pub at: UnixMillis,
    /// Of a pending transfer: until when it can be posted. Without it, it waits for ever.
    pub expires: Option<UnixMillis>,
}

impl Transfer {
    /// Whether it can be asked for more than once, so that its id is looked up: everything but the reservation of a call and
    /// its resolution, whose ids follow from the call, which is claimed once and ends once.
    pub fn is_named(&self) -> bool {
        self.call.is_none() || self.kind == TransferKind::Posted
    }
}

/// The id of the pending transfer of a call.
pub fn hold_id(call: &CallId) -> TransferId {
    of_call(call, b"hold")
}

/// The id of the transfer that posts or voids the pending transfer of a call. One id for both: they exclude each other.
pub fn resolution_id(call: &CallId) -> TransferId {
    of_call(call, b"resolution")
}

/// The id of the transfer that makes what was taken before the tool ran its server's own.
pub fn earned_id(call: &CallId) -> TransferId {
    of_call(call, b"earned")
}

/// The id of the transfer that gives a payee its share of what another transfer earns, or takes it back: `place` is that of the payee.
pub fn share_id(of: &TransferId, place: usize) -> TransferId {
    cut(Digest::of(format!("share/{of}/{place}").as_bytes()))
}

/// The id of the transfer that gives back what was taken for a call: all of it, or what its result left of it. The state machine sees
/// to it that there is one.
pub fn refund_id(call: &CallId) -> TransferId {
    of_call(call, b"refund")
}

/// The id of the transfer that books the arrival of a payment that came before its call. It follows from the payment
/// key alone, so that the same payment cannot arrive twice.
pub fn arrival_id(key: &PaymentKey) -> TransferId {
    cut(Digest::of(format!("arrival/{key}").as_bytes()))
}

/// The id of the transfer by which an operator gives back what was kept of a call, under a word of the operator's choice.
pub fn operator_refund_id(call: &CallId, word: &str) -> TransferId {
    cut(Digest::of(format!("operator refund/{call}/{word}").as_bytes()))
}

/// The id of a transfer that `principal` asks for under a key of its own choice: asking again under the same key means the
/// same transfer, and nobody meets the key of another.
pub fn requested_id(principal: &Principal, key: &str) -> TransferId {
    // A principal holds no line break.
    cut(Digest::of(format!("requested/{principal}\n{key}").as_bytes()))
}

/// The id of the transfer that voids a pending one because it was not posted in time.
pub fn expiry_id(pending: &TransferId) -> TransferId {
    cut(Digest::of(&[pending.as_bytes(), b"expiry".as_slice()].concat()))
}

/// The time of the call's id, so that transfers stay in time order, then 80 bits that follow from the call and `role`.
fn of_call(call: &CallId, role: &[u8]) -> TransferId {
    let digest = Digest::of(&[call.as_bytes(), role].concat());
    let mut bytes = *call.as_bytes();
    for (slot, byte) in bytes.iter_mut().skip(6).zip(digest.as_bytes()) {
        *slot = *byte;
    }
    TransferId::from_bytes(bytes)
}

fn cut(digest: Digest) -> TransferId {
    let mut bytes = [0; 16];
    for (slot, byte) in bytes.iter_mut().zip(digest.as_bytes()) {
        *slot = *byte;
    }
    TransferId::from_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tollgate_domain::Rail;

    #[test]
    fn ids_follow_from_their_cause_and_from_nothing_else() {
        let call = CallId::new(UnixMillis::new(7), [1; 10]);
        let other = CallId::new(UnixMillis::new(7), [2; 10]);
        assert_eq!(hold_id(&call), hold_id(&call));
        assert_ne!(hold_id(&call), hold_id(&other));
        assert_ne!(hold_id(&call), resolution_id(&call));
        assert_eq!(
            hold_id(&call).as_bytes()[..6],
            call.as_bytes()[..6],
            "stands where its call stands in time"
        );
        let key = |proof| PaymentKey::new(Rail::L402, proof).unwrap();
        assert_eq!(arrival_id(&key("aa")), arrival_id(&key("aa")));
        assert_ne!(arrival_id(&key("aa")), arrival_id(&key("ab")));
    }

    #[test]
    fn kinds_survive_their_stored_form_and_need_the_right_reference() {
        let of = TransferId::from_bytes([9; 16]);
        for kind in [
            TransferKind::Posted,
            TransferKind::Pending,
            TransferKind::PostPending(of),
            TransferKind::VoidPending(of),
        ] {
            assert_eq!(TransferKind::from_parts(kind.word(), kind.resolves()), Ok(kind));
        }
        for (word, of) in [
            ("posted", Some(of)),
            ("pending", Some(of)),
            ("post_pending", None),
            ("void_pending", None),
            ("", None),
        ] {
            assert!(TransferKind::from_parts(word, of).is_err(), "{word} with {of:?}");
        }
    }
}
