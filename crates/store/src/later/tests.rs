use tollgate_attest::Signer;
use tollgate_domain::{Amount, AssetId, Bps, UnixMillis};
use tollgate_ledger::budget::{NodeKey, Span};
use tollgate_ledger::{AccountName, Books as _, Grant, LedgerStore as _, Record};

use super::*;
use crate::account_cache::AccountCache;
use crate::attempts::Attempts;
use crate::ledger::File;
use crate::{Options, Store, budgets, rows};

/// What the books say whose open transaction has later values than its file.
struct Said {
    balances: Balances,
    standing: Record,
    usage: Option<Usage>,
}

#[tokio::test]
async fn what_is_later_than_the_file_is_what_the_books_say_and_is_in_the_file_at_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), Signer::from_seed(&[7; 32]).unwrap(), Options::default()).unwrap();
    let principal = tollgate_domain::Caller::Anonymous.principal();
    let (asset, now): (AssetId, _) = ("lightning:regtest/msat".parse().unwrap(), UnixMillis::new(1));
    let grant = Grant {
        from: tollgate_ledger::Clearing::Manual,
        id: tollgate_domain::TransferId::from_bytes([1; 16]),
        to: principal.clone(),
        amount: Amount::new(5),
        asset: asset.clone(),
        note: String::new(),
        now,
    };
    store.grant_credit(grant).await.unwrap();
    drop(store);

    let connection = Connection::open(folder.path().join("ledger.db")).unwrap();
    let account = AccountName::Credit(principal.clone());
    let counter = Counter { node: NodeKey::stored("org/one"), asset: asset.clone(), span: Span::Day };
    let said = |later: &Later| {
        let (accounts, attempts, redo) =
            (&mut AccountCache::default(), &mut Attempts::default(), &mut Redo::default());
        let mut books = File { connection: &connection, accounts, attempts, later, redo };
        Said {
            balances: books.balances(&account, &asset).unwrap(),
            standing: books.standing(&principal).unwrap(),
            usage: books.usage(&counter).unwrap(),
        }
    };
    let (mut later, mut redo) = (Later::default(), Redo::default());
    let before = said(&later);
    assert_eq!((before.balances.credits_posted, before.usage), (Amount::new(5), None));

    let (id, balances) = rows::account(&connection, &account, &asset).unwrap().unwrap();
    let balances = Balances { debits_posted: Amount::new(3), ..balances };
    let record = Record { reputation: Bps::new(7_000), settled: 9, failed: 2 };
    let usage = Usage { start: now, last: now, used: Amount::new(3) };
    later.set_balances(&mut redo, id, balances).unwrap();
    later.set_standing(&mut redo, &principal, record).unwrap();
    later.set_usage(&mut redo, &counter, &usage).unwrap();
    let during = said(&later);
    assert_eq!((during.balances, during.standing, during.usage), (balances, record, Some(usage)));
    let unseen = said(&Later::default());
    assert_eq!(
        (unseen.balances, unseen.standing, unseen.usage),
        (before.balances, before.standing, None),
        "control: the file is as it was"
    );

    later.end(&connection, &mut redo).unwrap();
    let after = said(&later);
    assert_eq!((after.balances, after.standing, after.usage), (balances, record, Some(usage)));
    assert_eq!(budgets::usage(&connection, &counter).unwrap(), Some(usage), "it is in the file");

    later.set_balances(&mut redo, id, before.balances).unwrap();
    later.forget();
    assert_eq!(said(&later).balances, balances, "what was undone is not said");
}
