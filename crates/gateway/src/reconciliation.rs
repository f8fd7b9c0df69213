//! Holds the books against what the rails themselves show, and tells the differences. Resolves nothing: what a difference means
//! is for a person to decide.

mod payouts;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use serde_json::{Value, json};
use tokio::task::JoinSet;
use tollgate_domain::{Amount, AssetId, CallId, Rail, UnixMillis};
use tollgate_gate::Ports;
use tollgate_ledger::{Funds, SettlementRow, State, StoreError};
use tollgate_rails::{Arrival, Arrivals, PaymentRail, Settlement};

use self::payouts::PayoutDifference;
use crate::clock;
use crate::gateway::Gateway;

/// The most attempts that one reconciliation looks at.
const ATTEMPTS_MAX: u32 = 5_000;
/// How many of them a rail is asked about at once.
const ASKED_AT_ONCE: usize = 8;

/// Something on which books and rail do not agree, or are not known to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Difference {
    /// The books say that it came in, and the rail has no such payment.
    MissingOnRail(Booked),
    /// The rail has more, or less, of it than the books.
    AmountDiffers {
        booked: Booked,
        /// What the rail has.
        shown: Amount,
    },
    /// It came in on the rail under a reference of which the books know nothing, or less.
    MissingInBooks {
        rail: Rail,
        reference: String,
        payer: String,
        asset: AssetId,
        /// What the books lack.
        amount: Amount,
    },
    /// What became of it is not known yet, or was left to a person.
    InDoubt(Booked),
    /// The rail did not answer: about this payment, or at all.
    NotAnswered { rail: Rail, call: Option<CallId>, reason: String },
    /// About a payout.
    Payout(Box<PayoutDifference>),
}

/// A payment as the books have it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Booked {
    pub(crate) call: CallId,
    pub(crate) rail: Rail,
    pub(crate) reference: Option<String>,
    pub(crate) amount: Amount,
    pub(crate) asset: AssetId,
    pub(crate) state: State,
}

/// What was compared, and what came of it.
#[derive(Debug)]
pub(crate) struct Report {
    since: UnixMillis,
    compared: usize,
    /// How many payouts were compared beside the payments.
    payouts: usize,
    /// Whether there were more attempts than are looked at.
    is_cut: bool,
    differences: Vec<Difference>,
}

/// Compares everything that changed at `since` or later, and what the rails list of late.
///
/// # Errors
/// [`StoreError`] when the books cannot be read.
pub(crate) async fn reconcile(gateway: &Gateway, since: UnixMillis) -> Result<Report, StoreError> {
    let ports = gateway.gate.ports();
    let rows = ports.store.settlements_since(since, ATTEMPTS_MAX).await?;
    let is_cut = u32::try_from(rows.len()).is_ok_and(|found| found >= ATTEMPTS_MAX);
    let (arrived, open): (Vec<_>, Vec<_>) =
        rows.into_iter().filter(comes_from_outside).partition(|row| has_arrived(row.state));
    let mut differences: Vec<Difference> = open
        .iter()
        .filter(|row| is_in_doubt(row.state))
        .map(|row| Difference::InDoubt(Booked::of(row)))
        .collect();
    let compared = arrived.len();
    differences.extend(confirmed(ports.rails(), arrived).await);
    let payouts = payouts::compared(gateway, since).await?;
    differences.extend(payouts.differences.into_iter().map(|of| Difference::Payout(Box::new(of))));
    for rail in ports.rails() {
        match rail.arrivals().await {
            Ok(None) => {}
            Ok(Some(Arrivals { asset, mut each })) => {
                // What a payout of ours brought here is no payment of somebody else's.
                each.retain(|arrival| !is_payout(&payouts.settled, arrival));
                let wanted: HashSet<String> = each.iter().map(|arrival| arrival.reference.clone()).collect();
                let known = ports.store.settlements_by_reference(wanted).await?;
                differences.extend(unknown_to_the_books(rail.rail(), &asset, &each, &known));
            }
            Err(reason) => {
                differences.push(Difference::NotAnswered { rail: rail.rail(), call: None, reason });
            }
        }
    }
    let is_cut = is_cut || payouts.is_cut;
    Ok(Report { since, compared, payouts: payouts.compared, is_cut, differences })
}

fn is_payout(settled: &[tollgate_ledger::payout::PayoutRow], arrival: &Arrival) -> bool {
    settled
        .iter()
        .any(|row| row.reference.as_deref() == Some(&*arrival.reference) && row.amount == arrival.amount)
}

/// Asks each rail for the payments that the books have.
async fn confirmed(rails: &[Arc<dyn PaymentRail>], rows: Vec<SettlementRow>) -> Vec<Difference> {
    let mut differences = Vec::new();
    let mut rows = rows.into_iter();
    loop {
        let mut asked = JoinSet::new();
        for row in rows.by_ref().take(ASKED_AT_ONCE) {
            let rail = rails.iter().find(|rail| rail.rail() == row.key.rail()).cloned();
            asked.spawn(async move { ask(rail, &row).await });
        }
        if asked.is_empty() {
            return differences;
        }
        differences.extend(asked.join_all().await.into_iter().flatten());
    }
}

