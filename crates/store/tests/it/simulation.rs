//! Seeded simulation: several clients over one ledger that crashes. Messages arrive late, twice, in another order, or their answers
//! are lost; clocks jump; processes die before, after and in the middle of a commit. After every batch the store must show what a
//! reference of a few hundred plain lines says, and after every crash one of what it may say; in the end the auditor, who shares
//! no code with either, finds nothing.
//!
//! Calls, refunds, gifts and reservations, escrows with their disputes and deadlines, and payouts take from the same few accounts.
//!
//! What that shows of the ten promises that hold after any fault: money is conserved and never negative (auditor and reference), one charge
//! for a payment key (`SpentTwice`, reference), nothing is settled without its transfer and nothing kept without its state (auditor), no
//! credit and no limit of payouts is overrun (reference), receipts verify and are all there (auditor, reference), what was acknowledged
//! is there after a crash (reference), and every open payment, escrow and payout can still be driven to its end (the last steps of each seed).
//!
//! 200 seeds by default. `TOLLGATE_SEED=n` tries that one alone, `TOLLGATE_SEEDS=n` so many.

mod broken;
mod clients;
mod crash;
mod dice;
mod escrows;
mod machine;
mod payouts;
mod reference;
mod request;
mod seen;
mod tally;

use tollgate_ledger::escrow::EscrowStore as _;
use tollgate_ledger::payout::PayoutStore as _;
use tollgate_ledger::{Command, LedgerStore as _};

use self::broken::Broken;
use self::clients::Clients;
use self::crash::Moment;
use self::dice::Dice;
use self::escrows::{Act, EscrowAsk, Party, Verdict};
use self::machine::Machine;
use self::payouts::{By, PayoutAsk, Turn};
use self::reference::{Account, Reference};
use self::request::{KEYS, PRINCIPALS, Request, Step, What};
use self::seen::{Seen, said};
use self::tally::Tally;

/// How many seeds are tried by default; in four tests, so that they run beside each other.
const SEEDS: u64 = 200;
/// How many batches a seed goes on for.
const ROUNDS: u64 = 16;
/// Longer than any wait of an escrow.
const LONG_MS: u64 = 30 * DAY_MS;
const DAY_MS: u64 = 86_400_000;

/// One whole life of a ledger.
struct Simulation {
    machine: Machine,
    reference: Reference,
    clients: Clients,
    dice: Dice,
    /// Sent, and not known to have arrived.
    under_way: Vec<Request>,
    now: u64,
    broken: Option<Broken>,
    tally: Tally,
    dies_at_an_end: bool,
    /// How often the clock has jumped: first ahead, then back.
    jumps: u8,
}

impl Simulation {
    fn new(seed: u64, broken: Option<Broken>) -> Self {
        Self {
            machine: Machine::start(),
            reference: Reference::default(),
            clients: Clients::new(),
            dice: Dice::new(seed),
            under_way: Vec::new(),
            now: 1_800_000_000_000,
            broken,
            tally: Tally::default(),
            dies_at_an_end: false,
            jumps: 0,
        }
    }

    async fn run(mut self) -> Result<Tally, String> {
        self.begin().await?;
        for round in 0..ROUNDS {
            self.round().await.map_err(|wrong| format!("round {round}: {wrong}"))?;
        }
        self.drive_on().await?;
        self.end_escrows().await?;
        self.end_payouts().await?;
        let findings = self.machine.store.check().await.unwrap();
        if !findings.is_empty() {
            return Err(format!("the auditor: {findings:?}"));
        }
        Ok(self.tally)
    }

