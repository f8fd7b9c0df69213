//! A ledger and a Lightning wallet that answer at once: what the bench leaves out is waiting.

use std::sync::atomic::{AtomicU64, Ordering};

use tollgate_domain::{
    ApprovalId, AssetId, CallId, EscrowId, PaymentKey, Principal, ReceiptId, ToolRef, UnixMillis,
};
use tollgate_ledger::budget::{Approval, Ask, Barrier, Counter, Stops, Usage, Wanted};
use tollgate_ledger::escrow::{DueEscrow, EscrowFilter, EscrowHistory, EscrowPage, EscrowRow, EscrowStore};
use tollgate_ledger::{
    AccountBalance, AccountName, Advanced, Balances, Claimed, Command, Event, LedgerStore, Outcome,
    PendingSettlements, RecentCall, Record, SettlementRow, Spent, State, StoreError, StoredAnswer, Transfer,
};
use tollgate_rails::RailFuture;
use tollgate_rails::lightning::{
    Invoice, InvoiceRequest, InvoiceState, LightningWallet, Preimage, WalletError,
};

/// Bytes of a sealed receipt of a paid call, as base64 in its envelope.
const ENVELOPE_BYTES: usize = 1_500;

/// Says yes to every claim and every step. Whether a payment key is free is the store's affair, not the gate's.
#[derive(Debug)]
pub(crate) struct WillingLedger {
    envelope: String,
}

impl WillingLedger {
    pub(crate) fn new() -> Self {
        Self { envelope: format!("{{\"payload\":\"{}\"}}", "A".repeat(ENVELOPE_BYTES)) }
    }
}

/// A question that no call asks of the books while it walks the street.
fn unasked<T>() -> Result<T, StoreError> {
    Err(StoreError::Definite("this bench keeps no books".to_owned()))
}

impl LedgerStore for WillingLedger {
    async fn commit(&self, command: Command) -> Result<Outcome, StoreError> {
        match command {
            Command::Claim(_) => Ok(Outcome::Claimed(Claimed::Fresh { attempt: 1 })),
            Command::Advance(advance) => {
                let state = match advance.events.last() {
                    Some(Event::Settled { .. }) => State::Settled,
                    Some(_) | None => State::Submitted,
                };
                let receipt = advance.statement.map(|_| self.envelope.clone());
                Ok(Outcome::Advanced(Advanced { state, receipt }))
            }
            Command::Record { .. } => Ok(Outcome::Recorded(self.envelope.clone())),
            Command::Grant(_)
            | Command::Book(_)
            | Command::Refund(_)
            | Command::Budget(_)
            | Command::Escrow(_)
            | Command::Payout(_) => unasked(),
        }
    }

    async fn foresee(
        &self,
        asks: Vec<(Ask, Wanted)>,
        _now: UnixMillis,
    ) -> Result<Vec<Option<Barrier>>, StoreError> {
        Ok(asks.iter().map(|_| None).collect())
    }

    async fn usages(&self, _counters: Vec<Counter>) -> Result<Vec<Option<Usage>>, StoreError> {
        unasked()
    }

    async fn stops(&self) -> Result<Stops, StoreError> {
        unasked()
    }

    async fn approval(&self, _id: &ApprovalId) -> Result<Option<Approval>, StoreError> {
        unasked()
    }

    async fn approvals(&self, _limit: u32) -> Result<Vec<Approval>, StoreError> {
        unasked()
    }

    async fn calls(
        &self,
        _caller: &Principal,
        _tool: &ToolRef,
        _since: UnixMillis,
        _most: u64,
    ) -> Result<u64, StoreError> {
        unasked()
    }

    async fn spent(&self, _caller: &Principal, _since: [UnixMillis; 2]) -> Result<Vec<Spent>, StoreError> {
        unasked()
    }

    async fn standing(&self, _principal: &Principal) -> Result<Record, StoreError> {
        Ok(Record::default())
    }

    async fn expired(
        &self,
        _since: UnixMillis,
        _now: UnixMillis,
        _limit: u32,
    ) -> Result<Vec<Transfer>, StoreError> {
        unasked()
    }

    async fn settlement(&self, _key: &PaymentKey) -> Result<Option<SettlementRow>, StoreError> {
        unasked()
    }

    async fn settlement_by_call(&self, _call: &CallId) -> Result<Option<SettlementRow>, StoreError> {
        unasked()
    }

    async fn open_settlements(
        &self,
        _after: Option<CallId>,
        _limit: u32,
    ) -> Result<Vec<SettlementRow>, StoreError> {
        unasked()
    }

    async fn pending_settlements(&self) -> Result<PendingSettlements, StoreError> {
        unasked()
    }

    async fn unknown_settlements(
        &self,
        _after: Option<CallId>,
        _limit: u32,
    ) -> Result<Vec<SettlementRow>, StoreError> {
        unasked()
    }

    async fn answer(&self, _call: &CallId) -> Result<Option<StoredAnswer>, StoreError> {
        unasked()
    }

    async fn receipt(&self, _id: &ReceiptId) -> Result<Option<String>, StoreError> {
        unasked()
    }

    async fn balance(&self, _account: &AccountName, _asset: &AssetId) -> Result<Balances, StoreError> {
        unasked()
    }

    async fn trial_balance(&self) -> Result<Vec<AccountBalance>, StoreError> {
        unasked()
    }

    async fn recent_calls(&self, _limit: u32) -> Result<Vec<RecentCall>, StoreError> {
        unasked()
    }
}

impl EscrowStore for WillingLedger {
    async fn escrow(&self, _id: &EscrowId) -> Result<Option<EscrowRow>, StoreError> {
        unasked()
    }

    async fn escrow_history(&self, _id: &EscrowId) -> Result<EscrowHistory, StoreError> {
        unasked()
    }

    async fn escrows(&self, _filter: EscrowFilter, _limit: u32) -> Result<EscrowPage, StoreError> {
        unasked()
    }

    async fn open_escrows(&self) -> Result<Vec<(&'static str, u64)>, StoreError> {
        unasked()
    }

    async fn due_escrows(&self, _now: UnixMillis, _limit: u32) -> Result<Vec<DueEscrow>, StoreError> {
        unasked()
    }
}

/// A wallet whose invoices are numbered, so that the bench knows each preimage. The rail never reads an invoice back.
#[derive(Debug, Default)]
pub(crate) struct CountingWallet {
    made: AtomicU64,
}

impl CountingWallet {
    /// The preimage of the latest invoice.
    pub(crate) fn latest(&self) -> Preimage {
        preimage(self.made.load(Ordering::Relaxed))
    }
}

impl LightningWallet for CountingWallet {
    fn name(&self) -> &'static str {
        "counting"
    }

    fn create_invoice(&self, _request: InvoiceRequest) -> RailFuture<'_, Result<Invoice, WalletError>> {
        let number = self.made.fetch_add(1, Ordering::Relaxed) + 1;
        let invoice =
            Invoice { bolt11: format!("lnbcrt{number:0300}"), payment_hash: preimage(number).payment_hash() };
        Box::pin(std::future::ready(Ok(invoice)))
    }

    fn look_up(
        &self,
        _payment_hash: [u8; 32],
        _now: UnixMillis,
    ) -> RailFuture<'_, Result<InvoiceState, WalletError>> {
        Box::pin(std::future::ready(Ok(InvoiceState::Open)))
    }
}

fn preimage(number: u64) -> Preimage {
    let mut bytes = [7; 32];
    for (slot, byte) in bytes.iter_mut().zip(number.to_be_bytes()) {
        *slot = byte;
    }
    Preimage::new(bytes)
}
