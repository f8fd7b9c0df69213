//! The ledger in PostgreSQL: the same promises as of the embedded store, and what only several gateways can show.

mod checked;
mod copy;
pub(crate) mod cut;
mod pending;

use std::collections::BTreeMap;
use std::time::Duration;

use tempfile::TempDir;
use tokio::task::JoinSet;
use tollgate_attest::Signer;
use tollgate_domain::{Amount, Rail, UnixMillis};
use tollgate_ledger::budget::{Barrier, Change, Stop, Target};
use tollgate_ledger::{Claim, Claimed, Command, LedgerStore, StoreError};
use tollgate_store::{NewKey, OpenError, Options, Part, Row, Store};
use tollgate_testkit::peers;
use tollgate_testkit::peers::postgres::{self, Database};

use self::cut::{Cut, Way};
use crate::budgets;
use crate::concurrency::all_at_once;
use crate::conformance::{every_promise, promises};
use crate::escrows;
use crate::migrations::{old_payout, old_payout_is_there};
use crate::payouts;
use crate::shared_limits;
use crate::world::*;

/// A gateway over a database; its folder lives as long.
struct Gateway {
    store: Store,
    _directory: TempDir,
}

/// The gateway of this number: each has a key of its own.
async fn gateway(database: &Database, number: u8) -> Gateway {
    gateway_at(&database.url(), number).await
}

async fn gateway_at(url: &str, number: u8) -> Gateway {
    let directory = TempDir::new().unwrap();
    let signer = Signer::from_seed(&[number; 32]).unwrap();
    let store =
        Store::connect(url.parse().unwrap(), directory.path(), signer, Options::default()).await.unwrap();
    Gateway { store, _directory: directory }
}

/// A new database, where there is a server.
async fn database() -> Option<Database> {
    Some(peers::available(postgres::shared().await)?.database().unwrap())
}

/// One test for all: starting a server takes longer than all promises together.
macro_rules! database_tests {
    ($($promise:ident)*) => {
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn every_promise_of_the_port_holds_over_postgresql() {
            $({
                let Some(database) = database().await else { return };
                let gateway = gateway(&database, 7).await;
                promises::$promise(&gateway.store).await;
                in_order(&gateway.store).await;
            })*
        }
    };
}

