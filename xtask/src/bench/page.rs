//! The page: what is in `performance.md` beside this file, with the figures put in.

use std::fmt::Write as _;

use anyhow::Result;

use super::Build;
use super::figures::{Figures, Pair, Slice, Spread};
use super::goals::{Goal, Measured, Outcome, Unit};
use super::machine::Machine;

/// The page's own words, with places for figures.
const WORDS: &str = include_str!("performance.md");

/// A comparison without a goal: what it says, whom it compares, and which figure.
struct Compared {
    what: &'static str,
    pair: Pair,
    figure: fn(&Slice) -> f64,
}

/// The goals as a table.
pub(crate) fn table(results: &[Outcome]) -> String {
    let mut text = String::from("| What | Goal | Measured | |\n|---|---|---|---|\n");
    for result in results {
        let (goal, measured) = (shown_goal(result.goal, result.unit), shown(result.measured, result.unit));
        // Writing to a string cannot fail.
        let _written =
            writeln!(text, "| {} | {goal} | {measured} | {} |", result.what, result.verdict().word());
    }
    text
}

/// The whole page.
///
/// # Errors
/// When a figure on it was not measured.
pub(crate) fn text(
    results: &[Outcome],
    figures: &Figures,
    machine: &Machine,
    build: Build,
) -> Result<String> {
    let class = if machine.real_time { "real-time (round robin)" } else { "normal" };
    let places = [
        ("{{goals}}", table(results)),
        ("{{ratios}}", ratios(figures)?),
        ("{{gate}}", gate(figures)?),
        ("{{streams}}", streams(figures)?),
        ("{{books}}", books(figures)?),
        ("{{date}}", machine.date.clone()),
        ("{{kernel}}", machine.kernel.clone()),
        ("{{processor}}", machine.processor.clone()),
        ("{{commit}}", machine.commit.clone()),
        ("{{class}}", class.to_owned()),
        ("{{profile}}", build.profile().to_owned()),
    ];
    Ok(places
        .into_iter()
        .fold(WORDS.to_owned(), |page, (place, value)| page.replace(place, value.trim_end())))
}

fn ratios(figures: &Figures) -> Result<String> {
    let mut text = String::from("| What | × nginx, median | range | rounds |\n|---|---|---|---|\n");
    for Compared { what, pair, figure } in compared() {
        let Spread { median, lowest, highest, rounds } = figures.ratio(pair, figure)?;
        let _written = writeln!(text, "| {what} | {median:.2} | {lowest:.2} – {highest:.2} | {rounds} |");
    }
    Ok(text)
}

fn compared() -> Vec<Compared> {
    let rate = |slice: &Slice| slice.requests_per_second;
    let cpu = |slice: &Slice| slice.cpu_us_per_request;
    let p50 = |slice: &Slice| slice.p50_us;
    let pair = |subject, beside, connections| Pair { subject, beside, connections };
    vec![
        Compared {
            what: "32 connections, requests/s: upstream alone",
            pair: pair("direct", "nginx", 32),
            figure: rate,
        },
        Compared { what: "… without any policy", pair: pair("plain", "nginx", 32), figure: rate },
        Compared { what: "… bare relay", pair: pair("relay", "nginx", 32), figure: rate },
        Compared { what: "… parsed and passed on", pair: pair("routed", "nginx", 32), figure: rate },
        Compared { what: "… free call", pair: pair("gated", "nginx", 32), figure: rate },
        Compared {
            what: "… free call, two servers as one",
            pair: pair("federated", "nginx", 32),
            figure: rate,
        },
        Compared { what: "… held", pair: pair("held", "nginx", 32), figure: rate },
        Compared { what: "… held, overlapping", pair: pair("held_ahead", "nginx", 32), figure: rate },
        Compared { what: "… prepaid", pair: pair("prepaid", "nginx", 32), figure: rate },
        Compared { what: "… prepaid, overlapping", pair: pair("prepaid_ahead", "nginx", 32), figure: rate },
        Compared { what: "… x402", pair: pair("x402", "nginx_paying", 32), figure: rate },
        Compared {
            what: "32 connections, CPU per request: without any policy",
            pair: pair("plain", "nginx", 32),
            figure: cpu,
        },
        Compared { what: "… bare relay", pair: pair("relay", "nginx", 32), figure: cpu },
        Compared { what: "… parsed and passed on", pair: pair("routed", "nginx", 32), figure: cpu },
        Compared { what: "… free call", pair: pair("gated", "nginx", 32), figure: cpu },
        Compared {
            what: "… free call, two servers as one",
            pair: pair("federated", "nginx", 32),
            figure: cpu,
        },
        Compared { what: "… held", pair: pair("held", "nginx", 32), figure: cpu },
        Compared { what: "… prepaid", pair: pair("prepaid", "nginx", 32), figure: cpu },
        Compared { what: "… prepaid, overlapping", pair: pair("prepaid_ahead", "nginx", 32), figure: cpu },
        Compared { what: "… x402", pair: pair("x402", "nginx_paying", 32), figure: cpu },
        Compared {
            what: "1 connection, median latency: upstream alone",
            pair: pair("direct", "nginx", 1),
            figure: p50,
        },
        Compared { what: "… without any policy", pair: pair("plain", "nginx", 1), figure: p50 },
        Compared { what: "… held", pair: pair("held", "nginx", 1), figure: p50 },
        Compared { what: "… held, overlapping", pair: pair("held_ahead", "nginx", 1), figure: p50 },
        Compared { what: "… prepaid", pair: pair("prepaid", "nginx", 1), figure: p50 },
        Compared { what: "… prepaid, overlapping", pair: pair("prepaid_ahead", "nginx", 1), figure: p50 },
        Compared { what: "… x402", pair: pair("x402", "nginx", 1), figure: p50 },
    ]
}

