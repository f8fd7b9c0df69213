//! Transfers in the making: balances read as needed, limits kept, nothing written.

use tollgate_domain::{Amount, AssetId, UnixMillis};

use crate::account::Movement;
use crate::engine::{Books, Changes, EngineError};
use crate::{
    AccountName, Balances, BookingError, Claim, Clearing, Effect, Funds, Refusal, SettlementRow, Transfer,
    TransferKind, arrival_id, hold_id, resolution_id,
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

    /// Books the arrival of the money if it came before the call and was not booked yet, and reserves the price.
    pub(crate) fn fund(&mut self, claim: &Claim) -> Result<(), EngineError<B::Error>> {
        let rail = claim.key.rail();
        let Some(debit) = payer(rail, &claim.funds).map_err(EngineError::Refused)? else { return Ok(()) };
        let arrival = arrival_id(&claim.key);
        let transfer = |id, kind, debit: AccountName, credit, note: &str| Transfer {
            id,
            kind,
            debit,
            credit,
            asset: claim.asset.clone(),
            amount: claim.amount,
            call: Some(claim.call),
            note: note.to_owned(),
            at: claim.now,
            expires: None,
        };
        if matches!(claim.funds, Funds::Arrived { .. })
            && self.books.transfer(&arrival).map_err(EngineError::Books)?.is_none()
        {
            let from = Clearing::of(rail).ok_or(EngineError::Refused(Refusal::NoClearing(rail)))?;
            let from = AccountName::Clearing(from);
            self.book(
                transfer(arrival, TransferKind::Posted, from, debit.clone(), "payment received"),
                None,
            )?;
        }
        let payable = AccountName::Payable(claim.binding.tool.server.clone());
        self.book(
            transfer(hold_id(&claim.call), TransferKind::Pending, debit, payable, "price of the call"),
            None,
        )
    }

    /// Posts or voids the reservation of `row`.
    pub(crate) fn resolve(
        &mut self,
        row: &SettlementRow,
        effect: Effect,
        now: UnixMillis,
    ) -> Result<(), EngineError<B::Error>> {
        let (kind, note) = match effect {
            Effect::Nothing => return Ok(()),
            Effect::Post => (TransferKind::PostPending(row.hold()), "settled"),
            Effect::Void => (TransferKind::VoidPending(row.hold()), "released"),
        };
        let Some(debit) = payer(row.key.rail(), &row.funds).map_err(EngineError::Refused)? else {
            return Ok(());
        };
        let resolution = Transfer {
            id: resolution_id(&row.call),
            kind,
            debit,
            credit: AccountName::Payable(row.binding.tool.server.clone()),
            asset: row.asset.clone(),
            amount: row.amount,
            call: Some(row.call),
            note: note.to_owned(),
            at: now,
            expires: None,
        };
        self.book(resolution, Some(row.amount))
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
