use proptest::prelude::*;
use tollgate_domain::{
    Amount, Binding, Caller, Digest, KeyId, PaymentKey, Rail, ReceiptId, Settle, ToolRef, UnixMillis,
};
use tollgate_ledger::{Funds, State};

use super::*;
use crate::store::LEDGER;

fn file() -> Connection {
    let connection = Connection::open_in_memory().unwrap();
    connection.pragma_update(None, "foreign_keys", "ON").unwrap();
    LEDGER.bring_up(&connection, 0).unwrap();
    connection
}

fn key(number: u8) -> PaymentKey {
    let rail = if number.is_multiple_of(2) { Rail::Credit } else { Rail::X402 };
    PaymentKey::new(rail, format!("payer/{number}")).unwrap()
}

fn row(number: u8, attempt: u32, call: u8) -> SettlementRow {
    let caller = Caller::ApiKey(KeyId::from_bytes([1; 16])).principal();
    SettlementRow {
        key: key(number),
        attempt,
        call: CallId::from_bytes([call; 16]),
        caller: caller.clone(),
        payer: caller,
        settle: Settle::After,
        binding: Binding {
            tool: ToolRef { server: "demo".parse().unwrap(), tool: "add".parse().unwrap() },
            args: Digest::of(b"{}"),
            price_version: 1,
            quote: None,
        },
        amount: Amount::new(10),
        asset: "lightning:regtest/msat".parse().unwrap(),
        funds: Funds::OnSettlement,
        proof: "secret".into(),
        expires: UnixMillis::new(1_000),
        state: State::Claimed,
        claimed: UnixMillis::new(u64::from(call)),
        updated: UnixMillis::new(u64::from(call)),
        result: None,
        reference: None,
        reason: None,
        receipt: None,
        refund: None,
        refunded: Amount::ZERO,
        reserved: Default::default(),
        splits: Default::default(),
    }
}

#[derive(Clone, Copy, Debug)]
enum Act {
    /// Claims with a key whose last attempt, if there is one, is void.
    Claim(u8),
    Advance(u8, State),
    Keep(u8, bool, bool),
    /// Somebody counts, in the middle of a transaction.
    Write,
    /// The transaction is committed, and another one begins.
    End,
}

fn act() -> impl Strategy<Value = Act> {
    let state = prop_oneof![Just(State::Executed), Just(State::Settled), Just(State::Voided)];
    prop_oneof![
        4 => (0..6u8).prop_map(Act::Claim),
        4 => (0..6u8, state).prop_map(|(key, state)| Act::Advance(key, state)),
        2 => (0..6u8, any::<bool>(), any::<bool>()).prop_map(|(key, result, private)| Act::Keep(key, result, private)),
        1 => Just(Act::Write),
        1 => Just(Act::End),
    ]
}

/// Everything that attempts leave in a file, as text.
fn content(file: &Connection) -> Vec<String> {
    ["SELECT * FROM settlements ORDER BY id", "SELECT * FROM results ORDER BY settlement", PROOFS]
        .into_iter()
        .flat_map(|query| {
            let mut query = file.prepare(query).unwrap();
            let columns = query.column_count();
            let rows = query.query_map([], |row| {
                (0..columns).map(|column| row.get_ref(column).map(|value| format!("{value:?}"))).collect()
            });
            rows.unwrap().map(|row: rusqlite::Result<Vec<String>>| row.unwrap().join(" ")).collect::<Vec<_>>()
        })
        .collect()
}

const PROOFS: &str =
    "SELECT * FROM (SELECT * FROM proofs UNION ALL SELECT * FROM proofs_lately) ORDER BY 1, 2";

proptest! {
    /// What is written once, at the end, is what the redo log would write step by step.
    #[test]
    fn a_file_written_late_is_the_file_that_the_redo_log_makes(acts in proptest::collection::vec(act(), 1..60)) {
        let (late, again) = (file(), file());
        let (mut attempts, mut redo) = (Attempts::default(), Redo::default());
        let mut last: HashMap<u8, SettlementRow> = HashMap::new();
        let mut calls = 0;
        for act in acts {
            match act {
                Act::Claim(number) => {
                    let before = last.get(&number);
                    if before.is_some_and(|before| before.state != State::Voided) {
                        continue;
                    }
                    calls += 1;
                    let claimed = row(number, before.map_or(1, |before| before.attempt + 1), calls);
                    prop_assert!(attempts.claim(&late, &mut redo, &Arc::new(claimed.clone())).is_ok());
                    last.insert(number, claimed);
                }
                Act::Advance(number, state) => {
                    let Some(row) = last.get_mut(&number).filter(|row| !row.state.is_terminal()) else { continue };
                    let before = row.state;
                    (row.state, row.updated) = (state, UnixMillis::new(500));
                    row.result = Some(Digest::of(b"42"));
                    row.receipt = Some(ReceiptId::from_bytes([9; 16]));
                    row.reason = (state == State::Voided).then(|| "the tool failed".to_owned());
                    let moved = Moved { before, row: Arc::new(row.clone()) };
                    attempts.advance(&late, &mut redo, &moved).unwrap();
                }
                Act::Keep(number, result, private) => {
                    let Some(row) = last.get(&number) else { continue };
                    let result = result.then(|| vec![calls]);
                    let private = private.then(|| format!("{calls}"));
                    let at = UnixMillis::new(u64::from(calls));
                    attempts.keep(&late, &mut redo, &Kept { call: row.call, result, private, at }).unwrap();
                }
                Act::Write => attempts.write(&late, &mut redo).unwrap(),
                Act::End => {
                    attempts.end(&late, &mut redo).unwrap();
                    crate::redo::again(&again, [redo.noted()]).unwrap();
                    redo.begin();
                    prop_assert_eq!(content(&late), content(&again));
                }
            }
            for (number, row) in &last {
                let known = attempts.get(&key(*number));
                let found = match known {
                    Some(known) => Some(SettlementRow::clone(&known)),
                    None => crate::rows::settlement_by_key(&late, &key(*number)).unwrap(),
                };
                prop_assert_eq!(found.as_ref(), Some(row));
            }
        }
        attempts.end(&late, &mut redo).unwrap();
        crate::redo::again(&again, [redo.noted()]).unwrap();
        prop_assert_eq!(content(&late), content(&again));
        prop_assert_eq!(content(&late).is_empty(), last.is_empty(), "control");
    }
}

#[test]
fn a_call_is_claimed_once_whether_or_not_it_is_in_the_file() {
    let file = file();
    let (mut attempts, mut redo) = (Attempts::default(), Redo::default());
    let claim = |attempts: &mut Attempts, redo: &mut Redo, number, call| {
        attempts.claim(&file, redo, &Arc::new(row(number, 1, call))).is_ok()
    };
    assert!(claim(&mut attempts, &mut redo, 1, 1));
    assert!(!claim(&mut attempts, &mut redo, 2, 1), "not in the file yet");
    attempts.write(&file, &mut redo).unwrap();
    assert!(!claim(&mut attempts, &mut redo, 2, 1), "in the file");
    assert!(claim(&mut attempts, &mut redo, 2, 2), "control");
}

#[test]
fn what_was_undone_is_not_written() {
    let file = file();
    let (mut attempts, mut redo) = (Attempts::default(), Redo::default());
    assert!(attempts.claim(&file, &mut redo, &Arc::new(row(1, 1, 1))).is_ok());
    attempts.forget();
    attempts.end(&file, &mut redo).unwrap();
    assert_eq!((content(&file), attempts.get(&key(1))), (vec![], None));
}
