//! Every event in every state by every role, against a table that is written out.

use proptest::prelude::*;
use tollgate_domain::{Caller, EscrowId, KeyId, Principal};

use super::*;
use crate::escrow::{EscrowTerms, Milestone, Proposal, Provider, Timings};

const NOW: UnixMillis = UnixMillis::new(1_000_000);
const LATER: UnixMillis = UnixMillis::new(1_000_001);

fn who(byte: u8) -> Principal {
    Caller::ApiKey(KeyId::from_bytes([byte; 16])).principal()
}

/// An escrow over 1,001 in this state; the mediator stakes 7, the payer at least 10.
fn row(state: EscrowState) -> EscrowRow {
    let proposal = Proposal {
        payer: who(1),
        provider: Provider::Principal(who(2)),
        mediator: Mediator::Principal(who(3)),
        asset: "lightning:regtest/msat".parse().unwrap(),
        amount: Amount::new(1_001),
        milestones: Vec::new(),
        description: None,
        timings: Timings::DEFAULT,
        dispute_stake: Amount::new(10),
        mediator_stake: Amount::new(7),
        confidence_min: Bps::new(8_000),
        splits: Default::default(),
        call: None,
    };
    EscrowRow {
        id: EscrowId::from_bytes([5; 16]),
        terms: EscrowTerms::new(proposal).unwrap(),
        state,
        released: Amount::ZERO,
        refunded: Amount::ZERO,
        milestones_paid: 0,
        version: 1,
        keys: Vec::new(),
        reserved: crate::budget::Reservation::default(),
        created: UnixMillis::new(0),
        updated: UnixMillis::new(0),
    }
}

fn dispute(phase: Phase, payer_evidence: u8, provider_evidence: u8, mediator: Option<u128>) -> EscrowState {
    let (stake, mediator_stake) = (Amount::new(10), mediator.map(Amount::new));
    EscrowState::Disputed(Dispute { phase, payer_evidence, provider_evidence, stake, mediator_stake })
}

/// Every state, with a deadline that is not over yet.
fn states() -> Vec<(&'static str, EscrowState)> {
    let (evidence, mediation) = (Phase::Evidence { until: LATER }, Phase::Mediation { until: LATER });
    vec![
        ("created", EscrowState::Created { expires: LATER }),
        ("funded", EscrowState::Funded { expires: LATER }),
        ("locked", EscrowState::Locked { deadline: LATER }),
        ("delivered", EscrowState::Delivered { window_ends: LATER }),
        ("evidence none", dispute(evidence, 0, 0, None)),
        ("evidence payer", dispute(evidence, 1, 0, None)),
        ("evidence provider", dispute(evidence, 0, 1, None)),
        ("mediation", dispute(mediation, 1, 1, None)),
        ("mediation staked", dispute(mediation, 1, 1, Some(7))),
        ("operator", dispute(Phase::Operator, 1, 1, None)),
        ("released", EscrowState::Released),
        ("refunded", EscrowState::Refunded),
        ("resolved", EscrowState::Resolved { ruling: Ruling::Refund, by_default: false }),
        ("cancelled", EscrowState::Cancelled),
        ("expired", EscrowState::Expired),
    ]
}

fn rule(ruling: Ruling, confidence: u16) -> EscrowEvent {
    EscrowEvent::Rule { ruling, confidence: Bps::new(confidence), stake: None, reason: None }
}

fn events() -> Vec<(&'static str, EscrowEvent)> {
    let reason = || "why".parse().unwrap();
    vec![
        ("fund", EscrowEvent::Fund),
        ("lock", EscrowEvent::Lock),
        ("deliver", EscrowEvent::Deliver { result: None, note: None }),
        ("accept", EscrowEvent::Accept(Part::Rest)),
        ("accept 400", EscrowEvent::Accept(Part::Amount(Amount::new(400)))),
        ("cancel", EscrowEvent::Cancel { reason: None }),
        ("dispute", EscrowEvent::Dispute { stake: Amount::new(10), reason: reason() }),
        ("submit", EscrowEvent::Submit { statement: reason(), document: None }),
        ("take up", EscrowEvent::TakeUp),
        ("release", rule(Ruling::Release, 8_000)),
        ("refund", rule(Ruling::Refund, 8_000)),
        ("split", rule(Ruling::Split(Bps::new(3_333)), 8_000)),
        ("unsure", rule(Ruling::Release, 7_999)),
        ("expire", EscrowEvent::Expire),
    ]
}

