//! What should become of a payout, in plain words and with none of the ledger's code.

use std::collections::BTreeMap;

use super::super::payouts::{APPROVE_ABOVE, By, COOL_OFF_MS, LEAST, PER_DAY, PER_PAYOUT, PayoutAsk, Turn};
use super::{Account, Reference};

const DAY_MS: u64 = 86_400_000;

/// A payout, in plain numbers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in super::super) struct Payout {
    /// Whose earnings; `None`: credit of the wallet.
    pub(in super::super) provider: Option<u64>,
    pub(in super::super) to: u64,
    pub(in super::super) units: u128,
    pub(in super::super) state: &'static str,
    pub(in super::super) version: u64,
    asked: u64,
}

/// Where a provider's money may go: since when, and whether the configuration said so.
pub(in super::super) type Listed = BTreeMap<u64, (u64, bool)>;

impl Payout {
    /// The account that it takes from.
    fn from(&self) -> Account {
        if self.provider.is_some() { Account::Payable } else { Account::Wallet }
    }

    pub(in super::super) fn is_over(&self) -> bool {
        matches!(self.state, "settled" | "failed" | "cancelled")
    }
}

/// The account that a payout goes to.
fn account(to: u64) -> Account {
    match to {
        0 => Account::Lightning,
        1 => Account::Chain,
        _ => Account::Wallet,
    }
}

impl Reference {
    /// Carries out a request about payouts.
    pub(super) fn payout(&mut self, ask: &PayoutAsk, now: u64) -> &'static str {
        match ask {
            PayoutAsk::Request { number, provider, to, units } => self.withdraw(
                *number,
                Payout {
                    provider: Some(*provider),
                    to: *to,
                    units: *units,
                    state: "held",
                    version: 1,
                    asked: now,
                },
            ),
            PayoutAsk::Credit { number, to, units } => self.withdraw(
                *number,
                Payout { provider: None, to: *to, units: *units, state: "held", version: 1, asked: now },
            ),
            PayoutAsk::Move { number, by, turn, expected } => self.turn(*number, *by, *turn, *expected),
            PayoutAsk::Add { provider, to } => {
                self.listed.entry(*provider).or_default().entry(*to).or_insert((now, false));
                "listed"
            }
            PayoutAsk::Remove { provider, to } => {
                self.listed.entry(*provider).or_default().remove(to);
                "listed"
            }
            PayoutAsk::Configured { provider, to } => {
                let listed = self.listed.entry(*provider).or_default();
                listed.retain(|known, (_, is_configured)| !*is_configured || to.contains(known));
                for to in to {
                    listed.entry(*to).or_insert((now, true));
                }
                "listed"
            }
        }
    }

    fn withdraw(&mut self, number: u64, asked: Payout) -> &'static str {
        if let Some(before) = self.payouts.get(&number) {
            let same = |payout: &Payout| (payout.provider, payout.to, payout.units);
            return if same(before) == same(&asked) { "again" } else { "refused" };
        }
        let Payout { provider, to, units, asked: now, .. } = asked;
        let may_reach = match provider {
            Some(provider) => {
                let since = self.listed.get(&provider).and_then(|listed| listed.get(&to));
                since.is_some_and(|(since, _)| now >= since + COOL_OFF_MS)
            }
            // The wallet has its own address, on the chain.
            None => to == 1,
        };
        // What was asked for within a day, and did not come to nothing.
        let counts = |payout: &&Payout| {
            payout.provider == provider
                && !matches!(payout.state, "failed" | "cancelled")
                && now < payout.asked + DAY_MS
        };
        let counted: u128 = self.payouts.values().filter(counts).map(|payout| payout.units).sum();
        let fits = (LEAST..=PER_PAYOUT).contains(&units) && counted + units <= PER_DAY;
        // Refunds may have taken more than was earned.
        let from = asked.from();
        let [debits, credits, reserved, _] = self.accounts.get(&from).copied().unwrap_or_default();
        if !may_reach || !fits || credits < debits + reserved + units {
            return "refused";
        }
        self.reserve(&from, &account(to), units);
        let state = if units > APPROVE_ABOVE { "requested" } else { "held" };
        self.payouts.insert(number, Payout { state, ..asked });
        state
    }

    fn turn(&mut self, number: u64, by: By, turn: Turn, expected: Option<u64>) -> &'static str {
        let Some(mut payout) = self.payouts.get(&number).cloned() else { return "refused" };
        let is_own = payout.provider.is_some_and(|provider| by == By::Provider(provider));
        let state = match (payout.state, turn, by) {
            ("requested", Turn::Approve, By::Operator) => "held",
            ("requested" | "held", Turn::Cancel, _) if is_own || by == By::Operator => "cancelled",
            ("held", Turn::Submit, By::Gateway) => "submitted",
            ("submitted" | "unknown", Turn::Settled, By::Gateway) => "settled",
            ("held" | "submitted" | "unknown", Turn::Failed, By::Gateway) => "failed",
            ("submitted" | "unknown", Turn::Unknown, By::Gateway) => "unknown",
            _ => return "refused",
        };
        if expected.is_some_and(|expected| expected != payout.version) {
            return "refused";
        }
        let (from, to) = (payout.from(), account(payout.to));
        if matches!(state, "settled" | "failed" | "cancelled") {
            self.release(&from, &to, payout.units);
        }
        if state == "settled" {
            self.post(&from, &to, payout.units);
        }
        payout.state = state;
        payout.version += 1;
        self.payouts.insert(number, payout);
        state
    }
}
