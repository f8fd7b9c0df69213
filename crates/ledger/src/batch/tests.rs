use proptest::prelude::*;
use tollgate_domain::{Amount, Binding, Caller, Digest, FreeCall, KeyId, Period, Rail, ToolRef, UnixMillis};

use super::*;
use crate::budget::{Stop, Target};
use crate::memory::{Chain, Memory};
use crate::{Clearing, Event, Funds, State};

mod budgets;

fn asset() -> AssetId {
    "lightning:regtest/msat".parse().unwrap()
}

fn alice() -> Principal {
    Caller::ApiKey(KeyId::from_bytes([1; 16])).principal()
}

fn key(number: u8) -> PaymentKey {
    let rail = [Rail::Credit, Rail::L402, Rail::X402][usize::from(number) % 3];
    PaymentKey::new(rail, format!("k{number}")).unwrap()
}

fn claim(number: u8, call: u8, units: u128) -> Command {
    let funds = match key(number).rail() {
        Rail::Credit => Funds::Credit(alice()),
        Rail::L402 => Funds::Arrived { holder: Caller::Preimage([number; 32]).principal() },
        Rail::X402 => Funds::OnSettlement,
    };
    Command::Claim(Claim {
        key: key(number),
        call: CallId::from_bytes([call; 16]),
        caller: alice(),
        payer: alice(),
        settle: tollgate_domain::Settle::After,
        reference: String::new(),
        splits: Default::default(),
        binding: Binding {
            tool: ToolRef { server: "demo".parse().unwrap(), tool: "add".parse().unwrap() },
            args: Digest::of(b"{}"),
            price_version: 1,
            quote: None,
        },
        amount: Amount::new(units),
        asset: asset(),
        funds,
        proof: "".into(),
        expires: UnixMillis::new(100),
        budget: budget::Ask::default(),
        now: UnixMillis::new(1),
    })
}

fn advance(number: u8, call: u8, events: Vec<Event>, statement: Option<&str>) -> Command {
    Command::Advance(Advance {
        key: key(number),
        call: CallId::from_bytes([call; 16]),
        events,
        result: Some(b"42".to_vec()),
        private: None,
        statement: statement.map(str::to_owned),
        escrow: None,
        now: UnixMillis::new(2),
    })
}

fn grant(units: u128, id: u8) -> Command {
    Command::Grant(Grant {
        from: Clearing::Manual,
        to: alice(),
        amount: Amount::new(units),
        asset: asset(),
        id: TransferId::from_bytes([id; 16]),
        note: "test".to_owned(),
        now: UnixMillis::new(0),
    })
}

fn ended() -> Vec<Event> {
    let settled = Event::Settled { reference: "here".to_owned() };
    vec![Event::Executed { result: Digest::of(b"42") }, Event::Submitted, settled]
}

#[test]
fn each_command_sees_what_the_ones_before_it_did() {
    let mut books = Memory::default();
    let outcomes = books.commit(&[
        grant(10, 1),
        claim(0, 1, 10),
        claim(3, 2, 1), // nothing is left
        advance(0, 1, ended(), Some("paid")),
        claim(0, 3, 10), // the same proof again
        grant(10, 1),    // the same grant again
    ]);
    let words: Vec<_> = outcomes.iter().map(|outcome| outcome.as_ref().unwrap()).collect();
    assert!(matches!(words[1], Outcome::Claimed(Claimed::Fresh { attempt: 1 })));
    let nothing_left = Claimed::InsufficientFunds { available: Amount::ZERO };
    assert_eq!(*words[2], Outcome::Claimed(nothing_left));
    assert!(matches!(words[3], Outcome::Advanced(Advanced { state: State::Settled, receipt: Some(_) })));
    assert_eq!(*words[4], Outcome::Claimed(Claimed::Answered { call: CallId::from_bytes([1; 16]) }));
    assert_eq!(*words[5], Outcome::Granted(Granted { booked: false, available: Amount::ZERO }));
    assert_eq!(books.findings(), []);
    assert_eq!(books.standings[&alice()].settled, 1);
}

#[test]
fn a_refused_command_leaves_nothing_behind() {
    let start = {
        let mut books = Memory::default();
        books.commit(&[grant(10, 1), claim(0, 1, 10)]);
        books
    };
    let mut books = start.clone();
    let outcomes = books.commit(&[
        advance(0, 1, ended(), Some("")), // cannot be sealed
        advance(0, 9, ended(), Some("another call's")),
        Command::Record { call: CallId::from_bytes([7; 16]), statement: String::new() },
    ]);
    assert!(outcomes.iter().all(Result::is_err));
    assert_eq!(books, start);
    assert!(books.commit(&[advance(0, 1, ended(), Some("control"))])[0].is_ok());
    assert_ne!(books, start);
}