    /// Enough to begin with, so that not all that is asked for is refused, and escrows that stand anywhere.
    async fn begin(&mut self) -> Result<(), String> {
        for to in 0..PRINCIPALS {
            let grant = What::Grant { id: self.clients.number(), to, units: 200 };
            self.deliver(vec![Request { what: grant, now: self.now }]).await?;
        }
        for number in 0..escrows::ESCROWS {
            let steps = [
                (Party::Payer, Act::Open { wrong: false }),
                (Party::Payer, Act::Fund),
                (Party::Provider, Act::Lock),
                (Party::Provider, Act::Deliver),
                (Party::Payer, Act::Dispute { stake: 3 }),
            ];
            let asks = steps.into_iter().take(self.dice.place(steps.len() + 2));
            let asks = asks.map(|(by, act)| EscrowAsk { number, by, act, key: None, expected: None });
            let asks = asks.map(|ask| Request { what: What::Escrow(ask), now: self.now }).collect();
            self.deliver(asks).await?;
        }
        Ok(())
    }

    async fn round(&mut self) -> Result<(), String> {
        // Up to an hour and a half ahead, or half an hour back; now and then a day ahead, and some time later half of it back.
        self.now = self.now + self.dice.below(7_200_000) - 1_800_000;
        match (self.dice.below(8), self.jumps) {
            (0, 0) => (self.now, self.jumps) = (self.now + DAY_MS, 1),
            (0, 1) => (self.now, self.jumps) = (self.now - DAY_MS / 2, 2),
            _ => {}
        }
        for _ in 0..6 + self.dice.below(10) {
            let request = self.clients.think(&self.reference, self.now, &mut self.dice);
            self.under_way.push(request);
        }
        let mut delivered = Vec::new();
        while !self.under_way.is_empty() && delivered.len() < 32 && !self.dice.percent(3) {
            let place = self.dice.place(self.under_way.len());
            let request = self.under_way.swap_remove(place);
            if self.dice.percent(20) {
                self.under_way.push(request.clone());
            }
            delivered.push(request);
        }
        let moment = match self.dice.below(10) {
            0 => Some(Moment::Before),
            1 => Some(Moment::After),
            2 | 3 => Some(Moment::Torn(self.dice.roll())),
            4 | 5 => Some(Moment::End(self.dice.roll())),
            _ => None,
        };
        if let Some(moment) = moment {
            self.dies_at_an_end = matches!(moment, Moment::End(_));
            self.machine.crash.arm(moment, &self.machine.directory, &self.machine.next_directory());
        }
        self.deliver(delivered).await
    }

    /// Delivers a batch; after a crash, finds out how far it came.
    async fn deliver(&mut self, delivered: Vec<Request>) -> Result<(), String> {
        let (id, units) = (self.clients.number(), 1);
        let first = Request { what: What::Grant { id, to: 0, units }, now: self.now };
        let mut commands: Vec<Command> = delivered.iter().map(Request::command).collect();
        if let Some(broken) = self.broken {
            broken.tamper(&mut commands, self.clients.number());
        }
        let answers = self.machine.batch(first.command(), &commands).await;
        let expected_first = self.reference.carry_out(&first);
        if said(&first.command(), &answers[0]).map_err(|error| error.to_string())? != expected_first {
            return Err(format!("{first:?} is {:?}", answers[0]));
        }
        // Whoever looks has the open transaction ended, so that a crash at its end comes now and not at some time.
        self.machine.store.trial_balance().await.map_err(|error| error.to_string())?;
        let is_dead = self.machine.crash.is_dead();
        let mut after = self.reference.clone();
        // A command that breaks the transaction makes the store commit each alone: what a crash leaves is a beginning of them.
        let mut beginnings = vec![after.clone()];
        let mut expected = Vec::with_capacity(delivered.len());
        for request in &delivered {
            expected.push(after.carry_out(request));
            beginnings.push(after.clone());
        }
        if is_dead {
            self.machine.restart();
            self.tally.crashes += 1;
            let seen = Seen::of(&self.machine.store).await;
            let came_to = beginnings.iter().rposition(|beginning| seen == Seen::expected(beginning));
            let is_told_early = self.broken == Some(Broken::AnswersEarly) && came_to != Some(delivered.len());
            let Some(came_to) = came_to.filter(|_| !is_told_early) else {
                return Err(format!(
                    "after the crash no beginning of {delivered:?} is there: {seen:?} in place of {:?}",
                    Seen::expected(&after)
                ));
            };
            // Everything was answered before that.
            if self.dies_at_an_end && came_to != delivered.len() {
                return Err(format!("{came_to} of {delivered:?} outlived the end of their transaction"));
            }
            self.tally.came_through += u64::from(came_to == delivered.len());
            self.reference = beginnings.swap_remove(came_to);
            // Nobody was told: everybody asks again.
            self.under_way.extend(delivered);
            return Ok(());
        }
        for ((request, answer), expected) in delivered.iter().zip(&answers[1..]).zip(expected) {
            let said = said(&request.command(), answer).map_err(|error| format!("{request:?}: {error}"))?;
            if said != expected {
                return Err(format!("{request:?} is {answer:?} in place of {expected}"));
            }
            self.tally.count(&request.what, &said);
        }
        self.reference = after;
        let (seen, expected) = (Seen::of(&self.machine.store).await, Seen::expected(&self.reference));
        if seen != expected {
            return Err(format!("after {delivered:?}: {seen:?} in place of {expected:?}"));
        }
        // An answer may be lost on its way all the same.
        let lost: Vec<_> = delivered.into_iter().filter(|_| self.dice.percent(5)).collect();
        self.under_way.extend(lost);
        Ok(())
    }

