//! Linked transfers: all of them or none. Owns what makes a transfer bookable beyond the balances: ids that mean one transfer
//! for ever, and pending transfers that are resolved once.

use tollgate_domain::{Amount, TransferId};

use crate::draft::Draft;
use crate::engine::{Books, Changes, EngineError};
use crate::{Booked, Refusal, Transfer, TransferKind};

/// Decides linked transfers. `None` for the changes when exactly these were booked before under the same ids.
///
/// # Errors
/// [`EngineError`] when one of them cannot be booked, or the books cannot be read.
pub(crate) fn book<B: Books>(
    books: &mut B,
    transfers: &[Transfer],
) -> Result<(Booked, Option<Changes>), EngineError<B::Error>> {
    let Some(first) = transfers.first() else {
        return Err(EngineError::Refused(Refusal::NothingToBook));
    };
    if books.transfer(&first.id).map_err(EngineError::Books)?.is_some() {
        for transfer in transfers {
            let before = books.transfer(&transfer.id).map_err(EngineError::Books)?;
            // The moments may differ: it is the same request, made again.
            let same = |before: Transfer| Transfer { at: transfer.at, expires: transfer.expires, ..before };
            if before.map(same).as_ref() != Some(transfer) {
                return Err(EngineError::Refused(Refusal::TransferReused(transfer.id)));
            }
        }
        return Ok((Booked { again: true }, None));
    }
    let mut draft = Draft::new(books);
    for transfer in transfers {
        if !transfer.is_named() {
            return Err(EngineError::Refused(Refusal::BelongsToCall(transfer.id)));
        }
        // The first one was looked for above: most often it is the only one, and looking costs as much as writing.
        if !std::ptr::eq(transfer, first) && find(&mut draft, &transfer.id)?.is_some() {
            return Err(EngineError::Refused(Refusal::TransferReused(transfer.id)));
        }
        let reserved = reserved(&mut draft, transfer)?;
        draft.book(transfer.clone(), reserved)?;
    }
    Ok((Booked { again: false }, Some(draft.changes)))
}

/// How much is reserved by the pending transfer that this one resolves, if it resolves one.
fn reserved<B: Books>(
    draft: &mut Draft<'_, B>,
    transfer: &Transfer,
) -> Result<Option<Amount>, EngineError<B::Error>> {
    let refused = |refusal| Err(EngineError::Refused(refusal));
    let Some(of) = transfer.kind.resolves() else { return Ok(None) };
    let pending = match find(draft, &of)? {
        Some(pending) if pending.kind == TransferKind::Pending => pending,
        Some(_) | None => return refused(Refusal::NoSuchPending(of)),
    };
    let drafted = draft.changes.transfers.iter().find(|other| other.kind.resolves() == Some(of)).cloned();
    let resolution = match drafted {
        Some(resolution) => Some(resolution),
        None => draft.books.resolution(&of).map_err(EngineError::Books)?,
    };
    if let Some(Transfer { kind, .. }) = resolution {
        return refused(Refusal::AlreadyResolved { pending: of, by: kind.word() });
    }
    let posts = matches!(transfer.kind, TransferKind::PostPending(_));
    if posts && pending.expires.is_some_and(|expires| transfer.at >= expires) {
        return refused(Refusal::PendingExpired(of));
    }
    let same = (&pending.debit, &pending.credit, &pending.asset)
        == (&transfer.debit, &transfer.credit, &transfer.asset);
    let fits = if posts { transfer.amount <= pending.amount } else { transfer.amount == pending.amount };
    if !same || !fits {
        return refused(Refusal::OtherMovement(of));
    }
    Ok(Some(pending.amount))
}

/// A named transfer, those of this chain included.
fn find<B: Books>(
    draft: &mut Draft<'_, B>,
    id: &TransferId,
) -> Result<Option<Transfer>, EngineError<B::Error>> {
    match draft.changes.transfers.iter().find(|drafted| drafted.id == *id) {
        Some(drafted) => Ok(Some(drafted.clone())),
        None => draft.books.transfer(id).map_err(EngineError::Books),
    }
}

#[cfg(test)]
mod tests;