const ROLES: [Role; 5] = [Role::Payer, Role::Provider, Role::Mediator, Role::Operator, Role::Clock];

/// State, event, roles, the state that follows, what moves. Whatever is not here is refused.
const ALLOWED: &[(&str, &str, &[Role], &str, &str)] = &[
    ("created", "fund", &[Role::Payer], "funded", "payer>escrow 1001"),
    ("created", "cancel", &[Role::Payer, Role::Provider], "cancelled", ""),
    ("funded", "lock", &[Role::Payer, Role::Provider], "locked", ""),
    ("funded", "cancel", &[Role::Payer, Role::Provider], "refunded", "escrow>payer 1001"),
    ("locked", "deliver", &[Role::Provider], "delivered", ""),
    ("locked", "accept 400", &[Role::Payer], "locked", "escrow>provider 400"),
    ("locked", "cancel", &[Role::Provider], "refunded", "escrow>payer 1001"),
    ("delivered", "accept", &[Role::Payer], "released", "escrow>provider 1001"),
    ("delivered", "accept 400", &[Role::Payer], "delivered", "escrow>provider 400"),
    ("delivered", "cancel", &[Role::Provider], "refunded", "escrow>payer 1001"),
    ("delivered", "dispute", &[Role::Payer], "evidence 0 0", "payer>stake 10"),
    // The evidence of both sides ends the first phase.
    ("evidence none", "submit", &[Role::Payer], "evidence 1 0", ""),
    ("evidence none", "submit", &[Role::Provider], "evidence 0 1", ""),
    ("evidence payer", "submit", &[Role::Payer], "evidence 2 0", ""),
    ("evidence payer", "submit", &[Role::Provider], "mediation 1 1", ""),
    ("evidence provider", "submit", &[Role::Payer], "mediation 1 1", ""),
    ("evidence provider", "submit", &[Role::Provider], "evidence 0 2", ""),
    ("mediation", "submit", &[Role::Payer], "mediation 2 1", ""),
    ("mediation", "submit", &[Role::Provider], "mediation 1 2", ""),
    ("mediation staked", "submit", &[Role::Payer], "mediation 2 1 staked", ""),
    ("mediation staked", "submit", &[Role::Provider], "mediation 1 2 staked", ""),
    ("operator", "submit", &[Role::Payer], "operator 2 1", ""),
    ("operator", "submit", &[Role::Provider], "operator 1 2", ""),
    // Either side may give in.
    ("evidence none", "accept", &[Role::Payer], "released", "stake>payer 10, escrow>provider 1001"),
    ("evidence payer", "accept", &[Role::Payer], "released", "stake>payer 10, escrow>provider 1001"),
    ("evidence provider", "accept", &[Role::Payer], "released", "stake>payer 10, escrow>provider 1001"),
    ("mediation", "accept", &[Role::Payer], "released", "stake>payer 10, escrow>provider 1001"),
    (
        "mediation staked",
        "accept",
        &[Role::Payer],
        "released",
        "stake>payer 10, stake>mediator 7, escrow>provider 1001",
    ),
    ("operator", "accept", &[Role::Payer], "released", "stake>payer 10, escrow>provider 1001"),
    ("evidence none", "cancel", &[Role::Provider], "refunded", "stake>payer 10, escrow>payer 1001"),
    ("evidence payer", "cancel", &[Role::Provider], "refunded", "stake>payer 10, escrow>payer 1001"),
    ("evidence provider", "cancel", &[Role::Provider], "refunded", "stake>payer 10, escrow>payer 1001"),
    ("mediation", "cancel", &[Role::Provider], "refunded", "stake>payer 10, escrow>payer 1001"),
    (
        "mediation staked",
        "cancel",
        &[Role::Provider],
        "refunded",
        "stake>payer 10, stake>mediator 7, escrow>payer 1001",
    ),
    ("operator", "cancel", &[Role::Provider], "refunded", "stake>payer 10, escrow>payer 1001"),
    ("evidence none", "take up", &[Role::Mediator], "evidence 0 0 staked", "mediator>stake 7"),
    ("evidence payer", "take up", &[Role::Mediator], "evidence 1 0 staked", "mediator>stake 7"),
    ("evidence provider", "take up", &[Role::Mediator], "evidence 0 1 staked", "mediator>stake 7"),
    ("mediation", "take up", &[Role::Mediator], "mediation 1 1 staked", "mediator>stake 7"),
    // Rulings: the mediator's once staked, the operator's always.
    (
        "mediation staked",
        "release",
        &[Role::Mediator, Role::Operator],
        "resolved",
        "escrow>provider 1001, stake>provider 10, stake>mediator 7",
    ),
    (
        "mediation staked",
        "refund",
        &[Role::Mediator, Role::Operator],
        "resolved",
        "escrow>payer 1001, stake>payer 10, stake>mediator 7",
    ),
    (
        "mediation staked",
        "split",
        &[Role::Mediator, Role::Operator],
        "resolved",
        "escrow>provider 333, escrow>payer 668, stake>payer 10, stake>mediator 7",
    ),
    ("mediation staked", "unsure", &[Role::Mediator], "operator 1 1", "stake>mediator 7"),
    (
        "mediation staked",
        "unsure",
        &[Role::Operator],
        "resolved",
        "escrow>provider 1001, stake>provider 10, stake>mediator 7",
    ),
];

