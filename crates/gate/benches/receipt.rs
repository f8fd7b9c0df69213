//! What a receipt costs, part by part: the digests of arguments and result, the statement, and its seal.
//!
//! `cargo bench -p tollgate-gate --bench receipt` prints microseconds of each: the fastest of many batches of two
//! milliseconds, and the median. Behind `--`, names of parts choose some (for a profiler).

use std::error::Error;
use std::hint::black_box;
use std::time::{Duration, Instant};

use tollgate_attest::{FIRST_PREVIOUS, Signer, StatementDraft, salted_digest, seal};
use tollgate_domain::{
    Amount, AssetId, Bps, CallId, Caller, Digest, KeyId, KyaTier, Principal, Rail, ReceiptId, Requirement,
    Standing, ToolRef, UnixMillis,
};
use tollgate_mcp::canonical;

/// The allocator of the gateway's binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Arguments of 1.8 KB, as the load of `cargo xtask bench` sends them.
const ARGUMENTS: &[u8] = include_bytes!("gate/arguments.json");
const BATCH_TIME: Duration = Duration::from_millis(2);
const BATCHES: usize = 300;

/// A paid call that was delivered.
struct Ended {
    now: UnixMillis,
    caller: Principal,
    tool: ToolRef,
    asset: AssetId,
    arguments: Digest,
    result: Digest,
}

fn main() -> Result<(), Box<dyn Error>> {
    let chosen: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let is_chosen = |part: &str| chosen.is_empty() || chosen.iter().any(|word| word == part);
    let result = format!(
        r#"{{"content":[{{"type":"text","text":"{}"}}],"structuredContent":{{"rows":[1,2,3]}},"isError":false}}"#,
        "x".repeat(250)
    );
    let ended = Ended {
        now: UnixMillis::new(1_795_219_200_000),
        caller: Caller::ApiKey(KeyId::from_bytes([1; 16])).principal(),
        tool: ToolRef { server: "paid".parse()?, tool: "echo".parse()? },
        asset: "eip155:84532/erc20:0x036cbd53842c5426634e7929541ec2318f3dcf7e".parse()?,
        arguments: Digest::of(ARGUMENTS),
        result: Digest::of(result.as_bytes()),
    };
    let (signer, draft) = (Signer::from_seed(&[7; 32])?, ended.draft());
    let sealed = seal(&draft, 1, &FIRST_PREVIOUS, &signer)?;
    print(&format!("draft of {} bytes, envelope of {}", draft.len(), sealed.envelope.len()));
    if is_chosen("arguments") {
        measure("arguments", || canonical::digest(black_box(ARGUMENTS)));
    }
    if is_chosen("result") {
        measure("result", || canonical::digest_without(black_box(result.as_bytes()), &["_meta"]));
    }
    if is_chosen("draft") {
        measure("draft", || black_box(&ended).draft());
    }
    if is_chosen("seal") {
        measure("seal", || seal(black_box(&draft), 123_456, &sealed.hash, &signer));
    }
    Ok(())
}

impl Ended {
    /// What the gate makes of it.
    fn draft(&self) -> String {
        let (arguments_salt, result_salt) = ([3; 16], [4; 16]);
        let draft = StatementDraft {
            receipt_id: ReceiptId::new(self.now, [1; 10]),
            call_id: CallId::new(self.now, [2; 10]),
            ts: self.now.plus_millis(3),
            caller: self.caller.clone(),
            tool: self.tool.clone(),
            schema_sha256: Some(self.arguments),
            args_sha256: salted_digest(&arguments_salt, self.arguments.as_bytes()),
            result_sha256: Some(salted_digest(&result_salt, self.result.as_bytes())),
            outcome: "delivered",
            charged: true,
            price: Some((Amount::new(10_000), self.asset.clone(), Rail::Credit)),
            payment_ref: Some("ledger:call_103518Rpy1IgAnbQiqcrFy6".to_owned()),
            refunded: None,
            settlement: "settled",
            escrow: None,
            decision: Some((
                Requirement { api_key: true, min_reputation: Bps::new(0) },
                Standing { tier: KyaTier::Sandbox, reputation: Bps::new(5_500), settled_calls: 12_345 },
            )),
            mode: "sandbox",
        };
        draft.to_text()
    }
}

/// Prints what one call of `part` takes.
#[expect(clippy::disallowed_methods, reason = "a bench reads the clock")]
fn measure<T>(name: &str, part: impl Fn() -> T) {
    let time = |calls: u32| {
        let started = Instant::now();
        for _ in 0..calls {
            black_box(part());
        }
        started.elapsed() / calls
    };
    let one = time(2_000).max(Duration::from_nanos(1));
    let calls = u32::try_from(BATCH_TIME.as_nanos() / one.as_nanos()).unwrap_or(1).max(1);
    let mut batches: Vec<Duration> = (0..BATCHES).map(|_| time(calls)).collect();
    batches.sort_unstable();
    let at = |index: usize| batches.get(index).copied().unwrap_or_default().as_secs_f64() * 1e6;
    print(&format!("{name:<10} min {:>6.2} us, p50 {:>6.2} us", at(0), at(BATCHES / 2)));
}

#[expect(clippy::print_stdout, reason = "the result of a bench belongs on standard output")]
fn print(line: &str) {
    println!("{line}");
}
