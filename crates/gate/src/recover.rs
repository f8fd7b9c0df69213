//! Finishing what a crash, or a silent rail, left open: from the settlement row alone, looking up before sending again.

use bytes::Bytes;

use tollgate_domain::{CallId, Settle, UnixMillis};
use tollgate_ledger::{
    Booked, Event, LedgerStore, RefundCause, SettlementRow, State, StoreError, Transfer, TransferKind,
    expiry_id,
};
use tollgate_rails::{PaymentRail, Settlement, SettlementAnswer};

use crate::complete::{Answered, own_answer};
use crate::fault::Fault;
use crate::ports::Ports;
use crate::receipt::Told;
use crate::station::store_fault;
use crate::street::Gate;

/// How many settlements are read at once, however many are open.
const ROWS_MAX: u32 = 256;
/// For how long a reservation may be booked after its own time was over and still be found without a restart: a day.
const LATE_MS_MAX: u64 = 86_400_000;

/// What one round of recovery did.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Recovered {
    /// Rows that reached an end.
    pub ended: usize,
    /// Rows that are still open: their rail gives no definite answer yet.
    pub open: usize,
}

impl Recovered {
    fn count(&mut self, state: State) {
        let rows = if state.is_terminal() { &mut self.ended } else { &mut self.open };
        *rows = rows.saturating_add(1);
    }
}

impl<P: Ports> Gate<P> {
    /// Drives every open settlement towards its end. Run at start, before any call is taken; and again from time to time
    /// for those whose rail is silent.
    ///
    /// # Errors
    /// A [`Fault`] when the ledger cannot be read or written.
    pub async fn recover(&self) -> Result<Recovered, Fault> {
        let (mut recovered, mut after) = (Recovered::default(), None);
        loop {
            let open = self.ports.ledger().open_settlements(after, ROWS_MAX).await.map_err(store_fault)?;
            for row in &open {
                let state = self.resume(row, self.ports.may_have_run(row.call)).await?;
                tracing::info!(call = %row.call, key = %row.key, from = %row.state, to = %state, "settlement resumed");
                recovered.count(state);
            }
            // What stays open is behind, too.
            after = open.last().map(|row| row.call);
            if after.is_none() {
                return Ok(recovered);
            }
        }
    }

    /// Drives the settlements whose rail gave no definite answer; calls in flight are left alone.
    ///
    /// # Errors
    /// A [`Fault`] when the ledger cannot be read or written.
    pub async fn reconcile(&self) -> Result<Recovered, Fault> {
        let (mut recovered, mut after) = (Recovered::default(), None);
        loop {
            let unknown = self.ports.ledger().unknown_settlements(after, ROWS_MAX).await;
            let unknown = unknown.map_err(store_fault)?;
            for row in &unknown {
                recovered.count(self.resume(row, true).await?);
            }
            // Whatever stays in doubt is behind: however many there are, each has its turn.
            after = unknown.last().map(|row| row.call);
            if after.is_none() {
                return Ok(recovered);
            }
        }
    }

    /// Drives on what gateways left open that are gone: their directory or its key was lost, or they were never started again. Whether
    /// they had asked the tools, nobody can tell any more. None of it has moved since `before`.
    ///
    /// # Errors
    /// A [`Fault`] when the ledger cannot be read.
    pub async fn adopt(&self, before: UnixMillis) -> Result<Recovered, Fault> {
        let (mut recovered, mut after) = (Recovered::default(), None);
        loop {
            let left = self.ports.ledger().abandoned_settlements(before, after, ROWS_MAX).await;
            let left = left.map_err(store_fault)?;
            for row in &left {
                match self.resume(row, true).await {
                    Ok(state) => {
                        if state != row.state {
                            tracing::warn!(call = %row.call, from = %row.state, to = %state, "a settlement of a gateway that is gone was driven on");
                        }
                        recovered.count(state);
                    }
                    // Such as of a rail that this gateway has not. The others go on.
                    Err(error) => {
                        tracing::warn!(call = %row.call, %error, "a settlement of a gateway that is gone cannot be driven on here");
                        recovered.count(row.state);
                    }
                }
            }
            after = left.last().map(|row| row.call);
            if after.is_none() {
                return Ok(recovered);
            }
        }
    }

