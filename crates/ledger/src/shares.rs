//! What a call earns, and who has how much of it: the payees their shares, rounded down, the server the remainder. Each payee has a
//! fixed share of the sum that was earned so far, so that nothing is lost or made however it is earned, or given back, in pieces.

use tollgate_domain::{Amount, AssetId, CallId, ServerName, Splits, TransferId, UnixMillis};

use crate::draft::Draft;
use crate::engine::{Books, EngineError};
use crate::{AccountName, Transfer, TransferKind, share_id};

/// A movement of what a server earns, between an account that holds it and those who share it.
pub(crate) struct Earning<'a> {
    /// Whose tool or work it was.
    pub(crate) server: &'a ServerName,
    /// Who shares it.
    pub(crate) splits: &'a Splits,
    /// The account that holds it before it is earned, or after it was given back.
    pub(crate) held: AccountName,
    pub(crate) asset: &'a AssetId,
    pub(crate) call: Option<CallId>,
    /// The id of the server's own part; the others follow from it.
    pub(crate) id: TransferId,
    pub(crate) note: &'a str,
    pub(crate) at: UnixMillis,
}

impl Earning<'_> {
    /// Books what is earned beyond `before`, up to `after`; less than before: what is given back.
    pub(crate) fn book<B: Books>(
        &self,
        draft: &mut Draft<'_, B>,
        before: Amount,
        after: Amount,
    ) -> Result<(), EngineError<B::Error>> {
        let had = self.splits.of(before).map(|(_, part)| part);
        let has = self.splits.of(after);
        let mut parts: Vec<(TransferId, &ServerName, Amount, Amount)> =
            vec![(self.id, self.server, self.splits.remainder(before), self.splits.remainder(after))];
        for (place, (had, (payee, has))) in had.zip(has).enumerate() {
            parts.push((share_id(&self.id, place), payee, had, has));
        }
        // What comes back first: of one unit more or less the floors of two payees may move, and the remainder the other way. What it
        // takes is not on the holding account before.
        parts.sort_by_key(|(_, _, had, has)| has >= had);
        for (id, payee, had, has) in parts {
            let payable = AccountName::Payable(payee.clone());
            let (debit, credit, amount) = match has.checked_sub(had) {
                Some(more) => (self.held.clone(), payable, more),
                None => (payable, self.held.clone(), had.checked_sub(has).unwrap_or_default()),
            };
            if amount.is_zero() {
                continue;
            }
            let (asset, kind, note) = (self.asset.clone(), TransferKind::Posted, self.note.to_owned());
            let (call, at) = (self.call, self.at);
            let transfer = Transfer { id, kind, debit, credit, asset, amount, call, note, at, expires: None };
            draft.book(transfer, None)?;
        }
        Ok(())
    }
}
