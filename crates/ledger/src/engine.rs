//! The decisions: command + books → outcome + rows to write. Nothing is written here, so a refused command has no
//! effect and needs no rollback.

use std::sync::Arc;

use tollgate_domain::{
    Amount, ApprovalId, AssetId, CallId, EscrowId, FreeCall, PaymentKey, PayoutId, Principal, Settle,
    ToolRef, TransferId, UnixMillis,
};

use crate::budget::{self, Approval, Barrier, Counter, Stops, Usage, Wanted, Warning, Weighed};
use crate::draft::Draft;
use crate::escrow::{self, EscrowChanges, EscrowRow};
use crate::payout::{Payee, PayeeChange, PayeeRow, PayoutChanges, PayoutRow};
use crate::{
    AccountName, Advance, Balances, BookingError, Claim, Effect, Event, Funds, Grant, Granted, Record,
    RefundCause, Refusal, SettlementRow, State, Transfer, TransferKind, Verdict,
};

/// The books as they stand for the next command: what is committed, and what earlier commands of the same batch
/// changed. `&mut` because a store may load and remember.
pub trait Books {
    /// Why the books could not be read.
    type Error;

    /// The latest attempt with this key.
    ///
    /// # Errors
    /// When the books cannot be read.
    fn settlement(&mut self, key: &PaymentKey) -> Result<Option<Arc<SettlementRow>>, Self::Error>;

    /// What stands on one account; zeros for one that was never used.
    ///
    /// # Errors
    /// When the books cannot be read.
    fn balances(&mut self, account: &AccountName, asset: &AssetId) -> Result<Balances, Self::Error>;

    /// The transfer with this id, of those that can be asked for more than once ([`Transfer::is_named`]).
    ///
    /// # Errors
    /// When the books cannot be read.
    fn transfer(&mut self, id: &TransferId) -> Result<Option<Transfer>, Self::Error>;

    /// The transfer that posts or voids this named pending one.
    ///
    /// # Errors
    /// When the books cannot be read.
    fn resolution(&mut self, pending: &TransferId) -> Result<Option<Transfer>, Self::Error>;

    /// How many calls of a tool a principal has claimed since a moment that did not come to nothing, counted no further than
    /// `most`.
    ///
    /// # Errors
    /// When the books cannot be read.
    fn calls(
        &mut self,
        caller: &Principal,
        tool: &ToolRef,
        since: UnixMillis,
        most: u64,
    ) -> Result<u64, Self::Error>;

    /// What is remembered of a principal; the beginner's record for a stranger.
    ///
    /// # Errors
    /// When the books cannot be read.
    fn standing(&mut self, principal: &Principal) -> Result<Record, Self::Error>;

    /// What a counter of a budget says; `None` for one that was never used.
    ///
    /// # Errors
    /// When the books cannot be read.
    fn usage(&mut self, counter: &Counter) -> Result<Option<Usage>, Self::Error>;

    /// Everything that may not spend.
    ///
    /// # Errors
    /// When the books cannot be read.
    fn stops(&mut self) -> Result<Arc<Stops>, Self::Error>;

    /// The latest approval that was asked for exactly this and is not used.
    ///
    /// # Errors
    /// When the books cannot be read.
    fn approval_of(&mut self, wanted: &Wanted) -> Result<Option<Approval>, Self::Error>;

    /// The approval with this id.
    ///
    /// # Errors
    /// When the books cannot be read.
    fn approval(&mut self, id: &ApprovalId) -> Result<Option<Approval>, Self::Error>;

    /// How many calls of a caller wait for an approval that has not expired.
    ///
    /// # Errors
    /// When the books cannot be read.
    fn waiting(&mut self, caller: &Principal, now: UnixMillis) -> Result<u32, Self::Error>;

    /// One escrow.
    ///
    /// # Errors
    /// When the books cannot be read.
    fn escrow(&mut self, id: &EscrowId) -> Result<Option<Arc<EscrowRow>>, Self::Error>;

    /// One payout.
    ///
    /// # Errors
    /// When the books cannot be read.
    fn payout(&mut self, id: &PayoutId) -> Result<Option<Arc<PayoutRow>>, Self::Error>;

    /// What is remembered of a payee.
    ///
    /// # Errors
    /// When the books cannot be read.
    fn payee(&mut self, payee: &Payee) -> Result<Option<Arc<PayeeRow>>, Self::Error>;
}

/// Why there is no decision.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EngineError<E> {
    /// The command cannot be carried out.
    #[error(transparent)]
    Refused(Refusal),
    /// The books could not be read.
    #[error("read the books")]
    Books(#[source] E),
}

