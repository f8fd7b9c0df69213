//! What the gateway takes when nobody calls, and what it adds when little is asked: memory, its start, the first byte of a
//! stream, the slowest calls at half its strength.
//!
//! `cargo bench -p tollgate-gate --bench footprint -- --tollgate PATH` prints one JSON object per figure. `cargo xtask bench`
//! runs it and judges. With `--upstream` this program is the mock upstream.

#[path = "../paired/calls.rs"]
#[expect(dead_code, reason = "the other bench pays for its calls")]
mod calls;
mod client;
#[path = "../paired/gateway.rs"]
#[expect(dead_code, reason = "the other bench uses more of it")]
mod gateway;
#[path = "../paired/upstream.rs"]
#[expect(dead_code, reason = "the other bench wants its processor time")]
mod upstream;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::json;
use tollgate_testkit::memory;
use tollgate_testkit::nginx::{Buffering, Nginx};
use tollgate_testkit::wrk::{Load, Request};

use client::{Connection, Timed, prepared};
use gateway::{Gateway, Installed};
use upstream::Upstream;

const STARTS: usize = 7;
const IDLE_CONNECTIONS: u64 = 10_000;
const CALLS_IN_FLIGHT: u64 = 500;
const STREAMS: usize = 400;
const SATURATING_CONNECTIONS: u32 = 32;
const LOAD_SECONDS: u32 = 1;
const TAILS: usize = 9;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--upstream") {
        return upstream::serve();
    }
    let path = arguments.iter().skip_while(|argument| *argument != "--tollgate").nth(1);
    let tollgate = PathBuf::from(path.ok_or("name the gateway's binary: --tollgate PATH")?);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let upstream = Upstream::start().await?;
        figure("binary_mb", megabytes(stripped_bytes(&tollgate)?));
        starts(&tollgate, &upstream).await?;
        memory_of_connections(&tollgate, &upstream).await?;
        memory_of_calls(&tollgate, &upstream).await?;
        first_bytes(&tollgate, &upstream).await?;
        tail(&tollgate, &upstream).await
    })
}

/// From the start of the process to the answer of the first call that it passed on.
async fn starts(tollgate: &Path, upstream: &Upstream) -> Result<(), Box<dyn Error>> {
    let mut took = Vec::new();
    for _ in 0..STARTS {
        let installed = Installed::new(tollgate.to_owned(), &upstream.url())?;
        let started = now();
        let gateway = installed.spawn()?;
        let (authority, call) = prepared(&gateway.plain_url(), &calls::call(None))?;
        loop {
            let answered = async { Connection::to(&authority).await?.exchange(&call).await };
            if answered.await.is_ok() {
                break;
            }
            if started.elapsed() > upstream::START_MAX {
                return Err("the gateway did not start".into());
            }
            tokio::time::sleep(Duration::from_micros(500)).await;
        }
        took.push(started.elapsed().as_secs_f64() * 1e3);
    }
    figure("start_ms", median(&mut took));
    Ok(())
}

/// Memory at rest, and of each connection that has made one call and is kept.
async fn memory_of_connections(tollgate: &Path, upstream: &Upstream) -> Result<(), Box<dyn Error>> {
    let gateway = Gateway::start(tollgate.to_owned(), &upstream.url()).await?;
    let (authority, call) = prepared(&gateway.gated_url(), &gateway.prepaid_call())?;
    let mut kept = vec![opened(&authority, &call).await?];
    let before = memory::of_group(gateway.group())?;
    figure("idle_mb", megabytes(before));
    for _ in 1..IDLE_CONNECTIONS {
        kept.push(opened(&authority, &call).await?);
    }
    let grown = memory::of_group(gateway.group())?.saturating_sub(before);
    figure("idle_connection_kb", kilobytes(grown) / float(IDLE_CONNECTIONS));
    Ok(())
}

/// A connection that has made one call.
async fn opened(authority: &str, call: &[u8]) -> std::io::Result<Connection> {
    let mut connection = Connection::to(authority).await?;
    connection.exchange(call).await?;
    Ok(connection)
}

/// Memory of each call that waits for its tool, its body included.
async fn memory_of_calls(tollgate: &Path, upstream: &Upstream) -> Result<(), Box<dyn Error>> {
    let gateway = Gateway::start(tollgate.to_owned(), &upstream.url()).await?;
    let (authority, call) = prepared(&gateway.gated_url(), &gateway.prepaid_call())?;
    let hanging = renamed(&gateway.prepaid_call(), "hang");
    let (_, hanging) = prepared(&gateway.gated_url(), &hanging)?;
    let mut kept = Vec::new();
    for _ in 0..CALLS_IN_FLIGHT {
        kept.push(opened(&authority, &call).await?);
    }
    let before = memory::of_group(gateway.group())?;
    for one in &mut kept {
        one.send(&hanging).await?;
    }
    // The gauge of the gateway itself says when all of them have arrived.
    let metrics = gateway.at("/metrics");
    loop {
        let text = tollgate_testkit::http::get(&metrics, &[]).await?.text();
        let inflight = text.lines().find_map(|line| line.strip_prefix("tollgate_inflight ")?.parse().ok());
        match inflight {
            Some(count) if float(CALLS_IN_FLIGHT) <= count => break,
            Some(_) => tokio::time::sleep(Duration::from_millis(5)).await,
            None => return Err("the metrics do not say how many calls are in flight".into()),
        }
    }
    let grown = memory::of_group(gateway.group())?.saturating_sub(before);
    figure("call_in_flight_kb", kilobytes(grown) / float(CALLS_IN_FLIGHT));
    Ok(())
}

