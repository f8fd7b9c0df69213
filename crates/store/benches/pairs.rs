//! What a paid call costs the ledger's writer: a claim and an advance with result and receipt, both durable, by many
//! callers at once.
//!
//! `cargo bench -p tollgate-store --bench pairs -- [PAIRS] [CALLERS]` prints pairs per second, and the processor time of the
//! writer's thread for each. On a real disk: a commit to memory would cost nothing.

use std::error::Error;
use std::time::{Duration, Instant};

use tollgate_attest::{Signer, StatementDraft};
use tollgate_domain::{
    Amount, AssetId, Binding, CallId, Caller, Digest, KeyId, PaymentKey, Principal, Rail, ReceiptId, Settle,
    ToolRef, TransferId, UnixMillis,
};
use tollgate_ledger::{Advance, Claim, Claimed, Clearing, Event, Funds, Grant, LedgerStore};
use tollgate_store::{Options, Store};

/// The allocator of the gateway's binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A failure that a task can hand on.
type Failure = Box<dyn Error + Send + Sync>;

#[expect(clippy::disallowed_methods, reason = "a bench reads the clock and waits for its own tasks")]
fn main() -> Result<(), Failure> {
    let numbers: Vec<u64> = std::env::args().filter_map(|argument| argument.parse().ok()).collect();
    let pairs = numbers.first().copied().unwrap_or(100_000);
    let callers = numbers.get(1).copied().unwrap_or(32);
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let store = Store::open(folder.path(), Signer::from_seed(&[7; 32])?, Options::default())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build()?;
    let asset: AssetId = "eip155:84532/erc20:0x036cbd53842c5426634e7929541ec2318f3dcf7e".parse()?;
    let caller = Caller::ApiKey(KeyId::from_bytes([1; 16])).principal();
    let credit = Grant {
        from: Clearing::Manual,
        to: caller.clone(),
        amount: Amount::new(u128::MAX / 2),
        asset: asset.clone(),
        id: TransferId::from_bytes([2; 16]),
        note: "bench".to_owned(),
        now: UnixMillis::new(1),
    };
    runtime.block_on(store.grant_credit(credit))?;
    let tool = ToolRef { server: "paid".parse()?, tool: "echo".parse()? };

    let (started, before) = (Instant::now(), writer_ns()?);
    runtime.block_on(async {
        let tasks: Vec<_> = (0..callers)
            .map(|lane| {
                let (store, caller, asset, tool) =
                    (store.clone(), caller.clone(), asset.clone(), tool.clone());
                tokio::spawn(async move {
                    for number in 0..pairs / callers {
                        pair(&store, call(lane, number), &caller, &asset, &tool).await?;
                    }
                    Ok::<_, Failure>(())
                })
            })
            .collect();
        for task in tasks {
            task.await??;
        }
        Ok::<_, Failure>(())
    })?;
    let pairs = pairs / callers * callers;
    let (seconds, cpu) = (started.elapsed().as_secs_f64(), writer_ns()? - before);
    let each = f64::from(u32::try_from(pairs)?);
    let cpu_us = Duration::from_nanos(cpu).as_secs_f64() * 1e6;
    print(&format!("{:.0} pairs/s, writer {:.1} us of CPU per pair", each / seconds, cpu_us / each));
    let findings = runtime.block_on(store.check())?;
    if findings.is_empty() { Ok(()) } else { Err(format!("the books are not in order: {findings:?}").into()) }
}

fn call(lane: u64, number: u64) -> CallId {
    let digest = Digest::of(&[lane.to_be_bytes(), number.to_be_bytes()].concat());
    let [r0, r1, r2, r3, r4, r5, r6, r7, r8, r9, ..] = *digest.as_bytes();
    let random = [r0, r1, r2, r3, r4, r5, r6, r7, r8, r9];
    CallId::new(UnixMillis::new(1_795_219_200_000 + number), random)
}

async fn pair(
    store: &Store,
    call: CallId,
    caller: &Principal,
    asset: &AssetId,
    tool: &ToolRef,
) -> Result<(), Failure> {
    let now = UnixMillis::new(1_795_219_200_000);
    let key = PaymentKey::new(Rail::Credit, format!("{caller}/{call}"))?;
    let claim = Claim {
        key: key.clone(),
        call,
        caller: caller.clone(),
        payer: caller.clone(),
        settle: Settle::After,
        reference: String::new(),
        splits: Default::default(),
        binding: Binding { tool: tool.clone(), args: Digest::of(b"{}"), price_version: 1, quote: None },
        amount: Amount::new(1),
        asset: asset.clone(),
        funds: Funds::Credit(caller.clone()),
        proof: "".into(),
        expires: UnixMillis::new(1_895_219_200_000),
        budget: tollgate_ledger::budget::Ask::default(),
        now,
    };
    let claimed = store.claim(claim).await?;
    if claimed != (Claimed::Fresh { attempt: 1 }) {
        return Err(format!("a fresh key is {claimed:?}").into());
    }
    let draft = StatementDraft {
        receipt_id: ReceiptId::from_bytes(*call.as_bytes()),
        call_id: call,
        ts: now,
        caller: caller.clone(),
        tool: tool.clone(),
        schema_sha256: Some(Digest::of(b"schema")),
        args_sha256: Digest::of(b"args"),
        result_sha256: Some(Digest::of(b"result")),
        outcome: "delivered",
        charged: true,
        price: Some((Amount::new(1), asset.clone(), Rail::Credit)),
        payment_ref: Some(format!("credit:{call}")),
        refunded: None,
        settlement: "settled",
        escrow: None,
        decision: None,
        mode: "sandbox",
    };
    let advance = Advance {
        key,
        call,
        events: vec![
            Event::Executed { result: Digest::of(b"result") },
            Event::Submitted,
            Event::Settled { reference: format!("credit:{call}") },
        ],
        result: Some(vec![b'x'; 350]),
        private: Some(format!("{{\"args\":\"{0}\",\"result\":\"{0}\"}}", "0".repeat(32))),
        statement: Some(draft.to_text()),
        escrow: None,
        now,
    };
    store.advance(advance).await?;
    Ok(())
}

/// What the scheduler says the writer's thread ran.
fn writer_ns() -> Result<u64, Failure> {
    for task in std::fs::read_dir("/proc/self/task")? {
        let task = task?.path();
        if std::fs::read_to_string(task.join("comm"))?.trim() == "ledger-writer" {
            let times = std::fs::read_to_string(task.join("schedstat"))?;
            return Ok(times.split(' ').next().ok_or("schedstat is empty")?.parse()?);
        }
    }
    Err("there is no writer's thread".into())
}

#[expect(clippy::print_stdout, reason = "the result of a bench belongs on standard output")]
fn print(line: &str) {
    println!("{line}");
}
