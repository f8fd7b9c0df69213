//! Escrows on real books: what is booked, who is let in, what is carried out once, and that nothing is lost whatever happens.

use proptest::prelude::*;
use tollgate_domain::{AssetId, Bps, Caller, EscrowId, KeyId, Principal};

use super::*;
use crate::audit::Finding;
use crate::budget::{Ask, Barrier, Change, Counted, Counter, Node, NodeKey, Span, Stop, Target};
use crate::escrow::{EscrowTerms, StakeRuling};
use crate::escrow::{Milestone, Phase, Proposal, Provider, Ruling, Timings, id_for_key};
use crate::memory::Memory;
use crate::{Clearing, Command, Grant, Outcome};

impl Memory {
    fn step(&mut self, step: MoveEscrow) -> Result<EscrowMoved, EscrowRefusal> {
        match self.commit(&[Command::Escrow(Box::new(EscrowCommand::Move(step)))]).remove(0) {
            Ok(Outcome::Escrow(moved)) => Ok(moved),
            Err(Refusal::Escrow(refusal)) => Err(refusal),
            other => panic!("{other:?}"),
        }
    }

    fn free(&self, account: &AccountName) -> u128 {
        let totals = self.totals.get(&(account.clone(), asset())).copied().unwrap_or_default();
        totals.available().unwrap().get()
    }

    fn credit(&self, byte: u8) -> u128 {
        self.free(&AccountName::Credit(who(byte)))
    }

    fn held(&self, id: EscrowId) -> (u128, u128) {
        (self.free(&AccountName::Escrow(id)), self.free(&AccountName::Stake(id)))
    }
}

const START: u128 = 10_000;
const PAYER: u8 = 1;
const PROVIDER: u8 = 2;
const MEDIATOR: u8 = 3;
const STRANGER: u8 = 4;

fn who(byte: u8) -> Principal {
    Caller::ApiKey(KeyId::from_bytes([byte; 16])).principal()
}

fn by(byte: u8) -> Who {
    Who::Principal(who(byte))
}

fn asset() -> AssetId {
    "lightning:regtest/msat".parse().unwrap()
}

fn terms(amount: u128, milestones: &[u128]) -> EscrowTerms {
    let part = |units: &u128| Milestone { title: "part".into(), amount: Amount::new(*units) };
    let proposal = Proposal {
        payer: who(PAYER),
        provider: Provider::Principal(who(PROVIDER)),
        mediator: Mediator::Principal(who(MEDIATOR)),
        asset: asset(),
        amount: Amount::new(amount),
        milestones: milestones.iter().map(part).collect(),
        description: None,
        timings: Timings {
            open_ms: 10_000,
            timeout_ms: 3_000,
            window_ms: 5_000,
            evidence_ms: 4_000,
            mediation_ms: 6_000,
        },
        dispute_stake: Amount::new(10),
        mediator_stake: Amount::new(7),
        confidence_min: Bps::new(8_000),
        splits: Default::default(),
        call: None,
    };
    EscrowTerms::new(proposal).unwrap()
}

fn id(byte: u8) -> EscrowId {
    EscrowId::from_bytes([byte; 16])
}

fn open(id: EscrowId, terms: EscrowTerms) -> Command {
    Command::Escrow(Box::new(EscrowCommand::Open(OpenEscrow { id, terms, now: UnixMillis::new(0) })))
}

fn step(id: EscrowId, by: Who, event: EscrowEvent, now: u64) -> MoveEscrow {
    MoveEscrow::new(id, by, event, UnixMillis::new(now))
}

fn command(step: &MoveEscrow) -> Command {
    Command::Escrow(Box::new(EscrowCommand::Move(step.clone())))
}

fn grant(byte: u8, units: u128) -> Command {
    Command::Grant(Grant {
        from: Clearing::Manual,
        to: who(byte),
        amount: Amount::new(units),
        asset: asset(),
        id: TransferId::from_bytes([byte; 16]),
        note: "start".to_owned(),
        now: UnixMillis::new(0),
    })
}

/// Books on which everybody has something and one escrow over 1,000 was agreed on.
fn books() -> Memory {
    let mut books = Memory::default();
    let commands = [
        grant(PAYER, START),
        grant(PROVIDER, START),
        grant(MEDIATOR, START),
        grant(STRANGER, START),
        open(id(1), terms(1_000, &[])),
    ];
    assert!(books.commit(&commands).iter().all(Result::is_ok));
    books
}

