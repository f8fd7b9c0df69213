//! Files of earlier versions open, with everything in them.

use rusqlite::params;
use tempfile::TempDir;
use tollgate_attest::{FIRST_PREVIOUS, seal};
use tollgate_domain::{PayoutId, Rail};
use tollgate_ledger::payout::{
    Actor, MovePayout, PayoutCommand, PayoutEvent, PayoutFilter, PayoutRow, PayoutState, PayoutStore, Source,
    hold_of,
};
use tollgate_ledger::{LedgerStore, hold_id, resolution_id};
use tollgate_store::Store;

use crate::world::*;

const VERSION_1: &str = include_str!("../../src/schema/ledger_1.sql");

/// The tables of the version that brought payouts.
const VERSION_10: &str = concat!(
    include_str!("../../src/schema/ledger_1.sql"),
    include_str!("../../src/schema/ledger_2.sql"),
    include_str!("../../src/schema/ledger_3.sql"),
    include_str!("../../src/schema/ledger_4.sql"),
    include_str!("../../src/schema/ledger_5.sql"),
    include_str!("../../src/schema/ledger_6.sql"),
    include_str!("../../src/schema/ledger_7.sql"),
    include_str!("../../src/schema/ledger_8.sql"),
    include_str!("../../src/schema/ledger_9.sql"),
    include_str!("../../src/schema/ledger_10.sql"),
);

/// A payout of 100 and its provider as programs wrote them before there were payouts of credit; the id is `x'…'`, or `'\x…'` for
/// PostgreSQL.
pub(crate) fn old_payout(id: &str) -> String {
    let (asset, by) = (asset(), alice());
    let to = format!("02{}", "a".repeat(64));
    format!(
        "INSERT INTO payouts (id, provider, state, version, standing) VALUES ({id}, 'acme', 'held', 1, \
         '{{\"server\":\"demo\",\"by\":\"{by}\",\"destination\":{{\"rail\":\"lightning\",\"asset\":\"{asset}\",\"to\":\"{to}\"}},\
         \"amount\":\"100\",\"created\":100,\"updated\":100}}'); \
         INSERT INTO payees (provider, version, standing) VALUES ('acme', 2, \
         '{{\"destinations\":[{{\"destination\":{{\"rail\":\"lightning\",\"asset\":\"{asset}\",\"to\":\"{to}\"}},\
         \"added\":7,\"by\":\"config\"}}],\"counted\":[]}}');"
    )
}

/// That payout is read as it was written, and its provider's list.
pub(crate) async fn old_payout_is_there(store: &Store) -> PayoutRow {
    let page = store.payouts(PayoutFilter::default(), 9).await.unwrap();
    let [row] = page.rows.as_slice() else { panic!("{page:?}") };
    let Source::Earned { provider, server, by } = &row.source else { panic!("{row:?}") };
    assert_eq!((provider.as_str(), server.as_str(), by), ("acme", "demo", &alice()));
    assert_eq!((row.state, row.amount.get(), row.version), (PayoutState::Held, 100, 1));
    let payee = store.payee(provider).await.unwrap().unwrap();
    assert_eq!((payee.version, payee.listed(&row.destination).unwrap().added), (2, at(7)));
    row.clone()
}

#[tokio::test]
async fn f12_payouts_of_an_earlier_version_are_there_and_go_on() {
    let directory = TempDir::new().unwrap();
    let file = rusqlite::Connection::open(directory.path().join("ledger.db")).unwrap();
    file.execute_batch(VERSION_10).unwrap();
    file.pragma_update(None, "application_id", i32::from_be_bytes(*b"TGlg")).unwrap();
    file.pragma_update(None, "user_version", 10).unwrap();
    let id = PayoutId::from_bytes([5; 16]);
    let hold = hold_of(&id).as_bytes().iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let asset = asset();
    file.execute_batch(&format!(
        "INSERT INTO accounts (asset, name, debits_pending, debits_posted, credits_pending, credits_posted) VALUES \
         ('{asset}', 'clearing:l402', '0', '500', '100', '0'), ('{asset}', 'payable:demo', '100', '0', '0', '500'); \
         INSERT INTO transfers (id, kind, debit, credit, amount, note, at) VALUES \
         (x'{}', 'posted', 1, 2, '500', 'earned', 1), (x'{hold}', 'pending', 2, 1, '100', 'payout', 100); {}",
        "07".repeat(16),
        old_payout(&format!("x'{}'", "05".repeat(16))),
    ))
    .unwrap();
    drop(file);
    let store = open(&directory);
    in_order(&store).await;
    let row = old_payout_is_there(&store).await;
    for event in [
        PayoutEvent::Submit { instruction: "sign".to_owned() },
        PayoutEvent::Settled { reference: "ab".to_owned() },
    ] {
        let step = MovePayout { id: row.id, by: Actor::Gateway, event, expected: None, now: at(200) };
        store.payout_command(PayoutCommand::Move(step)).await.unwrap();
        in_order(&store).await;
    }
    assert_eq!(balances(&store, &payable()).await.debits_posted.get(), 100);
}

