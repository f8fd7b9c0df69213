//! Random commands against the store and against a small model of what should be true, side by side; the auditor looks
//! after every step, and now and then the store is closed and opened again.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use tempfile::TempDir;
use tollgate_domain::{Amount, CallId, Caller, Digest, PaymentKey, Principal, Rail, Settle};
use tollgate_ledger::{Advance, Claim, Claimed, Event, Funds, Grant, LedgerStore, State, StoreError};

use crate::world::*;

#[derive(Clone, Debug)]
enum Command {
    Claim { key: usize, caller: usize, args: u8, units: u128 },
    Advance { key: usize, events: Vec<u8>, late: bool },
    Grant { to: usize, units: u128 },
    Reopen,
}

/// Keys 0 and 1 are settled on a chain, 2 and 3 have arrived over Lightning, 4 to 7 are credit of the caller, 8 and 9 are
/// sandbox money of the wallet.
fn rail(key: usize) -> Rail {
    match key {
        0 | 1 | 8 | 9 => Rail::X402,
        2 | 3 => Rail::L402,
        _ => Rail::Credit,
    }
}

fn caller(number: usize) -> Principal {
    [alice(), wallet()][number].clone()
}

fn lightning(key: usize) -> Principal {
    Caller::Preimage([u8::try_from(key).unwrap(); 32]).principal()
}

/// Whose credit pays with this key, if anybody's.
fn payer(key: usize, caller: &Principal) -> Option<Principal> {
    match (rail(key), key) {
        (Rail::X402, 8 | 9) => Some(wallet()),
        (Rail::X402, _) => None,
        (Rail::L402, _) => Some(lightning(key)),
        (Rail::Credit, _) => Some(caller.clone()),
    }
}

fn event(number: u8) -> Event {
    let text = || "why".to_owned();
    match number {
        0 => executed(),
        1 => Event::Submitted,
        2 => settled(),
        3 => voided(),
        4 => failed(),
        5 => Event::Unknown { evidence: text() },
        6 => Event::FoundInDoubt,
        _ => Event::HandedOver { reason: text() },
    }
}

/// Steps as a gateway makes them, and nonsense.
fn events() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => Just(vec![0, 1, 2]),
        3 => Just(vec![3]),
        1 => Just(vec![0]),
        1 => Just(vec![0, 1]),
        1 => Just(vec![0, 1, 4]),
        1 => Just(vec![0, 1, 5]),
        1 => Just(vec![6]),
        3 => proptest::collection::vec(0_u8..8, 1..3),
    ]
}

fn commands() -> impl Strategy<Value = Vec<Command>> {
    let command = prop_oneof![
        6 => (0_usize..10, 0_usize..2, prop_oneof![9 => Just(0_u8), 1 => Just(1)], 1_u128..12)
            .prop_map(|(key, caller, args, units)| Command::Claim { key, caller, args, units }),
        6 => (0_usize..10, events(), proptest::bool::weighted(0.1))
            .prop_map(|(key, events, late)| Command::Advance { key, events, late }),
        2 => (0_usize..2, 1_u128..20).prop_map(|(to, units)| Command::Grant { to, units }),
        1 => Just(Command::Reopen),
    ];
    proptest::collection::vec(command, 1..40)
}

/// The latest attempt of a key.
#[derive(Clone)]
struct Attempt {
    number: u32,
    call: CallId,
    caller: Principal,
    args: u8,
    units: u128,
    /// Whose credit pays, if anybody's.
    payer: Option<Principal>,
    state: State,
}

/// What should be true, in the plainest words.
#[derive(Default)]
struct Model {
    attempts: BTreeMap<usize, Attempt>,
    /// What each principal could spend.
    credit: BTreeMap<Principal, u128>,
    arrived: BTreeSet<usize>,
    owed: u128,
    reserved: u128,
}

impl Model {
    fn claim(&mut self, key: usize, claim: &Claim, args: u8) -> &'static str {
        let before = self.attempts.get(&key);
        if let Some(before) = before {
            if before.args != args || before.caller != claim.caller {
                return "other request";
            }
            match before.state {
                State::Settled => return "answered",
                State::Failed => return "failed",
                State::InDoubt => return "in doubt",
                State::Voided => {}
                _ => return "in progress",
            }
        }
        let number = before.map_or(1, |before| before.number + 1);
        let units = claim.amount.get();
        let payer = payer(key, &claim.caller);
        if let Some(payer) = &payer {
            let arrives = rail(key) == Rail::L402 && !self.arrived.contains(&key);
            let available = self.credit.get(payer).copied().unwrap_or(0) + if arrives { units } else { 0 };
            if available < units {
                return "insufficient";
            }
            if arrives {
                self.arrived.insert(key);
            }
            self.credit.insert(payer.clone(), available - units);
        }
        self.reserved += units;
        let (call, caller) = (claim.call, claim.caller.clone());
        self.attempts
            .insert(key, Attempt { number, call, caller, args, units, payer, state: State::Executing });
        "fresh"
    }

    fn advance(&mut self, key: usize, events: &[Event]) -> Option<State> {
        let attempt = self.attempts.get_mut(&key)?;
        let mut state = attempt.state;
        for event in events {
            state = state.apply(Settle::After, event).ok()?.0;
        }
        if state.is_terminal() && !attempt.state.is_terminal() {
            self.reserved -= attempt.units;
            if state == State::Settled {
                self.owed += attempt.units;
            } else if let Some(payer) = &attempt.payer {
                *self.credit.get_mut(payer).unwrap() += attempt.units;
            }
        }
        attempt.state = state;
        Some(state)
    }
}

