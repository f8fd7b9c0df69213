//! The store as it can be seen from outside, in the words of the reference.

use std::collections::{BTreeMap, BTreeSet};

use tollgate_domain::TransferId;
use tollgate_ledger::escrow::EscrowStore as _;
use tollgate_ledger::payout::{ListedBy, PayoutAnswer, PayoutStore as _};
use tollgate_ledger::{Claimed, Command, LedgerStore as _, Outcome, StoreError};
use tollgate_store::{Part, Row, Store};

use super::escrows::ESCROWS;
use super::payouts::{PAYOUTS, PROVIDERS, destination, payout_id, provider};
use super::reference::{Account, Escrow, Payment, Reference, Totals};
use super::request::{KEYS, PRINCIPALS, call_id, escrow_id, holder, payment_key, principal, transfer_id};
use crate::world::credit;

/// Everything that is compared.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Seen {
    accounts: BTreeMap<String, Totals>,
    payments: BTreeMap<u64, (u32, String, String, u128)>,
    /// Where each stands, since which version, until when, and how much has left it each way.
    escrows: BTreeMap<u64, (String, u64, Option<u64>, u128, u128)>,
    payouts: BTreeMap<u64, (String, u64, u128)>,
    /// Where the money of each provider may go, since when, and whether the configuration says so.
    listed: BTreeMap<u64, BTreeMap<String, (u64, bool)>>,
    /// How many receipts are sealed; that each is whole, and in its place, is for the auditor.
    receipts: usize,
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
            payouts: BTreeMap::new(),
            listed: BTreeMap::new(),
            receipts: receipts(store).await,
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
                let due = row.state.due().map(|due| due.get());
                let state = row.state.word().to_owned();
                seen.escrows
                    .insert(number, (state, row.version, due, row.released.get(), row.refunded.get()));
            }
        }
        for number in 0..PAYOUTS {
            if let Some(row) = store.payout(&payout_id(number)).await.unwrap() {
                seen.payouts.insert(number, (row.state.to_string(), row.version, row.amount.get()));
            }
        }
        for number in 0..PROVIDERS {
            let known = store.payee(&provider(number)).await.unwrap();
            let listed = known.map(|known| known.destinations).unwrap_or_default().into_iter();
            let listed = listed.map(|listed| {
                (listed.destination.to_string(), (listed.added.get(), listed.by == ListedBy::Config))
            });
            seen.listed.insert(number, listed.collect());
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
        let escrows = reference.escrows.iter().map(|(number, escrow)| {
            let Escrow { state, version, due, released, refunded, .. } = escrow;
            (*number, ((*state).to_owned(), *version, *due, *released, *refunded))
        });
        let payouts = reference
            .payouts
            .iter()
            .map(|(number, payout)| (*number, (payout.state.to_owned(), payout.version, payout.units)));
        let listed = |number: u64| {
            let listed = reference.listed.get(&number).cloned().unwrap_or_default().into_iter();
            let listed = listed.map(|(to, since)| (destination(to).to_string(), since));
            (number, listed.collect())
        };
        Self {
            accounts: accounts.map(|(account, totals)| (name(account), *totals)).collect(),
            payments: payments.collect(),
            escrows: escrows.collect(),
            payouts: payouts.collect(),
            listed: (0..PROVIDERS).map(listed).collect(),
            receipts: reference.receipts,
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

async fn receipts(store: &Store) -> usize {
    let counted = store.each_row(vec![Part::Receipts], 0, |receipts, _| *receipts += 1);
    counted.await.unwrap()
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
        Account::Stake(number) => format!("stake:{}", escrow_id(*number)),
        Account::Wallet => format!("credit:eip155:{}", destination(2).to()),
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
        Ok(Outcome::Payout(PayoutAnswer::Payout { replayed: true, .. })) => "again",
        Ok(Outcome::Payout(PayoutAnswer::Payout { row, .. })) => return Ok(row.state.to_string()),
        Ok(Outcome::Payout(PayoutAnswer::Listed(_))) => "listed",
        Ok(Outcome::Escrow(moved)) if moved.replayed => "again",
        Ok(Outcome::Escrow(moved)) => return Ok(moved.row.state.word().to_owned()),
        Err(StoreError::Refused(_)) => "refused",
        Err(error) => return Err(error.clone()),
    };
    assert!(!matches!(command, Command::Record { .. }), "nobody asked for a receipt");
    Ok(word.to_owned())
}
