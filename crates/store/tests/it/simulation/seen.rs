//! The store as it can be seen from outside, in the words of the reference.

use std::collections::{BTreeMap, BTreeSet};

use tollgate_domain::TransferId;
use tollgate_ledger::escrow::EscrowStore as _;
use tollgate_ledger::{Claimed, Command, LedgerStore as _, Outcome, StoreError};
use tollgate_store::{Part, Row, Store};

use super::reference::{Account, Payment, Reference, Totals};
use super::request::{
    ESCROWS, KEYS, PRINCIPALS, call_id, escrow_id, holder, payment_key, principal, transfer_id,
};
use crate::world::credit;

/// Everything that is compared.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Seen {
    accounts: BTreeMap<String, Totals>,
    payments: BTreeMap<u64, (u32, String, String, u128)>,
    escrows: BTreeMap<u64, String>,
    /// What was asked for by an id of its own and is booked: that alone tells a reservation that was voided from none.
    booked: BTreeSet<TransferId>,
}

impl Seen {
    /// What the store shows.
    pub(super) async fn of(store: &Store) -> Self {
        let mut seen = Self {
            accounts: BTreeMap::new(),
            payments: BTreeMap::new(),
            escrows: BTreeMap::new(),
            booked: booked(store).await,
        };
        for row in store.trial_balance().await.unwrap() {
            let of = row.balances;
            let totals = [of.debits_posted, of.credits_posted, of.debits_pending, of.credits_pending];
            seen.accounts.insert(row.account.to_string(), totals.map(|total| total.get()));
        }
        seen.accounts.retain(|_, totals| *totals != [0; 4]);
        for key in 0..KEYS {
            if let Some(row) = store.settlement(&payment_key(key)).await.unwrap() {
                let what = (row.attempt, row.call.to_string(), row.state.to_string(), row.refunded.get());
                seen.payments.insert(key, what);
            }
        }
        for number in 0..ESCROWS {
            if let Some(row) = store.escrow(&escrow_id(number)).await.unwrap() {
                seen.escrows.insert(number, row.state.word().to_owned());
            }
        }
        seen
    }

    /// What the reference says that it should show.
    pub(super) fn expected(reference: &Reference) -> Self {
        let accounts = reference.accounts.iter().filter(|(_, totals)| **totals != [0; 4]);
        let payments = reference.payments.iter().map(|(key, payment)| {
            let Payment { attempt, call, state, refunded, .. } = payment;
            (*key, (*attempt, call_id(*call).to_string(), (*state).to_owned(), *refunded))
        });
        let escrows = reference.escrows.iter().map(|(number, state)| (*number, (*state).to_owned()));
        Self {
            accounts: accounts.map(|(account, totals)| (name(account), *totals)).collect(),
            payments: payments.collect(),
            escrows: escrows.collect(),
            booked: reference.booked().map(transfer_id).collect(),
        }
    }
}

/// The transfers of a store whose ids come from requests; those of calls and escrows have ids that are derived.
async fn booked(store: &Store) -> BTreeSet<TransferId> {
    let numbered = |id: &TransferId| id.as_bytes().starts_with(&[0; 8]);
    let booked = store.each_row(vec![Part::Transfers], BTreeSet::new(), move |ids, row| {
        if let Row::Transfer(transfer) = row
            && numbered(&transfer.id)
        {
            ids.insert(transfer.id);
        }
    });
    booked.await.unwrap()
}

fn name(account: &Account) -> String {
    match account {
        Account::Manual => "clearing:manual".to_owned(),
        Account::Chain => "clearing:x402".to_owned(),
        Account::Lightning => "clearing:l402".to_owned(),
        Account::Credit(number) => {
            assert!(*number < PRINCIPALS);
            credit(&principal(*number)).to_string()
        }
        Account::Holder(key) => credit(&holder(*key)).to_string(),
        Account::Payable => "payable:demo".to_owned(),
        Account::Unearned => "unearned:demo".to_owned(),
        Account::Escrow(number) => format!("escrow:{}", escrow_id(*number)),
    }
}

/// The answer in the reference's word; `Err` when there was no definite one.
pub(super) fn said(command: &Command, answer: &Result<Outcome, StoreError>) -> Result<String, StoreError> {
    let word = match answer {
        Ok(Outcome::Claimed(claimed)) => match claimed {
            Claimed::Fresh { .. } => "fresh",
            Claimed::InProgress { .. } => "in progress",
            Claimed::Answered { .. } => "answered",
            Claimed::OtherRequest { .. } => "other request",
            Claimed::Failed { .. } => "failed",
            Claimed::InDoubt { .. } => "in doubt",
            Claimed::InsufficientFunds { .. } => "insufficient",
            Claimed::NoFreeCall => "no free call",
            // No simulated claim is bounded by a budget.
            Claimed::Warned { .. } | Claimed::Barred(_) => "barred",
        },
        Ok(Outcome::Advanced(advanced)) => return Ok(advanced.state.to_string()),
        Ok(Outcome::Recorded(_)) => "recorded",
        Ok(Outcome::Granted(granted)) => {
            if granted.booked {
                "booked"
            } else {
                "again"
            }
        }
        Ok(Outcome::Refunded(refunded)) => {
            if refunded.again {
                "again"
            } else {
                "refunded"
            }
        }
        Ok(Outcome::Booked(booked)) => {
            if booked.again {
                "again"
            } else {
                "booked"
            }
        }
        Ok(Outcome::Budget(_)) => "of a budget",
        Ok(Outcome::Payout(_)) => "of a payout",
        Ok(Outcome::Escrow(moved)) => return Ok(moved.row.state.word().to_owned()),
        Err(StoreError::Refused(_)) => "refused",
        Err(error) => return Err(error.clone()),
    };
    assert!(!matches!(command, Command::Record { .. }), "nobody asked for a receipt");
    Ok(word.to_owned())
}