fn delivered() -> EscrowEvent {
    EscrowEvent::Deliver { result: None, note: None }
}

fn dispute(stake: u128) -> EscrowEvent {
    EscrowEvent::Dispute { stake: Amount::new(stake), reason: "not what was agreed".parse().unwrap() }
}

fn evidence() -> EscrowEvent {
    EscrowEvent::Submit { statement: "see".parse().unwrap(), document: None }
}

fn rule(ruling: Ruling, confidence: u16, stake: Option<StakeRuling>) -> EscrowEvent {
    EscrowEvent::Rule { ruling, confidence: Bps::new(confidence), stake, reason: None }
}

/// The escrow up to its delivery, at moment 3.
fn delivered_books() -> Memory {
    let mut books = books();
    for (at, by, event) in [
        (1, by(PAYER), EscrowEvent::Fund),
        (2, by(PROVIDER), EscrowEvent::Lock),
        (3, by(PROVIDER), delivered()),
    ] {
        books.step(step(id(1), by, event, at)).unwrap();
    }
    books
}

#[test]
fn an_accepted_delivery_moves_the_amount_once_and_leaves_the_accounts_empty() {
    let mut books = books();
    books.step(step(id(1), by(PAYER), EscrowEvent::Fund, 1)).unwrap();
    assert_eq!((books.credit(PAYER), books.held(id(1))), (START - 1_000, (1_000, 0)));
    books.step(step(id(1), by(PROVIDER), EscrowEvent::Lock, 2)).unwrap();
    books.step(step(id(1), by(PROVIDER), delivered(), 3)).unwrap();
    let ended = books.step(step(id(1), by(PAYER), EscrowEvent::Accept(Part::Rest), 4)).unwrap();
    assert_eq!((ended.row.state, ended.row.version), (EscrowState::Released, 5));
    assert_eq!((books.credit(PAYER), books.credit(PROVIDER)), (START - 1_000, START + 1_000));
    assert_eq!(books.held(id(1)), (0, 0));
    assert_eq!(books.findings(), []);
    let versions: Vec<u64> = books.records.iter().map(|(_, record)| record.version).collect();
    assert_eq!(versions, [1, 2, 3, 4, 5]);
}

/// When, by whom, what.
type Step = (u64, Who, EscrowEvent);

#[test]
fn every_end_of_a_dispute_conserves_the_money_and_empties_both_accounts() {
    let (release, refund) = (Ruling::Release, Ruling::Refund);
    let split = Ruling::Split(Bps::new(2_501));
    // The steps after the dispute (stake 10), then what payer, provider and mediator have won or lost.
    let endings: Vec<(Vec<Step>, [i128; 3])> = vec![
        (vec![(5, Who::Operator(None), rule(release, 10_000, None))], [-1_010, 1_010, 0]),
        (vec![(5, Who::Operator(None), rule(refund, 10_000, None))], [0, 0, 0]),
        (vec![(5, Who::Operator(None), rule(split, 10_000, None))], [-250, 250, 0]),
        (vec![(5, Who::Operator(None), rule(refund, 10_000, Some(StakeRuling::Forfeit)))], [-10, 10, 0]),
        (vec![(5, by(PAYER), EscrowEvent::Accept(Part::Rest))], [-1_000, 1_000, 0]),
        (vec![(5, by(PROVIDER), EscrowEvent::Cancel { reason: None })], [0, 0, 0]),
        // One side silent.
        (vec![(5, by(PAYER), evidence()), (4_004, Who::Clock, EscrowEvent::Expire)], [0, 0, 0]),
        (vec![(5, by(PROVIDER), evidence()), (4_004, Who::Clock, EscrowEvent::Expire)], [-1_010, 1_010, 0]),
        // A mediator who decides, one who is not sure, one who never decides.
        (
            vec![
                (5, by(PAYER), evidence()),
                (6, by(PROVIDER), evidence()),
                (7, by(MEDIATOR), EscrowEvent::TakeUp),
                (8, by(MEDIATOR), rule(split, 8_000, None)),
            ],
            [-250, 250, 0],
        ),
        (
            vec![
                (5, by(MEDIATOR), EscrowEvent::TakeUp),
                (4_004, Who::Clock, EscrowEvent::Expire),
                (4_005, by(MEDIATOR), rule(release, 7_999, None)),
                (4_006, Who::Operator(None), rule(refund, 10_000, None)),
            ],
            [0, 0, 0],
        ),
        (
            vec![
                (5, by(MEDIATOR), EscrowEvent::TakeUp),
                (4_004, Who::Clock, EscrowEvent::Expire),
                (10_004, Who::Clock, EscrowEvent::Expire),
                (10_005, Who::Operator(None), rule(release, 10_000, None)),
            ],
            [-1_006, 1_013, -7],
        ),
    ];
    for (number, (steps, won)) in endings.into_iter().enumerate() {
        let mut books = delivered_books();
        books.step(step(id(1), by(PAYER), dispute(10), 4)).unwrap();
        assert_eq!(books.held(id(1)), (1_000, 10));
        for (at, by, event) in steps {
            books.step(step(id(1), by, event, at)).unwrap_or_else(|refusal| panic!("{number}: {refusal}"));
            assert_eq!(books.findings(), [], "{number}");
        }
        assert!(books.escrows[&id(1)].state.is_terminal(), "{number}");
        assert_eq!(books.held(id(1)), (0, 0), "{number}");
        for (byte, won) in [PAYER, PROVIDER, MEDIATOR].into_iter().zip(won) {
            let now = i128::try_from(books.credit(byte)).unwrap();
            assert_eq!(now - i128::try_from(START).unwrap(), won, "{number}: {byte}");
        }
    }
}

