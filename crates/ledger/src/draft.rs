//! Transfers in the making: balances read as needed, limits kept, nothing written.

use tollgate_domain::{Amount, AssetId, Settle, TransferId, UnixMillis};

use crate::account::Movement;
use crate::engine::{Books, Changes, EngineError, note};
use crate::escrow::escrow_of_call;
use crate::shares::Earning;
use crate::{
    AccountName, Balances, BookingError, Clearing, Effect, Event, Funds, RefundCause, Refusal, SettlementRow,
    Transfer, TransferKind, arrival_id, earned_id, refund_id, resolution_id,
};

/// Transfers in the making, on balances read as needed.
pub(crate) struct Draft<'a, B> {
    pub(crate) books: &'a mut B,
    pub(crate) changes: Changes,
}

impl<'a, B: Books> Draft<'a, B> {
    pub(crate) fn new(books: &'a mut B) -> Self {
        Self { books, changes: Changes::default() }
    }

    /// One event: the new state, what it tells beside, and what it books. Says what that meant for the money.
    pub(crate) fn apply(
        &mut self,
        row: &mut SettlementRow,
        event: &Event,
        now: UnixMillis,
    ) -> Result<Effect, EngineError<B::Error>> {
        let applied = row.state.apply(row.settle, event);
        let (state, effect) = applied.map_err(|illegal| EngineError::Refused(Refusal::Illegal(illegal)))?;
        if let Event::Measured { due, .. } = event
            && (due.is_zero() || *due >= row.amount)
        {
            return Err(EngineError::Refused(Refusal::Mismeasured { call: row.call, due: *due }));
        }
        row.state = state;
        row.updated = now;
        note(row, event);
        self.carry_out(row, effect, now)?;
        Ok(effect)
    }

    /// Books the arrival of the money if it came before the call and was not booked yet, and reserves the price.
    pub(crate) fn fund(&mut self, row: &SettlementRow) -> Result<(), EngineError<B::Error>> {
        let rail = row.key.rail();
        let Some(debit) = payer(rail, &row.funds).map_err(EngineError::Refused)? else { return Ok(()) };
        let arrival = arrival_id(&row.key);
        if matches!(row.funds, Funds::Arrived { .. })
            && self.books.transfer(&arrival).map_err(EngineError::Books)?.is_none()
        {
            let from = Clearing::of(rail).ok_or(EngineError::Refused(Refusal::NoClearing(rail)))?;
            let sides = (AccountName::Clearing(from), debit.clone());
            self.book(of(row, arrival, TransferKind::Posted, sides, "payment received", row.claimed), None)?;
        }
        let sides = (debit, payee(row));
        self.book(of(row, row.hold(), TransferKind::Pending, sides, "price of the call", row.claimed), None)
    }

    /// Books what a transition means for the money; nothing for a free call, whatever happens to it.
    fn carry_out(
        &mut self,
        row: &SettlementRow,
        effect: Effect,
        now: UnixMillis,
    ) -> Result<(), EngineError<B::Error>> {
        let server = || row.binding.tool.server.clone();
        let Some(debit) = payer(row.key.rail(), &row.funds).map_err(EngineError::Refused)? else {
            return Ok(());
        };
        let held = (debit, payee(row));
        let (id, kind, sides, note) = match effect {
            Effect::Nothing => return Ok(()),
            Effect::Post => return self.post(row, held, now),
            Effect::Void => {
                (resolution_id(&row.call), TransferKind::VoidPending(row.hold()), held, "released")
            }
            Effect::Earn => {
                self.earn(row, now)?;
                return self.give_rest(row, now);
            }
            Effect::Entrust => {
                let escrow = AccountName::Escrow(escrow_of_call(&row.call));
                let sides = (AccountName::Unearned(server()), escrow);
                let (id, note) = (earned_id(&row.call), "delivered into an escrow");
                let entrusted = of(row, id, TransferKind::Posted, sides, note, now);
                self.book(Transfer { amount: row.due(), ..entrusted }, None)?;
                return self.give_rest(row, now);
            }
            Effect::Refund => {
                let sides = (AccountName::Unearned(server()), AccountName::Credit(row.refund_to().clone()));
                let why = row.refund.map_or("refunded", RefundCause::note);
                (refund_id(&row.call), TransferKind::Posted, sides, why)
            }
        };
        let reserved = kind.resolves().map(|_| row.amount);
        self.book(of(row, id, kind, sides, note, now), reserved)
    }

    /// Books that the money of a call moves.
    fn post(
        &mut self,
        row: &SettlementRow,
        held: (AccountName, AccountName),
        now: UnixMillis,
    ) -> Result<(), EngineError<B::Error>> {
        // What a rail brings is all that was authorized. Of what is on the books the due moves, and the rest is free again.
        let is_partial = row.funds.settles_on_our_books();
        let (id, kind) = (resolution_id(&row.call), TransferKind::PostPending(row.hold()));
        let posted = of(row, id, kind, held, "settled", now);
        let amount = if is_partial { row.due() } else { row.amount };
        self.book(Transfer { amount, ..posted }, Some(row.amount))?;
        if !is_partial {
            self.give_rest(row, now)?;
        }
        if row.settle == Settle::After && !row.splits.is_empty() {
            self.earn(row, now)?;
        }
        Ok(())
    }

