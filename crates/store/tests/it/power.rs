//! F14, F15: the power goes at any moment. What a real run writes is recorded by `strace`; then the disk is rebuilt as it may have
//! been at many moments of it, and the store is opened on that: what was acknowledged is there, what was not is there whole
//! or not at all, and the books are in order.
//!
//! By default a few moments are tried; `TOLLGATE_POWER_CUTS=5000` tries that many.

use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;
use tollgate_domain::{Amount, CallId, PaymentKey, Rail, TransferId};
use tollgate_ledger::{Booked, Claim, Claimed, Grant, Granted, LedgerStore, State, Transfer, TransferKind};
use tollgate_store::Store;
use tollgate_testkit::peers::{missing, withheld};

use crate::world::*;

mod disk;
mod recording;

use disk::{Disk, Unsynced};
use recording::Op;

/// How many moments are tried by default.
const CUTS: usize = 120;
/// Where the recorded process finds its data directory.
const DIRECTORY: &str = "TOLLGATE_POWER_DIRECTORY";
const LANES: u64 = 4;
const CALLS_PER_LANE: u64 = 12;

/// What is acknowledged, as one line of the recorded process: a letter and the number of a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Ack {
    what: u8,
    number: u64,
}

fn claim_of(number: u64) -> Claim {
    let rail = [Rail::Credit, Rail::X402, Rail::L402][usize::try_from(number % 3).unwrap()];
    Claim {
        call: CallId::from_bytes(u128::from(number + 1).to_be_bytes()),
        key: PaymentKey::new(rail, format!("power-{number}")).unwrap(),
        // Its counter is in the same commit: the check compares both.
        budget: crate::budgets::ask(1_000_000, None),
        ..claim(rail, "unused")
    }
}

fn grant_of(number: u64) -> Grant {
    Grant { id: TransferId::from_bytes(u128::from(1_000_000 + number).to_be_bytes()), ..grant(&alice(), 20) }
}

/// A gift from Alice to Bob of which one half is reserved first.
fn chain_of(number: u64) -> Vec<Transfer> {
    let transfer = |offset: u64, kind, units| Transfer {
        id: TransferId::from_bytes(u128::from(offset + number).to_be_bytes()),
        kind,
        debit: credit(&alice()),
        credit: credit(&wallet()),
        asset: asset(),
        amount: Amount::new(units),
        call: None,
        note: "gift".to_owned(),
        at: at(300),
        expires: None,
    };
    let pending = transfer(2_000_000, TransferKind::Pending, 4);
    let half = transfer(3_000_000, TransferKind::PostPending(pending.id), 2);
    vec![pending, half, transfer(4_000_000, TransferKind::Posted, 1)]
}

/// One call after the other, each acknowledged on standard output the moment that the store has answered.
async fn lane(store: &Store, lane: u64) {
    let say = |what: char, number: u64| {
        use std::io::Write as _;
        // One write of one line, past the lock and the buffer of the test harness.
        let line = format!("ACK {what} {number}\n");
        std::fs::OpenOptions::new()
            .write(true)
            .open("/dev/stdout")
            .unwrap()
            .write_all(line.as_bytes())
            .unwrap();
    };
    for number in (0..CALLS_PER_LANE).map(|turn| turn * LANES + lane) {
        assert!(store.grant_credit(grant_of(number)).await.unwrap().booked);
        say('g', number);
        let claim = claim_of(number);
        assert_eq!(store.claim(claim.clone()).await, Ok(Claimed::Fresh { attempt: 1 }));
        say('c', number);
        store.advance(paid(&claim)).await.unwrap();
        say('a', number);
        assert_eq!(store.book(chain_of(number)).await, Ok(Booked { again: false }));
        say('b', number);
    }
}

/// The recorded process: not a test of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "is started by the test below, under strace"]
async fn recorded_run() {
    let Some(directory) = std::env::var_os(DIRECTORY) else { return };
    // Closed and opened again in between: the log is moved into the file, deleted, and begun anew.
    for half in 0..2 {
        let store = Store::open(Path::new(&directory), signer(), tollgate_store::Options::default()).unwrap();
        let mut lanes = tokio::task::JoinSet::new();
        for number in half * LANES / 2..(half + 1) * LANES / 2 {
            let store = store.clone();
            lanes.spawn(async move { lane(&store, number).await });
        }
        lanes.join_all().await;
    }
}

fn record(directory: &Path, log: &Path) -> Option<Vec<Op>> {
    let started = Command::new("strace")
        .args(["-f", "-qq", "-y", "-xx", "-s", "1000000", "-e"])
        .arg("trace=write,pwrite64,ftruncate,fsync,fdatasync,unlink,unlinkat")
        .arg("-o")
        .arg(log)
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "power::recorded_run", "--ignored", "--nocapture", "--test-threads=1"])
        .env(DIRECTORY, directory)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .output();
    let output = match started {
        Ok(output) => output,
        Err(error) => return missing(format!("strace cannot be started: {error}")),
    };
    let said = String::from_utf8_lossy(&output.stderr);
    if said.contains("PTRACE_TRACEME") || said.contains("Operation not permitted") {
        return withheld("strace may not trace here (ptrace is not allowed)");
    }
    assert!(output.status.success(), "{said}");
    Some(recording::read(&std::fs::read_to_string(log).unwrap(), directory))
}