fn gate(figures: &Figures) -> Result<String> {
    let mut text =
        String::from("| Paid | before the tool, µs | after it, µs | together, µs |\n|---|---|---|---|\n");
    for (name, paying) in [("prepaid", "prepaid"), ("L402", "l402"), ("x402 exact", "x402")] {
        let time = figures.gate(paying)?;
        let (before, after, both) = (time.authorize_us, time.complete_us, time.gate_us);
        let _written = writeln!(
            text,
            "| {name} | {:.1} ({:.1}) | {:.1} ({:.1}) | {:.1} ({:.1}) |",
            before.p50, before.min, after.p50, after.min, both.p50, both.min
        );
    }
    Ok(text)
}

fn streams(figures: &Figures) -> Result<String> {
    let mut text = String::from(
        "| Through | first event | a later one | first of a hundred | … with the way of the request | all of a hundred |\n|---|---|---|---|---|---|\n",
    );
    for (name, way) in [
        ("nginx, unbuffered", "nginx"),
        ("the gateway, no policy", "plain"),
        ("the gateway, free call", "gated"),
    ] {
        let of = |what: &str| figures.footprint(&format!("{what}_{way}_us"));
        let _written = writeln!(
            text,
            "| {name} | {:.0} | {:.0} | {:.0} | {:.0} | {:.0} |",
            of("first_event")?,
            of("later_event")?,
            of("first_of_hundred")?,
            of("first_of_hundred_and_request")?,
            of("hundred_events")?,
        );
    }
    Ok(text)
}

fn books(figures: &Figures) -> Result<String> {
    let mut text = String::from("| What | a second, median | range |\n|---|---|---|\n");
    for (what, name) in [
        ("decisions alone", "apply"),
        ("file, one account credited", "file_hot"),
        ("… bare loop", "file_bare_hot"),
        ("file, ten thousand accounts", "file_spread"),
        ("… bare loop", "file_bare_spread"),
        ("file, reservations of 32 callers", "holds"),
        ("… claims of 32 callers", "claims"),
        ("PostgreSQL, one account credited", "database_hot"),
        ("… ten thousand accounts", "database_spread"),
    ] {
        let Spread { median, lowest, highest, .. } = figures.ledger(name)?;
        let _written = writeln!(text, "| {what} | {median:.0} | {lowest:.0} – {highest:.0} |");
    }
    Ok(text)
}

fn shown_goal(goal: Goal, unit: Unit) -> String {
    let (sign, bound) = match goal {
        Goal::AtLeast(least) => ('≥', least),
        Goal::AtMost(most) => ('≤', most),
    };
    match unit {
        Unit::Times(neighbour) => format!("{sign} {bound:.2} × {neighbour}"),
        Unit::Ratio => format!("{sign} {bound:.1}"),
        Unit::PerSecond => format!("{sign} {bound:.0}"),
        Unit::Microseconds => format!("{sign} {bound:.0} µs"),
        Unit::Milliseconds => format!("{sign} {bound:.0} ms"),
        Unit::Megabytes => format!("{sign} {bound:.0} MB"),
        Unit::Kilobytes => format!("{sign} {bound:.0} KB"),
    }
}

fn shown(measured: Measured, unit: Unit) -> String {
    match (measured, unit) {
        (Measured::Ratio(Spread { median, lowest, highest, .. }), Unit::PerSecond) => {
            format!("{median:.0} ({lowest:.0} – {highest:.0})")
        }
        (Measured::Ratio(Spread { median, lowest, highest, .. }), Unit::Microseconds) => {
            format!("{median:.1} µs ({lowest:.1} – {highest:.1})")
        }
        (Measured::Ratio(Spread { median, lowest, highest, .. }), _) => {
            format!("{median:.2} ({lowest:.2} – {highest:.2})")
        }
        (Measured::Microseconds { p50, min }, _) => format!("{p50:.1} µs (fastest {min:.1})"),
        (Measured::Single(figure), Unit::Times(_) | Unit::Ratio | Unit::PerSecond) => format!("{figure:.1}"),
        (Measured::Single(figure), Unit::Microseconds) => format!("{figure:.0} µs"),
        (Measured::Single(figure), Unit::Milliseconds) => format!("{figure:.0} ms"),
        (Measured::Single(figure), Unit::Megabytes) => format!("{figure:.1} MB"),
        (Measured::Single(figure), Unit::Kilobytes) => format!("{figure:.1} KB"),
    }
}
