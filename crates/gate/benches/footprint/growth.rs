//! Memory of the gateway over a long time, under load of every kind: whether it grows.
//!
//! Not a part of `cargo xtask bench`: an hour is an hour. What came of it stands in `docs/reference/long-runs.md`.

use std::error::Error;
use std::path::Path;
use std::time::Duration;

use tollgate_testkit::memory;
use tollgate_testkit::wrk::Load;

use crate::client::{Connection, prepared};
use crate::gateway::Gateway;
use crate::upstream::Upstream;
use crate::{figure, float, kilobytes, median, megabytes, renamed};

/// In each minute so many seconds of load; the rest of it is rest, in which what was freed can be given back.
const LOAD_SECONDS: u32 = 5;
const CONNECTIONS: u32 = 8;
const STREAMS: usize = 200;
const OPENED_AND_LEFT: usize = 500;

/// Runs for so many minutes and prints the memory at the end of each, then by how much it grows.
pub(crate) async fn growth(tollgate: &Path, upstream: &Upstream, minutes: u32) -> Result<(), Box<dyn Error>> {
    let gateway = Gateway::start(tollgate.to_owned(), &upstream.url()).await?;
    let loads = [
        (gateway.plain_url(), gateway.prepaid_call()),
        (gateway.gated_url(), gateway.prepaid_call()),
        (gateway.federated_url(), gateway.federated_call()),
        (gateway.paid_url(), gateway.prepaid_call()),
    ];
    let (authority, stream) = prepared(&gateway.gated_url(), &renamed(&gateway.prepaid_call(), "stream"))?;
    let (_, hanging) = prepared(&gateway.gated_url(), &renamed(&gateway.prepaid_call(), "hang"))?;
    let mut held = Vec::new();
    for minute in 1..=minutes {
        let (ends, mut calls) = (tokio::time::sleep(Duration::from_secs(60)), 0);
        for (url, call) in &loads {
            let calling = [renamed(call, "echo")];
            let report =
                Load::new(url, &calling)?.connections(CONNECTIONS).seconds(LOAD_SECONDS).run().await?;
            if !report.is_clean() {
                return Err(format!("{url}: {report:?}").into());
            }
            calls += report.requests;
        }
        let mut streaming = Connection::to(&authority).await?;
        for _ in 0..STREAMS {
            streaming.exchange(&stream).await?;
        }
        // Callers who come, ask and go away before their answer.
        let mut left = Vec::new();
        for _ in 0..OPENED_AND_LEFT {
            let mut connection = Connection::to(&authority).await?;
            connection.send(&hanging).await?;
            left.push(connection);
        }
        drop((left, streaming));
        ends.await;
        let now = memory::of_group(gateway.group())?;
        eprintln!("minute {minute}: {calls} calls, {:.1} MB", megabytes(now));
        held.push(kilobytes(now));
    }
    // The first quarter fills caches and the allocator's own stock.
    let settled = held.split_off(held.len() / 4);
    figure("growth_kb_per_minute", slope(&settled));
    figure("growth_last_mb", settled.last().copied().unwrap_or(f64::NAN) / 1024.0);
    Ok(())
}

/// The median slope between any two values, which are a minute apart: a minute in which freed pages were not given back yet says
/// nothing about growth.
fn slope(values: &[f64]) -> f64 {
    let later = |(at, early): (usize, &f64)| {
        let early = *early;
        values.iter().skip(at + 1).zip(1_u64..).map(move |(late, minutes)| (late - early) / float(minutes))
    };
    let mut slopes: Vec<f64> = values.iter().enumerate().flat_map(later).collect();
    median(&mut slopes)
}
