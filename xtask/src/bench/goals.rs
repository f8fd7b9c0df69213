//! What must hold, what was measured for it, and whether it does.

use anyhow::Result;

use super::figures::{Figures, Pair, Spread};

/// How far beside a goal a shared machine may push a figure before that counts.
const LENIENCE: f64 = 0.1;

/// A bound.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Goal {
    /// Not less than this share of nginx's figure.
    AtLeast(f64),
    /// Not more than so many microseconds.
    AtMostMicroseconds(f64),
}

/// One goal and what was measured for it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outcome {
    pub(crate) what: &'static str,
    pub(crate) goal: Goal,
    pub(crate) measured: Measured,
}

/// A measured figure.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Measured {
    /// A ratio to nginx.
    Ratio(Spread),
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
        Ok(Outcome { what, goal: Goal::AtLeast(share), measured })
    };
    let gate = |what, paying, most| -> Result<Outcome> {
        let time = figures.gate(paying)?.gate_us;
        let measured = Measured::Microseconds { p50: time.p50, min: time.min };
        Ok(Outcome { what, goal: Goal::AtMostMicroseconds(most), measured })
    };
    Ok(vec![
        rate("server without any policy, requests/s", "plain", "nginx", 0.90)?,
        rate("durable prepaid call, requests/s", "prepaid", "nginx", 0.30)?,
        rate("durable x402 call, requests/s", "x402", "nginx_paying", 0.18)?,
        gate("time in the gate, prepaid", "prepaid", 10.0)?,
        gate("time in the gate, L402", "l402", 15.0)?,
        gate("time in the gate, x402 exact", "x402", 60.0)?,
    ])
}

impl Outcome {
    /// Judges the median.
    pub(crate) fn verdict(&self) -> Verdict {
        let measured = match self.measured {
            Measured::Ratio(spread) => spread.median,
            Measured::Microseconds { p50, .. } => p50,
        };
        let (met, close) = match self.goal {
            Goal::AtLeast(least) => (measured >= least, measured >= least * (1.0 - LENIENCE)),
            Goal::AtMostMicroseconds(most) => (measured <= most, measured <= most * (1.0 + LENIENCE)),
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