/// What an operator's ruling comes to in each phase in which no mediator has staked.
const OPERATOR: &[(&str, &str)] = &[
    ("release", "escrow>provider 1001, stake>provider 10"),
    ("unsure", "escrow>provider 1001, stake>provider 10"),
    ("refund", "escrow>payer 1001, stake>payer 10"),
    ("split", "escrow>provider 333, escrow>payer 668, stake>payer 10"),
];

fn expected(state: &str, event: &str, role: Role) -> Option<(String, String)> {
    let in_table =
        ALLOWED.iter().find(|(s, e, roles, ..)| *s == state && *e == event && roles.contains(&role));
    if let Some((_, _, _, next, moves)) = in_table {
        return Some(((*next).to_owned(), (*moves).to_owned()));
    }
    let unstaked = ["evidence none", "evidence payer", "evidence provider", "mediation", "operator"];
    let ruled = OPERATOR.iter().find(|(e, _)| *e == event);
    let (_, moves) = ruled.filter(|_| role == Role::Operator && unstaked.contains(&state))?;
    Some(("resolved".to_owned(), (*moves).to_owned()))
}

fn described(applied: &Applied) -> (String, String) {
    let purse = |purse| match purse {
        Purse::Payer => "payer",
        Purse::Provider => "provider",
        Purse::Mediator => "mediator",
        Purse::Escrow => "escrow",
        Purse::Stake => "stake",
    };
    let moves: Vec<String> = applied
        .movements
        .iter()
        .map(|movement| format!("{}>{} {}", purse(movement.from), purse(movement.to), movement.amount))
        .collect();
    let state = match applied.state {
        EscrowState::Disputed(dispute) => {
            let staked = if dispute.mediator_stake.is_some() { " staked" } else { "" };
            let (phase, payer) = (dispute.phase.word(), dispute.payer_evidence);
            format!("{phase} {payer} {}{staked}", dispute.provider_evidence)
        }
        state => state.word().to_owned(),
    };
    (state, moves.join(", "))
}

#[test]
fn p22_only_the_allowed_party_in_the_allowed_state_changes_anything() {
    let mut allowed = 0;
    for (state_name, state) in states() {
        for (event_name, event) in events() {
            for role in ROLES {
                let at = format!("{event_name} by {role:?} while {state_name}");
                let applied = apply(&row(state), &event, role, NOW);
                match expected(state_name, event_name, role) {
                    Some(expected) => {
                        allowed += 1;
                        assert_eq!(applied.as_ref().map(described), Ok(expected), "{at}");
                    }
                    None => {
                        let refusal = applied.expect_err(&at);
                        let knows =
                            ALLOWED.iter().any(|(_, e, roles, ..)| *e == event_name && roles.contains(&role));
                        let ever = knows || (event_name == "expire" && role == Role::Clock);
                        let ever = ever
                            || (role == Role::Operator || role == Role::Mediator)
                                && OPERATOR.iter().any(|(e, _)| *e == event_name);
                        let is_party = matches!(refusal, EscrowRefusal::WrongParty { .. });
                        assert_eq!(is_party, !ever, "{at}: {refusal}");
                    }
                }
            }
        }
    }
    let written: usize = ALLOWED.iter().map(|(_, _, roles, ..)| roles.len()).sum();
    // In five phases no mediator has staked.
    assert_eq!(allowed, written + 5 * OPERATOR.len(), "every row of the table was met");
}

