//! What can be asked of the books, and the answers. Values only; [`crate::claim`] and its siblings decide.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use tollgate_domain::{
    Amount, AssetId, Binding, CallId, EscrowId, FreeCall, FreeCallError, PaymentKey, Principal,
    PrincipalError, Settle, Splits, TransferId, UnixMillis,
};

use crate::budget::{self, Ask, Barrier, Warning};
use crate::escrow::{EscrowCommand, EscrowMoved, EscrowRefusal, EscrowTerms};
use crate::payout::{PayoutAnswer, PayoutCommand, PayoutRefusal};
use crate::{BookingError, Clearing, Event, IllegalTransition, State, Transfer};

/// Where the money of a claimed call comes from. Written `on_settlement`, `arrived:<holder>`, `credit:<principal>`,
/// `free:<calls>/<period>`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Funds {
    /// It arrives when the payment is settled on its rail.
    OnSettlement,
    /// It is already in the gateway's wallet: booked once as the holder's credit, then spent from there. What a voided
    /// call leaves stays the holder's credit.
    Arrived {
        /// Whoever can show the proof, such as `lightning:<payment hash>`.
        holder: Principal,
    },
    /// It is credit of this principal on the books. For a payment by x402: what the paying wallet has of the sandbox token.
    Credit(Principal),
    /// From nowhere: the call is one of so many that the caller has free in a period, and its amount is zero. It is claimed
    /// like any other, so that it is counted once, and is not counted when it comes to nothing.
    Free(FreeCall),
}

impl Funds {
    /// Whether the money is on these books from the claim on, so that no rail has to move it.
    pub fn settles_on_our_books(&self) -> bool {
        match self {
            Self::OnSettlement => false,
            Self::Arrived { .. } | Self::Credit(_) | Self::Free(_) => true,
        }
    }
}

/// Why a text names no [`Funds`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FundsError {
    /// The word is none of the four.
    #[error("{0:?} is none of on_settlement, arrived:<holder>, credit:<principal>, free:<calls>/<period>")]
    Word(String),
    /// The principal is malformed.
    #[error(transparent)]
    Principal(#[from] PrincipalError),
    /// The number of free calls is malformed.
    #[error(transparent)]
    Free(#[from] FreeCallError),
}

impl fmt::Display for Funds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OnSettlement => f.write_str("on_settlement"),
            Self::Arrived { holder } => write!(f, "arrived:{holder}"),
            Self::Credit(principal) => write!(f, "credit:{principal}"),
            Self::Free(free) => write!(f, "free:{free}"),
        }
    }
}

impl FromStr for Funds {
    type Err = FundsError;

    fn from_str(text: &str) -> Result<Self, FundsError> {
        match text.split_once(':') {
            Some(("arrived", holder)) => Ok(Self::Arrived { holder: holder.parse()? }),
            Some(("credit", principal)) => Ok(Self::Credit(principal.parse()?)),
            Some(("free", free)) => Ok(Self::Free(free.parse()?)),
            None if text == "on_settlement" => Ok(Self::OnSettlement),
            Some(_) | None => Err(FundsError::Word(text.chars().take(32).collect())),
        }
    }
}

/// One change of the books. A store carries many out in one durable transaction, in order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Command {
    /// Claim a payment key for a call and reserve the price.
    Claim(Claim),
    /// Move the settlement of a call along.
    Advance(Advance),
    /// Seal and keep the receipt of a call that has no settlement.
    Record {
        /// The call.
        call: CallId,
        /// What to seal.
        statement: String,
    },
    /// Give a principal prepaid credit.
    Grant(Grant),
    /// Give back what was kept of a call.
    Refund(crate::Refund),
    /// Book linked transfers: all of them or none. Each has an id that means it for ever, see [`crate::requested_id`].
    Book(Vec<Transfer>),
    /// Change what may be spent: approvals and stops.
    Budget(budget::Change),
    /// Open an escrow, or move it along.
    Escrow(Box<EscrowCommand>),
    /// Pay out what a provider has earned, or change where that may go.
    Payout(Box<PayoutCommand>),
}

/// The answer to a [`Command`], each to the command of its name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// To [`Command::Claim`].
    Claimed(Claimed),
    /// To [`Command::Advance`].
    Advanced(Advanced),
    /// To [`Command::Record`]: the sealed envelope.
    Recorded(String),
    /// To [`Command::Grant`].
    Granted(Granted),
    /// To [`Command::Refund`].
    Refunded(crate::Refunded),
    /// To [`Command::Budget`].
    Budget(budget::Changed),
    /// To [`Command::Book`].
    Booked(Booked),
    /// To [`Command::Escrow`].
    Escrow(EscrowMoved),
    /// To [`Command::Payout`].
    Payout(PayoutAnswer),
}

/// The answer to [`Command::Book`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Booked {
    /// Whether exactly these transfers had been booked before.
    pub again: bool,
}