#[test]
fn a_stranger_learns_no_more_than_that_there_is_nothing() {
    let mut books = delivered_books();
    let before = books.clone();
    let strange = books.step(step(id(1), by(STRANGER), EscrowEvent::Accept(Part::Rest), 4));
    let missing = books.step(step(id(9), by(PAYER), EscrowEvent::Accept(Part::Rest), 4));
    assert_eq!(strange, Err(EscrowRefusal::NotFound(id(1))));
    assert_eq!(missing, Err(EscrowRefusal::NotFound(id(9))));
    // The operator's service decides only where it was agreed on.
    let service = books.step(step(id(1), Who::Service, rule(Ruling::Refund, 10_000, None), 4));
    assert_eq!(service, Err(EscrowRefusal::NotFound(id(1))));
    assert_eq!(books, before);
    assert!(books.step(step(id(1), by(PAYER), EscrowEvent::Accept(Part::Rest), 4)).is_ok(), "control");
}

#[test]
fn the_same_key_does_the_same_thing_once_and_nothing_else() {
    let mut books = books();
    let fund = MoveEscrow { key: Some("k1".to_owned()), ..step(id(1), by(PAYER), EscrowEvent::Fund, 1) };
    assert!(!books.step(fund.clone()).unwrap().replayed);
    let after = books.clone();
    let again = books.step(MoveEscrow { now: UnixMillis::new(77), ..fund.clone() }).unwrap();
    assert!(again.replayed && again.row == after.escrows[&id(1)]);
    let other = books.step(MoveEscrow { event: EscrowEvent::Lock, ..fund.clone() });
    assert_eq!(other, Err(EscrowRefusal::KeyReused));
    assert_eq!(books, after, "neither changed anything");
    // Another's key of the same text is another key.
    let lock = MoveEscrow { by: by(PROVIDER), event: EscrowEvent::Lock, ..fund };
    assert!(!books.step(lock).unwrap().replayed);
}

#[test]
fn an_escrow_is_opened_once_under_one_key_and_other_terms_are_refused() {
    let (mut books, opened) = (books(), id_for_key(&who(PAYER), "job 7"));
    assert_ne!(opened, id_for_key(&who(PROVIDER), "job 7"));
    let outcome = |books: &mut Memory, terms| match books.commit(&[open(opened, terms)]).remove(0) {
        Ok(Outcome::Escrow(moved)) => Ok(moved.replayed),
        Err(Refusal::Escrow(refusal)) => Err(refusal),
        other => panic!("{other:?}"),
    };
    assert_eq!(outcome(&mut books, terms(50, &[])), Ok(false));
    let after = books.clone();
    assert_eq!(outcome(&mut books, terms(50, &[])), Ok(true));
    assert_eq!(outcome(&mut books, terms(51, &[])), Err(EscrowRefusal::KeyReused));
    assert_eq!(books, after);
}