#[test]
fn p22_after_a_deadline_only_the_clock_acts_and_before_it_the_clock_does_not() {
    for (state_name, state) in states() {
        let row = row(state);
        let Some(due) = state.due() else { continue };
        let early = apply(&row, &EscrowEvent::Expire, Role::Clock, NOW);
        assert_eq!(early, Err(EscrowRefusal::NotDue), "{state_name}");
        assert!(apply(&row, &EscrowEvent::Expire, Role::Clock, due).is_ok(), "{state_name}");
        for (event_name, event) in events() {
            for role in [Role::Payer, Role::Provider, Role::Mediator, Role::Operator] {
                let at = format!("{event_name} by {role:?} while {state_name}");
                let in_time = apply(&row, &event, role, NOW);
                let late = apply(&row, &event, role, due);
                match (in_time, late) {
                    (Ok(_), Err(EscrowRefusal::DeadlinePassed { .. })) | (Err(_), Err(_)) => {}
                    (in_time, late) => panic!("{at}: {in_time:?}, then {late:?}"),
                }
            }
        }
    }
}

#[test]
fn what_a_deadline_comes_to() {
    let after = |name: &str| {
        let (_, state) = states().into_iter().find(|(known, _)| *known == name).unwrap();
        described(&apply(&row(state), &EscrowEvent::Expire, Role::Clock, LATER).unwrap())
    };
    let expected = |state: &str, moves: &str| (state.to_owned(), moves.to_owned());
    assert_eq!(after("created"), expected("expired", ""));
    assert_eq!(after("funded"), expected("refunded", "escrow>payer 1001"));
    assert_eq!(after("locked"), expected("refunded", "escrow>payer 1001"));
    assert_eq!(after("delivered"), expected("released", "escrow>provider 1001"));
    // Silence of one side decides, and settles the stake too.
    assert_eq!(after("evidence payer"), expected("resolved", "escrow>payer 1001, stake>payer 10"));
    assert_eq!(after("evidence provider"), expected("resolved", "escrow>provider 1001, stake>provider 10"));
    assert_eq!(after("evidence none"), expected("mediation 0 0", ""));
    // A mediator that did not decide has lost its stake to the parties, the odd unit to the payer.
    assert_eq!(after("mediation"), expected("operator 1 1", ""));
    assert_eq!(after("mediation staked"), expected("operator 1 1", "stake>payer 4, stake>provider 3"));
}

#[test]
fn without_a_mediator_the_operator_decides_at_once() {
    let mut row = row(dispute(Phase::Evidence { until: LATER }, 1, 0, None));
    let mut proposal = (*row.terms).clone();
    let submit = EscrowEvent::Submit { statement: "no".parse().unwrap(), document: None };
    let mediated = apply(&row, &submit, Role::Provider, NOW).unwrap();
    assert_eq!(described(&mediated).0, "mediation 1 1", "control");
    proposal.mediator = Mediator::Nobody;
    row.terms = EscrowTerms::new(proposal).unwrap();
    assert_eq!(described(&apply(&row, &submit, Role::Provider, NOW).unwrap()).0, "operator 1 1");
}

#[test]
fn a_mediator_decides_only_once_it_has_staked_and_a_service_need_not() {
    let mut row = row(dispute(Phase::Mediation { until: LATER }, 1, 1, None));
    let sure = rule(Ruling::Release, 10_000);
    let unstaked = apply(&row, &sure, Role::Mediator, NOW);
    assert_eq!(unstaked, Err(EscrowRefusal::NotTakenUp(Amount::new(7))));
    let mut proposal = (*row.terms).clone();
    proposal.mediator = Mediator::Service;
    row.terms = EscrowTerms::new(proposal).unwrap();
    assert_eq!(described(&apply(&row, &sure, Role::Mediator, NOW).unwrap()).0, "resolved");
    assert!(apply(&row, &EscrowEvent::TakeUp, Role::Mediator, NOW).is_err(), "a service has no purse");
}