fn escrow() -> EscrowCommand {
    let proposal = escrow::Proposal {
        payer: alice(),
        provider: escrow::Provider::Principal(Caller::ApiKey(KeyId::from_bytes([2; 16])).principal()),
        mediator: escrow::Mediator::Service,
        asset: asset(),
        amount: Amount::new(10),
        milestones: Vec::new(),
        description: None,
        timings: escrow::Timings::DEFAULT,
        dispute_stake: Amount::new(10),
        mediator_stake: Amount::ZERO,
        confidence_min: tollgate_domain::Bps::ONE,
        splits: Default::default(),
        call: None,
    };
    let terms = escrow::EscrowTerms::new(proposal).unwrap();
    EscrowCommand::Open(escrow::OpenEscrow {
        id: EscrowId::from_bytes([1; 16]),
        terms,
        now: UnixMillis::new(1),
    })
}

fn payout() -> PayoutRow {
    let key = format!("02{}", "a".repeat(64));
    let destination = payout::Destination::new(payout::PayoutRail::Lightning, asset(), &key).unwrap();
    PayoutRow {
        id: PayoutId::from_bytes([1; 16]),
        source: payout::Source::Earned {
            provider: "acme".parse().unwrap(),
            server: "weather".parse().unwrap(),
            by: alice(),
        },
        destination,
        amount: Amount::new(1),
        invoice: None,
        state: payout::PayoutState::Held,
        instruction: None,
        reference: None,
        evidence: None,
        approved: None,
        version: 1,
        created: UnixMillis::new(1),
        updated: UnixMillis::new(1),
    }
}

#[test]
fn a_batch_with_anything_to_write_is_not_empty() {
    let mut books = Memory::default();
    assert!(BatchChanges::default().is_empty());
    let whole = {
        let mut batch = Batch::default();
        for command in [grant(10, 1), claim(0, 1, 10), advance(0, 1, ended(), Some("paid"))] {
            batch.apply(&mut books, &mut Chain(0), &command).unwrap();
        }
        batch.take_changes()
    };
    let mut batch = Batch::default();
    let escrow = Command::Escrow(Box::new(escrow()));
    batch.apply(&mut Memory::default(), &mut Chain(0), &escrow).unwrap();
    let escrows = batch.take_changes().escrows;
    let payee = payout::PayeeRow::new("acme".parse().unwrap());
    let payees = vec![PayeeChange { before: 0, row: Arc::new(payee) }];
    let payouts = vec![PayoutChanges { before: None, row: Arc::new(payout()) }];
    // Each kind of row alone: a store that took it for nothing would answer and not write.
    let alone = [
        BatchChanges { claimed: whole.claimed, ..BatchChanges::default() },
        BatchChanges { moved: whole.moved, ..BatchChanges::default() },
        BatchChanges { kept: whole.kept, ..BatchChanges::default() },
        BatchChanges { receipts: whole.receipts, ..BatchChanges::default() },
        BatchChanges { transfers: whole.transfers, ..BatchChanges::default() },
        BatchChanges { balances: whole.balances, ..BatchChanges::default() },
        BatchChanges { standings: whole.standings, ..BatchChanges::default() },
        BatchChanges { escrows, ..BatchChanges::default() },
        BatchChanges { payouts, ..BatchChanges::default() },
        BatchChanges { payees, ..BatchChanges::default() },
    ];
    for changes in alone {
        assert!(!changes.is_empty(), "{changes:?}");
        assert_ne!(changes, BatchChanges::default());
    }
}

#[test]
fn two_calls_of_one_caller_in_a_batch_both_count_for_its_standing() {
    let mut books = Memory::default();
    books.commit(&[
        grant(10, 1),
        claim(0, 1, 5),
        claim(3, 2, 5),
        advance(0, 1, ended(), Some("first")),
        advance(3, 2, ended(), Some("second")),
    ]);
    assert_eq!(books.standings[&alice()].settled, 2);
    books.commit(&[claim(2, 3, 1), advance(2, 3, ended(), None)]);
    assert_eq!(books.standings[&alice()].settled, 3, "and so does a later one");
}

