//! What should be true, in the plainest words and with none of the ledger's code: one map of accounts, one of payments, one of
//! escrows, one of payouts. What it says and what the store says must be the same after every request.

mod escrows;
mod payouts;

use std::collections::{BTreeMap, BTreeSet};

use tollgate_domain::Rail;

pub(super) use self::escrows::Escrow;
pub(super) use self::payouts::{Listed, Payout};
use super::request::{Gift, Request, Step, WALLET, What, is_before, is_sealed, rail};

/// An account, in plain numbers.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Account {
    Manual,
    Chain,
    Lightning,
    Credit(u64),
    Holder(u64),
    Payable,
    Unearned,
    Escrow(u64),
    Stake(u64),
    /// The one wallet of the sandbox that is paid out.
    Wallet,
}

/// Debits and credits posted, debits and credits pending.
pub(super) type Totals = [u128; 4];

/// Everything that should be true.
#[derive(Clone, Default, Debug)]
pub(super) struct Reference {
    pub(super) accounts: BTreeMap<Account, Totals>,
    pub(super) payments: BTreeMap<u64, Payment>,
    pub(super) escrows: BTreeMap<u64, Escrow>,
    pub(super) payouts: BTreeMap<u64, Payout>,
    /// Where the money of each provider may go.
    pub(super) listed: BTreeMap<u64, Listed>,
    /// How many receipts there are.
    pub(super) receipts: usize,
    calls: BTreeSet<u64>,
    arrived: BTreeSet<u64>,
    booked: BTreeMap<u64, What>,
    /// Reservations: whose, how much, until when; and whether they are resolved.
    reserved: BTreeMap<u64, (Gift, u64, bool)>,
}

/// The latest attempt with a key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Payment {
    pub(super) attempt: u32,
    pub(super) call: u64,
    pub(super) state: &'static str,
    pub(super) refunded: u128,
    pub(super) units: u128,
    caller: u64,
    args: u8,
    payer: Account,
    /// Refunded because nobody knows whether the tool ran: never again.
    is_in_doubt: bool,
}

impl Reference {
    /// The numbers of what is booked.
    pub(super) fn booked(&self) -> impl Iterator<Item = u64> {
        self.booked.keys().copied()
    }