/// The rows that a decision writes, all of them or none.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Changes {
    /// New transfers, in order.
    pub transfers: Vec<Transfer>,
    /// The new totals of the accounts that they touch.
    pub balances: Vec<(AccountName, AssetId, Balances)>,
    /// The attempt as it stands now: a new row, or one with a call that is already there. The store refuses a new row whose
    /// call is taken ([`Refusal::CallReused`]).
    pub settlement: Option<SettlementRow>,
    /// Whose standing moves, and how.
    pub judged: Option<(Principal, Verdict)>,
    /// What counters of budgets say.
    pub usages: Vec<(Counter, Usage)>,
    /// The approval that is used or given back.
    pub approval: Option<Approval>,
    /// What happened to an escrow, in order.
    pub escrow: Vec<EscrowChanges>,
    /// The payout that was asked for or moved.
    pub payout: Option<PayoutChanges>,
    /// The provider of whom something else is remembered.
    pub payee: Option<PayeeChange>,
}

/// What a [`Claim`] comes to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum ClaimDecision {
    /// Write these; the call may be carried out.
    Fresh {
        /// Which attempt, from 1.
        attempt: u32,
        /// What to write.
        changes: Box<Changes>,
        /// Soft limits that it passes.
        warnings: Vec<Warning>,
    },
    /// Another call holds the key and has not ended: this row.
    InProgress(Arc<SettlementRow>),
    /// The row is settled: its stored result is the answer.
    Answered(Arc<SettlementRow>),
    /// The key was used for another request; the word says what differs.
    OtherRequest(&'static str),
    /// The key's payment failed, for this reason.
    Failed(String),
    /// The tool may have run with this key when the gateway stopped: it is never run again with it.
    InDoubt(CallId),
    /// No free call is left.
    NoFreeCall,
    /// The credit does not cover the price; this is available.
    InsufficientFunds(Amount),
    /// A budget keeps it from being claimed.
    Barred(Barrier),
}

/// Decides a claim.
///
/// # Errors
/// [`EngineError`] when the claim contradicts itself or the books cannot be read.
pub(crate) fn claim<B: Books>(books: &mut B, claim: &Claim) -> Result<ClaimDecision, EngineError<B::Error>> {
    let (attempt, funds) = match books.settlement(&claim.key).map_err(EngineError::Books)? {
        None => (1, claim.funds.clone()),
        Some(row) => {
            if let Some(differs) = difference(&row, claim) {
                return Ok(ClaimDecision::OtherRequest(differs));
            }
            match row.state {
                State::Voided => (row.attempt.saturating_add(1), funds_again(&row, claim)),
                // Of a free call nothing went back.
                State::Refunded if row.may_be_repeated() && matches!(row.funds, Funds::Free(_)) => {
                    (row.attempt.saturating_add(1), claim.funds.clone())
                }
                // The rail has moved this money, and will not a second time: what went back pays.
                State::Refunded if row.may_be_repeated() => {
                    (row.attempt.saturating_add(1), Funds::Credit(row.refund_to().clone()))
                }
                State::Settled | State::Delivered => return Ok(ClaimDecision::Answered(row)),
                State::Failed => return Ok(ClaimDecision::Failed(row.reason.clone().unwrap_or_default())),
                State::InDoubt | State::Refunded => return Ok(ClaimDecision::InDoubt(row.call)),
                State::Claimed
                | State::Executing
                | State::Executed
                | State::Submitted
                | State::RefundDue
                | State::Unknown
                | State::Manual => {
                    return Ok(ClaimDecision::InProgress(row));
                }
            }
        }
    };
    if let Funds::Free(FreeCall { calls, per }) = funds {
        if !claim.amount.is_zero() {
            return Err(EngineError::Refused(Refusal::FreeWithPrice));
        }
        let (caller, tool) = (&claim.caller, &claim.binding.tool);
        let before = books.calls(caller, tool, per.start(claim.now), calls).map_err(EngineError::Books)?;
        if before >= calls {
            return Ok(ClaimDecision::NoFreeCall);
        }
    }
    // Behind the key: whoever repeats what is paid already gets its answer, whatever may be spent by now. A free call spends nothing.
    let weighed = if claim.amount.is_zero() {
        Weighed::nothing()
    } else {
        let weighed = budget::weigh(books, &claim.budget, &wanted(claim), claim.call, claim.now);
        weighed.map_err(EngineError::Books)?
    };
    let (reservation, usages, approval, warnings) = match weighed {
        Weighed::Within { reservation, usages, approval, warnings } => {
            (reservation, usages, approval, warnings)
        }
        Weighed::Barred(barrier) => return Ok(ClaimDecision::Barred(barrier)),
    };
    let mut row = new_row(claim, attempt, funds);
    let mut draft = Draft::new(books);
    match draft.fund(&row) {
        Ok(()) => {}
        Err(EngineError::Refused(Refusal::Booking(BookingError::ExceedsCredits { available }))) => {
            return Ok(ClaimDecision::InsufficientFunds(available));
        }
        Err(error) => return Err(error),
    }
    // Nobody has to be asked for money that is here: it moves with the claim.
    if row.settle.takes_first() && row.funds.settles_on_our_books() {
        draft.apply(&mut row, &Event::Settled { reference: claim.reference.clone() }, claim.now)?;
    }
    let mut changes = draft.changes;
    (row.reserved, changes.usages, changes.approval) =
        (reservation, usages, approval.map(|approval| *approval));
    changes.settlement = Some(row);
    Ok(ClaimDecision::Fresh { attempt, changes: Box::new(changes), warnings })
}