async fn ask(rail: Option<Arc<dyn PaymentRail>>, row: &SettlementRow) -> Option<Difference> {
    let booked = Booked::of(row);
    let Some(rail) = rail else {
        let reason = "this gateway does not take payments over it any more".to_owned();
        return Some(Difference::NotAnswered { rail: booked.rail, call: Some(row.call), reason });
    };
    let settlement = Settlement {
        key: row.key.clone(),
        amount: row.amount,
        asset: row.asset.clone(),
        proof: row.proof.to_string(),
        expires: row.expires,
        since: row.claimed,
    };
    let reference = row.reference.as_deref().unwrap_or_default();
    let shown = rail.confirm(&settlement, reference, clock::now()).await;
    judged(booked, shown)
}

/// What the answer of a rail about one payment comes to; `None`: books and rail agree.
fn judged(booked: Booked, shown: Result<Option<Amount>, String>) -> Option<Difference> {
    match shown {
        Ok(Some(shown)) if shown == booked.amount => None,
        Ok(Some(shown)) => Some(Difference::AmountDiffers { booked, shown }),
        Ok(None) => Some(Difference::MissingOnRail(booked)),
        Err(reason) => Some(Difference::NotAnswered { rail: booked.rail, call: Some(booked.call), reason }),
    }
}

/// What came in under each reference beyond what the books have under it.
fn unknown_to_the_books(
    rail: Rail,
    asset: &AssetId,
    arrivals: &[Arrival],
    known: &[SettlementRow],
) -> Vec<Difference> {
    let mut booked: BTreeMap<&str, u128> = BTreeMap::new();
    let of_this = known.iter().filter(|row| {
        row.key.rail() == rail && row.asset == *asset && comes_from_outside(row) && has_arrived(row.state)
    });
    for row in of_this {
        let sum = booked.entry(row.reference.as_deref().unwrap_or_default()).or_default();
        *sum = sum.saturating_add(row.amount.get());
    }
    let mut differences = Vec::new();
    for arrival in arrivals {
        let left = booked.entry(&arrival.reference).or_default();
        let (covered, amount) = ((*left).min(arrival.amount.get()), arrival.amount.get());
        *left = left.saturating_sub(covered);
        let lacking = amount.saturating_sub(covered);
        if lacking > 0 {
            differences.push(Difference::MissingInBooks {
                rail,
                reference: arrival.reference.clone(),
                payer: arrival.payer.clone(),
                asset: asset.clone(),
                amount: Amount::new(lacking),
            });
        }
    }
    differences
}

/// Whether a rail moved, or has to move, the money of this attempt: credit and sandbox money are on these books alone, and a free call
/// moves none.
fn comes_from_outside(row: &SettlementRow) -> bool {
    match row.funds {
        Funds::OnSettlement | Funds::Arrived { .. } => true,
        Funds::Credit(_) | Funds::Free(_) => false,
    }
}

/// Whether the books say that the money of an attempt came in.
fn has_arrived(state: State) -> bool {
    match state {
        State::Settled | State::Delivered | State::RefundDue | State::Refunded => true,
        State::Claimed
        | State::Executing
        | State::Executed
        | State::Submitted
        | State::Voided
        | State::Failed
        | State::Unknown
        | State::InDoubt
        | State::Manual => false,
    }
}

fn is_in_doubt(state: State) -> bool {
    matches!(state, State::Submitted | State::Unknown | State::Manual)
}

impl Booked {
    fn of(row: &SettlementRow) -> Self {
        Self {
            call: row.call,
            rail: row.key.rail(),
            reference: row.reference.clone(),
            amount: row.amount,
            asset: row.asset.clone(),
            state: row.state,
        }
    }

    fn to_json(&self, kind: &str) -> Value {
        json!({
            "kind": kind, "rail": self.rail, "call_id": self.call, "reference": self.reference,
            "asset": self.asset, "in_books": self.amount, "state": self.state.word(),
        })
    }
}

impl Difference {
    fn to_json(&self) -> Value {
        match self {
            Self::MissingOnRail(booked) => booked.to_json("missing_on_rail"),
            Self::AmountDiffers { booked, shown } => {
                let mut said = booked.to_json("amount_differs");
                if let Value::Object(members) = &mut said {
                    members.insert("on_rail".to_owned(), json!(shown));
                }
                said
            }
            Self::MissingInBooks { rail, reference, payer, asset, amount } => json!({
                "kind": "missing_in_books", "rail": rail, "reference": reference, "payer": payer,
                "asset": asset, "on_rail": amount,
            }),
            Self::InDoubt(booked) => booked.to_json("in_doubt"),
            Self::Payout(difference) => difference.to_json(),
            Self::NotAnswered { rail, call, reason } => json!({
                "kind": "not_answered", "rail": rail, "call_id": call, "reason": reason,
            }),
        }
    }
}

impl Report {
    /// As the admin API tells it.
    pub(crate) fn to_json(&self) -> Value {
        json!({
            "since": self.since.to_string(),
            "compared": self.compared,
            "payouts_compared": self.payouts,
            "is_cut": self.is_cut,
            "in_order": self.differences.is_empty() && !self.is_cut,
            "differences": self.differences.iter().map(Difference::to_json).collect::<Vec<_>>(),
        })
    }
}

#[cfg(test)]
mod tests;
