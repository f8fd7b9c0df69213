//! What the gateway takes when nobody calls, and what it adds when little is asked: memory, its start, the first byte of a
//! stream, the slowest calls at half its strength.
//!
//! `cargo bench -p tollgate-gate --bench footprint -- --tollgate PATH [--only PART]` prints one JSON object per figure; a part is
//! `size`, `starts`, `connections`, `calls`, `streams` or `tail`. `cargo xtask bench` runs all of these and judges. `--growth MINUTES` is
//! another run: memory over that time, under load. With `--upstream` this program is the mock upstream.

#[path = "../paired/calls.rs"]
#[expect(dead_code, reason = "the other bench pays for its calls")]
mod calls;
mod client;
#[path = "../paired/gateway.rs"]
#[expect(dead_code, reason = "the other bench uses more of it")]
mod gateway;
mod growth;
#[path = "../common/program.rs"]
mod program;
#[path = "../paired/upstream.rs"]
#[expect(dead_code, reason = "the other bench wants its processor time")]
mod upstream;

use std::error::Error;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::json;
use tollgate_testkit::memory;
use tollgate_testkit::nginx::{Buffering, Nginx};
use tollgate_testkit::wrk::{Load, Request};

use client::{Connection, Timed, prepared};
use gateway::{Gateway, Installed};
use program::Arguments;
use upstream::Upstream;

const STARTS: usize = 7;
const IDLE_CONNECTIONS: u64 = 10_000;
const CALLS_IN_FLIGHT: u64 = 500;
const STREAMS: usize = 400;
const SATURATING_CONNECTIONS: u32 = 32;
const LOAD_SECONDS: u32 = 1;
const TAILS: usize = 9;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::read();
    if arguments.has("--upstream") {
        return upstream::serve();
    }
    let tollgate = arguments.tollgate()?;
    let wanted = |part: &str| arguments.wants(part);
    let minutes = arguments.value("--growth").map(str::parse).transpose()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let upstream = Upstream::start().await?;
        if let Some(minutes) = minutes {
            return growth::growth(&tollgate, &upstream, minutes).await;
        }
        if wanted("size") {
            figure("binary_mb", megabytes(stripped_bytes(&tollgate)?));
        }
        if wanted("starts") {
            starts(&tollgate, &upstream).await?;
        }
        if wanted("connections") {
            memory_of_connections(&tollgate, &upstream).await?;
        }
        if wanted("calls") {
            memory_of_calls(&tollgate, &upstream).await?;
        }
        if wanted("streams") {
            streams(&tollgate, &upstream).await?;
        }
        if wanted("tail") {
            tail(&tollgate, &upstream).await?;
        }
        Ok(())
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

/// Streams, one connection at a time and in turns with the upstream itself, whose medians are taken off.
///
/// Of one whose events come one by one: how much later the client has the first event, and a later one, counted from when the
/// upstream made it. Of one whose hundred events are made at once: the same of its first event, which then shares the processors
/// with all that follow; the first event from the first byte of the request on; and all of it.
async fn streams(tollgate: &Path, upstream: &Upstream) -> Result<(), Box<dyn Error>> {
    let gateway = Gateway::start(tollgate.to_owned(), &upstream.url()).await?;
    let nginx = Nginx::start(upstream.address(), Buffering::Off).await?;
    let ways = [
        ("direct", upstream.url()),
        ("nginx", nginx.url(upstream::PATH)),
        ("plain", gateway.plain_url()),
        ("gated", gateway.gated_url()),
    ];
    let first = |timed: &Timed| timed.one_way_us;
    let paced = timed(&ways, &renamed(&gateway.prepaid_call(), "paced")).await?;
    beyond(&paced, "first_event", first)?;
    beyond(&paced, "later_event", |timed| timed.later_us)?;
    let at_once = timed(&ways, &renamed(&gateway.prepaid_call(), "stream")).await?;
    beyond(&at_once, "first_of_hundred", first)?;
    beyond(&at_once, "first_of_hundred_and_request", |timed| timed.first_us)?;
    beyond(&at_once, "hundred_events", |timed| timed.whole_us)
}

type Ways<T> = Vec<(&'static str, T)>;

/// What each way took, stream by stream.
async fn timed(
    ways: &[(&'static str, String)],
    stream: &Request,
) -> Result<Ways<Vec<Timed>>, Box<dyn Error>> {
    let mut connections = Vec::new();
    for (name, url) in ways {
        let (authority, call) = prepared(url, stream)?;
        connections.push((*name, Connection::to(&authority).await?, call, Vec::new()));
    }
    // In turns, so that whatever disturbs one disturbs its neighbours.
    for _ in 0..STREAMS {
        for (_, connection, call, timed) in &mut connections {
            timed.push(connection.exchange(call).await?);
        }
    }
    Ok(connections.into_iter().map(|(name, _, _, timed)| (name, timed)).collect())
}

/// By how much the median of each way is above the direct one, which comes first.
fn beyond(ways: &Ways<Vec<Timed>>, what: &str, pick: impl Fn(&Timed) -> f64) -> Result<(), Box<dyn Error>> {
    let mut medians = ways.iter().map(|(name, timed)| {
        let mut figures: Vec<f64> = timed.iter().map(&pick).collect();
        (name, median(&mut figures))
    });
    let (_, direct) = medians.next().ok_or("nothing was timed")?;
    if direct.is_nan() {
        return Err("the upstream's events do not say when they were made".into());
    }
    medians.for_each(|(name, through)| figure(&format!("{what}_{name}_us"), through - direct));
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