/// Decides an advance: every event in order, then what to book. The receipt, if any, is the store's to add.
///
/// # Errors
/// [`EngineError`] when the call does not hold the key, an event is illegal, or the books cannot be read.
pub(crate) fn advance<B: Books>(books: &mut B, advance: &Advance) -> Result<Changes, EngineError<B::Error>> {
    let Some(row) = books.settlement(&advance.key).map_err(EngineError::Books)? else {
        return Err(EngineError::Refused(Refusal::NoSuchSettlement(advance.key.clone())));
    };
    let mut row = SettlementRow::clone(&row);
    if row.call != advance.call {
        return Err(EngineError::Refused(Refusal::OtherCall { current: row.call }));
    }
    let mut draft = Draft::new(books);
    let (mut is_back, mut is_entrusted) = (false, false);
    for event in &advance.events {
        let effect = draft.apply(&mut row, event, advance.now)?;
        is_back |= matches!(effect, Effect::Void | Effect::Refund);
        is_entrusted |= effect == Effect::Entrust;
    }
    let mut changes = draft.changes;
    // Of a free call there is nothing to keep for anybody.
    if is_entrusted && !matches!(row.funds, Funds::Free(_)) {
        changes.escrow = escrow::entrusted(&row, advance.escrow.as_deref(), advance.now)?;
    }
    if is_back {
        let back = budget::give_back(books, &row.reserved, &wanted_by(&row), row.call, advance.now);
        (changes.usages, changes.approval) = back.map_err(EngineError::Books)?;
    } else if matches!(row.state, State::Settled | State::Delivered) && !row.refunded.is_zero() {
        // What was charged is what was spent: the rest may be spent again.
        let back = budget::release(books, &row.reserved, &row.asset, row.refunded);
        changes.usages = back.map_err(EngineError::Books)?;
    }
    changes.judged = verdict(row.settle, &advance.events)
        // What cost nothing earns nothing: else a good name would be free.
        .filter(|_| Record::is_kept_for(&row.caller) && !matches!(row.funds, Funds::Free(_)))
        .map(|verdict| (row.caller.clone(), verdict));
    changes.settlement = Some(row);
    Ok(changes)
}

/// Decides a grant of credit. `None` for the changes when exactly this was booked before under the same id.
///
/// # Errors
/// [`EngineError`] when the id was used for something else, the amount does not fit, or the books cannot be read.
pub(crate) fn grant<B: Books>(
    books: &mut B,
    grant: &Grant,
) -> Result<(Granted, Option<Changes>), EngineError<B::Error>> {
    let credit = AccountName::Credit(grant.to.clone());
    let transfer = Transfer {
        id: grant.id,
        kind: TransferKind::Posted,
        debit: AccountName::Clearing(grant.from),
        credit: credit.clone(),
        asset: grant.asset.clone(),
        amount: grant.amount,
        call: None,
        note: grant.note.clone(),
        at: grant.now,
        expires: None,
    };
    if let Some(before) = books.transfer(&grant.id).map_err(EngineError::Books)? {
        // The moment may differ: it is the same grant, asked for again.
        if before != (Transfer { at: before.at, ..transfer }) {
            return Err(EngineError::Refused(Refusal::TransferReused(grant.id)));
        }
        let balances = books.balances(&credit, &grant.asset).map_err(EngineError::Books)?;
        return Ok((Granted { booked: false, available: balances.available().unwrap_or_default() }, None));
    }
    let mut draft = Draft::new(books);
    draft.book(transfer, None)?;
    let balances = draft.balances(&credit, &grant.asset)?;
    let granted = Granted { booked: true, available: balances.available().unwrap_or_default() };
    Ok((granted, Some(draft.changes)))
}

