//! Giving money back that was kept: an operator's decision, as a new transfer that names the first. Nothing is taken back by
//! changing what was written.

use tollgate_domain::{Amount, CallId, PaymentKey, Settle, TransferId, UnixMillis};

use crate::budget;
use crate::draft::Draft;
use crate::engine::{Books, Changes, EngineError};
use crate::shares::Earning;
use crate::{
    AccountName, Refusal, SettlementRow, State, Transfer, TransferKind, earned_id, resolution_id, share_id,
};

/// Gives back what was kept of a paid call, or a part of it, as prepaid credit of whoever paid.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refund {
    /// The payment key.
    pub key: PaymentKey,
    /// The call; a fence: it must be the one of the key's latest attempt.
    pub call: CallId,
    /// Chosen by whoever refunds: refunding twice under one id books once.
    pub id: TransferId,
    /// How much; never more than is left of the amount. Zero: what was booked under this id before.
    pub amount: Amount,
    /// How much had gone back before, from an escrow as well, as whoever decided knows it. The statement says what went back in all.
    pub before: Amount,
    /// Why; kept with the transfer.
    pub reason: String,
    /// The statement to seal as the call's latest receipt, in the same commit.
    pub statement: Option<String>,
    /// For the parties only, as JSON text: the salts of that receipt.
    pub private: Option<String>,
    /// Now.
    pub now: UnixMillis,
}

/// The answer to a [`Refund`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refunded {
    /// Whether exactly this had been booked under this id before.
    pub again: bool,
    /// What went back of the call in all.
    pub total: Amount,
    /// The sealed envelope, when a statement was given and something was booked.
    pub receipt: Option<String>,
}

/// Decides a refund. `None` for the changes when exactly this was booked before under the same id.
///
/// # Errors
/// [`EngineError`] when nothing was kept, more would go back than was, or the books cannot be read.
pub(crate) fn refund<B: Books>(
    books: &mut B,
    refund: &Refund,
) -> Result<(Amount, Option<Changes>), EngineError<B::Error>> {
    let Some(row) = books.settlement(&refund.key).map_err(EngineError::Books)? else {
        return Err(EngineError::Refused(Refusal::NoSuchSettlement(refund.key.clone())));
    };
    if row.call != refund.call {
        return Err(EngineError::Refused(Refusal::OtherCall { current: row.call }));
    }
    let escrow = match row.escrow() {
        Some(id) => books.escrow(&id).map_err(EngineError::Books)?,
        None => None,
    };
    let back = row.back(escrow.as_deref());
    let transfer = transfer_of(&row, refund);
    if let Some(before) = books.transfer(&refund.id).map_err(EngineError::Books)? {
        // The moment may differ: it is the same refund, asked for again.
        let amount = if refund.amount.is_zero() { before.amount } else { refund.amount };
        if before != (Transfer { at: before.at, amount, ..transfer }) {
            return Err(EngineError::Refused(Refusal::TransferReused(refund.id)));
        }
        return Ok((back, None));
    }
    if !matches!(row.state, State::Settled | State::Delivered) {
        return Err(EngineError::Refused(Refusal::NothingKept { call: row.call, state: row.state }));
    }
    if let Some(id) = row.escrow()
        && !escrow.is_some_and(|escrow| escrow.state.is_terminal())
    {
        return Err(EngineError::Refused(Refusal::InEscrow { call: row.call, escrow: id }));
    }
    // Of what went into an escrow, what it released to the server.
    let left = row.amount.checked_sub(back).unwrap_or_default();
    let after = left.checked_sub(refund.amount).filter(|_| !refund.amount.is_zero());
    let Some(after) = after.filter(|_| back == refund.before) else {
        return Err(EngineError::Refused(Refusal::RefundExceeds { left }));
    };
    let mut draft = Draft::new(books);
    if !row.splits.is_empty() {
        // Each gives its share back; together it is what goes back.
        let server = &row.binding.tool.server;
        let earning = Earning {
            server,
            splits: &row.splits,
            held: AccountName::Unearned(server.clone()),
            asset: &row.asset,
            call: Some(row.call),
            id: share_id(&refund.id, usize::MAX),
            note: "share of a refund",
            at: refund.now,
        };
        earning.book(&mut draft, left, after)?;
    }
    draft.book(transfer, None)?;
    let mut changes = draft.changes;
    // What comes back was not spent.
    let room = budget::release(books, &row.reserved, &row.asset, refund.amount);
    changes.usages = room.map_err(EngineError::Books)?;
    let refunded = row.refunded.checked_add(refund.amount).unwrap_or(row.amount);
    changes.settlement = Some(SettlementRow { refunded, updated: refund.now, ..SettlementRow::clone(&row) });
    Ok((back.checked_add(refund.amount).unwrap_or(row.amount), Some(changes)))
}

fn transfer_of(row: &SettlementRow, refund: &Refund) -> Transfer {
    let first = match row.settle {
        Settle::After => resolution_id(&row.call),
        Settle::Before | Settle::Escrow => earned_id(&row.call),
    };
    Transfer {
        id: refund.id,
        kind: TransferKind::Posted,
        debit: match row.splits.is_empty() {
            true => AccountName::Payable(row.binding.tool.server.clone()),
            false => AccountName::Unearned(row.binding.tool.server.clone()),
        },
        credit: AccountName::Credit(row.refund_to().clone()),
        asset: row.asset.clone(),
        amount: refund.amount,
        call: Some(row.call),
        note: format!("refund of {first}: {}", refund.reason),
        at: refund.now,
        expires: None,
    }
}