    /// Drives every payment on to an end, as a gateway does when it starts: none is stuck.
    async fn drive_on(&mut self) -> Result<(), String> {
        // A last crash may still come; whoever starts then begins again.
        for key in (0..KEYS).chain(0..KEYS) {
            let Some(payment) = self.reference.payments.get(&key) else { continue };
            let (call, before) = (payment.call, request::is_before(key));
            let events: &[Step] = match (payment.state, before) {
                ("claimed", _) => &[Step::Voided],
                ("executing", false) => &[Step::InDoubt],
                ("executing", true) => &[Step::InDoubt, Step::Refunded],
                ("executed", _) => &[Step::Submitted, Step::Settled],
                ("submitted" | "unknown" | "manual", false) => &[Step::Settled],
                ("submitted" | "unknown" | "manual", true) => &[Step::Settled, Step::Executed],
                ("refund_due", _) => &[Step::Refunded],
                _ => continue,
            };
            let what = What::Step { key, call, events: events.to_vec(), number: 0 };
            self.deliver(vec![Request { what, now: self.now }]).await?;
            self.tally.ended += 1;
        }
        let open = self.machine.store.open_settlements(None, 99).await.unwrap();
        if open.is_empty() { Ok(()) } else { Err(format!("{} payments are stuck", open.len())) }
    }

    /// Has every deadline pass, and the operator decide what nobody else did: nothing stays on the account of any escrow.
    async fn end_escrows(&mut self) -> Result<(), String> {
        // Evidence, mediation, operator: after so many turns there is an end, whatever a last crash repeats.
        for _turn in 0..5 {
            self.now += LONG_MS;
            let open: Vec<_> =
                self.reference.escrows.iter().filter(|(_, escrow)| !escrow.is_over()).collect();
            let asks: Vec<_> = open.iter().map(|(number, escrow)| end_of(**number, escrow.phase)).collect();
            for ask in asks {
                self.deliver(vec![Request { what: What::Escrow(ask), now: self.now }]).await?;
            }
        }
        let store = &self.machine.store;
        let due = store.due_escrows(crate::world::at(u64::MAX / 4), 99).await.unwrap();
        let holds = |(account, totals): (&Account, &[u128; 4])| {
            matches!(account, Account::Escrow(_) | Account::Stake(_)) && totals[0] != totals[1]
        };
        let is_over = self.reference.escrows.values().all(|escrow| escrow.is_over());
        if !due.is_empty() || !is_over || self.reference.accounts.iter().any(holds) {
            return Err(format!("escrows are stuck: {due:?} {:?}", self.reference.escrows));
        }
        Ok(())
    }