/// What pays for another attempt once the last one was voided: what went back of an earlier one, if that had paid for it. The rail has moved
/// that money, and will not a second time. A proof that was kept, on a row that credit paid for, says so: of a wallet's credit that
/// is spent in place of its signature none is.
fn funds_again(row: &SettlementRow, claim: &Claim) -> Funds {
    match (&row.funds, &claim.funds) {
        (back @ Funds::Credit(_), Funds::OnSettlement) if !row.proof.is_empty() => back.clone(),
        _ => claim.funds.clone(),
    }
}

/// What of a repeated claim differs from the row, if anything. Caller and quote are compared as well: a proof may become
/// public once it is settled, and the stored result, or what went back, belongs to the one who asked first. Asset and amount are not: a
/// caller with credit in several assets is tried in the order of the price, whichever paid the first time.
fn difference(row: &SettlementRow, claim: &Claim) -> Option<&'static str> {
    if row.binding.tool != claim.binding.tool {
        Some("tool")
    } else if row.binding.args != claim.binding.args {
        Some("args")
    } else if row.binding.price_version != claim.binding.price_version {
        Some("price_version")
    } else if row.caller != claim.caller {
        Some("caller")
    } else if row.binding.quote != claim.binding.quote {
        Some("quote")
    } else {
        None
    }
}

fn new_row(claim: &Claim, attempt: u32, funds: Funds) -> SettlementRow {
    SettlementRow {
        key: claim.key.clone(),
        attempt,
        call: claim.call,
        caller: claim.caller.clone(),
        payer: claim.payer.clone(),
        settle: claim.settle,
        binding: claim.binding.clone(),
        amount: claim.amount,
        asset: claim.asset.clone(),
        funds,
        proof: claim.proof.clone(),
        expires: claim.expires,
        state: State::first(claim.settle),
        claimed: claim.now,
        updated: claim.now,
        result: None,
        reference: None,
        reason: None,
        receipt: None,
        refund: None,
        refunded: Amount::ZERO,
        reserved: budget::Reservation::default(),
        splits: claim.splits.clone(),
    }
}

/// What a claim spends, as an approval names it.
fn wanted(claim: &Claim) -> Wanted {
    Wanted {
        caller: claim.caller.clone(),
        tool: claim.binding.tool.clone(),
        args: claim.binding.args,
        asset: claim.asset.clone(),
        amount: claim.amount,
    }
}

/// The same of an attempt that was claimed.
fn wanted_by(row: &SettlementRow) -> Wanted {
    Wanted {
        caller: row.caller.clone(),
        tool: row.binding.tool.clone(),
        args: row.binding.args,
        asset: row.asset.clone(),
        amount: row.amount,
    }
}

/// Keeps what an event tells beside the state.
pub(crate) fn note(row: &mut SettlementRow, event: &Event) {
    match event {
        Event::Executed { result } => row.result = Some(*result),
        Event::Measured { result, due } => {
            row.result = Some(*result);
            row.refunded = row.amount.checked_sub(*due).unwrap_or_default();
        }
        Event::Settled { reference } => row.reference = Some(reference.clone()),
        Event::Voided { reason } | Event::Failed { reason } => {
            row.reason = Some(reason.clone());
            // Of what nobody paid there is no rest.
            row.refunded = Amount::ZERO;
        }
        Event::HandedOver { reason } => row.reason = Some(reason.clone()),
        Event::Unknown { evidence } => row.reason = Some(evidence.clone()),
        Event::RefundDue { cause } => row.refund = Some(*cause),
        Event::FoundInDoubt if row.settle.takes_first() => row.refund = Some(RefundCause::InDoubt),
        Event::Refunded => row.refunded = row.amount,
        Event::Submitted | Event::FoundInDoubt => {}
    }
}

/// What these events say about the caller. A void or a refund says nothing: it was the tool that failed. Nor does a payment
/// that fails before the tool has run: it cost nobody anything.
fn verdict(settle: Settle, events: &[Event]) -> Option<Verdict> {
    events.iter().rev().find_map(|event| match (event, settle) {
        (Event::Settled { .. }, Settle::After)
        | (Event::Executed { .. } | Event::Measured { .. }, Settle::Before | Settle::Escrow) => {
            Some(Verdict::Settled)
        }
        (Event::Failed { .. }, Settle::After) => Some(Verdict::Failed),
        _ => None,
    })
}

#[cfg(test)]
mod tests;
