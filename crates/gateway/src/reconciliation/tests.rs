use proptest::prelude::*;
use tollgate_domain::{Binding, Digest, PaymentKey, Principal, Settle, ToolRef};

use super::*;

fn asset() -> AssetId {
    "eip155:84532/erc20:0x036cbd53842c5426634e7929541ec2318f3dcf7e".parse().unwrap()
}

fn row(reference: &str, units: u128, state: State) -> SettlementRow {
    let who: Principal = tollgate_domain::Caller::Wallet([1; 20]).principal();
    SettlementRow {
        key: PaymentKey::new(Rail::X402, reference).unwrap(),
        attempt: 1,
        call: CallId::from_bytes([1; 16]),
        caller: who.clone(),
        payer: who,
        settle: Settle::After,
        binding: Binding {
            tool: ToolRef { server: "demo".parse().unwrap(), tool: "add".parse().unwrap() },
            args: Digest::of(b"{}"),
            price_version: 1,
            quote: None,
        },
        amount: Amount::new(units),
        asset: asset(),
        funds: Funds::OnSettlement,
        proof: "".into(),
        expires: UnixMillis::new(9),
        state,
        claimed: UnixMillis::new(1),
        updated: UnixMillis::new(1),
        result: None,
        reference: Some(reference.to_owned()),
        reason: None,
        receipt: None,
        refund: None,
        refunded: Amount::ZERO,
        reserved: tollgate_ledger::budget::Reservation::default(),
        splits: Default::default(),
    }
}

fn arrival(reference: &str, units: u128) -> Arrival {
    Arrival { reference: reference.to_owned(), payer: "0x1".to_owned(), amount: Amount::new(units) }
}

fn lacking(arrivals: &[Arrival], known: &[SettlementRow]) -> Vec<(String, u128)> {
    let found = unknown_to_the_books(Rail::X402, &asset(), arrivals, known);
    let told = found.into_iter().map(|difference| match difference {
        Difference::MissingInBooks { reference, amount, .. } => (reference, amount.get()),
        other => panic!("{other:?}"),
    });
    told.collect()
}

#[test]
fn an_answer_of_a_rail_agrees_differs_or_is_missing() {
    let booked = || Booked::of(&row("0xa", 10, State::Settled));
    assert_eq!(judged(booked(), Ok(Some(Amount::new(10)))), None);
    let shown = Amount::new(9);
    assert_eq!(
        judged(booked(), Ok(Some(shown))),
        Some(Difference::AmountDiffers { booked: booked(), shown })
    );
    assert_eq!(judged(booked(), Ok(None)), Some(Difference::MissingOnRail(booked())));
    let silent = judged(booked(), Err("timeout".to_owned()));
    assert!(matches!(silent, Some(Difference::NotAnswered { .. })), "silence is no agreement: {silent:?}");
}

#[test]
fn only_what_the_books_say_came_in_covers_an_arrival() {
    let arrivals = [arrival("0xa", 10)];
    assert_eq!(lacking(&arrivals, &[row("0xa", 10, State::Settled)]), []);
    for state in [State::Failed, State::Voided, State::Manual] {
        assert_eq!(lacking(&arrivals, &[row("0xa", 10, state)]), [("0xa".to_owned(), 10)], "{state}");
    }
    let credit = SettlementRow {
        funds: Funds::Credit(tollgate_domain::Caller::Wallet([1; 20]).principal()),
        ..row("0xa", 10, State::Settled)
    };
    assert_eq!(lacking(&arrivals, &[credit]), [("0xa".to_owned(), 10)]);
}

proptest! {
    #[test]
    fn what_is_lacking_is_what_came_in_less_what_is_booked(
        came in prop::collection::vec((0_u8..3, 1_u128..100), 0..8),
        booked in prop::collection::vec((0_u8..3, 1_u128..100), 0..8),
    ) {
        let name = |number: u8| format!("0x{number}");
        let arrivals: Vec<_> = came.iter().map(|(tx, units)| arrival(&name(*tx), *units)).collect();
        let rows: Vec<_> = booked.iter().map(|(tx, units)| row(&name(*tx), *units, State::Settled)).collect();
        let found = lacking(&arrivals, &rows);
        for tx in 0..3 {
            let of = |all: &[(u8, u128)]| all.iter().filter(|one| one.0 == tx).map(|one| one.1).sum::<u128>();
            let told: u128 = found.iter().filter(|one| one.0 == name(tx)).map(|one| one.1).sum();
            prop_assert_eq!(told, of(&came).saturating_sub(of(&booked)));
        }
    }
}