#[test]
fn a_version_that_was_not_looked_at_is_refused() {
    let mut books = books();
    let fund =
        |expected| MoveEscrow { expected: Some(expected), ..step(id(1), by(PAYER), EscrowEvent::Fund, 1) };
    assert_eq!(books.step(fund(2)), Err(EscrowRefusal::Changed { version: 1, expected: 2 }));
    assert_eq!(books.step(fund(1)).unwrap().row.version, 2);
}

#[test]
fn who_pays_in_must_have_it() {
    let mut books = books();
    let expensive = open(id(2), terms(START + 1, &[]));
    assert!(books.commit(&[expensive]).remove(0).is_ok());
    let before = books.clone();
    let refused = books.step(step(id(2), by(PAYER), EscrowEvent::Fund, 1));
    let (available, needed) = (Amount::new(START), Amount::new(START + 1));
    assert_eq!(refused, Err(EscrowRefusal::Funds { available, needed }));
    assert_eq!(books, before);
    assert!(books.step(step(id(1), by(PAYER), EscrowEvent::Fund, 1)).is_ok(), "control");
    // The stake of a dispute as well.
    let mut books = delivered_books();
    let refused = books.step(step(id(1), by(PAYER), dispute(START), 4));
    assert!(matches!(refused, Err(EscrowRefusal::Funds { .. })), "{refused:?}");
    assert!(books.step(step(id(1), by(PAYER), dispute(START - 1_000), 4)).is_ok(), "control");
}

#[test]
fn of_a_hundred_contradicting_endings_exactly_one_wins() {
    let endings = [
        step(id(1), by(PAYER), EscrowEvent::Accept(Part::Rest), 4),
        step(id(1), by(PROVIDER), EscrowEvent::Cancel { reason: None }, 4),
        step(id(1), by(PAYER), dispute(10), 4),
    ];
    for first in 0..endings.len() {
        for together in [true, false] {
            let mut books = delivered_books();
            let steps = (0..100).map(|n| &endings[(first + n) % endings.len()]);
            // Those that end it: what follows on a dispute may end it once more.
            let commands: Vec<Command> = steps
                .filter(|step| first != 2 || !matches!(step.event, EscrowEvent::Dispute { .. }))
                .map(command)
                .collect();
            let outcomes = if together {
                books.commit(&commands)
            } else {
                commands.iter().flat_map(|command| books.commit(std::slice::from_ref(command))).collect()
            };
            assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
            assert!(outcomes[0].is_ok(), "the first to come");
            assert_eq!(books.held(id(1)), (0, 0));
            assert_eq!(books.findings(), []);
            assert_eq!(books.credit(PAYER) + books.credit(PROVIDER), 2 * START);
        }
    }
}

#[test]
fn p15_of_many_escrows_exactly_as_many_are_funded_as_there_is_money() {
    let mut books = books();
    let ids: Vec<EscrowId> =
        (0..250_u8).map(|n| EscrowId::from_bytes([n; 16])).filter(|n| *n != id(1)).collect();
    for id in &ids {
        assert!(books.commit(&[open(*id, terms(100, &[]))]).remove(0).is_ok());
    }
    let commands: Vec<Command> =
        ids.iter().map(|id| command(&step(*id, by(PAYER), EscrowEvent::Fund, 1))).collect();
    let funded = books.commit(&commands).iter().filter(|outcome| outcome.is_ok()).count();
    assert_eq!(u128::try_from(funded).unwrap(), START / 100);
    assert_eq!(books.credit(PAYER), 0);
    assert_eq!(books.findings(), []);
}

#[test]
fn a_clock_that_goes_back_ends_nothing_early() {
    let mut books = delivered_books();
    let early = books.step(step(id(1), Who::Clock, EscrowEvent::Expire, 5_002));
    assert_eq!(early, Err(EscrowRefusal::NotDue));
    let late = books.step(step(id(1), by(PAYER), dispute(10), 5_003));
    assert!(matches!(late, Err(EscrowRefusal::DeadlinePassed { .. })));
    // Back before the deadline, the payer is in time: nothing had been decided yet.
    assert!(books.step(step(id(1), by(PAYER), dispute(10), 5_002)).is_ok());
    let row = &books.escrows[&id(1)];
    assert_eq!(row.updated, UnixMillis::new(5_002));
    assert!(
        matches!(row.state, EscrowState::Disputed(dispute) if matches!(dispute.phase, Phase::Evidence { .. }))
    );
}

