//! Carries payouts out: each is taken on from its row alone, so a start after a crash is like any other turn.
//!
//! The instruction is in the ledger before anything is sent. What was submitted is looked up first and, where there is no effect, sent
//! again by the same instruction, which its rail carries out at most once. Several gateways may do this for one ledger: the version
//! of the row lets one of them make the instruction.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tollgate_domain::{PayoutId, UnixMillis};
use tollgate_ledger::payout::{
    Actor, MovePayout, PayoutAnswer, PayoutCommand, PayoutEvent, PayoutRow, PayoutState, PayoutStore,
};
use tollgate_ledger::{Refusal, StoreError};
use tollgate_rails::SettlementAnswer;
use tollgate_rails::payout::{PayoutOrder, PayoutRail, Prepared};
use tollgate_till::failpoint;

use crate::clock;
use crate::gateway::Gateway;
use crate::live::Live;

/// Between two turns, in milliseconds.
const TURN_MS: u64 = 500;
/// How many payouts are read at once, however many are open.
const ROWS_MAX: u32 = 256;
/// How many of them are driven at once.
const AT_ONCE_MAX: usize = 16;
/// The longest pause between two looks at one payout, in milliseconds; each is twice as long as the one before it.
const PAUSE_MS_MAX: u64 = 60_000;

/// When a payout that is not decided is looked at again.
#[derive(Clone, Copy)]
struct Pause {
    until: UnixMillis,
    ms: u64,
}

/// Drives the payouts of whichever gateway serves, until it stops. Nothing is done while nothing is configured.
pub(crate) async fn watch(live: Arc<Live>, stop: CancellationToken) {
    let mut pauses: HashMap<PayoutId, Pause> = HashMap::new();
    loop {
        let gateway = live.snapshot();
        if gateway.config.payouts.funding.is_some() {
            // A turn that is dropped leaves what a crash would leave: rows that the next one takes on.
            let turned = tokio::select! {
                () = stop.cancelled() => return,
                turned = turn(&gateway, &mut pauses) => turned,
            };
            if let Err(error) = turned {
                tracing::error!(%error, "could not see to payouts");
            }
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(Duration::from_millis(TURN_MS)) => {}
        }
    }
}

async fn turn(gateway: &Gateway, pauses: &mut HashMap<PayoutId, Pause>) -> Result<(), StoreError> {
    let store = &gateway.gate.ports().store;
    for (name, provider) in &gateway.config.payouts.providers {
        // A list that is too long with what operators have added is not taken. Others are paid all the same, and so is what was
        // allowed to go before.
        if let Err(error) = super::align(store, name, provider).await {
            tracing::error!(provider = %name, %error, "could not list where a provider is paid");
        }
    }
    let (mut open, mut after) = (HashSet::new(), None);
    loop {
        let page = store.open_payouts(after, ROWS_MAX).await?;
        let Some(last) = page.last() else { break };
        // What cannot be sent, such as over a wallet without money, is behind: it holds up nobody else's.
        after = Some(last.id);
        open.extend(page.iter().map(|row| row.id));
        drive(gateway, &page, pauses).await?;
    }
    pauses.retain(|id, _| open.contains(id));
    Ok(())
}

/// Takes those on whose pause is over.
async fn drive(
    gateway: &Gateway,
    open: &[PayoutRow],
    pauses: &mut HashMap<PayoutId, Pause>,
) -> Result<(), StoreError> {
    let now = clock::now();
    let is_due = |row: &&PayoutRow| pauses.get(&row.id).is_none_or(|pause| now >= pause.until);
    let due: Vec<&PayoutRow> = open.iter().filter(is_due).collect();
    for some in due.chunks(AT_ONCE_MAX) {
        // A rail may take its time: nobody waits for the slowest of all.
        let stand = futures_util::future::join_all(some.iter().map(|row| driven(gateway, row))).await;
        for (row, state) in some.iter().zip(stand) {
            if state?.is_terminal() {
                pauses.remove(&row.id);
                continue;
            }
            let before = pauses.get(&row.id).map_or(TURN_MS / 2, |pause| pause.ms);
            let ms = before.saturating_mul(2).min(PAUSE_MS_MAX);
            pauses.insert(row.id, Pause { until: clock::now().plus_millis(ms), ms });
        }
    }
    Ok(())
}

