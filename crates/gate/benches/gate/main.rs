//! How long one call stays in the gate: `Gate::authorize` and `Gate::complete`, over a ledger that answers at once and a
//! tool without a schema.
//!
//! The rails are the real ones: every x402 call brings a signature of its own, every L402 call a macaroon of its own. What
//! is left out is waiting (for a commit, for the tool), reading a request from the wire, and checking arguments against a
//! schema.
//!
//! `cargo bench -p tollgate-gate --bench gate`; behind `--`, the words `prepaid`, `l402` and `x402` choose some of the ways
//! to pay (for a profiler), and `--json` prints one JSON object for each, which is what `cargo xtask bench` reads.

mod ledger;
mod stopwatch;
mod world;

use std::error::Error;
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use stopwatch::{Batch, Summary};
use world::{Paying, World};

/// All ways to pay are measured in turns, this many times: what disturbs the machine for a moment disturbs none of them
/// alone.
const TURNS: usize = 5;
/// Calls before the first of a turn that counts: caches and branch predictors know the code by then.
const WARM_UP_CALLS: usize = 500;
/// Calls of a turn that count.
const CALLS: usize = 2_400;

fn main() -> Result<(), Box<dyn Error>> {
    // Cargo itself adds `--bench`.
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let json = arguments.iter().any(|argument| argument == "--json");
    let mut chosen = Paying::ALL.to_vec();
    chosen.retain(|paying| arguments.iter().any(|argument| argument == paying.word()));
    if chosen.is_empty() {
        chosen.extend(Paying::ALL);
    }
    let world = World::new()?;
    let mut measured: Vec<(Paying, Summary)> =
        chosen.into_iter().map(|paying| (paying, Summary::default())).collect();
    for _turn in 0..TURNS {
        for (paying, summary) in &mut measured {
            measure(&world, *paying, summary)?;
        }
    }
    for (paying, summary) in measured {
        print(&if json { summary.json(paying.word()) } else { summary.line(paying.word()) });
    }
    Ok(())
}

fn measure(world: &World, paying: Paying, summary: &mut Summary) -> Result<(), Box<dyn Error>> {
    let mut requests = world.requests(paying, WARM_UP_CALLS + CALLS)?.into_iter();
    let mut warm_up = Batch::default();
    for request in requests.by_ref().take(WARM_UP_CALLS) {
        world.walk(request, &mut warm_up)?;
    }
    let calls_per_batch = warm_up.calls_in_a_batch();
    loop {
        let mut batch = Batch::default();
        for request in requests.by_ref().take(calls_per_batch) {
            world.walk(request, &mut batch)?;
        }
        // The last, smaller one does not count.
        if batch.calls() < calls_per_batch {
            return Ok(());
        }
        summary.add(batch);
    }
}

/// The value of a future that waits for nothing.
fn ready<T>(future: impl Future<Output = T>) -> Result<T, Box<dyn Error>> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Ok(value),
        Poll::Pending => Err("the gate waits, though every port of this bench answers at once".into()),
    }
}

#[expect(clippy::print_stdout, reason = "the result of a bench belongs on standard output")]
fn print(line: &str) {
    println!("{line}");
}