    /// Books that what was taken for a call beyond what its result costs becomes credit of whoever paid.
    fn give_rest(&mut self, row: &SettlementRow, now: UnixMillis) -> Result<(), EngineError<B::Error>> {
        if row.refunded.is_zero() {
            return Ok(());
        }
        let sides = (payee(row), AccountName::Credit(row.refund_to().clone()));
        let (id, note) = (refund_id(&row.call), "beyond what the result costs");
        let rest = of(row, id, TransferKind::Posted, sides, note, now);
        self.book(Transfer { amount: row.refunded, ..rest }, None)
    }

    /// Books that what is due for a call is earned.
    fn earn(&mut self, row: &SettlementRow, now: UnixMillis) -> Result<(), EngineError<B::Error>> {
        let server = &row.binding.tool.server;
        let earning = Earning {
            server,
            splits: &row.splits,
            held: AccountName::Unearned(server.clone()),
            asset: &row.asset,
            call: Some(row.call),
            id: earned_id(&row.call),
            note: "delivered",
            at: now,
        };
        earning.book(self, Amount::ZERO, row.due())
    }

    /// Books a transfer. `reserved` is how much the pending transfer reserved that it resolves, if it resolves one.
    pub(crate) fn book(
        &mut self,
        transfer: Transfer,
        reserved: Option<Amount>,
    ) -> Result<(), EngineError<B::Error>> {
        let refused = |error: BookingError| EngineError::Refused(Refusal::Booking(error));
        let Transfer { kind, debit, credit, asset, amount, .. } = &transfer;
        if debit == credit {
            return Err(refused(BookingError::SameAccount));
        }
        if amount.is_zero() {
            return Err(refused(BookingError::Zero));
        }
        let reserved = reserved.ok_or_else(|| refused(BookingError::NotPending));
        let movement = match kind {
            TransferKind::Posted => Movement::Post(*amount),
            TransferKind::Pending => Movement::Reserve(*amount),
            TransferKind::PostPending(_) => Movement::Resolve { reserved: reserved?, posted: *amount },
            TransferKind::VoidPending(_) => Movement::Resolve { reserved: reserved?, posted: Amount::ZERO },
        };
        let limited = debit.debits_must_not_exceed_credits();
        let debited = self.balances(debit, asset)?.debited(movement, limited).map_err(refused)?;
        let credited = self.balances(credit, asset)?.credited(movement).map_err(refused)?;
        self.set(debit, asset, debited);
        self.set(credit, asset, credited);
        self.changes.transfers.push(transfer);
        Ok(())
    }

    /// What stands on an account, drafted changes included.
    pub(crate) fn balances(
        &mut self,
        account: &AccountName,
        asset: &AssetId,
    ) -> Result<Balances, EngineError<B::Error>> {
        let drafted = self.changes.balances.iter().find(|(name, of, _)| name == account && of == asset);
        match drafted {
            Some((_, _, balances)) => Ok(*balances),
            None => self.books.balances(account, asset).map_err(EngineError::Books),
        }
    }

    fn set(&mut self, account: &AccountName, asset: &AssetId, balances: Balances) {
        let drafted = self.changes.balances.iter_mut().find(|(name, of, _)| name == account && of == asset);
        match drafted {
            Some((_, _, slot)) => *slot = balances,
            None => self.changes.balances.push((account.clone(), asset.clone(), balances)),
        }
    }
}

/// The account that pays for a call; `None` for a free one.
fn payer(rail: tollgate_domain::Rail, funds: &Funds) -> Result<Option<AccountName>, Refusal> {
    match funds {
        Funds::OnSettlement => {
            Clearing::of(rail).map(AccountName::Clearing).map(Some).ok_or(Refusal::NoClearing(rail))
        }
        Funds::Arrived { holder } => Ok(Some(AccountName::Credit(holder.clone()))),
        Funds::Credit(principal) => Ok(Some(AccountName::Credit(principal.clone()))),
        Funds::Free(_) => Ok(None),
    }
}

/// The account that the price of a call is reserved for.
fn payee(row: &SettlementRow) -> AccountName {
    let server = row.binding.tool.server.clone();
    match row.settle {
        Settle::After if row.splits.is_empty() => AccountName::Payable(server),
        // What several share is on its way until it is earned, if only for a moment.
        Settle::After => AccountName::Unearned(server),
        Settle::Before | Settle::Escrow => AccountName::Unearned(server),
    }
}

/// A transfer of the amount of a call, from the first account to the second.
fn of(
    row: &SettlementRow,
    id: TransferId,
    kind: TransferKind,
    (debit, credit): (AccountName, AccountName),
    note: &str,
    at: UnixMillis,
) -> Transfer {
    let (asset, amount, call) = (row.asset.clone(), row.amount, Some(row.call));
    Transfer { id, kind, debit, credit, asset, amount, call, note: note.to_owned(), at, expires: None }
}