fn word(claimed: &Claimed) -> &'static str {
    match claimed {
        Claimed::Fresh { .. } | Claimed::Warned { .. } => "fresh",
        Claimed::InProgress { .. } => "in progress",
        Claimed::Answered { .. } => "answered",
        Claimed::OtherRequest { .. } => "other request",
        Claimed::Failed { .. } => "failed",
        Claimed::InDoubt { .. } => "in doubt",
        Claimed::NoFreeCall => "no free call",
        Claimed::InsufficientFunds { .. } => "insufficient",
        Claimed::Barred(_) => "barred",
    }
}

async fn run(commands: Vec<Command>) {
    let directory = TempDir::new().unwrap();
    let mut store = open(&directory);
    let mut model = Model::default();
    for command in commands {
        match command.clone() {
            Command::Claim { key, caller: who, args, units } => {
                let principal = caller(who);
                let funds = match (rail(key), payer(key, &principal)) {
                    (_, None) => Funds::OnSettlement,
                    (Rail::L402, Some(holder)) => Funds::Arrived { holder },
                    (_, Some(payer)) => Funds::Credit(payer),
                };
                let mut asked = Claim {
                    caller: principal,
                    funds,
                    amount: Amount::new(units),
                    ..claim(rail(key), &format!("{key}"))
                };
                asked.binding.args = Digest::of(&[args]);
                let expected = model.claim(key, &asked, args);
                let claimed = store.claim(asked).await.unwrap();
                assert_eq!(word(&claimed), expected, "{command:?}: {claimed:?}");
                let attempt = model.attempts.get(&key);
                match claimed {
                    Claimed::Fresh { attempt: number } => assert_eq!(number, attempt.unwrap().number),
                    Claimed::InProgress { call, state, .. } => {
                        assert_eq!((call, state), (attempt.unwrap().call, attempt.unwrap().state));
                    }
                    _ => {}
                }
            }
            Command::Advance { key, events, late } => {
                let events: Vec<Event> = events.into_iter().map(event).collect();
                let current = model.attempts.get(&key).map(|attempt| attempt.call);
                let call = current.filter(|_| !late).unwrap_or_else(call_id);
                let statement = Some(statement(call));
                let asked = Advance {
                    key: PaymentKey::new(rail(key), format!("{key}")).unwrap(),
                    call,
                    events: events.clone(),
                    result: None,
                    private: None,
                    statement,
                    escrow: None,
                    now: at(200),
                };
                let expected = if current == Some(call) { model.advance(key, &events) } else { None };
                match store.advance(asked).await {
                    Ok(advanced) => assert_eq!(Some(advanced.state), expected, "{command:?}"),
                    Err(StoreError::Refused(refusal)) => assert_eq!(expected, None, "{command:?}: {refusal}"),
                    Err(error) => panic!("{command:?}: {error}"),
                }
            }
            Command::Grant { to, units } => {
                let gift: Grant = grant(&caller(to), units);
                store.grant_credit(gift).await.unwrap();
                *model.credit.entry(caller(to)).or_default() += units;
            }
            Command::Reopen => {
                drop(store);
                store = open(&directory);
            }
        }
        in_order(&store).await;
        for (principal, units) in &model.credit {
            assert_eq!(available(&store, principal).await, Amount::new(*units), "{command:?}: {principal}");
        }
        let owed = balances(&store, &payable()).await;
        assert_eq!((owed.credits_posted.get(), owed.credits_pending.get()), (model.owed, model.reserved));
        let open: BTreeSet<CallId> =
            store.open_settlements(None, 999).await.unwrap().iter().map(|row| row.call).collect();
        let attempts = model.attempts.values();
        let expected: BTreeSet<CallId> =
            attempts.filter(|attempt| !attempt.state.is_terminal()).map(|attempt| attempt.call).collect();
        assert_eq!(open, expected);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn the_store_does_what_the_model_says(commands in commands()) {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(run(commands));
    }
}