every_promise!(database_tests);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn escrows_are_listed_come_due_and_end_once_over_postgresql() {
    for number in 0..4 {
        let Some(database) = database().await else { return };
        let gateway = gateway(&database, 7).await;
        match number {
            0 => escrows::pages_of(&gateway.store).await,
            1 => escrows::deadlines_of(&gateway.store).await,
            2 => escrows::budgets_of(&gateway.store).await,
            _ => escrows::one_end_of(&gateway.store).await,
        }
        in_order(&gateway.store).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn payouts_live_cool_off_and_are_reserved_once_over_postgresql() {
    for number in 0..6 {
        let Some(database) = database().await else { return };
        let gateway = gateway(&database, 7).await;
        match number {
            0 => payouts::life_of(&gateway.store).await,
            1 => payouts::moments_of(&gateway.store).await,
            2 => payouts::pages_of(&gateway.store).await,
            3 => payouts::earnings_of(&gateway.store).await,
            4 => payouts::credit_of(&gateway.store).await,
            _ => payouts::race_of(&gateway.store).await,
        }
        in_order(&gateway.store).await;
    }
}

/// Commands that touch the same few keys and accounts, some of which are refused.
fn mixed_commands() -> Vec<Command> {
    let mut commands = vec![Command::Grant(grant(&alice(), 50))];
    for number in 0..12 {
        let rail = [Rail::X402, Rail::L402, Rail::Credit][number % 3];
        let first = claim(rail, &format!("{}", number / 2));
        commands.push(Command::Claim(first.clone()));
        commands.push(Command::Claim(repeat(&first)));
        let step = match number % 4 {
            0 => paid(&first),
            1 => advance(&first, [voided()]),
            2 => advance(&first, [settled()]),
            _ => advance(&first, [executed()]),
        };
        commands.push(Command::Advance(step));
        commands.push(Command::Claim(repeat(&first)));
        let call = call_id();
        commands.push(Command::Record { call, statement: statement(call) });
    }
    commands
}

#[tokio::test]
async fn a_batch_of_many_comes_to_what_as_many_batches_of_one_come_to() {
    let Some(alone) = database().await else { return };
    let Some(together) = database().await else { return };
    let (alone, together) = (gateway(&alone, 7).await, gateway(&together, 7).await);
    let directory = TempDir::new().unwrap();
    let file = open(&directory);
    let commands = mixed_commands();
    let (mut one_by_one, mut in_the_file) = (Vec::new(), Vec::new());
    for command in &commands {
        one_by_one.push(alone.store.commit(command.clone()).await);
        in_the_file.push(file.commit(command.clone()).await);
    }
    // On this runtime tasks begin in the order in which they were spawned, and so do the commands in the queue.
    let mut tasks = JoinSet::new();
    for (place, command) in commands.into_iter().enumerate() {
        let store = together.store.clone();
        tasks.spawn(async move { (place, store.commit(command).await) });
    }
    let at_once: BTreeMap<_, _> = tasks.join_all().await.into_iter().collect();
    let at_once: Vec<_> = at_once.into_values().collect();
    assert_eq!(at_once, one_by_one);
    assert_eq!(in_the_file, one_by_one, "and to what the other engine says");
    assert!(one_by_one.iter().any(Result::is_err) && one_by_one.iter().any(Result::is_ok));
    let expected = alone.store.trial_balance().await.unwrap();
    assert_eq!(together.store.trial_balance().await.unwrap(), expected);
    assert_eq!(file.trial_balance().await.unwrap(), expected);
    in_order(&alone.store).await;
    in_order(&together.store).await;
}

fn met(met: &BTreeMap<&str, usize>, word: &str) -> usize {
    met.get(word).copied().unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn p3_f13_copies_of_one_proof_over_two_gateways_are_claimed_once() {
    let Some(database) = database().await else { return };
    let (one, other) = (gateway(&database, 1).await, gateway(&database, 2).await);
    let proof = claim(Rail::X402, "0x1");
    let (here, there) = tokio::join!(
        all_at_once(&one.store, (0..100).map(|_| repeat(&proof))),
        all_at_once(&other.store, (0..100).map(|_| repeat(&proof))),
    );
    assert_eq!(met(&here, "fresh") + met(&there, "fresh"), 1, "{here:?} {there:?}");
    assert_eq!(met(&here, "in progress") + met(&there, "in progress"), 199, "{here:?} {there:?}");
    assert_eq!(balances(&one.store, &payable()).await.credits_pending, Amount::new(10));
    // Control: as many different proofs are all claimed, whichever gateway they come to.
    let fresh = |from: u32| (from..from + 100).map(|number| claim(Rail::X402, &format!("0xa{number}")));
    let (here, there) =
        tokio::join!(all_at_once(&one.store, fresh(0)), all_at_once(&other.store, fresh(100)));
    assert_eq!((met(&here, "fresh"), met(&there, "fresh")), (100, 100));
    in_order(&other.store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn where_a_database_isolates_more_by_default_gateways_still_take_turns() {
    let Some(database) = database().await else { return };
    let url = format!("{}?options=-c%20default_transaction_isolation%3Dserializable", database.url());
    let (one, other) = (gateway_at(&url, 1).await, gateway_at(&url, 2).await);
    for round in 0..10 {
        let fresh =
            |from: u32| (from..from + 10).map(|number| claim(Rail::X402, &format!("0x{round}{number}")));
        let (here, there) =
            tokio::join!(all_at_once(&one.store, fresh(10)), all_at_once(&other.store, fresh(20)));
        assert_eq!((met(&here, "fresh"), met(&there, "fresh")), (10, 10), "{here:?} {there:?}");
    }
    in_order(&one.store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn p15_of_five_hundred_spenders_over_two_gateways_exactly_a_hundred_succeed() {
    let Some(database) = database().await else { return };
    let (one, other) = (gateway(&database, 1).await, gateway(&database, 2).await);
    one.store.grant_credit(grant(&alice(), 100)).await.unwrap();
    let spend = |from: u32| {
        (from..from + 250)
            .map(|number| Claim { amount: Amount::new(1), ..claim(Rail::Credit, &format!("alice/{number}")) })
    };
    let (here, there) =
        tokio::join!(all_at_once(&one.store, spend(0)), all_at_once(&other.store, spend(250)));
    assert_eq!(met(&here, "fresh") + met(&there, "fresh"), 100, "{here:?} {there:?}");
    assert_eq!(available(&other.store, &alice()).await, Amount::ZERO);
    in_order(&one.store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn p15_of_five_hundred_spenders_over_two_gateways_exactly_what_the_budget_has_left_passes() {
    let Some(database) = database().await else { return };
    let (one, other) = (gateway(&database, 1).await, gateway(&database, 2).await);
    let ask = budgets::ask(137, None);
    let half = |from: u32| (from..from + 250).map(|number| budgets::spend(number, 1, &ask)).collect();
    let (here, there) =
        tokio::join!(budgets::claimed(&one.store, half(0)), budgets::claimed(&other.store, half(250)));
    assert_eq!(here + there, 137, "{here} and {there}");
    assert_eq!((budgets::used(&one.store).await, budgets::used(&other.store).await), (137, 137));
    in_order(&one.store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn stops_and_approvals_of_any_process_count_at_every_gateway() {
    let Some(database) = database().await else { return };
    let (one, other) = (gateway(&database, 1).await, gateway(&database, 2).await);
    let guest = Store::connect_shared(database.url().parse().unwrap(), Options::default()).await.unwrap();
    let ask = budgets::ask(10_000, Some(100));
    let call = budgets::spend(1, 150, &ask);
    let waits = budgets::ask_for(&one.store, 1, &call).await.unwrap();
    assert_eq!(guest.approval(&waits.id).await, Ok(Some(waits.clone())));
    budgets::approve(&guest, waits.id).await;
    let copies = |from: u32| (from..from + 25).map(|number| budgets::spend(number, 150, &ask)).collect();
    let (here, there) =
        tokio::join!(budgets::claimed(&one.store, copies(0)), budgets::claimed(&other.store, copies(25)));
    assert_eq!(here + there, 1, "one approval is used once, by whichever gateway");
    let small = |number| budgets::spend(number, 1, &ask);
    assert_eq!(budgets::claimed(&other.store, vec![small(60)]).await, 1, "control: nothing is stopped");
    let stop = Stop { reason: "runaway".to_owned(), by: "eve".to_owned(), at: at(200) };
    guest.change_budget(Change::Stop { target: Target::Everything, stop }).await.unwrap();
    for gateway in [&one, &other] {
        let held = gateway.store.claim(small(61)).await;
        assert_eq!(held, Ok(Claimed::Barred(Barrier::Stopped(Target::Everything))));
    }
    other.store.change_budget(Change::Resume(Target::Everything)).await.unwrap();
    assert_eq!(budgets::claimed(&one.store, vec![small(61)]).await, 1);
    in_order(&other.store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn p15_of_five_hundred_callers_over_two_gateways_exactly_a_hundred_are_free() {
    let Some(database) = database().await else { return };
    let (one, other) = (gateway(&database, 1).await, gateway(&database, 2).await);
    let free = |from: u32| (from..from + 250).map(|number| free(&format!("alice/{number}"), 100));
    let (here, there) = tokio::join!(all_at_once(&one.store, free(0)), all_at_once(&other.store, free(250)));
    assert_eq!(met(&here, "fresh") + met(&there, "fresh"), 100, "{here:?} {there:?}");
    assert_eq!(met(&here, "none free") + met(&there, "none free"), 400, "{here:?} {there:?}");
    for gateway in [&one, &other] {
        assert_eq!(gateway.store.calls(&alice(), &tool(), at(0), 1_000).await, Ok(100));
        assert_eq!(gateway.store.calls(&alice(), &tool(), at(0), 7).await, Ok(7), "no further than asked");
    }
    in_order(&one.store).await;
}

#[tokio::test]
async fn each_gateway_has_its_own_chain_of_receipts_and_drives_its_own_settlements() {
    let Some(database) = database().await else { return };
    let (one, other) = (gateway(&database, 1).await, gateway(&database, 2).await);
    let (here, there) = (claim(Rail::X402, "0x1"), claim(Rail::X402, "0x2"));
    fresh(&one.store, &here).await;
    fresh(&other.store, &there).await;
    for (gateway, call) in [(&one, here.call), (&other, there.call)] {
        let open = gateway.store.open_settlements(None, 99).await.unwrap();
        assert_eq!(open.iter().map(|row| row.call).collect::<Vec<_>>(), [call]);
    }
    one.store.advance(paid(&here)).await.unwrap();
    other.store.advance(paid(&there)).await.unwrap();
    assert_eq!(one.store.signers().await.unwrap().len(), 2, "both keys are published by both");
    // A paid proof is answered by whichever gateway it comes to.
    let again = other.store.claim(repeat(&here)).await;
    assert_eq!(again, Ok(Claimed::Answered { call: here.call }));
    in_order(&one.store).await;
}

#[tokio::test]
async fn what_a_gateway_left_open_is_shown_once_it_is_gone_and_has_not_moved() {
    let Some(database) = database().await else { return };
    let (gone, here) = (gateway(&database, 1).await, gateway(&database, 2).await);
    let calls: Vec<Claim> = (1..=3).map(|number| claim(Rail::X402, &format!("0x{number}"))).collect();
    for call in &calls {
        fresh(&gone.store, call).await;
    }
    fresh(&here.store, &claim(Rail::X402, "0x4")).await;
    gone.store.advance(paid(&calls[1])).await.unwrap();
    let guest = Store::connect_shared(database.url().parse().unwrap(), Options::default()).await.unwrap();
    let late = at(4_000_000_000_000_000);
    let left = async |store: &Store, before, after, limit| {
        let left = store.abandoned_settlements(before, after, limit).await.unwrap();
        left.iter().map(|row| row.call).collect::<Vec<_>>()
    };
    assert_eq!(left(&here.store, late, None, 9).await, [], "it runs");
    drop(gone);
    let [first, _, last] = &calls[..] else { panic!() };
    // Its session ends a moment after it.
    let seen = async {
        while left(&here.store, late, None, 9).await != [first.call, last.call] {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(30), seen).await.unwrap();
    assert_eq!(left(&here.store, late, Some(first.call), 9).await, [last.call]);
    assert_eq!(left(&guest, late, None, 1).await, [first.call]);
    assert_eq!(left(&here.store, first.now, None, 9).await, [], "it may come back");
    let _again = gateway(&database, 1).await;
    assert_eq!(left(&here.store, late, None, 9).await, [], "it has come back");
}

#[tokio::test]
async fn a_process_that_was_replaced_writes_nothing_any_more() {
    let Some(database) = database().await else { return };
    let paused = gateway(&database, 1).await;
    fresh(&paused.store, &claim(Rail::X402, "0x1")).await;
    // As if its machine had been cut off: its session has ended in the database, the process lives.
    database.psql("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'").unwrap();
    let successor = gateway(&database, 1).await;
    let late = claim(Rail::X402, "0x2");
    assert_eq!(paused.store.claim(late.clone()).await, Err(StoreError::Closed));
    assert!(!paused.store.is_open());
    assert_eq!(successor.store.settlement(&late.key).await, Ok(None));
    assert_eq!(successor.store.claim(late).await, Ok(Claimed::Fresh { attempt: 1 }), "control");
    in_order(&successor.store).await;
}

#[tokio::test]
async fn a_lost_connection_is_made_anew_and_nothing_is_lost() {
    let Some(database) = database().await else { return };
    let gateway = gateway(&database, 1).await;
    for number in 0..5 {
        let call = claim(Rail::X402, &format!("0x{number}"));
        fresh(&gateway.store, &call).await;
        let others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
             WHERE datname = current_database() AND pid <> pg_backend_pid()";
        database.psql(others).unwrap();
        gateway.store.advance(paid(&call)).await.unwrap();
    }
    assert_eq!(balances(&gateway.store, &payable()).await.credits_posted, Amount::new(50));
    in_order(&gateway.store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f5_a_commit_without_an_answer_is_looked_up_before_anybody_is_answered() {
    for cut in [Cut::AnswerLost, Cut::CommitLost] {
        let Some(database) = database().await else { return };
        let way = Way::to(database.port()).await;
        let directory = TempDir::new().unwrap();
        let url = database.url_at(way.port).parse().unwrap();
        let store = Store::connect(url, directory.path(), signer(), Options::default()).await.unwrap();
        let call = claim(Rail::X402, "0x1");
        way.cut(cut);
        assert_eq!(store.claim(call.clone()).await, Ok(Claimed::Fresh { attempt: 1 }), "{cut:?}");
        assert!(way.has_cut(), "{cut:?}: it was not the commit that was cut");
        way.cut(cut);
        // A receipt is sealed for one place in the chain, whether the first try counted or not.
        let advanced = store.advance(paid(&call)).await.unwrap();
        assert!(way.has_cut(), "{cut:?}");
        assert_eq!(store.answer(&call.call).await.unwrap().unwrap().receipt, advanced.receipt, "{cut:?}");
        assert_eq!(balances(&store, &payable()).await.credits_posted, Amount::new(10), "{cut:?}: once");
        assert_eq!(database.psql("SELECT count(*) FROM tollgate.transfers").unwrap(), "2", "{cut:?}");
        assert_eq!(database.psql("SELECT count(*) FROM tollgate.receipts").unwrap(), "1", "{cut:?}");
        in_order(&store).await;
    }
}

/// A store whose way to the database may fall silent, which it bears for so long.
async fn behind(way: &Way, database: &Database, directory: &TempDir) -> Store {
    let options = Options { answer_max: Duration::from_millis(300), ..Options::default() };
    let url = database.url_at(way.port).parse().unwrap();
    Store::connect(url, directory.path(), signer(), options).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f58_a_database_that_falls_silent_is_refused_to_everybody_in_time_and_found_again() {
    let Some(database) = database().await else { return };
    let (way, directory) = (Way::to(database.port()).await, TempDir::new().unwrap());
    let store = behind(&way, &database, &directory).await;
    let (open, refused) = (claim(Rail::X402, "0x1"), claim(Rail::X402, "0x2"));
    fresh(&store, &open).await;
    assert_eq!(store.settlement(&refused.key).await, Ok(None), "control: it is read over the same way");

    way.silence(true);
    assert_eq!(store.claim(refused.clone()).await, Err(StoreError::Busy));
    assert_eq!(store.settlement(&open.key).await, Err(StoreError::Busy));
    assert!(store.is_open(), "it is not closed for that");

    // What was begun in the silence is undone, and whoever asks again has it once.
    way.silence(false);
    fresh(&store, &refused).await;
    for call in [&open, &refused] {
        store.advance(paid(call)).await.unwrap();
    }
    assert_eq!(balances(&store, &payable()).await.credits_posted, Amount::new(20));
    assert_eq!(database.psql("SELECT count(*) FROM tollgate.settlements").unwrap(), "2");
    in_order(&store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f58_a_commit_into_the_silence_waits_for_its_look_up_and_nobody_waits_behind_it() {
    let Some(database) = database().await else { return };
    let (way, directory) = (Way::to(database.port()).await, TempDir::new().unwrap());
    let store = behind(&way, &database, &directory).await;
    let (in_doubt, behind_it) = (claim(Rail::X402, "0x1"), claim(Rail::X402, "0x2"));
    // Its connection is there, so that the next commit is that of a claim.
    fresh(&store, &claim(Rail::X402, "0x0")).await;
    way.silence_after_commit();
    let mut waits = JoinSet::new();
    let (waiting, wanted) = (store.clone(), in_doubt.clone());
    waits.spawn(async move { waiting.claim(wanted).await });
    while !way.has_cut() {
        tokio::task::yield_now().await;
    }
    assert_eq!(store.claim(behind_it.clone()).await, Err(StoreError::Busy), "definitely not done");
    assert!(waits.try_join_next().is_none(), "whether it counted is not known yet, so nobody is told");

    way.silence(false);
    assert_eq!(waits.join_all().await, [Ok(Claimed::Fresh { attempt: 1 })], "it had counted");
    fresh(&store, &behind_it).await;
    store.advance(paid(&in_doubt)).await.unwrap();
    assert_eq!(database.psql("SELECT count(*) FROM tollgate.settlements").unwrap(), "3", "each once");
    in_order(&store).await;
}

#[tokio::test]
async fn a_guest_grants_credit_and_seals_nothing() {
    let Some(database) = database().await else { return };
    let gateway = gateway(&database, 1).await;
    let guest = Store::connect_shared(database.url().parse().unwrap(), Options::default()).await.unwrap();
    guest.grant_credit(grant(&alice(), 7)).await.unwrap();
    assert_eq!(available(&gateway.store, &alice()).await, Amount::new(7));
    let sealed = guest.record(call_id(), statement(call_id())).await;
    assert!(matches!(sealed, Err(StoreError::Refused(_))), "{sealed:?}");
    assert!(gateway.store.record(call_id(), statement(call_id())).await.is_ok(), "control");
    in_order(&guest).await;
}

#[tokio::test]
async fn keys_of_any_process_count_for_all() {
    let Some(database) = database().await else { return };
    let (one, other) = (gateway(&database, 1).await, gateway(&database, 2).await);
    let before = other.store.keys_version().await.unwrap();
    let id = tollgate_domain::KeyId::from_bytes([9; 16]);
    let hash = tollgate_domain::Digest::of(b"secret");
    let new = NewKey {
        id,
        name: "ops".to_owned(),
        hash,
        tier: Default::default(),
        labels: "team=research".parse().unwrap(),
        now: at(1),
    };
    one.store.create_key(new.clone()).await.unwrap();
    assert!(other.store.keys_version().await.unwrap() > before);
    let found = other.store.key_by_hash(hash).await.unwrap().unwrap();
    assert_eq!((found.id, found.labels), (id, new.labels.clone()));
    assert!(matches!(other.store.create_key(new).await, Err(StoreError::Definite(_))));
    assert_eq!(other.store.revoke_key(id, at(2)).await.unwrap().unwrap().revoked, Some(at(2)));
    assert_eq!(one.store.revoke_key(id, at(3)).await.unwrap().unwrap().revoked, Some(at(2)));
    assert_eq!(one.store.keys().await.unwrap().len(), 1);
}

#[tokio::test]
async fn f12_newer_tables_are_refused_and_not_changed() {
    let Some(database) = database().await else { return };
    drop(gateway(&database, 1).await);
    let known = database.psql("SELECT version FROM tollgate.schema_version").unwrap();
    database.psql("UPDATE tollgate.schema_version SET version = 99").unwrap();
    let directory = TempDir::new().unwrap();
    let url = || database.url().parse().unwrap();
    let refused = Store::connect(url(), directory.path(), signer(), Options::default()).await;
    assert!(matches!(refused, Err(OpenError::NewerDatabase { found: 99, .. })), "{refused:?}");
    assert_eq!(database.psql("SELECT version FROM tollgate.schema_version").unwrap(), "99");
    database.psql(&format!("UPDATE tollgate.schema_version SET version = {known}")).unwrap();
    let opened = Store::connect(url(), directory.path(), signer(), Options::default()).await;
    assert!(opened.is_ok(), "control: {opened:?}");
}

/// The tables of the first version.
const VERSION_1: &str = concat!(
    "CREATE SCHEMA tollgate; SET search_path = tollgate; CREATE TABLE schema_version (version bigint NOT NULL); ",
    "INSERT INTO schema_version VALUES (1);",
    include_str!("../../src/schema/postgres_1.sql"),
);

#[tokio::test]
async fn tables_of_the_first_version_are_brought_up_to_date() {
    let Some(database) = database().await else { return };
    database.psql(&format!("SET ROLE tollgate; {VERSION_1}")).unwrap();
    let gateway = gateway(&database, 1).await;
    fresh(&gateway.store, &free("alice/1", 1)).await;
    assert_eq!(gateway.store.claim(free("alice/2", 1)).await, Ok(Claimed::NoFreeCall));
    in_order(&gateway.store).await;
}

/// The tables of the last version before payouts of credit.
const VERSION_10: &str = concat!(
    "CREATE SCHEMA tollgate; SET search_path = tollgate; CREATE TABLE schema_version (version bigint NOT NULL); ",
    "INSERT INTO schema_version VALUES (10);",
    include_str!("../../src/schema/postgres_1.sql"),
    include_str!("../../src/schema/postgres_2.sql"),
    include_str!("../../src/schema/postgres_3.sql"),
    include_str!("../../src/schema/postgres_4.sql"),
    include_str!("../../src/schema/postgres_5.sql"),
    include_str!("../../src/schema/postgres_6.sql"),
    include_str!("../../src/schema/postgres_7.sql"),
    include_str!("../../src/schema/postgres_8.sql"),
    include_str!("../../src/schema/postgres_9.sql"),
    include_str!("../../src/schema/postgres_10.sql"),
);

#[tokio::test]
async fn payouts_of_an_earlier_version_of_the_tables_are_there() {
    let Some(database) = database().await else { return };
    let payout = old_payout(&format!("'\\x{}'", "05".repeat(16)));
    database.psql(&format!("SET ROLE tollgate; {VERSION_10} {payout}")).unwrap();
    old_payout_is_there(&gateway(&database, 1).await.store).await;
}

#[tokio::test]
async fn attempts_are_found_by_age_and_reference_over_postgresql() {
    let Some(database) = database().await else { return };
    attempts_are_found_by_age_and_reference(&gateway(&database, 1).await.store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_limit_is_one_over_two_gateways() {
    let Some(database) = database().await else { return };
    let (one, other) = (gateway(&database, 1).await, gateway(&database, 2).await);
    let rows = || database.psql("SELECT count(*) FROM tollgate.shared_limits").unwrap().parse().unwrap();
    shared_limits::count_together(&one.store, &other.store, rows).await;
    // What has been full for long is forgotten by whoever looks next.
    database.psql("UPDATE tollgate.shared_limits SET full_at = 1").unwrap();
    other.store.prune(UnixMillis::from_secs(1_795_219_200)).await.unwrap();
    assert_eq!(rows(), 0);
}

#[tokio::test]
async fn a_batch_is_decided_on_what_other_gateways_wrote_since_the_last_one() {
    let Some(database) = database().await else { return };
    let (one, other) = (gateway(&database, 1).await, gateway(&database, 2).await);
    let guest = Store::connect_shared(database.url().parse().unwrap(), Options::default()).await.unwrap();
    let spend = |proof: &str| claim(Rail::Credit, proof);
    one.store.grant_credit(grant(&alice(), 10)).await.unwrap();
    // Both remember the account by now.
    fresh(&other.store, &spend("alice/1")).await;
    let broke = Ok(Claimed::InsufficientFunds { available: Amount::ZERO });
    assert_eq!(one.store.claim(spend("alice/2")).await, broke, "the other gateway took the last of it");
    guest.grant_credit(grant(&alice(), 10)).await.unwrap();
    fresh(&one.store, &spend("alice/2")).await;
    assert_eq!(other.store.claim(spend("alice/3")).await, broke);
    // Alone for a while, then not.
    for _ in 0..3 {
        other.store.grant_credit(grant(&alice(), 10)).await.unwrap();
    }
    fresh(&one.store, &spend("alice/3")).await;
    assert_eq!(available(&other.store, &alice()).await, Amount::new(20));
    in_order(&one.store).await;
}

#[tokio::test]
async fn what_somebody_changed_by_hand_is_not_written_over() {
    let Some(database) = database().await else { return };
    let gateway = gateway(&database, 7).await;
    for _ in 0..2 {
        gateway.store.grant_credit(grant(&alice(), 50)).await.unwrap();
    }
    let by_hand = format!(
        "UPDATE tollgate.accounts SET credits_posted = credits_posted + 5 WHERE name = '{}'",
        credit(&alice())
    );
    database.psql(&by_hand).unwrap();
    gateway.store.grant_credit(grant(&alice(), 10)).await.unwrap();
    assert_eq!(balances(&gateway.store, &credit(&alice())).await.credits_posted, Amount::new(115));
    // And it is found, as is an account that somebody took away.
    assert!(!gateway.store.check().await.unwrap().is_empty());
    database.psql(&by_hand.replace("+ 5", "- 5")).unwrap();
    in_order(&gateway.store).await;
    database.psql("DELETE FROM tollgate.accounts").unwrap();
    assert!(!gateway.store.check().await.unwrap().is_empty());
}

/// Everything in the books, in order.
async fn every_row(store: &Store) -> Vec<Row> {
    let parts = vec![Part::Transfers, Part::Settlements, Part::Receipts];
    store.each_row(parts, Vec::new(), Vec::push).await.unwrap()
}

#[tokio::test]
async fn the_books_are_shown_row_by_row_as_those_in_a_file_are() {
    let Some(database) = database().await else { return };
    let (gateway, directory) = (gateway(&database, 7).await, TempDir::new().unwrap());
    let file = open(&directory);
    for command in mixed_commands() {
        assert_eq!(gateway.store.commit(command.clone()).await, file.commit(command).await);
    }
    let rows = every_row(&gateway.store).await;
    assert_eq!(rows, every_row(&file).await);
    for (is_there, what) in [
        (rows.iter().any(|row| matches!(row, Row::Transfer(_))), "transfers"),
        (rows.iter().any(|row| matches!(row, Row::Settlement(_))), "settlements"),
        (rows.iter().any(|row| matches!(row, Row::Receipt { .. })), "receipts"),
    ] {
        assert!(is_there, "there are {what}");
    }
    let only = gateway.store.each_row(vec![Part::Receipts], Vec::new(), Vec::push).await.unwrap();
    assert!(only.iter().all(|row| matches!(row, Row::Receipt { .. })) && !only.is_empty());
}
