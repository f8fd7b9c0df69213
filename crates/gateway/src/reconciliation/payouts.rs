//! Payouts held against the rails that made them: what the books say went out is asked for there.

use serde_json::{Value, json};
use tollgate_domain::{Amount, UnixMillis};
use tollgate_ledger::StoreError;
use tollgate_ledger::payout::{PayoutFilter, PayoutRow, PayoutState, PayoutStore};

use crate::clock;
use crate::gateway::Gateway;
use crate::payouts::rail;

/// How many payouts are read at once, and compared in all.
const PAGE: u32 = 100;
const PAYOUTS_MAX: usize = 1_000;

/// Something on which books and rail do not agree about a payout, or are not known to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct PayoutDifference {
    row: PayoutRow,
    kind: Kind,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Kind {
    Missing,
    Differs(Amount),
    InDoubt,
    NotAnswered(String),
}

/// What the payouts came to.
#[derive(Debug, Default)]
pub(crate) struct Compared {
    pub(crate) compared: usize,
    pub(crate) is_cut: bool,
    pub(crate) differences: Vec<PayoutDifference>,
    /// The references of those that are settled: money that they brought somewhere is explained.
    pub(crate) settled: Vec<PayoutRow>,
}

/// Compares every payout that changed at `since` or later.
///
/// # Errors
/// When the books cannot be read.
pub(crate) async fn compared(gateway: &Gateway, since: UnixMillis) -> Result<Compared, StoreError> {
    let store = &gateway.gate.ports().store;
    let (mut compared, mut before) = (Compared::default(), None);
    loop {
        let page = store.payouts(PayoutFilter { before, ..PayoutFilter::default() }, PAGE).await?;
        for row in page.rows.into_iter().filter(|row| row.updated >= since) {
            if compared.compared >= PAYOUTS_MAX {
                compared.is_cut = true;
                return Ok(compared);
            }
            compared.add(gateway, row).await;
        }
        before = page.next;
        if before.is_none() {
            return Ok(compared);
        }
    }
}

impl Compared {
    async fn add(&mut self, gateway: &Gateway, row: PayoutRow) {
        let kind = match row.state {
            PayoutState::Submitted | PayoutState::Unknown => Some(Kind::InDoubt),
            PayoutState::Settled => {
                self.compared = self.compared.saturating_add(1);
                let kind = confirmed(gateway, &row).await;
                self.settled.push(row.clone());
                kind
            }
            PayoutState::Requested | PayoutState::Held | PayoutState::Failed | PayoutState::Cancelled => None,
        };
        self.differences.extend(kind.map(|kind| PayoutDifference { row, kind }));
    }
}

async fn confirmed(gateway: &Gateway, row: &PayoutRow) -> Option<Kind> {
    let Some(rail) = rail(gateway, &row.destination) else {
        return Some(Kind::NotAnswered("this gateway pays nothing over this rail any more".to_owned()));
    };
    let (instruction, reference) = (row.instruction.as_deref()?, row.reference.as_deref()?);
    match rail.confirm(instruction, reference, clock::now()).await {
        Ok(Some(shown)) if shown == row.amount => None,
        Ok(Some(shown)) => Some(Kind::Differs(shown)),
        Ok(None) => Some(Kind::Missing),
        Err(reason) => Some(Kind::NotAnswered(reason)),
    }
}

impl PayoutDifference {
    pub(crate) fn to_json(&self) -> Value {
        let Self { row, kind } = self;
        let (word, shown, reason) = match kind {
            Kind::Missing => ("payout_missing_on_rail", None, None),
            Kind::Differs(shown) => ("payout_amount_differs", Some(*shown), None),
            Kind::InDoubt => ("payout_in_doubt", None, row.evidence.clone()),
            Kind::NotAnswered(reason) => ("payout_not_answered", None, Some(reason.clone())),
        };
        json!({
            "kind": word, "rail": row.destination.rail().word(), "payout_id": row.id, "reference": row.reference,
            "asset": row.destination.asset(), "in_books": row.amount, "on_rail": shown, "state": row.state.word(),
            "reason": reason,
        })
    }
}