#[test]
fn whoever_rules_may_say_what_becomes_of_the_stake() {
    let row = row(dispute(Phase::Operator, 1, 1, None));
    for (ruling, stake, moves) in [
        (Ruling::Refund, StakeRuling::Forfeit, "escrow>payer 1001, stake>provider 10"),
        (Ruling::Release, StakeRuling::Return, "escrow>provider 1001, stake>payer 10"),
    ] {
        let event = EscrowEvent::Rule { ruling, confidence: Bps::ONE, stake: Some(stake), reason: None };
        assert_eq!(described(&apply(&row, &event, Role::Operator, NOW).unwrap()).1, moves);
    }
}

#[test]
fn a_stake_below_the_agreed_one_and_too_much_evidence_are_refused() {
    let delivered = row(EscrowState::Delivered { window_ends: LATER });
    let stake = |units| EscrowEvent::Dispute { stake: Amount::new(units), reason: "bad".parse().unwrap() };
    assert!(apply(&delivered, &stake(11), Role::Payer, NOW).is_ok(), "control");
    let refused = apply(&delivered, &stake(9), Role::Payer, NOW);
    assert_eq!(refused, Err(EscrowRefusal::Stake { least: Amount::new(10) }));
    let submit = EscrowEvent::Submit { statement: "see".parse().unwrap(), document: None };
    let shown = |count| row(dispute(Phase::Operator, count, 0, None));
    assert!(apply(&shown(15), &submit, Role::Payer, NOW).is_ok(), "control");
    assert_eq!(apply(&shown(16), &submit, Role::Payer, NOW), Err(EscrowRefusal::Evidence(16)));
}

#[test]
fn milestones_are_released_once_each_and_the_last_one_ends_it() {
    let mut row = row(EscrowState::Locked { deadline: LATER });
    let mut proposal = (*row.terms).clone();
    let part = |title: &str, units| Milestone { title: title.into(), amount: Amount::new(units) };
    proposal.milestones = vec![part("draft", 400), part("final", 601)];
    row.terms = EscrowTerms::new(proposal).unwrap();
    let release = |row: &EscrowRow, part| apply(row, &EscrowEvent::Accept(part), Role::Payer, NOW);
    let first = release(&row, Part::Milestone(0)).unwrap();
    assert_eq!(described(&first), ("locked".to_owned(), "escrow>provider 400".to_owned()));
    assert!(matches!(release(&row, Part::Milestone(2)), Err(EscrowRefusal::Part(_))), "there is no third");
    assert!(matches!(release(&row, Part::Amount(Amount::new(1))), Err(EscrowRefusal::Part(_))));
    (row.released, row.milestones_paid) = (Amount::new(400), 1);
    assert!(matches!(release(&row, Part::Milestone(0)), Err(EscrowRefusal::Part(_))), "once");
    let last = release(&row, Part::Milestone(1)).unwrap();
    assert_eq!(described(&last), ("released".to_owned(), "escrow>provider 601".to_owned()));
    // What ends otherwise moves the rest alone.
    let cancelled = apply(&row, &EscrowEvent::Cancel { reason: None }, Role::Provider, NOW).unwrap();
    assert_eq!(described(&cancelled).1, "escrow>payer 601");
}

#[test]
fn p8_parts_of_nothing_and_of_more_than_is_left_are_refused() {
    let row = row(EscrowState::Delivered { window_ends: LATER });
    let part = |units| apply(&row, &EscrowEvent::Accept(Part::Amount(Amount::new(units))), Role::Payer, NOW);
    assert_eq!(described(&part(1_001).unwrap()).0, "released", "control");
    for units in [0, 1_002, u128::MAX] {
        assert!(matches!(part(units), Err(EscrowRefusal::Part(_))), "{units}");
    }
}

