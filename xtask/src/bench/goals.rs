//! What must hold, what was measured for it, and whether it does.

use anyhow::Result;

use super::figures::{Figures, Pair, Spread};

/// How far beside a goal a shared machine may push a figure before that counts.
const LENIENCE: f64 = 0.1;

/// A bound.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Goal {
    /// Not less than this share of the neighbour's figure.
    AtLeast(f64),
    /// Not more than this.
    AtMost(f64),
}

/// What a figure counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Unit {
    /// Shares of what this neighbour shows.
    Times(&'static str),
    PerSecond,
    Microseconds,
    Milliseconds,
    Megabytes,
    Kilobytes,
    /// A bare ratio.
    Ratio,
}

/// One goal and what was measured for it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outcome {
    pub(crate) what: &'static str,
    pub(crate) goal: Goal,
    pub(crate) unit: Unit,
    pub(crate) measured: Measured,
}

/// A measured figure.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Measured {
    /// A figure of each round, such as a ratio to a neighbour.
    Ratio(Spread),
    /// One figure of one process.
    Single(f64),
    /// Microseconds: the median and the fastest batch.
    Microseconds {
        /// The median batch; what counts.
        p50: f64,
        /// The fastest one.
        min: f64,
    },
}

/// How a figure stands to its goal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Verdict {
    /// It is met.
    Met,
    /// It is missed by a tenth or less.
    Close,
    /// It is missed.
    Missed,
}