#[test]
fn a_result_is_kept_without_salts_and_salts_without_a_result_and_neither_is_shown() {
    let mut books = Memory::default();
    books.commit(&[grant(10, 1), claim(0, 1, 5), claim(3, 2, 5)]);
    let mut kept = Vec::new();
    for (number, call, result, private) in
        [(0, 1, Some(b"secret result".to_vec()), None), (3, 2, None, Some("secret salt".to_owned()))]
    {
        let Command::Advance(advance) = advance(number, call, ended(), None) else { unreachable!() };
        let mut batch = Batch::default();
        let command = Command::Advance(Advance { result, private, ..advance });
        batch.apply(&mut books, &mut Chain(0), &command).unwrap();
        kept.extend(batch.take_changes().kept);
    }
    assert_eq!(kept.len(), 2);
    let shown = format!("{kept:?}");
    assert!(shown.contains("Kept(for ") && !shown.contains("secret"), "{shown}");
}

fn commands() -> impl Strategy<Value = Vec<Command>> {
    let events = prop_oneof![
        3 => Just(ended()),
        1 => Just(vec![Event::Voided { reason: "why".to_owned() }]),
        1 => Just(vec![Event::Executed { result: Digest::of(b"42") }]),
        1 => Just(vec![Event::FoundInDoubt]),
        1 => Just(vec![Event::Failed { reason: "why".to_owned() }]),
    ];
    let command = prop_oneof![
        1 => (1_u128..20, 0_u8..4).prop_map(|(units, id)| grant(units, id)),
        // A call is claimed by one key only: a reused call is the store's to refuse.
        4 => (0_u8..6, 0_u8..4, 1_u128..6).prop_map(|(number, turn, units)| claim(number, number * 4 + turn, units)),
        4 => (0_u8..6, 0_u8..4, events, any::<bool>()).prop_map(|(number, turn, events, receipt)| {
            advance(number, number * 4 + turn, events, receipt.then_some("statement"))
        }),
        1 => Just(Command::Record { call: CallId::from_bytes([99; 16]), statement: "free".to_owned() }),
    ];
    proptest::collection::vec(command, 0..40)
}

/// Without claims of a call that was claimed before.
fn each_call_once(commands: Vec<Command>) -> Vec<Command> {
    let mut seen = Vec::new();
    let is_new = |command: &Command| match command {
        Command::Claim(claim) if seen.contains(&claim.call) => false,
        Command::Claim(claim) => {
            seen.push(claim.call);
            true
        }
        _ => true,
    };
    commands.into_iter().filter(is_new).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn a_batch_of_many_is_as_many_batches_of_one(commands in commands(), cut in 0_usize..40) {
        let commands = each_call_once(commands);
        let (mut together, mut one_by_one, mut in_two) = (Memory::default(), Memory::default(), Memory::default());
        let outcomes = together.commit(&commands);
        let single: Vec<_> =
            commands.iter().flat_map(|command| one_by_one.commit(std::slice::from_ref(command))).collect();
        prop_assert_eq!(&outcomes, &single);
        prop_assert_eq!(&together, &one_by_one);
        let (first, second) = commands.split_at(cut.min(commands.len()));
        let halves = [in_two.commit(first), in_two.commit(second)].concat();
        prop_assert_eq!(&outcomes, &halves);
        prop_assert_eq!(&together, &in_two);
        prop_assert_eq!(together.findings(), []);
    }
}

#[test]
fn p15_free_calls_of_one_batch_are_counted_beside_those_that_are_committed() {
    let mut memory = Memory::default();
    let free = |call: u8| {
        let Command::Claim(claim) = claim(0, call, 0) else { panic!("a claim") };
        let key = PaymentKey::new(Rail::Credit, format!("free{call}")).unwrap();
        Command::Claim(Claim { key, funds: Funds::Free(FreeCall { calls: 3, per: Period::Day }), ..claim })
    };
    let mut chain = Chain(0);
    let mut batch = Batch::default();
    let mut met = Vec::new();
    for call in 1..=2 {
        met.push(batch.apply(&mut memory, &mut chain, &free(call)).unwrap());
    }
    memory.rows.extend(batch.take_changes().claimed);
    for call in 3..=5 {
        met.push(batch.apply(&mut memory, &mut chain, &free(call)).unwrap());
    }
    let fresh = Outcome::Claimed(Claimed::Fresh { attempt: 1 });
    assert_eq!(met[..3], [fresh.clone(), fresh.clone(), fresh]);
    assert_eq!(met[3..], [Outcome::Claimed(Claimed::NoFreeCall), Outcome::Claimed(Claimed::NoFreeCall)]);
}