/// Any state in which money may be, with any counts and stakes, and a deadline about now.
fn any_state() -> impl Strategy<Value = EscrowState> {
    let due = || (999_990_u64..1_000_010).prop_map(UnixMillis::new);
    let phase = prop_oneof![
        due().prop_map(|until| Phase::Evidence { until }),
        due().prop_map(|until| Phase::Mediation { until }),
        Just(Phase::Operator),
    ];
    let disputed = (phase, 0_u8..18, 0_u8..18, 0_u128..100, proptest::option::of(0_u128..100));
    let disputed = disputed.prop_map(|(phase, payer_evidence, provider_evidence, stake, mediator)| {
        let (stake, mediator_stake) = (Amount::new(stake), mediator.map(Amount::new));
        EscrowState::Disputed(Dispute { phase, payer_evidence, provider_evidence, stake, mediator_stake })
    });
    let ended = proptest::sample::select(vec![
        EscrowState::Released,
        EscrowState::Refunded,
        EscrowState::Resolved { ruling: Ruling::Release, by_default: true },
        EscrowState::Cancelled,
        EscrowState::Expired,
    ]);
    prop_oneof![
        1 => due().prop_map(|expires| EscrowState::Created { expires }),
        1 => due().prop_map(|expires| EscrowState::Funded { expires }),
        1 => due().prop_map(|deadline| EscrowState::Locked { deadline }),
        1 => due().prop_map(|window_ends| EscrowState::Delivered { window_ends }),
        5 => disputed,
        1 => ended,
    ]
}

fn any_event() -> impl Strategy<Value = EscrowEvent> {
    let ruling = prop_oneof![
        Just(Ruling::Release),
        Just(Ruling::Refund),
        (0_u16..=10_000).prop_map(|share| Ruling::Split(Bps::new(share))),
    ];
    let stake = proptest::option::of(prop_oneof![Just(StakeRuling::Return), Just(StakeRuling::Forfeit)]);
    let rule = (ruling, 0_u16..=10_000, stake).prop_map(|(ruling, confidence, stake)| EscrowEvent::Rule {
        ruling,
        confidence: Bps::new(confidence),
        stake,
        reason: None,
    });
    let known = events().into_iter().map(|(_, event)| event).collect::<Vec<_>>();
    prop_oneof![
        6 => proptest::sample::select(known),
        3 => rule,
        1 => (0_u128..1_200).prop_map(|units| EscrowEvent::Accept(Part::Amount(Amount::new(units)))),
        1 => (0_u8..4).prop_map(|place| EscrowEvent::Accept(Part::Milestone(place))),
        1 => (0_u128..30).prop_map(|units| EscrowEvent::Dispute {
            stake: Amount::new(units),
            reason: "why".parse().unwrap(),
        }),
    ]
}

/// What stands on the accounts of an escrow in this state: its own, and that of stakes.
fn held(state: &EscrowState, rest: u128) -> (u128, u128) {
    match state {
        EscrowState::Funded { .. } | EscrowState::Locked { .. } | EscrowState::Delivered { .. } => (rest, 0),
        EscrowState::Disputed(dispute) => {
            (rest, dispute.stake.get() + dispute.mediator_stake.unwrap_or_default().get())
        }
        _ => (0, 0),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_096))]

    /// What moves is what one state holds more than the other: nothing is lost, made, or paid from a purse that has it not.
    #[test]
    fn p22_whatever_follows_on_anything_the_money_is_all_there(
        state in any_state(),
        event in any_event(),
        role in proptest::sample::select(ROLES.to_vec()),
        now in 999_980_u64..1_000_020,
        gone in 0_u128..1_001,
    ) {
        let mut row = row(state);
        if !matches!(state, EscrowState::Created { .. } | EscrowState::Funded { .. }) {
            row.released = Amount::new(gone);
        }
        let now = UnixMillis::new(now);
        let Ok(Applied { state: next, movements }) = apply(&row, &event, role, now) else { return Ok(()) };
        prop_assert!(!state.is_terminal(), "what has ended stays ended");
        let late = state.due().is_some_and(|due| now >= due);
        prop_assert_eq!(late, role == Role::Clock, "before a deadline the clock does nothing, after it nobody else");
        let (mut escrow, mut stake) = held(&state, row.rest().get());
        let mut left = row.rest().get();
        for Movement { from, to, amount } in movements {
            prop_assert!(from != to && !amount.is_zero());
            for (purse, sign) in [(from, false), (to, true)] {
                let account = match purse {
                    Purse::Escrow => &mut escrow,
                    Purse::Stake => &mut stake,
                    Purse::Payer | Purse::Provider | Purse::Mediator => continue,
                };
                let units = amount.get();
                let after = if sign { account.checked_add(units) } else { account.checked_sub(units) };
                prop_assert!(after.is_some(), "more leaves than is there");
                *account = after.unwrap_or_default();
            }
            if from == Purse::Escrow {
                left -= amount.get();
            }
        }
        prop_assert_eq!((escrow, stake), held(&next, left));
    }
}