/// Every goal with its figure.
///
/// # Errors
/// When something was not measured.
pub(crate) fn results(figures: &Figures) -> Result<Vec<Outcome>> {
    let rate = |what, subject, beside, share| -> Result<Outcome> {
        let pair = Pair { subject, beside, connections: 32 };
        let measured = Measured::Ratio(figures.ratio(pair, |slice| slice.requests_per_second)?);
        Ok(Outcome { what, goal: Goal::AtLeast(share), unit: Unit::Times(called(beside)), measured })
    };
    let gate = |what, paying, most| -> Result<Outcome> {
        let time = figures.gate(paying)?.gate_us;
        let measured = Measured::Microseconds { p50: time.p50, min: time.min };
        Ok(Outcome { what, goal: Goal::AtMost(most), unit: Unit::Microseconds, measured })
    };
    let single = |what, name, most, unit| -> Result<Outcome> {
        let measured = Measured::Single(figures.footprint(name)?);
        Ok(Outcome { what, goal: Goal::AtMost(most), unit, measured })
    };
    let books = |what, name, goal, unit| -> Result<Outcome> {
        Ok(Outcome { what, goal, unit, measured: Measured::Ratio(figures.ledger(name)?) })
    };
    let others = |what, name, most| -> Result<Outcome> {
        let measured = Measured::Ratio(figures.others(name)?);
        Ok(Outcome { what, goal: Goal::AtMost(most), unit: Unit::Times("alone"), measured })
    };
    let cpu = figures
        .ratio(Pair { subject: "plain", beside: "nginx", connections: 32 }, |s| s.cpu_us_per_request)?;
    let alone = |subject| figures.excess(Pair { subject, beside: "direct", connections: 1 }, |s| s.p50_us);
    let (hold, hold_ahead) = (alone("held")?, alone("held_ahead")?);
    let latency = figures.excess(Pair { subject: "plain", beside: "nginx", connections: 1 }, |s| s.p50_us)?;
    Ok(vec![
        rate("server without any policy, requests/s", "plain", "nginx", 0.95)?,
        Outcome {
            what: "server without any policy, CPU per request",
            goal: Goal::AtMost(1.10),
            unit: Unit::Times("nginx"),
            measured: Measured::Ratio(cpu),
        },
        Outcome {
            what: "server without any policy, median latency of one connection above nginx",
            goal: Goal::AtMost(5.0),
            unit: Unit::Microseconds,
            measured: Measured::Ratio(latency),
        },
        rate("message that is parsed and passed on, requests/s", "routed", "nginx", 0.80)?,
        rate("free call through every check, requests/s", "gated", "relay", 0.55)?,
        rate("the same over two servers as one, requests/s", "federated", "relay", 0.30)?,
        rate("durable hold, requests/s", "held", "nginx", 0.45)?,
        Outcome {
            what: "… of one caller at a time, after the upstream's own answer",
            goal: Goal::AtMost(250.0),
            unit: Unit::Microseconds,
            measured: Measured::Ratio(hold),
        },
        Outcome {
            what: "… the same, of a tool that overlaps its claim",
            goal: Goal::AtMost(80.0),
            unit: Unit::Microseconds,
            measured: Measured::Ratio(hold_ahead),
        },
        rate("durable prepaid call, requests/s", "prepaid", "nginx", 0.30)?,
        rate("… of a tool that overlaps its claim, requests/s", "prepaid_ahead", "nginx", 0.30)?,
        rate("durable x402 call, requests/s", "x402", "nginx_paying", 0.18)?,
        gate("time in the gate, prepaid", "prepaid", 10.0)?,
        gate("time in the gate, L402", "l402", 15.0)?,
        gate("time in the gate, x402 exact", "x402", 60.0)?,
        single(
            "slowest of a hundred calls to the median, at half load",
            "half_load_p99_to_p50",
            3.0,
            Unit::Ratio,
        )?,
        others(
            "slowest of a hundred calls of a caller beside two hundred who send byte by byte",
            "p99_beside_slow",
            2.0,
        )?,
        others("… beside a tenant who asks for five times what it may", "p99_beside_flood", 1.5)?,
        single(
            "first event of a stream: from the upstream to the client, above the direct way",
            "first_event_gated_us",
            50.0,
            Unit::Microseconds,
        )?,
        single("memory at rest", "idle_mb", 20.0, Unit::Megabytes)?,
        single("memory of an idle connection, of 10,000", "idle_connection_kb", 12.0, Unit::Kilobytes)?,
        single("memory of a call in flight, its body included", "call_in_flight_kb", 66.0, Unit::Kilobytes)?,
        single("start to the first call passed on", "start_ms", 100.0, Unit::Milliseconds)?,
        single("program without debug information", "binary_mb", 30.0, Unit::Megabytes)?,
        books("books: decisions alone, transfers/s", "apply", Goal::AtLeast(1_000_000.0), Unit::PerSecond)?,
        books("books in a file: durable transfers/s", "file_hot", Goal::AtLeast(150_000.0), Unit::PerSecond)?,
        books(
            "… beside a loop that only inserts the rows",
            "file_share_hot",
            Goal::AtLeast(0.60),
            Unit::Times("bare loop"),
        )?,
        books(
            "… by 32 callers who wait: durable reservations/s",
            "holds",
            Goal::AtLeast(40_000.0),
            Unit::PerSecond,
        )?,
        books(
            "… cost of a transfer in a large ledger",
            "file_growth",
            Goal::AtMost(1.25),
            Unit::Times("a small one"),
        )?,
        books(
            "books in PostgreSQL: durable transfers/s",
            "database_hot",
            Goal::AtLeast(50_000.0),
            Unit::PerSecond,
        )?,
        books(
            "… to one account that all credit",
            "database_hot_to_spread",
            Goal::AtLeast(1.0),
            Unit::Times("spread accounts"),
        )?,
    ])
}

/// The name of a neighbour on the page.
fn called(subject: &'static str) -> &'static str {
    match subject {
        "relay" => "bare relay",
        "nginx_paying" => "nginx",
        other => other,
    }
}

impl Outcome {
    /// Judges the median.
    pub(crate) fn verdict(&self) -> Verdict {
        let measured = match self.measured {
            Measured::Ratio(spread) => spread.median,
            Measured::Microseconds { p50, .. } => p50,
            Measured::Single(figure) => figure,
        };
        let (met, close) = match self.goal {
            Goal::AtLeast(least) => (measured >= least, measured >= least * (1.0 - LENIENCE)),
            Goal::AtMost(most) => (measured <= most, measured <= most * (1.0 + LENIENCE)),
        };
        match (met, close) {
            (true, _) => Verdict::Met,
            (false, true) => Verdict::Close,
            (false, false) => Verdict::Missed,
        }
    }
}

impl Verdict {
    /// The word in the table.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Met => "met",
            Self::Close => "within a tenth",
            Self::Missed => "**missed**",
        }
    }
}
