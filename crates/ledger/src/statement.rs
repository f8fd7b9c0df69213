//! The statement of one account: what each transfer did to it, and what stood on it afterwards. Adds up itself, from the
//! transfers alone; never asks for stored totals.

use std::collections::BTreeMap;
use std::fmt;

use tollgate_domain::{Amount, AssetId, TransferId};

use crate::{AccountName, Transfer, TransferKind};

/// What stands on an account after a transfer: credits less debits. Only a clearing account goes below zero.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Net {
    debits: Amount,
    credits: Amount,
}

/// The side of an account that a transfer is on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    /// Money leaves it.
    Debit,
    /// Money comes.
    Credit,
}

/// What a transfer does to an account.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Effect {
    /// The money moved.
    Moved,
    /// It was set aside, and has not moved.
    Reserved,
    /// What was set aside is free again.
    Released,
}

/// One line of a statement.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Line {
    /// What happened.
    pub effect: Effect,
    /// On which side.
    pub side: Side,
    /// The account at the other end.
    pub counterpart: AccountName,
    /// What stands on the account now, without regard to what is reserved.
    pub balance: Net,
    /// How much of it is reserved by payments that have not ended: it cannot be spent.
    pub reserved: Amount,
}

/// A sum that does not fit 128 bits: the books cannot hold such a thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the sum of an account does not fit at {0}")]
pub struct SumTooLarge(pub TransferId);

/// The account's sums so far, in every asset.
#[derive(Debug)]
pub struct Statement {
    account: AccountName,
    sums: BTreeMap<AssetId, Sums>,
    /// What pending transfers hold of this account, by their id; each leaves with its resolution.
    held: BTreeMap<TransferId, Amount>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    net: Net,
    reserved: Amount,
}

impl Net {
    /// Whether more left than came.
    pub fn is_negative(self) -> bool {
        self.debits > self.credits
    }

    /// How much it is, without its sign.
    pub fn size(self) -> Amount {
        let (more, less) =
            if self.is_negative() { (self.debits, self.credits) } else { (self.credits, self.debits) };
        more.checked_sub(less).unwrap_or_default()
    }
}

impl fmt::Display for Net {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.is_negative() { "-" } else { "" }, self.size())
    }
}

impl Statement {
    /// The statement of an account of which nothing is known yet.
    pub fn of(account: AccountName) -> Self {
        Self { account, sums: BTreeMap::new(), held: BTreeMap::new() }
    }

    /// What stands on it now, and how much of that is reserved, in each asset that it ever had.
    pub fn balances(&self) -> impl Iterator<Item = (&AssetId, Net, Amount)> {
        self.sums.iter().map(|(asset, sums)| (asset, sums.net, sums.reserved))
    }

    /// Takes the next transfer of the ledger, in the order of booking; `None` where it is none of this account's.
    ///
    /// # Errors
    /// [`SumTooLarge`].
    pub fn take(&mut self, transfer: &Transfer) -> Result<Option<Line>, SumTooLarge> {
        let (side, counterpart) = if transfer.debit == self.account {
            (Side::Debit, &transfer.credit)
        } else if transfer.credit == self.account {
            (Side::Credit, &transfer.debit)
        } else {
            return Ok(None);
        };
        let too_large = SumTooLarge(transfer.id);
        let sums = self.sums.entry(transfer.asset.clone()).or_default();
        let effect = match transfer.kind {
            TransferKind::Posted | TransferKind::PostPending(_) => Effect::Moved,
            TransferKind::Pending => Effect::Reserved,
            TransferKind::VoidPending(_) => Effect::Released,
        };
        if effect == Effect::Moved {
            let sum = match side {
                Side::Debit => &mut sums.net.debits,
                Side::Credit => &mut sums.net.credits,
            };
            *sum = sum.checked_add(transfer.amount).ok_or(too_large)?;
        }
        // What comes in is not this account's before it has come: only what may leave is reserved.
        if side == Side::Debit {
            match transfer.kind {
                TransferKind::Pending => {
                    sums.reserved = sums.reserved.checked_add(transfer.amount).ok_or(too_large)?;
                    self.held.insert(transfer.id, transfer.amount);
                }
                TransferKind::PostPending(of) | TransferKind::VoidPending(of) => {
                    // All of it, also where a part was posted: the rest is released.
                    let held = self.held.remove(&of).unwrap_or_default();
                    sums.reserved = sums.reserved.checked_sub(held).unwrap_or_default();
                }
                TransferKind::Posted => {}
            }
        }
        let (balance, reserved) = (sums.net, sums.reserved);
        Ok(Some(Line { effect, side, counterpart: counterpart.clone(), balance, reserved }))
    }
}

#[cfg(test)]
mod tests;