/// Claims a payment key for one call and reserves the price, before the tool is called.
#[derive(Clone, PartialEq, Eq)]
pub struct Claim {
    /// What is spent.
    pub key: PaymentKey,
    /// The call that spends it; a fresh id.
    pub call: CallId,
    /// Who calls.
    pub caller: Principal,
    /// Who pays, most often the caller.
    pub payer: Principal,
    /// When the money moves. Where it [moves first](Settle::takes_first) and is on these books, it moves with the claim.
    pub settle: Settle,
    /// Where such money is found again.
    pub reference: String,
    /// Who shares what the call earns.
    pub splits: Splits,
    /// What the payment is for.
    pub binding: Binding,
    /// How much; zero for a free call, and for no other.
    pub amount: Amount,
    /// Of what.
    pub asset: AssetId,
    /// Where the money comes from.
    pub funds: Funds,
    /// What settling needs, as text that survives a restart. May hold a bearer secret.
    pub proof: Arc<str>,
    /// Until when the proof can be used on its rail.
    pub expires: UnixMillis,
    /// The budgets that bound it.
    pub budget: Ask,
    /// Now.
    pub now: UnixMillis,
}

impl fmt::Debug for Claim {
    /// Without the proof: it may be a bearer secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, call, caller, amount, asset, funds, .. } = self;
        write!(f, "Claim({key} by {caller} for {call}, {amount} {asset}, {funds}, proof [redacted])")
    }
}

/// The answer to a [`Claim`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Claimed {
    /// The call may be carried out: the key is its own and the price is reserved, durably. Where the money
    /// [moves first](Settle::takes_first) it is paid as well, or its rail has to move it.
    Fresh {
        /// Which attempt with this key, from 1.
        attempt: u32,
    },
    /// The same, and soft limits were passed by it.
    Warned {
        /// Which attempt with this key, from 1.
        attempt: u32,
        /// Which.
        warnings: Vec<Warning>,
    },
    /// Another call holds the key and has not ended.
    InProgress {
        /// That call.
        call: CallId,
        /// Where it stands.
        state: State,
        /// When it was claimed.
        since: UnixMillis,
    },
    /// This request was already carried out and paid with this key: [`LedgerStore::answer`](crate::LedgerStore::answer) has
    /// what it left behind.
    Answered {
        /// The call that ran.
        call: CallId,
    },
    /// The key was used for another request.
    OtherRequest {
        /// What differs: `tool`, `args`, `price_version`, `caller` or `quote`.
        differs: &'static str,
    },
    /// The payment of this key definitely failed; the proof is worth nothing.
    Failed {
        /// The rail's reason.
        reason: String,
    },
    /// The tool may have run with this key when the gateway stopped. Nothing was charged, or what was taken went back; and it is
    /// never run again with it.
    InDoubt {
        /// That call.
        call: CallId,
    },
    /// The caller has no free call left in this period. Nothing was written.
    NoFreeCall,
    /// The credit does not cover the price. Nothing was written.
    InsufficientFunds {
        /// What is available.
        available: Amount,
    },
    /// A budget keeps the call from being claimed. Nothing was written.
    Barred(Barrier),
}

/// What a call left behind for whoever repeats its proof or asks for its status.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredAnswer {
    /// The call that ran.
    pub call: CallId,
    /// Where its settlement stands.
    pub state: State,
    /// The bytes of its result; `None` when there are none, or when they were pruned.
    pub result: Option<Vec<u8>>,
    /// What was stored for the parties only (such as the salts of the receipt's digests), as JSON text.
    pub private: Option<String>,
    /// The sealed envelope of its latest receipt.
    pub receipt: Option<String>,
}

impl fmt::Debug for StoredAnswer {
    /// Neither the result nor the salts: they belong to the caller.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.result.as_ref().map(Vec::len);
        write!(f, "StoredAnswer({}, {}, result of {bytes:?} bytes)", self.call, self.state)
    }
}

/// Moves the settlement of a call along, and keeps what the call produced, in one durable step.
#[derive(Clone, PartialEq, Eq)]
pub struct Advance {
    /// The payment key.
    pub key: PaymentKey,
    /// The call; a fence: it must be the one of the key's latest attempt.
    pub call: CallId,
    /// What happened, in order. All of it is applied, or nothing.
    pub events: Vec<Event>,
    /// The result's bytes, to be given to whoever repeats the proof; stored with [`Event::Executed`].
    pub result: Option<Vec<u8>>,
    /// For the parties only, as JSON text; kept as long as the result, never part of the public receipt.
    pub private: Option<String>,
    /// The statement to seal as the call's receipt, in the same commit.
    pub statement: Option<String>,
    /// The terms of the escrow into which a delivery under [`Settle::Escrow`] puts the money.
    pub escrow: Option<Box<EscrowTerms>>,
    /// Now.
    pub now: UnixMillis,
}

impl fmt::Debug for Advance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Advance({} of {}, {:?})", self.call, self.key, self.events)
    }
}