#[test]
fn single_parts_end_where_an_escrow_has_no_room_for_more() {
    let mut books = Memory::default();
    assert!(books.commit(&[grant(PAYER, START), open(id(1), terms(1_000, &[]))]).iter().all(Result::is_ok));
    books.step(step(id(1), by(PAYER), EscrowEvent::Fund, 1)).unwrap();
    books.step(step(id(1), by(PAYER), EscrowEvent::Lock, 1)).unwrap();
    let part = || step(id(1), by(PAYER), EscrowEvent::Accept(Part::Amount(Amount::new(1))), 2);
    let released = (0..300).take_while(|_| books.step(part()).is_ok()).count();
    assert_eq!(released, 197);
    assert_eq!(books.step(part()), Err(EscrowRefusal::Full));
    // All that is left can still be settled.
    books.step(step(id(1), by(PROVIDER), delivered(), 2)).unwrap();
    books.step(step(id(1), by(PAYER), EscrowEvent::Accept(Part::Rest), 3)).unwrap();
    assert_eq!((books.credit(PROVIDER), books.findings()), (1_000, vec![]));
}

#[test]
fn the_audit_finds_an_escrow_that_its_accounts_belie() {
    let books = delivered_books();
    assert_eq!(books.findings(), [], "control");
    let belied = |change: &dyn Fn(&mut EscrowRow)| {
        let mut books = books.clone();
        change(Arc::make_mut(books.escrows.get_mut(&id(1)).unwrap()));
        books.findings()
    };
    assert_eq!(belied(&|row| row.released = Amount::new(1)), [Finding::EscrowDiffers(id(1))]);
    let ended = belied(&|row| row.state = EscrowState::Released);
    assert_eq!(ended, [Finding::EscrowDiffers(id(1)), Finding::EscrowUneven(id(1))]);
    // What ended before any money came gave nothing out.
    for (released, refunded, is_even) in [(0, 0, true), (1, 0, false), (0, 1, false)] {
        let findings = belied(&|row| {
            row.state = EscrowState::Cancelled;
            (row.released, row.refunded) = (Amount::new(released), Amount::new(refunded));
        });
        assert_eq!(!findings.contains(&Finding::EscrowUneven(id(1))), is_even, "{findings:?}");
    }
    let mut lost = books.clone();
    lost.escrows.clear();
    assert_eq!(lost.findings(), [Finding::EscrowDiffers(id(1))], "money of no escrow");
}

fn who_asks() -> impl Strategy<Value = Who> {
    prop_oneof![
        4 => Just(by(PAYER)),
        4 => Just(by(PROVIDER)),
        2 => Just(by(MEDIATOR)),
        1 => Just(by(STRANGER)),
        1 => Just(Who::Operator(None)),
        1 => Just(Who::Service),
        3 => Just(Who::Clock),
    ]
}

fn ruling() -> impl Strategy<Value = EscrowEvent> {
    let ruling = prop_oneof![
        Just(Ruling::Release),
        Just(Ruling::Refund),
        (0_u16..=10_000).prop_map(|bps| Ruling::Split(Bps::new(bps))),
    ];
    let stake = prop_oneof![Just(None), Just(Some(StakeRuling::Return)), Just(Some(StakeRuling::Forfeit))];
    (ruling, 7_000_u16..9_000, stake).prop_map(|(ruling, sure, stake)| rule(ruling, sure, stake))
}

fn event() -> impl Strategy<Value = EscrowEvent> {
    prop_oneof![
        4 => Just(EscrowEvent::Fund),
        4 => Just(EscrowEvent::Lock),
        4 => Just(delivered()),
        1 => Just(EscrowEvent::Accept(Part::Rest)),
        2 => (0_u8..4).prop_map(|place| EscrowEvent::Accept(Part::Milestone(place))),
        2 => (0_u128..500).prop_map(|units| EscrowEvent::Accept(Part::Amount(Amount::new(units)))),
        1 => Just(EscrowEvent::Cancel { reason: None }),
        4 => (0_u128..2_000).prop_map(dispute),
        3 => Just(evidence()),
        2 => Just(EscrowEvent::TakeUp),
        3 => ruling(),
        3 => Just(EscrowEvent::Expire),
    ]
}