#[tokio::test]
async fn f14_f15_whatever_a_power_cut_leaves_acknowledged_money_is_there_and_the_books_are_in_order() {
    let (directory, scratch) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    // What is there before the recording begins is durable.
    drop(open(&directory));
    let before = Disk::of(directory.path());
    let Some(ops) = record(directory.path(), &scratch.path().join("strace.log")) else { return };
    let acknowledged = ops.iter().filter(|op| matches!(op, Op::Acknowledged(_))).count();
    assert_eq!(
        acknowledged,
        usize::try_from(LANES * CALLS_PER_LANE * 4).unwrap(),
        "the whole run was recorded"
    );
    let syncs = ops.iter().filter(|op| matches!(op, Op::Synced { .. })).count();
    assert!(syncs > 10, "{syncs} syncs: the recording must show when what is on the disk");

    let cuts =
        std::env::var_os("TOLLGATE_POWER_CUTS").map_or(CUTS, |cuts| cuts.to_str().unwrap().parse().unwrap());
    for cut in 0..cuts {
        // Spread over the whole run, and each moment with another fate of what was not synced.
        let moment = ops.len() * cut / cuts + cut % 7 % (ops.len() / cuts).max(1);
        let unsynced = match cut % 4 {
            0 => Unsynced::Lost,
            1 => Unsynced::Kept,
            _ => Unsynced::Torn { seed: u64::try_from(cut).unwrap() },
        };
        let left = scratch.path().join("left");
        before.after(&ops[..moment]).write(&left, unsynced);
        let acknowledged = ops[..moment].iter().filter_map(|op| match op {
            Op::Acknowledged(ack) => Some(*ack),
            _ => None,
        });
        whole(&left, acknowledged, &format!("cut {cut} at {moment} of {}, {unsynced:?}", ops.len())).await;
        std::fs::remove_dir_all(&left).unwrap();
    }
}

#[tokio::test]
async fn a_disk_that_forgets_what_it_synced_is_noticed_by_this_test() {
    // The control: with syncs ignored, acknowledged money is missing.
    let (directory, scratch) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    drop(open(&directory));
    let before = Disk::of(directory.path());
    let Some(mut ops) = record(directory.path(), &scratch.path().join("strace.log")) else { return };
    ops.retain(|op| !matches!(op, Op::Synced { .. }));
    let middle = ops.len() / 3;
    let left = scratch.path().join("left");
    before.after(&ops[..middle]).write(&left, Unsynced::Lost);
    assert!(ops[..middle].iter().any(|op| matches!(op, Op::Acknowledged(_))));
    let store = Store::open(&left, signer(), tollgate_store::Options::default()).unwrap();
    assert_eq!(store.settlement(&claim_of(0).key).await, Ok(None));
}

/// Everything acknowledged is there, nothing is there by half, and the store goes on.
async fn whole(directory: &Path, acknowledged: impl Iterator<Item = Ack>, moment: &str) {
    let store = Store::open(directory, signer(), tollgate_store::Options::default())
        .unwrap_or_else(|error| panic!("{moment}: {error:?}"));
    assert_eq!(store.check().await.unwrap(), [], "{moment}");
    for Ack { what, number } in acknowledged {
        let claim = claim_of(number);
        match what {
            b'g' => {
                let again = store.grant_credit(grant_of(number)).await;
                assert!(
                    matches!(again, Ok(Granted { booked: false, .. })),
                    "{moment}: grant {number}: {again:?}"
                );
            }
            b'c' => {
                let row = store.settlement(&claim.key).await.unwrap();
                assert_eq!(row.map(|row| row.call), Some(claim.call), "{moment}: claim {number}");
            }
            b'a' => {
                let answer = store.answer(&claim.call).await.unwrap().unwrap();
                let is_whole = (answer.state, answer.result.is_some(), answer.receipt.is_some());
                assert_eq!(is_whole, (State::Settled, true, true), "{moment}: call {number}");
            }
            _ => {
                let again = store.book(chain_of(number)).await;
                assert_eq!(again, Ok(Booked { again: true }), "{moment}: chain {number}");
            }
        }
    }
    let next = claim(Rail::X402, "after-the-cut");
    assert_eq!(store.claim(next.clone()).await, Ok(Claimed::Fresh { attempt: 1 }), "{moment}");
    store.advance(paid(&next)).await.unwrap();
    assert_eq!(store.check().await.unwrap(), [], "{moment}: after going on");
}
