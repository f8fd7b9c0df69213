//! What the benches measured, and ratios between neighbours of one round.

use anyhow::{Context, Result};
use serde::Deserialize;

/// Everything that was measured.
#[derive(Clone, Default, Debug)]
pub(crate) struct Figures {
    slices: Vec<Slice>,
    gate: Vec<GateTime>,
    footprint: Vec<Footprint>,
    ledger: Vec<Footprint>,
    others: Vec<Footprint>,
}

/// One line of a bench.
#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Line {
    Slice(Slice),
    Gate(GateTime),
    Footprint(Footprint),
    Ledger(Footprint),
    Others(Footprint),
}

/// A second or so of load on one subject.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Slice {
    subject: String,
    connections: u32,
    round: u32,
    pub(crate) requests_per_second: f64,
    pub(crate) cpu_us_per_request: f64,
    pub(crate) p50_us: f64,
}

/// How long a call stays in the gate.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct GateTime {
    pub(crate) paying: String,
    pub(crate) gate_us: Microseconds,
    pub(crate) authorize_us: Microseconds,
    pub(crate) complete_us: Microseconds,
}

/// One figure of one process, of one turn of the books, or of one round with a crowd.
#[derive(Clone, Debug, Deserialize)]
struct Footprint {
    what: String,
    value: f64,
}

/// The fastest and the median batch.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(crate) struct Microseconds {
    pub(crate) min: f64,
    pub(crate) p50: f64,
}

/// Whom a ratio compares with whom.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pair {
    pub(crate) subject: &'static str,
    pub(crate) beside: &'static str,
    pub(crate) connections: u32,
}

/// A ratio over all rounds.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) lowest: f64,
    pub(crate) highest: f64,
    pub(crate) rounds: usize,
}

impl Figures {
    /// Adds what a bench printed: one JSON object per line.
    ///
    /// # Errors
    /// When a line is none.
    pub(crate) fn read(&mut self, printed: &str) -> Result<()> {
        for text in printed.lines().filter(|line| !line.trim().is_empty()) {
            match serde_json::from_str(text).with_context(|| format!("read a line of a bench: {text}"))? {
                Line::Slice(slice) => self.slices.push(slice),
                Line::Gate(gate) => self.gate.push(gate),
                Line::Footprint(figure) => self.footprint.push(figure),
                Line::Ledger(figure) => self.ledger.push(figure),
                Line::Others(figure) => self.others.push(figure),
            }
        }
        Ok(())
    }

    /// How long calls that are paid like this stay in the gate.
    ///
    /// # Errors
    /// When it was not measured.
    pub(crate) fn gate(&self, paying: &str) -> Result<&GateTime> {
        let found = self.gate.iter().find(|gate| gate.paying == paying);
        found.with_context(|| format!("the gate was not measured with {paying}"))
    }

    /// A figure of the gateway at rest, or with little to do.
    ///
    /// # Errors
    /// When it was not measured.
    pub(crate) fn footprint(&self, what: &str) -> Result<f64> {
        let found = self.footprint.iter().find(|figure| figure.what == what);
        found.map(|figure| figure.value).with_context(|| format!("{what} was not measured"))
    }

    /// A figure of the books, over all its turns.
    ///
    /// # Errors
    /// When it was not measured.
    pub(crate) fn ledger(&self, what: &str) -> Result<Spread> {
        each(&self.ledger, what)
    }

    /// How a caller's figure beside a crowd compares with the same without it, round by round.
    ///
    /// # Errors
    /// When it was not measured.
    pub(crate) fn others(&self, what: &str) -> Result<Spread> {
        each(&self.others, what)
    }

    /// How a figure of one subject compares with its neighbour's, round by round.
    ///
    /// # Errors
    /// When they have no round in common.
    pub(crate) fn ratio(&self, pair: Pair, figure: impl Fn(&Slice) -> f64) -> Result<Spread> {
        self.beside(pair, |subject, neighbour| figure(subject) / figure(neighbour))
    }

    /// By how much it is above its neighbour's, round by round.
    ///
    /// # Errors
    /// When they have no round in common.
    pub(crate) fn excess(&self, pair: Pair, figure: impl Fn(&Slice) -> f64) -> Result<Spread> {
        self.beside(pair, |subject, neighbour| figure(subject) - figure(neighbour))
    }

    fn beside(&self, pair: Pair, compared: impl Fn(&Slice, &Slice) -> f64) -> Result<Spread> {
        let of = |subject: &'static str| {
            self.slices
                .iter()
                .filter(move |slice| slice.subject == subject && slice.connections == pair.connections)
        };
        let ratios = of(pair.subject).filter_map(|slice| {
            let neighbour = of(pair.beside).find(|neighbour| neighbour.round == slice.round)?;
            Some(compared(slice, neighbour))
        });
        Spread::of(ratios.collect())
            .with_context(|| format!("{} and {} were never measured in one round", pair.subject, pair.beside))
    }
}

fn each(figures: &[Footprint], what: &str) -> Result<Spread> {
    let values = figures.iter().filter(|figure| figure.what == what).map(|figure| figure.value);
    Spread::of(values.collect()).with_context(|| format!("{what} was not measured"))
}

impl Spread {
    /// `None` of nothing.
    pub(crate) fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        let middle = values.len() / 2;
        let upper = *values.get(middle)?;
        let median = if values.len().is_multiple_of(2) {
            f64::midpoint(*values.get(middle.checked_sub(1)?)?, upper)
        } else {
            upper
        };
        Some(Self { median, lowest: *values.first()?, highest: *values.last()?, rounds: values.len() })
    }
}