    /// Carries out a request and says in one word what the answer should be.
    pub(super) fn carry_out(&mut self, request: &Request) -> &'static str {
        match &request.what {
            What::Grant { id, to, units } => {
                if let Some(before) = self.booked.get(id) {
                    return if *before == request.what { "again" } else { "refused" };
                }
                let to = if *to == WALLET { Account::Wallet } else { Account::Credit(*to) };
                self.post(&Account::Manual, &to, *units);
                self.booked.insert(*id, request.what.clone());
                "booked"
            }
            What::Claim { key, call, caller, args, units } => self.claim(*key, *call, *caller, *args, *units),
            What::Step { key, call, events, .. } => self.step(*key, *call, events),
            What::Refund { key, call, id, units, before } => {
                self.refund(&request.what, (*key, *call), *id, *units, *before)
            }
            What::Give { gifts } => self.give(&request.what, gifts),
            What::Reserve { gift, expires } => {
                if let Some(said) = self.said_before(&request.what, gift.id) {
                    return said;
                }
                if gift.from == gift.to || self.available(&Account::Credit(gift.from)) < gift.units {
                    return "refused";
                }
                self.reserve(&Account::Credit(gift.from), &Account::Credit(gift.to), gift.units);
                self.reserved.insert(gift.id, (*gift, *expires, false));
                self.booked.insert(gift.id, request.what.clone());
                "booked"
            }
            What::Resolve { gift, of, posts } => self.resolve(request, gift, *of, *posts),
            What::Earn { id, units } => {
                if let Some(said) = self.said_before(&request.what, *id) {
                    return said;
                }
                self.post(&Account::Lightning, &Account::Payable, *units);
                self.booked.insert(*id, request.what.clone());
                "booked"
            }
            What::Escrow(ask) => self.escrow(ask, request.now),
            What::Payout(ask) => self.payout(ask, request.now),
        }
    }

    fn claim(&mut self, key: u64, call: u64, caller: u64, args: u8, units: u128) -> &'static str {
        let (mut attempt, mut payer) = (
            1,
            match rail(key) {
                Rail::X402 => Account::Chain,
                Rail::L402 => Account::Holder(key),
                Rail::Credit => Account::Credit(caller),
            },
        );
        if let Some(before) = self.payments.get(&key) {
            if before.args != args || before.caller != caller {
                return "other request";
            }
            match before.state {
                "settled" | "delivered" => return "answered",
                "failed" => return "failed",
                "in_doubt" => return "in doubt",
                "refunded" if before.is_in_doubt => return "in doubt",
                "voided" => {}
                // What went back pays.
                "refunded" => payer = refund_to(before),
                _ => return "in progress",
            }
            attempt = before.attempt + 1;
        }
        let arrives = payer == Account::Holder(key)
            && rail(key) == Rail::L402
            && !self.arrived.contains(&key)
            && self.payments.get(&key).is_none_or(|before| before.state != "refunded");
        if payer != Account::Chain {
            let arriving = if arrives { units } else { 0 };
            if self.available(&payer) + arriving < units {
                return "insufficient";
            }
        }
        if !self.calls.insert(call) {
            return "refused";
        }
        if arrives {
            self.arrived.insert(key);
            self.post(&Account::Lightning, &Account::Holder(key), units);
        }
        let payee = if is_before(key) { Account::Unearned } else { Account::Payable };
        self.reserve(&payer, &payee, units);
        let mut state = if is_before(key) { "claimed" } else { "executing" };
        if is_before(key) && payer != Account::Chain {
            self.release(&payer, &payee, units);
            self.post(&payer, &payee, units);
            state = "executing";
        }
        let payment =
            Payment { attempt, call, state, refunded: 0, units, caller, args, payer, is_in_doubt: false };
        self.payments.insert(key, payment);
        "fresh"
    }

    fn step(&mut self, key: u64, call: u64, events: &[Step]) -> &'static str {
        let Some(payment) = self.payments.get(&key).filter(|payment| payment.call == call) else {
            return "refused";
        };
        let (mut payment, before) = (payment.clone(), self.clone());
        for event in events {
            if !self.happens(key, &mut payment, *event) {
                *self = before;
                return "refused";
            }
        }
        let state = payment.state;
        self.payments.insert(key, payment);
        self.receipts += usize::from(is_sealed(key, events));
        state
    }

    /// Both tables of the settlement, and what they do to the money.
    fn happens(&mut self, key: u64, payment: &mut Payment, event: Step) -> bool {
        let (payer, units) = (payment.payer.clone(), payment.units);
        let payee = if is_before(key) { Account::Unearned } else { Account::Payable };
        let open = matches!(payment.state, "submitted" | "unknown" | "manual");
        let (state, moves) = match (is_before(key), payment.state, event) {
            (false, "executing", Step::Executed) => ("executed", ' '),
            (false, "executing", Step::InDoubt) => ("in_doubt", 'v'),
            (false, "executing" | "manual", Step::Voided) => ("voided", 'v'),
            (false, "executed" | "unknown", Step::Submitted) | (true, "claimed", Step::Submitted) => {
                ("submitted", ' ')
            }
            (false, _, Step::Settled) if open => ("settled", 'p'),
            (false, "executed", Step::Failed) => ("failed", 'v'),
            (_, _, Step::Failed) if open => ("failed", 'v'),
            (_, "submitted" | "unknown", Step::Unknown) => ("unknown", ' '),
            (_, "unknown", Step::HandedOver) => ("manual", ' '),
            (true, _, Step::Settled) if open || payment.state == "claimed" => ("executing", 'p'),
            (true, "claimed", Step::Voided) => ("voided", 'v'),
            (true, "executing", Step::Executed) => ("delivered", 'e'),
            (true, "executing", Step::RefundDue | Step::InDoubt) => ("refund_due", ' '),
            (true, "refund_due", Step::Refunded) => ("refunded", 'r'),
            _ => return false,
        };
        match moves {
            'p' => {
                self.release(&payer, &payee, units);
                self.post(&payer, &payee, units);
            }
            'v' => self.release(&payer, &payee, units),
            'e' => self.post(&Account::Unearned, &Account::Payable, units),
            'r' => {
                self.post(&Account::Unearned, &refund_to(payment), units);
                payment.refunded = units;
            }
            _ => {}
        }
        payment.is_in_doubt |= is_before(key) && event == Step::InDoubt;
        payment.state = state;
        true
    }

    fn refund(
        &mut self,
        what: &What,
        (key, call): (u64, u64),
        id: u64,
        units: u128,
        before: u128,
    ) -> &'static str {
        let Some(payment) = self.payments.get(&key).filter(|payment| payment.call == call).cloned() else {
            return "refused";
        };
        if let Some(said) = self.said_before(what, id) {
            return said;
        }
        let is_kept = matches!(payment.state, "settled" | "delivered");
        if !is_kept || payment.refunded != before || units > payment.units - payment.refunded {
            return "refused";
        }
        self.post(&Account::Payable, &refund_to(&payment), units);
        self.booked.insert(id, what.clone());
        self.payments.entry(key).and_modify(|payment| payment.refunded += units);
        "refunded"
    }

    fn give(&mut self, what: &What, gifts: &[Gift]) -> &'static str {
        if let Some(said) = self.said_before(what, gifts[0].id) {
            return said;
        }
        let before = self.clone();
        for gift in gifts {
            let from = Account::Credit(gift.from);
            if gift.from == gift.to
                || self.available(&from) < gift.units
                || self.booked.contains_key(&gift.id)
            {
                *self = before;
                return "refused";
            }
            self.post(&from, &Account::Credit(gift.to), gift.units);
            self.booked.insert(gift.id, what.clone());
        }
        "booked"
    }

    fn resolve(&mut self, request: &Request, gift: &Gift, of: u64, posts: bool) -> &'static str {
        if let Some(said) = self.said_before(&request.what, gift.id) {
            return said;
        }
        let Some((reserved, expires, is_resolved)) = self.reserved.get(&of).copied() else {
            return "refused";
        };
        let same = (reserved.from, reserved.to) == (gift.from, gift.to);
        let fits = if posts { gift.units <= reserved.units } else { gift.units == reserved.units };
        if is_resolved || !same || !fits || (posts && request.now >= expires) {
            return "refused";
        }
        let (from, to) = (Account::Credit(gift.from), Account::Credit(gift.to));
        self.release(&from, &to, reserved.units);
        if posts {
            self.post(&from, &to, gift.units);
        }
        self.reserved.insert(of, (reserved, expires, true));
        self.booked.insert(gift.id, request.what.clone());
        "booked"
    }

    /// What a request under an id that was used says; `None` for a fresh one.
    fn said_before(&self, what: &What, id: u64) -> Option<&'static str> {
        let before = self.booked.get(&id)?;
        Some(if before == what { "again" } else { "refused" })
    }

    fn totals(&mut self, account: &Account) -> &mut Totals {
        self.accounts.entry(account.clone()).or_default()
    }

    fn available(&self, account: &Account) -> u128 {
        let [debits, credits, reserved, _] = self.accounts.get(account).copied().unwrap_or_default();
        credits - debits - reserved
    }

    fn post(&mut self, from: &Account, to: &Account, units: u128) {
        self.totals(from)[0] += units;
        self.totals(to)[1] += units;
    }

    fn reserve(&mut self, from: &Account, to: &Account, units: u128) {
        self.totals(from)[2] += units;
        self.totals(to)[3] += units;
    }

    fn release(&mut self, from: &Account, to: &Account, units: u128) {
        self.totals(from)[2] -= units;
        self.totals(to)[3] -= units;
    }
}

/// Whose credit it becomes when money goes back.
fn refund_to(payment: &Payment) -> Account {
    match &payment.payer {
        Account::Chain => Account::Credit(payment.caller),
        payer => payer.clone(),
    }
}