/// The first event of a stream of a hundred, one connection at a time: how much later than from the upstream itself.
async fn first_bytes(tollgate: &Path, upstream: &Upstream) -> Result<(), Box<dyn Error>> {
    let gateway = Gateway::start(tollgate.to_owned(), &upstream.url()).await?;
    let nginx = Nginx::start(upstream.address(), Buffering::Off).await?;
    let stream = renamed(&gateway.prepaid_call(), "stream");
    let ways = [
        ("direct", upstream.url()),
        ("nginx", nginx.url(upstream::PATH)),
        ("plain", gateway.plain_url()),
        ("gated", gateway.gated_url()),
    ];
    let mut connections = Vec::new();
    for (name, url) in ways {
        let (authority, call) = prepared(&url, &stream)?;
        connections.push((name, Connection::to(&authority).await?, call, Vec::new()));
    }
    // In turns, so that whatever disturbs one disturbs its neighbours.
    for _ in 0..STREAMS {
        for (_, connection, call, timed) in &mut connections {
            timed.push(connection.exchange(call).await?);
        }
    }
    let mut medians = connections.into_iter().map(|(name, _, _, timed)| {
        let of = |pick: fn(&Timed) -> f64| median(&mut timed.iter().map(pick).collect::<Vec<_>>());
        (name, of(|timed| timed.first_us), of(|timed| timed.whole_us))
    });
    let (_, direct_first, direct_whole) = medians.next().ok_or("nothing was timed")?;
    for (name, first, whole) in medians {
        figure(&format!("first_event_{name}_us"), first - direct_first);
        figure(&format!("hundred_events_{name}_us"), whole - direct_whole);
    }
    Ok(())
}

/// How the slowest of a hundred calls compares with the median, at the load nearest to half of what the gateway can take.
async fn tail(tollgate: &Path, upstream: &Upstream) -> Result<(), Box<dyn Error>> {
    let gateway = Gateway::start(tollgate.to_owned(), &upstream.url()).await?;
    let load = |connections| {
        let calls = [gateway.prepaid_call()];
        Load::new(&gateway.gated_url(), &calls)
            .map(|load| load.connections(connections).seconds(LOAD_SECONDS))
    };
    let full = load(SATURATING_CONNECTIONS)?.run().await?.requests_per_second();
    let mut nearest: Option<(f64, u32)> = None;
    for connections in 1..=3 {
        let beside = (load(connections)?.run().await?.requests_per_second() / full - 0.5).abs();
        if nearest.is_none_or(|(best, _)| beside < best) {
            nearest = Some((beside, connections));
        }
    }
    let (_, connections) = nearest.ok_or("nothing was measured")?;
    // A machine that is shared holds everybody up now and then; the median slice is one in which it did not.
    let mut ratios = Vec::new();
    for _ in 0..TAILS {
        let report = load(connections)?.run().await?;
        if !report.is_clean() {
            return Err(format!("{connections} connections: {report:?}").into());
        }
        ratios.push(report.p99_us / report.p50_us);
    }
    figure("half_load_p99_to_p50", median(&mut ratios));
    Ok(())
}

/// The same call of another tool.
fn renamed(request: &Request, tool: &str) -> Request {
    let body = request.body.replacen(r#""name":"echo""#, &format!(r#""name":"{tool}""#), 1);
    Request { headers: request.headers.clone(), body }
}

/// How large the program is without what only debuggers read.
fn stripped_bytes(tollgate: &Path) -> Result<u64, Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let stripped = folder.path().join("tollgate");
    let status = Command::new("strip").arg("-o").arg(&stripped).arg(tollgate).status()?;
    if !status.success() {
        return Err(format!("strip: {status}").into());
    }
    Ok(std::fs::metadata(&stripped)?.len())
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn megabytes(bytes: u64) -> f64 {
    float(bytes) / f64::from(1 << 20)
}

fn kilobytes(bytes: u64) -> f64 {
    float(bytes) / 1024.0
}

#[expect(clippy::cast_precision_loss, reason = "a bench's counts are far below 2^52")]
#[expect(clippy::as_conversions, reason = "there is no other way to a float")]
fn float(count: u64) -> f64 {
    count as f64
}

#[expect(clippy::disallowed_methods, reason = "a stopwatch")]
fn now() -> Instant {
    Instant::now()
}

#[expect(clippy::print_stdout, reason = "the result of a bench belongs on standard output")]
fn figure(what: &str, value: f64) {
    println!("{}", json!({"kind": "footprint", "what": what, "value": value}));
}
