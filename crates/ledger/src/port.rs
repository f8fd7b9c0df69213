//! The port through which the house reaches the books. A store implements it; this crate knows none.

use std::future::{Future, ready};

use tollgate_domain::{
    Amount, ApprovalId, AssetId, CallId, PaymentKey, Principal, ReceiptId, ToolRef, UnixMillis,
};

use crate::budget::{Approval, Ask, Barrier, Change, Changed, Counter, Stops, Usage, Wanted};
use crate::{
    AccountBalance, AccountName, Advance, Advanced, Balances, Booked, Claim, Claimed, Command, Grant,
    Granted, Outcome, Record, Refund, Refunded, Refusal, SettlementRow, State, StoredAnswer, Transfer,
};

/// Why the store did not do, or may not have done, what was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Too much is waiting. Definitely not done; try again a little later.
    #[error("the ledger's queue is full")]
    Busy,
    /// The disk has no space for it. Definitely not done; taken again as soon as there is some.
    #[error("the ledger's disk is full")]
    NoSpace,
    /// The disk failed to keep what it was given, so no money operation is accepted until the process is restarted.
    /// Definitely not done.
    #[error("the ledger is closed after a storage error; restart the gateway")]
    Closed,
    /// Definitely not done, for a reason that lies with the store.
    #[error("the ledger refused: {0}")]
    Definite(String),
    /// It may have been done or not: the commit gave no definite answer. Look up before anything else.
    #[error("the ledger's commit has an unknown outcome: {0}")]
    Unknown(String),
    /// Definitely not done, because the books say it cannot be.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

/// One recent call, for people.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RecentCall {
    /// The call.
    pub call: CallId,
    /// Its latest receipt.
    pub receipt: Option<ReceiptId>,
    /// Its payment; `None` for a free call.
    pub paid: Option<PaidCall>,
}

/// The payment of a recent call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PaidCall {
    /// The tool.
    pub tool: ToolRef,
    /// Who called.
    pub caller: Principal,
    /// How much.
    pub amount: Amount,
    /// Of what.
    pub asset: AssetId,
    /// What was spent.
    pub key: PaymentKey,
    /// Where it stands.
    pub state: State,
    /// When it was claimed.
    pub claimed: UnixMillis,
}

/// Attempts whose tool has answered and whose money is not decided ([`State::Executed`], [`State::Submitted`], [`State::Unknown`]).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PendingSettlements {
    /// How many.
    pub count: u64,
    /// When the oldest of them was claimed; `None` when there is none.
    pub oldest: Option<UnixMillis>,
}

/// What one principal has spent of one asset.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Spent {
    /// Of what.
    pub asset: AssetId,
    /// Of calls that were made since each of the moments that were asked for, and settled. A total past what an amount holds stays there.
    pub since: [Amount; 2],
    /// Settled in all.
    pub ever: Amount,
    /// Reserved by calls that have not ended.
    pub reserved: Amount,
}

