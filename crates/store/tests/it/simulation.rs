//! Seeded simulation: several clients over one ledger that crashes. Messages arrive late, twice, in another order, or their answers
//! are lost; clocks jump; processes die before, after and in the middle of a commit. After every batch the store must show what a
//! reference of a few hundred plain lines says, and after every crash one of what it may say; in the end the auditor, who shares
//! no code with either, finds nothing.
//!
//! What that shows of the ten promises that hold after any fault: money is conserved and never negative (auditor and reference), one charge
//! for a payment key (`SpentTwice`, reference), nothing is settled without its transfer and nothing kept without its state (auditor), no
//! credit is overrun (reference), receipts verify and are all there (auditor), what was acknowledged is there after a crash
//! (reference), and every open payment can still be driven to its end (the last step of each seed).
//!
//! 200 seeds by default. `TOLLGATE_SEED=n` tries that one alone, `TOLLGATE_SEEDS=n` so many.

mod clients;
mod crash;
mod dice;
mod reference;
mod request;
mod seen;

use std::path::PathBuf;
use std::sync::Arc;

use futures_util::future::{join, join_all};
use tempfile::TempDir;
use tollgate_ledger::{Command, LedgerStore as _, Outcome, StoreError};
use tollgate_store::{Options, Store};

use self::clients::Clients;
use self::crash::{Crash, Moment};
use self::dice::Dice;
use self::reference::Reference;
use self::request::{KEYS, Request, Step, What};
use self::seen::{Seen, said};
use crate::world::signer;

/// How many seeds are tried by default; in four tests, so that they run beside each other.
const SEEDS: u64 = 200;
/// How many batches a seed goes on for.
const ROUNDS: u64 = 12;

/// A fault of the store itself, which must be noticed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Broken {
    /// It says that a gift was booked, and has not booked it.
    LosesOne,
    /// It books a gift twice.
    AppliesTwice,
    /// It answers before the commit.
    AnswersEarly,
}

/// What happened, so that a simulation in which nothing happens is noticed.
#[derive(Clone, Copy, Default, Debug)]
struct Tally {
    crashes: u64,
    came_through: u64,
    refused: u64,
    again: u64,
    ended: u64,
}

/// A gateway's store that can crash.
struct Machine {
    folder: TempDir,
    directory: PathBuf,
    store: Store,
    crash: Arc<Crash>,
    lives: u32,
}

impl Machine {
    fn start() -> Self {
        let folder = TempDir::new().unwrap();
        let directory = folder.path().join("0");
        let (store, crash) = Self::open(&directory);
        Self { folder, directory, store, crash, lives: 0 }
    }

    fn open(directory: &std::path::Path) -> (Store, Arc<Crash>) {
        let crash = Arc::new(Crash::default());
        let failpoints: Arc<dyn tollgate_store::Failpoints> = Arc::<Crash>::clone(&crash);
        let options = Options { failpoints: Some(failpoints), ..Options::default() };
        (Store::open(directory, signer(), options).unwrap(), crash)
    }

    fn next_directory(&self) -> PathBuf {
        self.folder.path().join((self.lives + 1).to_string())
    }

    /// Opens what the crash has left.
    fn restart(&mut self) {
        let directory = self.next_directory();
        self.lives += 1;
        let (store, crash) = Self::open(&directory);
        (self.store, self.crash) = (store, crash);
        std::fs::remove_dir_all(&self.directory).unwrap();
        self.directory = directory;
    }

    /// Has these commands committed together, behind one that is committed alone.
    async fn batch(&self, first: Command, commands: &[Command]) -> Vec<Result<Outcome, StoreError>> {
        self.crash.shut();
        let behind = async {
            self.crash.reached.notified().await;
            let queued = commands.iter().map(|command| self.store.commit(command.clone()));
            // Polled in this order: by the time that the gate opens, all of them are in the queue.
            let (answers, ()) = join(join_all(queued), async { self.crash.open() }).await;
            answers
        };
        let (before, answers) = join(self.store.commit(first), behind).await;
        std::iter::once(before).chain(answers).collect()
    }
}

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
        }
    }

    async fn run(mut self) -> Result<Tally, String> {
        for round in 0..ROUNDS {
            self.round().await.map_err(|wrong| format!("round {round}: {wrong}"))?;
        }
        self.drive_on().await?;
        let findings = self.machine.store.check().await.unwrap();
        if !findings.is_empty() {
            return Err(format!("the auditor: {findings:?}"));
        }
        Ok(self.tally)
    }

    async fn round(&mut self) -> Result<(), String> {
        // Up to two hours ahead, or back.
        self.now = self.now + self.dice.below(7_200_000) - 1_800_000;
        for _ in 0..3 + self.dice.below(8) {
            let request = self.clients.think(&self.reference, self.now, &mut self.dice);
            self.under_way.push(request);
        }
        let mut delivered = Vec::new();
        while !self.under_way.is_empty() && delivered.len() < 12 && !self.dice.percent(8) {
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
        self.tamper(&mut commands);
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
            self.tally.refused += u64::from(said == "refused");
            self.tally.again += u64::from(said == "again");
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

    /// Plays the broken store of a control.
    fn tamper(&mut self, commands: &mut Vec<Command>) {
        let gift = commands.iter().position(|command| matches!(command, Command::Grant(_)));
        let Some(place) = gift else { return };
        match self.broken {
            Some(Broken::LosesOne) => {
                // Answered like the grant of somebody else's, booked nowhere.
                commands[place] = Command::Grant(tollgate_ledger::Grant {
                    to: crate::world::wallet(),
                    ..grant_of(&commands[place])
                });
            }
            Some(Broken::AppliesTwice) => {
                let id = Request { what: What::Grant { id: self.clients.number(), to: 0, units: 1 }, now: 0 };
                let twice =
                    tollgate_ledger::Grant { id: grant_of(&id.command()).id, ..grant_of(&commands[place]) };
                commands.push(Command::Grant(twice));
            }
            Some(Broken::AnswersEarly) | None => {}
        }
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
        let open = self.machine.store.open_settlements().await.unwrap();
        if open.is_empty() { Ok(()) } else { Err(format!("{} payments are stuck", open.len())) }
    }
}

fn grant_of(command: &Command) -> tollgate_ledger::Grant {
    match command {
        Command::Grant(grant) => grant.clone(),
        other => panic!("{other:?} is no grant"),
    }
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
        all.crashes += tally.crashes;
        all.came_through += tally.came_through;
        all.refused += tally.refused;
        all.again += tally.again;
        all.ended += tally.ended;
    }
    println!("{all:?}");
    // A simulation in which nothing happens shows nothing.
    let Tally { crashes, came_through, refused, again, ended } = all;
    assert!(crashes > 50 && came_through > 10 && crashes - came_through > 10, "{all:?}");
    assert!(refused > 100 && again > 20 && ended > 20, "{all:?}");
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
fn a_store_that_loses_a_gift_books_one_twice_or_answers_early_is_noticed() {
    for broken in [Broken::LosesOne, Broken::AppliesTwice, Broken::AnswersEarly] {
        let noticed = (0..3).filter(|seed| simulate(*seed, Some(broken)).is_err()).count();
        // Not every seed crashes where it shows that an answer came too early.
        assert!(noticed >= 2, "{broken:?}: noticed by {noticed} seeds of 3");
    }
    // The same seeds are in order with the real one.
    assert!((0..3).all(|seed| simulate(seed, None).is_ok()));
}