    /// Releases what was reserved on the books until a moment that is over: it can be posted no more. Looks at what ended after `since`, and
    /// says from when on to look the next time. Every gateway may try: the ledger lets it happen once. What a call or a payout
    /// reserves names no such moment, and ends with it.
    ///
    /// # Errors
    /// A [`Fault`] when the ledger cannot be read or written.
    pub async fn release_expired(&self, since: UnixMillis) -> Result<UnixMillis, Fault> {
        let now = self.ports.now();
        loop {
            let expired = self.ports.ledger().expired(since, now, ROWS_MAX).await.map_err(store_fault)?;
            let mut is_on = false;
            for pending in expired {
                let of = pending.id;
                let kind = TransferKind::VoidPending(of);
                let note = "not posted in time".to_owned();
                let void = Transfer { id: expiry_id(&of), kind, note, at: now, expires: None, ..pending };
                match self.ports.ledger().book(vec![void]).await {
                    Ok(Booked { again: false }) => {
                        tracing::info!(transfer = %of, "what was reserved until now is released");
                        is_on = true;
                    }
                    // Another gateway, or whoever had reserved it, was there first.
                    Ok(Booked { again: true }) => {}
                    Err(StoreError::Refused(refusal)) => {
                        tracing::debug!(transfer = %of, %refusal, "nothing is to be released any more");
                    }
                    Err(error) => return Err(store_fault(error)),
                }
            }
            if !is_on {
                return Ok(now.minus_millis(LATE_MS_MAX).max(since));
            }
        }
    }

    /// Drives on the settlement of one call whose task ended without an ending, such as by a panic: now, and not at the next
    /// start. `may_have_run` says whether its tool may have been asked. `None`: it has no settlement, nothing was claimed.
    ///
    /// # Errors
    /// A [`Fault`] when the ledger cannot be read or written; then the next start takes it up.
    pub async fn take_up(&self, call: CallId, may_have_run: bool) -> Result<Option<State>, Fault> {
        let row = self.ports.ledger().settlement_by_call(&call).await.map_err(store_fault)?;
        let Some(row) = row else { return Ok(None) };
        self.resume(&row, may_have_run).await.map(Some)
    }

    async fn resume(&self, row: &SettlementRow, may_have_run: bool) -> Result<State, Fault> {
        let now = self.ports.now();
        match row.state {
            State::Executing if row.settle.takes_first() => {
                let due = if may_have_run {
                    Event::FoundInDoubt
                } else {
                    Event::RefundDue { cause: RefundCause::NotAsked }
                };
                self.refund_left(row, vec![due], now).await
            }
            State::RefundDue => self.refund_left(row, Vec::new(), now).await,
            State::Executing if may_have_run => {
                let told = Told { settlement: "in_doubt", ..self.told_of(row, "abandoned", now)? };
                self.advance(&row.key, row.call, vec![Event::FoundInDoubt], None, Some(told)).await?;
                Ok(State::InDoubt)
            }
            State::Claimed | State::Executing => {
                // Certainly not sent: as if the call had never been made.
                let reason = "the gateway stopped before the tool was asked".to_owned();
                let told = Told { settlement: "voided", ..self.told_of(row, "abandoned", now)? };
                self.advance(&row.key, row.call, vec![Event::Voided { reason }], None, Some(told)).await?;
                Ok(State::Voided)
            }
            State::Executed => {
                self.advance(&row.key, row.call, vec![Event::Submitted], None, None).await?;
                self.submit(row, now).await
            }
            State::Submitted | State::Unknown => self.look_up(row, now).await,
            State::Settled
            | State::Delivered
            | State::Refunded
            | State::Voided
            | State::Failed
            | State::InDoubt
            | State::Manual => Ok(row.state),
        }
    }

    /// Looks up before sending again: only a definite "no effect so far" allows another submission of the same proof.
    async fn look_up(&self, row: &SettlementRow, now: UnixMillis) -> Result<State, Fault> {
        let Some(rail) = self.outside_rail(row)? else { return self.submit(row, now).await };
        let answer = match rail.look_up(&settlement_of(row), now).await {
            SettlementAnswer::Absent if now > row.expires.plus_millis(self.limits.finality_ms) => {
                SettlementAnswer::Failed { reason: "expired without effect".to_owned() }
            }
            // Under `before` nobody waits for the tool any more: then money that has not moved stays where it is.
            SettlementAnswer::Absent if now <= row.expires && row.settle == Settle::After => {
                return self.submit(row, now).await;
            }
            answer => answer,
        };
        self.record_answer(row, answer, now).await
    }