/// A file of version 1 with one settled call, its result and its receipt, one free call's receipt, and one grant.
fn version_1(directory: &TempDir, paid: &tollgate_ledger::Claim) -> String {
    let file = rusqlite::Connection::open(directory.path().join("ledger.db")).unwrap();
    file.execute_batch(VERSION_1).unwrap();
    file.pragma_update(None, "application_id", i32::from_be_bytes(*b"TGlg")).unwrap();
    file.pragma_update(None, "user_version", 1).unwrap();
    let accounts = [
        ("clearing:manual", "0", "5", "0", "0"),
        ("clearing:x402", "0", "10", "0", "0"),
        ("payable:demo", "0", "0", "0", "10"),
        ("credit:wallet", "0", "0", "0", "5"),
    ];
    for (name, debits_pending, debits, credits_pending, credits) in accounts {
        let name = name.replace("wallet", wallet().as_str());
        file.execute(
            "INSERT INTO accounts (asset, name, debits_pending, debits_posted, credits_pending, credits_posted) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![asset().as_str(), name, debits_pending, debits, credits_pending, credits],
        )
        .unwrap();
    }
    let transfer = |id: [u8; 16], kind: &str, resolves: Option<[u8; 16]>, sides: (i64, i64), amount: &str| {
        let call = (kind != "posted").then(|| *paid.call.as_bytes());
        file.execute(
            "INSERT INTO transfers (id, kind, resolves, debit, credit, amount, call, note, at) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 'note', 100)",
            params![id, kind, resolves, sides.0, sides.1, amount, call],
        )
        .unwrap();
    };
    let (hold, posted) = (*hold_id(&paid.call).as_bytes(), *resolution_id(&paid.call).as_bytes());
    transfer([9; 16], "posted", None, (1, 4), "5");
    transfer(hold, "pending", None, (2, 3), "10");
    transfer(posted, "post_pending", Some(hold), (2, 3), "10");

    let first = seal(&statement(paid.call), 1, &FIRST_PREVIOUS, &signer()).unwrap();
    let free = call_id();
    let second = seal(&statement(free), 2, &first.hash, &signer()).unwrap();
    file.execute("INSERT INTO signers (key) VALUES (?1)", params![signer().public().as_bytes()]).unwrap();
    for (seq, call, sealed) in [(1, paid.call, &first), (2, free, &second)] {
        file.execute(
            "INSERT INTO receipts (signer, seq, id, call, hash, envelope, at) VALUES (1, ?1, ?2, ?3, ?4, ?5, 200)",
            params![
                seq,
                sealed.receipt_id.as_bytes(),
                call.as_bytes(),
                sealed.hash.as_bytes(),
                sealed.envelope
            ],
        )
        .unwrap();
    }
    file.execute(
        "INSERT INTO settlements (key, attempt, call, caller, server, tool, args, price_version, amount, asset, funds, \
         proof, expires, state, claimed, updated, receipt) \
         VALUES (?1, 1, ?2, ?3, 'demo', 'add', ?4, 1, '10', ?5, 'on_settlement', 'p', 1000, 'settled', 100, 200, ?6)",
        params![
            paid.key.to_string(),
            paid.call.as_bytes(),
            paid.caller.as_str(),
            paid.binding.args.as_bytes(),
            asset().as_str(),
            first.receipt_id.as_bytes()
        ],
    )
    .unwrap();
    file.execute(
        "INSERT INTO results (call, body, private, stored) VALUES (?1, x'3432', '{}', 200)",
        params![paid.call.as_bytes()],
    )
    .unwrap();
    first.envelope
}

#[tokio::test]
async fn f12_a_file_of_version_1_keeps_its_calls_receipts_and_money() {
    let directory = TempDir::new().unwrap();
    let paid = claim(Rail::X402, "0x1");
    let envelope = version_1(&directory, &paid);
    let store = open(&directory);
    in_order(&store).await;

    let answer = answered(&store, &paid).await;
    assert_eq!((answer.result.as_deref(), answer.receipt), (Some(b"42".as_slice()), Some(envelope)));
    let recent = store.recent_calls(10).await.unwrap();
    assert_eq!(recent.iter().map(|call| call.paid.is_some()).collect::<Vec<_>>(), [false, true]);
    assert_eq!(balances(&store, &credit(&wallet())).await.credits_posted.get(), 5);

    // Goes on where it stopped: a new call, and the next place in the chain.
    let next = claim(Rail::X402, "0x2");
    fresh(&store, &next).await;
    store.advance(crate::world::paid(&next)).await.unwrap();
    in_order(&store).await;
    drop(store);
    in_order(&open(&directory)).await;
}