fn steps() -> impl Strategy<Value = Vec<(EscrowId, Who, EscrowEvent, u64, Option<u8>)>> {
    let step = (0_u8..4, who_asks(), event(), 0_u64..2_500, proptest::option::weighted(0.3, 0_u8..6));
    let step = step.prop_map(|(n, who, event, wait, key)| (id(n), who, event, wait, key));
    proptest::collection::vec(step, 1..80)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(768))]

    /// After every event the invariants of the books hold; nothing follows on an end; a repeated key changes nothing.
    #[test]
    fn nothing_is_lost_or_made_whatever_happens(steps in steps()) {
        let mut books = Memory::default();
        let people = [PAYER, PROVIDER, MEDIATOR, STRANGER];
        prop_assert!(books.commit(&people.map(|byte| grant(byte, START))).iter().all(Result::is_ok));
        for (n, parts) in [(0, vec![]), (1, vec![]), (2, vec![300, 300, 401]), (3, vec![7])] {
            let amount = if parts.is_empty() { 1_001 } else { parts.iter().sum() };
            prop_assert!(books.commit(&[open(id(n), terms(amount, &parts))]).remove(0).is_ok());
        }
        let mut now = 0;
        for (escrow, who, event, wait, key) in steps {
            now += wait;
            let before = books.clone();
            let key = key.map(|key| format!("key {key}"));
            let step = MoveEscrow { key, ..step(escrow, who, event, now) };
            let moved = books.step(step.clone());
            match &moved {
                Ok(moved) if !moved.replayed => {
                    prop_assert!(!before.escrows[&escrow].state.is_terminal(), "an end absorbs");
                    prop_assert_eq!(moved.row.version, before.escrows[&escrow].version + 1);
                    if step.key.is_some() {
                        let after = books.clone();
                        prop_assert!(books.step(step).unwrap().replayed);
                        prop_assert_eq!(&books, &after);
                    }
                }
                Ok(_) | Err(_) => prop_assert_eq!(&books, &before),
            }
            prop_assert_eq!(books.findings(), []);
            let held: u128 = (0..4).map(|n| books.held(id(n))).map(|(escrow, stake)| escrow + stake).sum();
            let credit: u128 = people.into_iter().map(|byte| books.credit(byte)).sum();
            prop_assert_eq!(held + credit, 4 * START, "sum zero");
            prop_assert_eq!(books.credit(STRANGER), START);
        }
        // Time ends everything but what only an operator may decide.
        for round in 0..4 {
            for n in 0..4 {
                // Refused where nothing is due any more.
                drop(books.step(step(id(n), Who::Clock, EscrowEvent::Expire, now + 20_000 * (round + 1))));
            }
        }
        for n in 0..4 {
            let row = Arc::clone(&books.escrows[&id(n)]);
            if let EscrowState::Disputed(dispute) = row.state {
                prop_assert_eq!(dispute.phase, Phase::Operator);
                let ruled = step(id(n), Who::Operator(None), rule(Ruling::Split(Bps::new(5_000)), 0, None), now + 100_000);
                prop_assert!(books.step(ruled).is_ok());
            }
            prop_assert!(books.escrows[&id(n)].state.is_terminal());
            prop_assert_eq!(books.held(id(n)), (0, 0));
        }
        prop_assert_eq!(books.findings(), []);
    }

    #[test]
    fn a_batch_of_many_is_as_many_batches_of_one(steps in steps()) {
        let people = [PAYER, PROVIDER, MEDIATOR];
        let mut commands: Vec<Command> = people.map(|byte| grant(byte, START)).into();
        commands.extend((0..4).map(|n| open(id(n), terms(1_001, &[]))));
        let mut now = 0;
        for (escrow, who, event, wait, _) in steps {
            now += wait;
            commands.push(command(&step(escrow, who, event, now)));
        }
        let (mut together, mut one_by_one) = (Memory::default(), Memory::default());
        let outcomes = together.commit(&commands);
        let single: Vec<_> =
            commands.iter().flat_map(|command| one_by_one.commit(std::slice::from_ref(command))).collect();
        prop_assert_eq!(outcomes, single);
        prop_assert_eq!(together, one_by_one);
    }
}