    async fn submit(&self, row: &SettlementRow, now: UnixMillis) -> Result<State, Fault> {
        let answer = match self.outside_rail(row)? {
            Some(rail) => match rail.settle(&settlement_of(row), now).await {
                // Something may have been sent before, and have arrived since it was looked up.
                SettlementAnswer::Failed { reason } if row.state != State::Executed => {
                    match rail.look_up(&settlement_of(row), now).await {
                        SettlementAnswer::Absent => SettlementAnswer::Failed { reason },
                        seen => seen,
                    }
                }
                answer => answer,
            },
            None => own_answer(&row.key, row.call, row.expires, now),
        };
        self.record_answer(row, answer, now).await
    }

    async fn record_answer(
        &self,
        row: &SettlementRow,
        answer: SettlementAnswer,
        now: UnixMillis,
    ) -> Result<State, Fault> {
        if let (SettlementAnswer::Settled { reference }, true) = (&answer, row.settle.takes_first()) {
            let settled = Event::Settled { reference: reference.clone() };
            let due = Event::RefundDue { cause: RefundCause::NotAsked };
            let row = SettlementRow { reference: Some(reference.clone()), ..row.clone() };
            return self.refund_left(&row, vec![settled, due], now).await;
        }
        let stored = self.ports.ledger().answer(&row.call).await.map_err(store_fault)?;
        let result = Bytes::from(stored.and_then(|stored| stored.result).unwrap_or_default());
        let outcome = if row.settle.takes_first() { "not_asked" } else { "delivered" };
        let mut told = self.told_of(row, outcome, now)?;
        told.result = row.result;
        told.refunded = Some(row.refunded).filter(|rest| !rest.is_zero());
        let answered = Answered {
            key: &row.key,
            call: row.call,
            amount: if row.funds.settles_on_our_books() { row.due() } else { row.amount },
            asset: &row.asset,
            first: Vec::new(),
            answer,
        };
        self.book(answered, told, result).await?;
        let row = self.ports.ledger().settlement_by_call(&row.call).await.map_err(store_fault)?;
        row.map(|row| row.state).ok_or_else(|| Fault::Internal("a settlement row vanished".to_owned()))
    }

    /// Gives back what was taken for a tool that nobody waits for any more.
    async fn refund_left(
        &self,
        row: &SettlementRow,
        mut events: Vec<Event>,
        now: UnixMillis,
    ) -> Result<State, Fault> {
        let told = Told {
            settlement: "refunded",
            refunded: Some(row.amount),
            payment_ref: row.reference.clone(),
            ..self.told_of(row, "abandoned", now)?
        };
        events.push(Event::Refunded);
        self.advance(&row.key, row.call, events, None, Some(told)).await?;
        Ok(State::Refunded)
    }

    /// The rail that moves this payment; `None` where the money is on our own books.
    fn outside_rail(&self, row: &SettlementRow) -> Result<Option<&dyn PaymentRail>, Fault> {
        if row.funds.settles_on_our_books() { Ok(None) } else { self.rail(row.key.rail()).map(Some) }
    }

    pub(crate) fn told_of<'a>(
        &self,
        row: &'a SettlementRow,
        outcome: &'static str,
        now: UnixMillis,
    ) -> Result<Told<'a>, Fault> {
        Ok(Told {
            receipt: self.receipt_id(now)?,
            call: row.call,
            at: now,
            caller: &row.caller,
            tool: &row.binding.tool,
            schema: None,
            args: row.binding.args,
            result: None,
            outcome,
            charged: false,
            price: Some((row.amount, &row.asset, row.key.rail())),
            payment_ref: None,
            settlement: "unknown",
            escrow: None,
            refunded: None,
            decision: None,
            mode: self.limits.mode,
        })
    }
}

fn settlement_of(row: &SettlementRow) -> Settlement {
    Settlement {
        key: row.key.clone(),
        amount: row.amount,
        asset: row.asset.clone(),
        proof: row.proof.to_string(),
        expires: row.expires,
        since: row.claimed,
    }
}
