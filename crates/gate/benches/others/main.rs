//! What a well-behaved caller notices of others who are not: its slowest calls beside them, by its slowest calls alone.
//!
//! A few kept connections make a free call with an API key at a fixed rate, far below what the gateway can do. In alternating slices of one
//! run they are alone, beside callers who send heads and bodies byte by byte (F60), beside those who read endless answers a little at a
//! time, once what waits for them has stopped growing (F60), or beside a tenant who asks for several times what it may (F63). What others send is made by a thread of its own at a fixed rate as well: a load that takes the
//! processors from everybody would say nothing about the gateway.
//!
//! `cargo bench -p tollgate-gate --bench others -- --tollgate PATH [--quick] [--only CROWD,…]` prints one JSON object per ratio; a crowd
//! is `slow`, `readers` or `flood`. `cargo xtask bench` runs it and judges.

#[path = "../footprint/client.rs"]
#[expect(dead_code, reason = "the other bench times streams as well")]
mod client;
mod crowd;
#[path = "../common/program.rs"]
#[expect(dead_code, reason = "the other benches look at the books as well")]
mod program;
mod world;

use std::error::Error;
use std::time::Duration;

use serde_json::json;
use tokio::time::{MissedTickBehavior, interval};

use client::{Connection, prepared};
use crowd::{Crowd, Flood};
use program::Arguments;
use world::World;

const ROUNDS: usize = 9;
const ROUNDS_QUICK: usize = 2;
const CONNECTIONS: usize = 4;
/// Of each connection in a slice; the slowest of a hundred are some twenty calls.
const CALLS: usize = 500;
/// Of each connection.
const EVERY: Duration = Duration::from_millis(5);

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::read();
    let tollgate = arguments.tollgate()?;
    let rounds = if arguments.has("--quick") { ROUNDS_QUICK } else { ROUNDS };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let world = World::start(tollgate).await?;
        let mut caller = Caller::of(&world).await?;
        // Connections are open, caches are filled.
        caller.slice().await?;
        for round in 0..rounds {
            note(&format!("round {} of {rounds}", round + 1));
            for flood in Flood::ALL.into_iter().filter(|flood| arguments.wants(flood.word())) {
                let (alone, beside) = if round.is_multiple_of(2) {
                    let alone = caller.slice().await?;
                    (alone, caller.beside(&world, flood).await?)
                } else {
                    let beside = caller.beside(&world, flood).await?;
                    (caller.slice().await?, beside)
                };
                figure(&format!("p99_beside_{}", flood.word()), beside.p99_us / alone.p99_us);
                figure(&format!("p50_beside_{}", flood.word()), beside.p50_us / alone.p50_us);
            }
        }
        Ok(())
    })
}

/// Who behaves well.
struct Caller {
    connections: Vec<Connection>,
    call: Vec<u8>,
}

struct Latencies {
    p50_us: f64,
    p99_us: f64,
}

impl Caller {
    async fn of(world: &World) -> Result<Self, Box<dyn Error>> {
        let (authority, call) = prepared(&world.url(), &world.call("echo", &world.keys.good))?;
        let mut connections = Vec::new();
        for _ in 0..CONNECTIONS {
            connections.push(Connection::to(&authority).await?);
        }
        Ok(Self { connections, call })
    }

    /// Calls at a fixed rate; each must be answered 200.
    async fn slice(&mut self) -> Result<Latencies, Box<dyn Error>> {
        let mut all = Vec::new();
        let mut tick = interval(EVERY);
        // A late answer must not be made up for by a burst.
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for _ in 0..CALLS {
            tick.tick().await;
            for connection in &mut self.connections {
                all.push(connection.exchange(&self.call).await?.whole_us);
            }
        }
        all.sort_by(f64::total_cmp);
        let at = |percent: usize| all.get(all.len() * percent / 100).copied().ok_or("nothing was timed");
        Ok(Latencies { p50_us: at(50)?, p99_us: at(99)? })
    }

    async fn beside(&mut self, world: &World, flood: Flood) -> Result<Latencies, Box<dyn Error>> {
        let crowd = Crowd::gather(world, flood)?;
        let beside = self.slice().await?;
        crowd.disperse()?;
        Ok(beside)
    }
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

#[expect(clippy::print_stdout, reason = "the result of a bench belongs on standard output")]
fn figure(what: &str, value: f64) {
    println!("{}", json!({"kind": "others", "what": what, "value": value}));
}

#[expect(clippy::print_stderr, reason = "whoever waits for a minute wants to know for what")]
fn note(line: &str) {
    eprintln!("others: {line}");
}