#[test]
fn each_milestone_is_released_once_whatever_was_released_before_it() {
    let mut books = books();
    assert!(books.commit(&[open(id(2), terms(1_000, &[400, 350, 250]))]).iter().all(Result::is_ok));
    let at = |books: &mut Memory, by, event, now| books.step(step(id(2), by, event, now));
    at(&mut books, by(PAYER), EscrowEvent::Fund, 1).unwrap();
    at(&mut books, by(PAYER), EscrowEvent::Lock, 2).unwrap();
    for place in [1, 0] {
        let milestone = EscrowEvent::Accept(Part::Milestone(place));
        at(&mut books, by(PAYER), milestone.clone(), 3).unwrap();
        let before = books.credit(PROVIDER);
        for again in [0, 1].into_iter().filter(|again| *again >= place) {
            let again = EscrowEvent::Accept(Part::Milestone(again));
            assert!(at(&mut books, by(PAYER), again, 4).is_err());
        }
        assert_eq!(books.credit(PROVIDER), before);
    }
    assert_eq!(books.credit(PROVIDER), START + 750);
    assert_eq!(books.findings(), []);
}

#[test]
fn a_mediator_decides_only_once_both_sides_were_heard_and_not_after_handing_over() {
    let mut books = books();
    let rule = |confidence| EscrowEvent::Rule {
        ruling: Ruling::Release,
        confidence: Bps::new(confidence),
        stake: None,
        reason: None,
    };
    let shown = || EscrowEvent::Submit { statement: "see".parse().unwrap(), document: None };
    let at = |books: &mut Memory, by, event| books.step(step(id(1), by, event, 3));
    for (by, event) in [
        (by(PAYER), EscrowEvent::Fund),
        (by(PAYER), EscrowEvent::Lock),
        (by(PROVIDER), delivered()),
        (by(PAYER), dispute(10)),
        (by(MEDIATOR), EscrowEvent::TakeUp),
        (by(PAYER), shown()),
    ] {
        at(&mut books, by, event).unwrap();
    }
    let early = at(&mut books, by(MEDIATOR), rule(9_000));
    assert!(matches!(early, Err(EscrowRefusal::WrongState { .. })), "one side was heard: {early:?}");
    at(&mut books, by(PROVIDER), shown()).unwrap();
    // Less sure than agreed: the operator's turn.
    let handed_over = at(&mut books, by(MEDIATOR), rule(10)).unwrap();
    assert!(!handed_over.row.state.is_terminal());
    let late = at(&mut books, by(MEDIATOR), rule(9_000));
    assert!(matches!(late, Err(EscrowRefusal::WrongState { .. })), "{late:?}");
    let decided = at(&mut books, Who::Operator(None), rule(10_000)).unwrap();
    assert!(decided.row.state.is_terminal(), "control");
    assert_eq!(books.findings(), []);
}

/// What bounds the payer: so much a day.
fn bounded(per_day: u128) -> Option<Arc<Ask>> {
    let counted =
        Counted { span: Span::Day, limit: Some(Amount::new(per_day)), warn: Some(Amount::new(900)) };
    let key = NodeKey::new("acme", None);
    let node = Node { key, per_call: None, approve_above: Some(Amount::new(1)), counted: vec![counted] };
    Some(Arc::new(Ask { nodes: vec![node], ..Ask::default() }))
}

fn used(books: &Memory) -> u128 {
    let counter = Counter { node: NodeKey::new("acme", None), asset: asset(), span: Span::Day };
    books.usages.get(&counter).map_or(0, |usage| usage.used.get())
}