/// Takes one payout as far as it goes now, and says where it stands.
async fn driven(gateway: &Gateway, row: &PayoutRow) -> Result<PayoutState, StoreError> {
    let Some(rail) = super::rail(gateway, &row.destination) else {
        tracing::warn!(payout = %row.id, rail = %row.destination.rail(), "nothing pays over this rail here; the payout waits");
        return Ok(row.state);
    };
    let row = if row.state == PayoutState::Held {
        failpoint::reached("payout_held");
        match submitted(gateway, rail, row).await? {
            Some(row) => row,
            None => return Ok(row.state),
        }
    } else {
        row.clone()
    };
    if row.state.is_terminal() {
        return Ok(row.state);
    }
    let Some(instruction) = row.instruction.clone() else { return Ok(row.state) };
    failpoint::reached("payout_submitted");
    // What was submitted in this very turn has not been sent; asking first costs little, and is right after a crash too.
    let answer = match rail.look_up(&instruction, clock::now()).await {
        SettlementAnswer::Absent => {
            let answer = rail.send(&instruction, clock::now()).await;
            failpoint::reached("payout_sent");
            answer
        }
        other => other,
    };
    let event = match answer {
        SettlementAnswer::Settled { reference } => PayoutEvent::Settled { reference },
        SettlementAnswer::Failed { reason } => PayoutEvent::Failed { reason },
        SettlementAnswer::Unknown { evidence }
            if row.state == PayoutState::Submitted || row.evidence.as_deref() != Some(&*evidence) =>
        {
            PayoutEvent::Unknown { evidence }
        }
        SettlementAnswer::Unknown { .. } | SettlementAnswer::Absent => return Ok(row.state),
    };
    let state = stepped(gateway, &row, event).await?.map_or(row.state, |row| row.state);
    failpoint::reached("payout_recorded");
    Ok(state)
}

/// The payout with its instruction in the ledger, or ended because it cannot be paid any more; `None`: not now.
async fn submitted(
    gateway: &Gateway,
    rail: &Arc<dyn PayoutRail>,
    row: &PayoutRow,
) -> Result<Option<PayoutRow>, StoreError> {
    let event = match rail.prepare(&order(row), clock::now()).await {
        Prepared::Ready(instruction) => PayoutEvent::Submit { instruction },
        Prepared::NotNow(reason) => {
            tracing::warn!(payout = %row.id, reason, "a payout cannot be submitted now; it waits");
            return Ok(None);
        }
        Prepared::Never(reason) => PayoutEvent::Failed { reason },
    };
    stepped(gateway, row, event).await
}

/// Moves a payout on from where it was read; `None`: somebody else has moved it since.
async fn stepped(
    gateway: &Gateway,
    row: &PayoutRow,
    event: PayoutEvent,
) -> Result<Option<PayoutRow>, StoreError> {
    let word = event.word();
    let step =
        MovePayout { id: row.id, by: Actor::Gateway, event, expected: Some(row.version), now: clock::now() };
    match gateway.gate.ports().store.payout_command(PayoutCommand::Move(step)).await {
        Ok(PayoutAnswer::Payout { row, .. }) => {
            tracing::info!(payout = %row.id, event = word, state = %row.state, "a payout moved on");
            Ok(Some(PayoutRow::clone(&row)))
        }
        Ok(PayoutAnswer::Listed(_)) => Ok(None),
        Err(StoreError::Refused(Refusal::Payout(refusal))) => {
            tracing::debug!(payout = %row.id, %refusal, "a payout has moved on already");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// What the rail is asked for.
pub(crate) fn order(row: &PayoutRow) -> PayoutOrder {
    PayoutOrder {
        id: row.id,
        to: row.destination.to().to_owned(),
        amount: row.amount,
        invoice: row.invoice.as_deref().map(str::to_owned),
    }
}
