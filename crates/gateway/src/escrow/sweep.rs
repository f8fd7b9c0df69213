//! Deadlines that have passed: the clock is told to each escrow.
//!
//! Nothing depends on how soon: after a deadline no party can act any more, whoever looks first. So it is right after a restart,
//! however long nobody looked, and with several gateways, of which each may try: the ledger lets it happen once. A deadline that the
//! clock jumped over has not passed, neither for the clock nor for the parties.

use tollgate_domain::{EscrowId, UnixMillis};
use tollgate_ledger::escrow::{EscrowCommand, EscrowEvent, EscrowMoved, EscrowStore, MoveEscrow, Who};
use tollgate_ledger::{Refusal, StoreError};
use tollgate_store::Store;

use crate::clock;
use crate::gateway::Gateway;

/// How many escrows are told at once: one commit carries them all.
const AT_ONCE_MAX: usize = 128;
/// How many deadlines are read, where those before them are held: at first, and at most.
const READ: u32 = 128;
const READ_MAX: u32 = 65_536;
/// How many times in a row a sweep looks again: what is due beyond waits for the next one.
const ROUNDS_MAX: usize = 64;

/// Tells every escrow whose deadline has passed.
///
/// # Errors
/// When the ledger cannot be read. One escrow that cannot be told holds up no other.
pub(crate) async fn sweep(gateway: &Gateway) -> Result<(), StoreError> {
    let store = &gateway.gate.ports().store;
    for _ in 0..ROUNDS_MAX {
        let due = truly_due(gateway, store).await?;
        if due.is_empty() {
            return Ok(());
        }
        let moved = futures_util::future::join_all(due.iter().map(|id| expire(gateway, *id))).await;
        // Without any that moved on, looking again would find the same ones.
        if !moved.into_iter().any(|is_on| is_on) {
            return Ok(());
        }
    }
    Ok(())
}

/// Some of those whose time has passed, and was not jumped over: a clock that is set ahead cuts nobody's time short. What is held, however
/// much it is, stands before none that is not.
async fn truly_due(gateway: &Gateway, store: &Store) -> Result<Vec<EscrowId>, StoreError> {
    let mut limit = READ;
    loop {
        let now = clock::now();
        let due = store.due_escrows(now, limit).await?;
        // Last: whatever step has led to this moment is known by then.
        let steps = gateway.foundation.telemetry.look_at_clock();
        let is_all = due.len() < usize::try_from(limit).unwrap_or(usize::MAX) || limit >= READ_MAX;
        let passed = due.into_iter().filter(|(_, deadline)| !steps.holds(*deadline, now));
        let passed: Vec<EscrowId> = passed.map(|(id, _)| id).take(AT_ONCE_MAX).collect();
        if is_all || !passed.is_empty() {
            return Ok(passed);
        }
        limit = limit.saturating_mul(8);
    }
}

/// The deadline of an escrow, if the clock jumped over it and its time has not passed: whoever acts on the escrow still may.
///
/// # Errors
/// When the ledger cannot be read.
pub(crate) async fn held(
    gateway: &Gateway,
    id: EscrowId,
    now: UnixMillis,
) -> Result<Option<UnixMillis>, StoreError> {
    let steps = gateway.foundation.telemetry.look_at_clock();
    if steps.is_quiet() {
        return Ok(None);
    }
    let row = gateway.gate.ports().store.escrow(&id).await?;
    Ok(row.and_then(|row| row.state.due()).filter(|deadline| steps.holds(*deadline, now)))
}

/// Whether this escrow's deadline is behind it now.
async fn expire(gateway: &Gateway, id: EscrowId) -> bool {
    let now = clock::now();
    let mode = Some(gateway.foundation.mode.word());
    let step = MoveEscrow { mode, ..MoveEscrow::new(id, Who::Clock, EscrowEvent::Expire, now) };
    match gateway.gate.ports().store.escrow_command(EscrowCommand::Move(step)).await {
        Ok(moved) => {
            gateway.foundation.telemetry.escrows().moved(&moved);
            let EscrowMoved { row, .. } = moved;
            tracing::info!(escrow = %id, state = row.state.word(), "the deadline of an escrow has passed");
            true
        }
        // Another gateway, or a party at the last moment, was there first.
        Err(StoreError::Refused(Refusal::Escrow(refusal))) => {
            tracing::debug!(escrow = %id, %refusal, "nothing is due any more");
            true
        }
        Err(error) => {
            tracing::error!(escrow = %id, %error, "could not end an escrow whose deadline has passed");
            false
        }
    }
}