/// The answer to an [`Advance`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Advanced {
    /// Where the settlement stands now.
    pub state: State,
    /// The sealed envelope, when a statement was given.
    pub receipt: Option<String>,
}

/// Gives a principal prepaid credit from outside the books.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Grant {
    /// What stands against it: an operator's word, or nothing at all in the sandbox.
    pub from: Clearing,
    /// Who gets it.
    pub to: Principal,
    /// How much; not zero.
    pub amount: Amount,
    /// Of what.
    pub asset: AssetId,
    /// Chosen by whoever grants: granting twice under one id books once.
    pub id: TransferId,
    /// Why.
    pub note: String,
    /// Now.
    pub now: UnixMillis,
}

/// The answer to a [`Grant`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Granted {
    /// Whether it was booked now; `false` when this id had booked exactly this before.
    pub booked: bool,
    /// What the principal can spend of this asset now.
    pub available: Amount,
}

/// Why a command cannot be carried out at all. Decided before anything is written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No settlement has this key.
    #[error("no settlement has the key {0}")]
    NoSuchSettlement(PaymentKey),
    /// The key's latest attempt belongs to another call.
    #[error("the payment key belongs to {current} by now")]
    OtherCall {
        /// The call that holds the key.
        current: CallId,
    },
    /// The event cannot happen in this state.
    #[error(transparent)]
    Illegal(#[from] IllegalTransition),
    /// The call id was used before.
    #[error("{0} was used for another claim")]
    CallReused(CallId),
    /// The transfer id was used for another transfer.
    #[error("{0} was used for another transfer")]
    TransferReused(TransferId),
    /// Nothing was kept of the call that could go back.
    #[error("nothing was kept of {call}, which is {state}")]
    NothingKept {
        /// The call.
        call: CallId,
        /// Where its settlement stands.
        state: State,
    },
    /// More would go back than was kept, or something went back in the meantime.
    #[error("{left} is left of what was kept, less than would go back")]
    RefundExceeds {
        /// What is left.
        left: Amount,
    },
    /// A result costs something, and less than what is held for it; whatever costs all of it is not measured.
    #[error("{due} is no part of what is held for {call}")]
    Mismeasured {
        /// The call.
        call: CallId,
        /// What it was said to cost.
        due: Amount,
    },
    /// A delivery puts the money into an escrow, and no terms of one were given that fit the call.
    #[error("{0} is settled by an escrow, and its terms are missing or are those of another call")]
    WithoutTerms(CallId),
    /// What was paid for the call is in an escrow, where it is decided who gets it.
    #[error("what was paid for {call} is in {escrow}, which is not at its end")]
    InEscrow {
        /// The call.
        call: CallId,
        /// The escrow.
        escrow: EscrowId,
    },
    /// There is no transfer to book.
    #[error("linked transfers are one at least")]
    NothingToBook,
    /// The reservation of a call, or its resolution, follows from the call's settlement and from nothing else.
    #[error("{0} reserves, posts or voids for a call; only the call's settlement does that")]
    BelongsToCall(TransferId),
    /// No pending transfer has this id.
    #[error("{0} is no pending transfer")]
    NoSuchPending(TransferId),
    /// The pending transfer was posted or voided before.
    #[error("{pending} is resolved already, by {by}")]
    AlreadyResolved {
        /// The pending transfer.
        pending: TransferId,
        /// `post_pending` or `void_pending`.
        by: &'static str,
    },
    /// The pending transfer was not posted in time; it can only be voided.
    #[error("{0} has expired; its reservation can only be released")]
    PendingExpired(TransferId),
    /// The resolution is not between the same accounts in the same asset, posts more than is reserved, or voids a part.
    #[error("the resolution of {0} is another movement, or larger")]
    OtherMovement(TransferId),
    /// The rail has no clearing account to pay from.
    #[error("payments by {0} do not come in from outside the books")]
    NoClearing(tollgate_domain::Rail),
    /// A free call has a price.
    #[error("a free call costs nothing")]
    FreeWithPrice,
    /// The transfer cannot be booked.
    #[error(transparent)]
    Booking(#[from] BookingError),
    /// The approval cannot be decided like that.
    #[error(transparent)]
    Approval(#[from] budget::ApprovalError),
    /// There are as many stops as there may be.
    #[error("{} stops are the most there may be; resume some, or stop everything", budget::Stops::MAX)]
    TooManyStops,
    /// The escrow stays as it is.
    #[error(transparent)]
    Escrow(#[from] EscrowRefusal),
    /// Nothing is paid out, or the payout stays as it is.
    #[error(transparent)]
    Payout(Box<PayoutRefusal>),
    /// There is nobody to sign receipts with here.
    #[error("this store was opened without a signer of receipts")]
    NoSigner,
    /// The statement could not be sealed.
    #[error("seal the receipt: {0}")]
    Seal(String),
}