    /// Carries out every payout that waits, as a gateway does when it starts.
    async fn end_payouts(&mut self) -> Result<(), String> {
        for number in (0..payouts::PAYOUTS).chain(0..payouts::PAYOUTS) {
            let state = self.reference.payouts.get(&number).map_or("", |payout| payout.state);
            let turns: &[(By, Turn)] = match state {
                "requested" => &[(By::Operator, Turn::Approve), (By::Gateway, Turn::Failed)],
                "held" => {
                    &[(By::Gateway, Turn::Submit), (By::Gateway, Turn::Unknown), (By::Gateway, Turn::Settled)]
                }
                "submitted" | "unknown" => &[(By::Gateway, Turn::Settled)],
                _ => continue,
            };
            for (by, turn) in turns.iter().copied() {
                let ask = PayoutAsk::Move { number, by, turn, expected: None };
                self.deliver(vec![Request { what: What::Payout(ask), now: self.now }]).await?;
            }
        }
        let open = self.machine.store.open_payouts(99).await.unwrap();
        let is_over = self.reference.payouts.values().all(|payout| payout.is_over());
        if open.is_empty() && is_over { Ok(()) } else { Err(format!("payouts are stuck: {open:?}")) }
    }
}

/// What brings an escrow on: its deadline, or the operator's word.
fn end_of(number: u64, phase: &str) -> EscrowAsk {
    let rule = Act::Rule { verdict: Verdict::Split(3_333), sure: true, forfeits: None };
    let (by, act) = if phase == "operator" { (Party::Operator, rule) } else { (Party::Clock, Act::Expire) };
    EscrowAsk { number, by, act, key: None, expected: None }
}

fn simulate(seed: u64, broken: Option<Broken>) -> Result<Tally, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(Simulation::new(seed, broken).run())
}

fn number(name: &str) -> Option<u64> {
    std::env::var_os(name).map(|number| number.to_str().unwrap().parse().unwrap())
}

/// Every fourth seed, from this one on; or the one that was asked for.
fn every_fourth_seed_from(first: u64) {
    if let Some(seed) = number("TOLLGATE_SEED") {
        if seed % 4 == first {
            println!(
                "{:?}",
                simulate(seed, None).unwrap_or_else(|wrong| panic!("TOLLGATE_SEED={seed}: {wrong}"))
            );
        }
        return;
    }
    let mut all = Tally::default();
    for seed in (first..number("TOLLGATE_SEEDS").unwrap_or(SEEDS)).step_by(4) {
        let tally = simulate(seed, None).unwrap_or_else(|wrong| panic!("TOLLGATE_SEED={seed}: {wrong}"));
        all += tally;
    }
    println!("{all:?}");
    all.assert_eventful();
}

#[test]
fn whatever_crashes_repeats_and_reorders_do_the_ledger_is_what_the_reference_says_first_seeds() {
    every_fourth_seed_from(0);
}

#[test]
fn whatever_crashes_repeats_and_reorders_do_the_ledger_is_what_the_reference_says_second_seeds() {
    every_fourth_seed_from(1);
}

#[test]
fn whatever_crashes_repeats_and_reorders_do_the_ledger_is_what_the_reference_says_third_seeds() {
    every_fourth_seed_from(2);
}

#[test]
fn whatever_crashes_repeats_and_reorders_do_the_ledger_is_what_the_reference_says_fourth_seeds() {
    every_fourth_seed_from(3);
}

#[test]
fn a_store_that_loses_a_gift_books_one_twice_answers_early_pays_out_more_or_misrules_is_noticed() {
    for broken in Broken::ALL {
        let noticed = (0..6).filter(|seed| simulate(*seed, Some(broken)).is_err()).count();
        // Not every seed crashes where it shows that an answer came too early.
        assert!(noticed >= 2, "{broken:?}: noticed by {noticed} seeds of 6");
    }
    // The same seeds are in order with the real one.
    assert!((0..6).all(|seed| simulate(seed, None).is_ok()));
}
