//! A ledger looked at from outside: from what `tollgate ledger` writes out, as JSON, and from nothing else. It adds up every transfer itself and
//! shares no code, no type and no rule with the ledger or with its own check.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// What was written out of a ledger, row by row.
#[derive(Clone, Debug, Default)]
pub struct Books {
    /// `ledger export transfers`, in the order of booking.
    pub transfers: Vec<Value>,
    /// `ledger export settlements`.
    pub settlements: Vec<Value>,
    /// `accounts` of `ledger check --json`.
    pub accounts: Vec<Value>,
}

/// Debits and credits posted, then pending.
type Totals = [u128; 4];
const TOTALS: [&str; 4] = ["debits_posted", "credits_posted", "debits_pending", "credits_pending"];

/// Accounts of which nothing may be taken that is not there.
const LIMITED: [&str; 4] = ["credit:", "unearned:", "escrow:", "stake:"];
/// Accounts on which the money of a call stands as long as its payer has not got it back.
const KEPT: [&str; 3] = ["payable:", "unearned:", "escrow:"];

/// What was set aside, and waits to be moved or let go.
struct Pending {
    debit: String,
    credit: String,
    asset: String,
    amount: u128,
    is_over: bool,
}

/// What an adding up has come to.
#[derive(Default)]
struct Sums {
    totals: BTreeMap<(String, String), Totals>,
    pending: BTreeMap<String, Pending>,
    ids: BTreeSet<String>,
    /// What each call has brought to the accounts where it is kept, less what left them.
    kept: BTreeMap<String, i128>,
    wrong: Vec<String>,
}

impl Books {
    /// Everything that is wrong with them; nothing when they are in order.
    #[must_use]
    pub fn findings(&self) -> Vec<String> {
        let mut sums = Sums::default();
        for transfer in &self.transfers {
            if let Err(wrong) = sums.add(transfer) {
                sums.wrong.push(format!("{wrong}: {transfer}"));
            }
        }
        sums.compare_accounts(&self.accounts);
        sums.compare_settlements(&self.settlements);
        sums.wrong
    }
}

fn text<'a>(row: &'a Value, name: &str) -> Result<&'a str, String> {
    row[name].as_str().ok_or_else(|| format!("no `{name}`"))
}

/// An amount: plain digits in a text, as every amount is written.
fn units(row: &Value, name: &str) -> Result<u128, String> {
    let digits = text(row, name)?;
    digits.parse().map_err(|_| format!("`{name}` is {digits:?}"))
}

fn begins(account: &str, with: &[&str]) -> bool {
    with.iter().any(|prefix| account.starts_with(prefix))
}

impl Sums {
    fn add(&mut self, transfer: &Value) -> Result<(), String> {
        let (id, kind) = (text(transfer, "id")?.to_owned(), text(transfer, "kind")?);
        let (debit, credit) = (text(transfer, "debit")?.to_owned(), text(transfer, "credit")?.to_owned());
        let (asset, amount) = (text(transfer, "asset")?.to_owned(), units(transfer, "amount")?);
        if amount == 0 || debit == credit {
            return Err("it moves nothing".to_owned());
        }
        if !self.ids.insert(id.clone()) {
            return Err("its id is there twice".to_owned());
        }
        // What is posted now, and by how much less or more is pending.
        let (posted, reserved, released) = match kind {
            "posted" => (amount, 0, 0),
            "pending" => {
                let (debit, credit, asset) = (debit.clone(), credit.clone(), asset.clone());
                self.pending.insert(id, Pending { debit, credit, asset, amount, is_over: false });
                (0, amount, 0)
            }
            "post_pending" | "void_pending" => {
                let of = text(transfer, "resolves")?;
                let pending =
                    self.pending.get_mut(of).ok_or("it resolves nothing that was set aside before")?;
                if std::mem::replace(&mut pending.is_over, true) {
                    return Err("what it resolves was resolved before".to_owned());
                }
                let is_same = (&pending.debit, &pending.credit, &pending.asset) == (&debit, &credit, &asset);
                if !is_same || amount > pending.amount {
                    return Err("it is another movement than what was set aside, or a larger one".to_owned());
                }
                (if kind == "post_pending" { amount } else { 0 }, 0, pending.amount)
            }
            other => return Err(format!("{other:?} is no kind of transfer")),
        };
        for account in [&debit, &credit] {
            let totals = self.totals.entry((asset.clone(), account.clone())).or_default();
            let [debits, credits, debits_pending, credits_pending] = totals;
            let (moved, waits) =
                if account == &debit { (debits, debits_pending) } else { (credits, credits_pending) };
            *moved += posted;
            let less = (*waits + reserved).checked_sub(released);
            *waits = less.ok_or("more is released than was set aside")?;
        }
        if let Some(call) = transfer["call_id"].as_str() {
            let moved = i128::try_from(posted).map_err(|error| error.to_string())?;
            let kept = self.kept.entry(call.to_owned()).or_default();
            *kept += if begins(&credit, &KEPT) { moved } else { 0 };
            *kept -= if begins(&debit, &KEPT) { moved } else { 0 };
        }
        let left = self.totals.get(&(asset, debit.clone())).copied().unwrap_or_default();
        let [debits, credits, set_aside, _] = left;
        if begins(&debit, &LIMITED) && debits + set_aside > credits {
            return Err(format!("{debit} has less than that"));
        }
        Ok(())
    }