#[test]
fn what_is_paid_in_counts_in_the_payers_budgets_until_it_comes_back() {
    let mut books = books();
    for opening in [open(id(2), terms(1_000, &[400, 600])), open(id(3), terms(400, &[]))] {
        assert!(books.commit(&[opening]).remove(0).is_ok());
    }
    let fund =
        |number| MoveEscrow { budget: bounded(1_500), ..step(id(number), by(PAYER), EscrowEvent::Fund, 1) };
    let first = books.step(fund(1)).unwrap();
    assert_eq!(
        (used(&books), first.warnings.len()),
        (1_000, 1),
        "a soft limit is passed, and nobody has to approve it"
    );
    let before = books.clone();
    let Err(EscrowRefusal::Barred(barrier)) = books.step(fund(2)) else { panic!("2,000 in a day of 1,500") };
    let Barrier::Exceeded(exceeded) = *barrier else { panic!("{barrier:?}") };
    assert_eq!((exceeded.used, exceeded.asked), (Amount::new(1_000), Amount::new(1_000)));
    assert_eq!(books, before);
    // Of what comes back nothing was spent.
    books.step(step(id(1), by(PROVIDER), EscrowEvent::Cancel { reason: None }, 2)).unwrap();
    assert_eq!((used(&books), books.findings()), (0, vec![]));
    books.step(fund(2)).unwrap();
    for (who, event) in [
        (PAYER, EscrowEvent::Lock),
        (PAYER, EscrowEvent::Accept(Part::Milestone(0))),
        (PROVIDER, EscrowEvent::Cancel { reason: None }),
    ] {
        books.step(step(id(2), by(who), event, 3)).unwrap();
    }
    assert_eq!((used(&books), books.findings()), (400, vec![]), "what was released stays spent");
    let belied = books.escrows[&id(2)].as_ref().clone();
    let refunded = Amount::new(599);
    books.escrows.insert(id(2), Arc::new(EscrowRow { refunded, ..belied }));
    assert!(books.findings().iter().any(|finding| matches!(finding, Finding::BudgetDiffers(_))));
}

#[test]
fn whoever_is_stopped_pays_nothing_in_and_ends_what_was_begun() {
    let mut books = books();
    let stop = Stop { reason: "runaway".to_owned(), by: "eve".to_owned(), at: UnixMillis::new(0) };
    let target = Target::Caller(who(PAYER));
    let stopped = Change::Stop { target: target.clone(), stop };
    books.commit(&[Command::Budget(stopped.clone())]).remove(0).unwrap();
    let fund = MoveEscrow { budget: bounded(5_000), ..step(id(1), by(PAYER), EscrowEvent::Fund, 1) };
    let before = books.clone();
    assert_eq!(
        books.step(fund.clone()),
        Err(EscrowRefusal::Barred(Box::new(Barrier::Stopped(target.clone()))))
    );
    assert_eq!(books, before);
    books.commit(&[Command::Budget(Change::Resume(target))]).remove(0).unwrap();
    books.step(fund).unwrap();
    books.commit(&[Command::Budget(stopped)]).remove(0).unwrap();
    for (who, event) in
        [(PROVIDER, EscrowEvent::Lock), (PROVIDER, delivered()), (PAYER, EscrowEvent::Accept(Part::Rest))]
    {
        books.step(step(id(1), by(who), event, 2)).unwrap();
    }
    assert_eq!((used(&books), books.credit(PROVIDER)), (1_000, START + 1_000));
}

#[test]
fn f22_a_deadline_that_the_clock_jumped_over_stops_no_party() {
    let mut books = delivered_books();
    let due = books.escrows[&id(1)].state.due().unwrap();
    let late = MoveEscrow { now: due.plus_millis(1), ..step(id(1), by(PAYER), dispute(10), 0) };
    let passed = EscrowRefusal::DeadlinePassed { event: "dispute", due };
    assert_eq!(books.step(late.clone()), Err(passed.clone()), "control: it has passed");
    let other = MoveEscrow { held: Some(due.plus_millis(1)), ..late.clone() };
    assert_eq!(books.step(other), Err(passed), "another deadline was jumped over");
    let moved = books.step(MoveEscrow { held: Some(due), ..late }).unwrap();
    // What begins now has its whole time by the clock.
    assert_eq!(moved.row.state.due(), Some(due.plus_millis(4_001)));
}

#[test]
fn a_step_is_sealed_where_money_moves_and_nowhere_else() {
    let mut books = books();
    for (at, by, event, moves) in [
        (1, by(PAYER), EscrowEvent::Fund, true),
        (2, by(PROVIDER), EscrowEvent::Lock, false),
        (3, by(PROVIDER), delivered(), false),
        (4, by(PAYER), EscrowEvent::Accept(Part::Rest), true),
    ] {
        let sealed = MoveEscrow { mode: Some("sandbox"), ..step(id(1), by, event, at) };
        assert_eq!(books.step(sealed.clone()).unwrap().receipt.is_some(), moves, "{:?}", sealed.event);
    }
}