/// The books. Every write is one durable, atomic step: it is answered after it has been committed, and never before, but for
/// [`LedgerStore::decide`].
///
/// Each method may fail with any [`StoreError`]; reads never answer `Busy`, `Unknown` or `Refused`.
pub trait LedgerStore: Send + Sync + 'static {
    /// Carries out one command. Answered after the commit; a command that is refused has written nothing.
    fn commit(&self, command: Command) -> impl Future<Output = Result<Outcome, StoreError>> + Send;

    /// Carries out one command, and answers as soon as it is decided, before it is durable. Nothing that is asked for after the
    /// answer becomes durable without it: whoever ends what it began hears of no end that a crash could undo. A crash, or a disk that fails, in
    /// between takes it back. A store may answer later, after the commit.
    fn decide(&self, command: Command) -> impl Future<Output = Result<Outcome, StoreError>> + Send {
        self.commit(command)
    }

    /// [`Command::Claim`], answered as soon as it is [decided](LedgerStore::decide).
    fn claim_ahead(&self, claim: Claim) -> impl Future<Output = Result<Claimed, StoreError>> + Send {
        answered(self.decide(Command::Claim(claim)), |outcome| match outcome {
            Outcome::Claimed(claimed) => Some(claimed),
            _ => None,
        })
    }

    /// [`Command::Claim`].
    fn claim(&self, claim: Claim) -> impl Future<Output = Result<Claimed, StoreError>> + Send {
        answered(self.commit(Command::Claim(claim)), |outcome| match outcome {
            Outcome::Claimed(claimed) => Some(claimed),
            _ => None,
        })
    }

    /// [`Command::Advance`].
    fn advance(&self, advance: Advance) -> impl Future<Output = Result<Advanced, StoreError>> + Send {
        answered(self.commit(Command::Advance(advance)), |outcome| match outcome {
            Outcome::Advanced(advanced) => Some(advanced),
            _ => None,
        })
    }

    /// [`Command::Record`]; returns the envelope.
    fn record(
        &self,
        call: CallId,
        statement: String,
    ) -> impl Future<Output = Result<String, StoreError>> + Send {
        answered(self.commit(Command::Record { call, statement }), |outcome| match outcome {
            Outcome::Recorded(envelope) => Some(envelope),
            _ => None,
        })
    }

    /// [`Command::Grant`].
    fn grant_credit(&self, grant: Grant) -> impl Future<Output = Result<Granted, StoreError>> + Send {
        answered(self.commit(Command::Grant(grant)), |outcome| match outcome {
            Outcome::Granted(granted) => Some(granted),
            _ => None,
        })
    }

    /// [`Command::Refund`].
    fn refund(&self, refund: Refund) -> impl Future<Output = Result<Refunded, StoreError>> + Send {
        answered(self.commit(Command::Refund(refund)), |outcome| match outcome {
            Outcome::Refunded(refunded) => Some(refunded),
            _ => None,
        })
    }

    /// [`Command::Book`].
    fn book(&self, transfers: Vec<Transfer>) -> impl Future<Output = Result<Booked, StoreError>> + Send {
        answered(self.commit(Command::Book(transfers)), |outcome| match outcome {
            Outcome::Booked(booked) => Some(booked),
            _ => None,
        })
    }

    /// [`Command::Budget`].
    fn change_budget(&self, change: Change) -> impl Future<Output = Result<Changed, StoreError>> + Send {
        answered(self.commit(Command::Budget(change)), |outcome| match outcome {
            Outcome::Budget(changed) => Some(changed),
            _ => None,
        })
    }

    /// Pending transfers that expired after `since` and by `now` and are not resolved, the first to expire first, at most
    /// `limit`: to be voided ([`crate::expiry_id`]).
    fn expired(
        &self,
        since: UnixMillis,
        now: UnixMillis,
        limit: u32,
    ) -> impl Future<Output = Result<Vec<Transfer>, StoreError>> + Send;

    /// What would keep each of these from being claimed now, by what is committed, in their order. Nothing is taken: the claim
    /// decides.
    fn foresee(
        &self,
        asks: Vec<(Ask, Wanted)>,
        now: UnixMillis,
    ) -> impl Future<Output = Result<Vec<Option<Barrier>>, StoreError>> + Send;

    /// What these counters say, in their order.
    fn usages(
        &self,
        counters: Vec<Counter>,
    ) -> impl Future<Output = Result<Vec<Option<Usage>>, StoreError>> + Send;

    /// Everything that may not spend.
    fn stops(&self) -> impl Future<Output = Result<Stops, StoreError>> + Send;

    /// The approval with this id.
    fn approval(&self, id: &ApprovalId) -> impl Future<Output = Result<Option<Approval>, StoreError>> + Send;

    /// The latest approvals that were asked for, newest first, at most `limit`.
    fn approvals(&self, limit: u32) -> impl Future<Output = Result<Vec<Approval>, StoreError>> + Send;

    /// The latest attempt with this key.
    fn settlement(
        &self,
        key: &PaymentKey,
    ) -> impl Future<Output = Result<Option<SettlementRow>, StoreError>> + Send;

    /// The attempt of this call, also when a later attempt of the same key exists.
    fn settlement_by_call(
        &self,
        call: &CallId,
    ) -> impl Future<Output = Result<Option<SettlementRow>, StoreError>> + Send;

    /// Attempts that have not ended, oldest first, those claimed after the one of the call `after`, at most `limit`: what recovery
    /// has to finish at start.
    fn open_settlements(
        &self,
        after: Option<CallId>,
        limit: u32,
    ) -> impl Future<Output = Result<Vec<SettlementRow>, StoreError>> + Send;

    /// How many attempts wait for their rail, and since when.
    fn pending_settlements(&self) -> impl Future<Output = Result<PendingSettlements, StoreError>> + Send;

    /// Attempts whose rail gave no definite answer ([`State::Unknown`]), in the order of their calls, those after `after`, at most
    /// `limit`: what is looked up again from time to time.
    fn unknown_settlements(
        &self,
        after: Option<CallId>,
        limit: u32,
    ) -> impl Future<Output = Result<Vec<SettlementRow>, StoreError>> + Send;

    /// Attempts that have not ended and that nobody will end: of gateways that are gone, and none of which has moved since `before`.
    /// Oldest first, those claimed after the one of the call `after`, at most `limit`. None where one gateway alone keeps the books.
    fn abandoned_settlements(
        &self,
        _before: UnixMillis,
        _after: Option<CallId>,
        _limit: u32,
    ) -> impl Future<Output = Result<Vec<SettlementRow>, StoreError>> + Send {
        ready(Ok(Vec::new()))
    }

    /// What a paid call left behind.
    fn answer(&self, call: &CallId) -> impl Future<Output = Result<Option<StoredAnswer>, StoreError>> + Send;

    /// The sealed envelope with this id.
    fn receipt(&self, id: &ReceiptId) -> impl Future<Output = Result<Option<String>, StoreError>> + Send;

    /// How many calls of a tool a principal has claimed since a moment that did not come to nothing, counted no further than
    /// `most`: those that are free as well as those that are paid for.
    fn calls(
        &self,
        caller: &Principal,
        tool: &ToolRef,
        since: UnixMillis,
        most: u64,
    ) -> impl Future<Output = Result<u64, StoreError>> + Send;

    /// What the settled calls of a principal have cost since each of these moments, by asset, and what its open calls have
    /// reserved.
    fn spent(
        &self,
        caller: &Principal,
        since: [UnixMillis; 2],
    ) -> impl Future<Output = Result<Vec<Spent>, StoreError>> + Send;

    /// What is remembered of a principal; the beginner's record for a stranger.
    fn standing(&self, principal: &Principal) -> impl Future<Output = Result<Record, StoreError>> + Send;

    /// What stands on one account; zeros for one that was never used.
    fn balance(
        &self,
        account: &AccountName,
        asset: &AssetId,
    ) -> impl Future<Output = Result<Balances, StoreError>> + Send;

    /// Every account, ordered by asset and name.
    fn trial_balance(&self) -> impl Future<Output = Result<Vec<AccountBalance>, StoreError>> + Send;

    /// The latest calls that are paid for or have a receipt, newest first, at most `limit`.
    fn recent_calls(&self, limit: u32) -> impl Future<Output = Result<Vec<RecentCall>, StoreError>> + Send;
}

/// The answer of the kind that belongs to the command. Any other is a fault of the store, which says nothing about what it did.
async fn answered<T>(
    outcome: impl Future<Output = Result<Outcome, StoreError>> + Send,
    of_its_kind: fn(Outcome) -> Option<T>,
) -> Result<T, StoreError> {
    let mixed_up = || StoreError::Unknown("the store gave the answer to another command".to_owned());
    of_its_kind(outcome.await?).ok_or_else(mixed_up)
}