    fn compare_accounts(&mut self, accounts: &[Value]) {
        let mut stored = BTreeMap::new();
        for account in accounts {
            let read = || -> Result<((String, String), Totals), String> {
                let mut totals = [0; 4];
                for (total, name) in totals.iter_mut().zip(TOTALS) {
                    *total = units(account, name)?;
                }
                Ok(((text(account, "asset")?.to_owned(), text(account, "account")?.to_owned()), totals))
            };
            match read() {
                Ok((name, totals)) => drop(stored.insert(name, totals)),
                Err(wrong) => self.wrong.push(format!("{wrong}: {account}")),
            }
        }
        let mut assets: BTreeMap<&str, Totals> = BTreeMap::new();
        for ((asset, _), totals) in &stored {
            let sum = assets.entry(asset.as_str()).or_default();
            sum.iter_mut().zip(totals).for_each(|(sum, total)| *sum += total);
        }
        for (asset, [debits, credits, debits_pending, credits_pending]) in assets {
            if (debits, debits_pending) != (credits, credits_pending) {
                self.wrong.push(format!("debits and credits of {asset} differ"));
            }
        }
        for name in stored.keys().chain(self.totals.keys()).collect::<BTreeSet<_>>() {
            let [said, summed] =
                [&stored, &self.totals].map(|all| all.get(name).copied().unwrap_or_default());
            if said != summed {
                self.wrong.push(format!("{name:?} has {said:?}, and its transfers sum to {summed:?}"));
            }
        }
    }

    fn compare_settlements(&mut self, settlements: &[Value]) {
        let mut calls = BTreeSet::new();
        for row in settlements {
            let read = || -> Result<(&str, &str, u128, u128), String> {
                let (call, state) = (text(row, "call_id")?, text(row, "state")?);
                Ok((call, state, units(row, "amount")?, units(row, "refunded")?))
            };
            let (call, state, amount, refunded) = match read() {
                Ok(read) => read,
                Err(wrong) => {
                    self.wrong.push(format!("{wrong}: {row}"));
                    continue;
                }
            };
            if !calls.insert(call.to_owned()) {
                self.wrong.push(format!("{call} is settled twice"));
            }
            let kept = self.kept.get(call).copied().unwrap_or_default();
            let due = i128::try_from(amount.saturating_sub(refunded)).unwrap_or(i128::MAX);
            let fits = match state {
                "settled" | "delivered" => kept == due,
                "voided" | "failed" | "in_doubt" | "refunded" => kept == 0,
                _ => (0..=i128::try_from(amount).unwrap_or(i128::MAX)).contains(&kept),
            };
            if !fits || refunded > amount {
                self.wrong.push(format!("{kept} is kept of a call that is {state}: {row}"));
            }
            let has_moved = ["settled", "delivered", "refunded"].contains(&state) && amount > 0;
            if has_moved && !row["receipt_id"].is_string() {
                self.wrong.push(format!("the money of a call has moved without a receipt: {row}"));
            }
        }
        let strangers = self.kept.iter().filter(|(call, kept)| **kept != 0 && !calls.contains(*call));
        let strangers: Vec<String> = strangers
            .map(|(call, kept)| format!("{kept} is kept of {call}, which has no settlement"))
            .collect();
        self.wrong.extend(strangers);
    }
}

#[cfg(test)]
mod tests;
