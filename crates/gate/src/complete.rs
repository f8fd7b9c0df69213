//! The second half of the street: every held call ends in exactly one settlement, refund or void, and one receipt.

mod before;

use bytes::Bytes;

use tollgate_domain::{
    Amount, AssetId, CallId, Digest, FailureKind, Outcome, PaymentKey, Rail, ReceiptId, UnixMillis,
};
use tollgate_ledger::escrow::EscrowTerms;
use tollgate_ledger::{Advance, Event, LedgerStore};
use tollgate_rails::x402::settler::reason;
use tollgate_rails::x402::wire;
use tollgate_rails::{Funds, Payment, Presented, Settlement, SettlementAnswer, mpp};

use crate::call::{Call, Held, Presentation, Ready};
use crate::charge::{Charge, executed};
use crate::demand::Demand;
use crate::evidence::{Evidence, Refund};
use crate::fault::Fault;
use crate::permitted::HeldCall;
use crate::ports::Ports;
use crate::receipt::Told;
use crate::station::{store_fault, wallet_credit};
use crate::street::Gate;
use crate::take::own_reference;

/// What a tool answered: the raw JSON of its `result`, or of the JSON-RPC `error` it gave instead.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ToolAnswer {
    /// A `result` object.
    Result(Bytes),
    /// An `error` object.
    Error(Bytes),
    /// A `result` object that was delivered elsewhere and is known here by its digest alone.
    Digest(Digest),
}

/// How a call ended, and the evidence for it.
#[derive(Debug)]
pub struct Completed {
    /// The call.
    pub call: CallId,
    /// What to tell the caller.
    pub ending: Ending,
    /// What to give the caller beside the answer.
    pub evidence: Evidence,
}

/// What the caller is to be told.
#[derive(Debug)]
pub enum Ending {
    /// The tool's result, paid for where it costs something.
    Delivered(Bytes),
    /// The tool's own failure; not charged.
    ToolFailed(ToolAnswer),
    /// No usable answer came; not charged.
    Lost(FailureKind),
    /// The rail definitely refused; the result is withheld and nothing was charged. With a fresh demand where one could
    /// be made.
    PaymentFailed {
        /// The rail's reason.
        reason: String,
        /// What would pay.
        demand: Option<Box<Demand>>,
    },
    /// Whether the money moved is not known yet; the result is kept and can be asked for.
    Pending,
    /// Whether the money moved is not known yet, and without it the tool was not asked.
    PaymentPending,
}

impl Ending {
    /// The word in logs and metrics.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Delivered(_) => "delivered",
            Self::ToolFailed(_) => "tool_failed",
            Self::Lost(kind) => kind.word(),
            Self::PaymentFailed { .. } => "payment_failed",
            Self::Pending | Self::PaymentPending => "settlement_pending",
        }
    }

    /// Whether the tool's own answer is what the caller gets.
    pub const fn has_answer(&self) -> bool {
        matches!(self, Self::Delivered(_) | Self::ToolFailed(_))
    }
}

/// A settlement of which it is known what became, or that nobody knows, on its way into the books.
pub(crate) struct Answered<'a> {
    pub(crate) key: &'a PaymentKey,
    pub(crate) call: CallId,
    /// How much moves.
    pub(crate) amount: Amount,
    pub(crate) asset: &'a AssetId,
    /// What is not on the books yet and came before the answer; with it goes the result.
    pub(crate) first: Vec<Event>,
    pub(crate) answer: SettlementAnswer,
}

impl<P: Ports> Gate<P> {
    /// Ends a held call: settles the payment if the tool delivered, voids it otherwise, and seals the receipt. What was taken before
    /// the tool ran is earned or goes back.
    ///
    /// Outcome and settlement of a payment on our own books are one commit. A payment that a rail must move is first
    /// recorded as submitted, then moved, then recorded as whatever the rail said.
    ///
    /// # Errors
    /// A [`Fault`] when the ledger cannot record the ending. Nothing is forgotten: the row is finished at the next start.
    pub async fn complete(&self, held: HeldCall, outcome: Outcome<ToolAnswer>) -> Result<Completed, Fault> {
        let HeldCall(call) = held;
        self.ports.reached("after_result");
        let Some(payment) = call.payment() else {
            return self.end_free(&call, outcome).await;
        };
        let mut told = self.told(&call, &outcome, payment.binding.args)?;
        let charge = match &outcome {
            Outcome::Delivered(answer) => call.charge(payment, answer),
            Outcome::Failed(_) | Outcome::Lost(_) => None,
        };
        told.refunded = charge.as_ref().map(Charge::rest);
        if let Some(reference) = &call.stage.taken {
            return Box::pin(self.complete_before(&call, payment, reference, told, outcome, charge)).await;
        }
        match outcome {
            Outcome::Delivered(ToolAnswer::Result(result)) => {
                self.settle_delivered(&call, payment, told, result, charge).await
            }
            Outcome::Delivered(ToolAnswer::Digest(digest)) => {
                self.settle_delivered(&call, payment, told, stand_in(digest), charge).await
            }
            outcome => Box::pin(self.void(&call, payment, told, outcome)).await,
        }
    }

    fn told<'a>(
        &self,
        call: &'a Call<Ready>,
        outcome: &Outcome<ToolAnswer>,
        args: Digest,
    ) -> Result<Told<'a>, Fault> {
        let payment = call.payment();
        let at = self.ports.now();
        Ok(Told {
            receipt: self.receipt_id(at)?,
            call: call.id,
            at,
            caller: call.principal(),
            tool: &call.request.tool,
            schema: Some(call.listed.schema_digest),
            args,
            result: match outcome {
                Outcome::Delivered(answer) | Outcome::Failed(answer) => Some(answer.digest()),
                Outcome::Lost(_) => None,
            },
            outcome: match outcome {
                Outcome::Delivered(_) => "delivered",
                Outcome::Failed(_) => "failed",
                Outcome::Lost(kind) => kind.word(),
            },
            charged: false,
            price: payment.map(|payment| (payment.amount, &payment.asset, payment.key.rail())),
            payment_ref: None,
            settlement: "free",
            escrow: None,
            refunded: None,
            decision: Some((call.listed.requirement, call.stage.held.standing)),
            mode: self.limits.mode,
        })
    }

    async fn end_free(&self, call: &Call<Ready>, outcome: Outcome<ToolAnswer>) -> Result<Completed, Fault> {
        let mut evidence = Evidence::default();
        if self.limits.receipts_for_free_calls {
            // The arguments passed the strict parser, so they have a digest.
            let args = call.args_digest();
            let args = args.map_err(|denial| Fault::Internal(format!("digest the arguments: {denial:?}")))?;
            let told = self.told(call, &outcome, args)?;
            let drafted = told.draft(self.ports.random()?);
            let sealed = self.ports.ledger().record(call.id, drafted.statement).await.map_err(store_fault)?;
            evidence = Evidence { receipt: Some(sealed), salts: Some(drafted.salts), ..Evidence::default() };
        }
        Ok(Completed { call: call.id, ending: ending_of(outcome), evidence })
    }

    async fn void(
        &self,
        call: &Call<Ready>,
        payment: &Payment,
        told: Told<'_>,
        outcome: Outcome<ToolAnswer>,
    ) -> Result<Completed, Fault> {
        let told = Told { settlement: "voided", ..told };
        let event = Event::Voided { reason: told.outcome.to_owned() };
        let mut evidence = self.advance(&payment.key, call.id, vec![event], None, Some(told)).await?;
        evidence.note = Some(match payment.key.rail() {
            Rail::Credit if payment.amount.is_zero() => {
                "Not charged, and not counted: the free call is left."
            }
            Rail::X402 => {
                "Not charged: the payment was not submitted and can be sent again with the same request."
            }
            Rail::L402 => {
                "Not charged: the L402 credential can be used again for the same request until it expires; after that \
                 its value is credit that the preimage can spend."
            }
            Rail::Credit => "Not charged: the reserved credit was released.",
        });
        Ok(Completed { call: call.id, ending: ending_of(outcome), evidence })
    }

    async fn settle_delivered(
        &self,
        call: &Call<Ready>,
        payment: &Payment,
        told: Told<'_>,
        result: Bytes,
        charge: Option<Charge>,
    ) -> Result<Completed, Fault> {
        let now = told.at;
        let mut outcome = Vec::with_capacity(3); // with room for the answer
        outcome.extend([executed(told_result(&told), charge.as_ref()), Event::Submitted]);
        let mut amount = payment.amount;
        let (first, answer) = if payment.funds.settles_on_our_books() {
            // The rest was only held: it never moves.
            amount = charge.as_ref().map_or(amount, |charge| charge.charged);
            (outcome, answer_of_ours(payment, call.id, now))
        } else {
            self.advance(&payment.key, call.id, outcome, Some(&result), None).await?;
            self.ports.reached("after_submitted");
            let rail = self.rail(payment.key.rail())?;
            let answer = rail.settle(&settlement_of(payment, now), self.ports.now()).await;
            self.ports.reached("after_rail");
            (Vec::new(), answer)
        };
        let mpp = match &answer {
            SettlementAnswer::Settled { reference } => mpp_receipt(call, reference, now),
            SettlementAnswer::Unknown { evidence } => {
                warn_in_doubt(call.id, evidence);
                None
            }
            SettlementAnswer::Failed { .. } | SettlementAnswer::Absent => None,
        };
        let answered =
            Answered { key: &payment.key, call: call.id, amount, asset: &payment.asset, first, answer };
        let (ending, mut evidence) = self.book(answered, told, result).await?;
        evidence.mpp = mpp;
        if ending.has_answer() {
            evidence.charge = charge.map(Box::new);
            evidence.note = wallet_credit::note(payment);
        }
        let ending = match ending {
            Ending::PaymentFailed { reason, .. } => {
                let held = &call.stage.held;
                let buyer = Some((&held.principal, &held.standing));
                let demand = call.demand_afresh(self, buyer, self.ports.now()).await;
                Ending::PaymentFailed { demand: after_refusal(demand, payment, &reason), reason }
            }
            other => other,
        };
        Ok(Completed { call: call.id, ending, evidence })
    }

    /// Records what became of a payment, in one commit with what is not on the books yet.
    pub(crate) async fn book(
        &self,
        answered: Answered<'_>,
        told: Told<'_>,
        result: Bytes,
    ) -> Result<(Ending, Evidence), Fault> {
        let Answered { key, call, amount, asset, first: mut events, answer } = answered;
        // Only x402 has a word for how a payment was settled.
        let network = (key.rail() == Rail::X402).then(|| asset.network());
        // A result that is recorded already is not recorded again.
        let kept = (!events.is_empty()).then_some(&result);
        match answer {
            SettlementAnswer::Settled { reference } => {
                let payment = network.map(|network| {
                    wire::settle_response(true, &reference, network, payer_of(key), Some(amount), None)
                });
                let told = Told {
                    charged: !amount.is_zero(),
                    settlement: "settled",
                    payment_ref: Some(reference.clone()),
                    ..told
                };
                events.push(Event::Settled { reference });
                let mut evidence = self.advance(key, call, events, kept, Some(told)).await?;
                self.ports.reached("after_settled");
                evidence.payment = payment;
                Ok((Ending::Delivered(result), evidence))
            }
            SettlementAnswer::Failed { reason } => {
                let told = Told { settlement: "failed", payment_ref: None, refunded: None, ..told };
                events.push(Event::Failed { reason: reason.clone() });
                let mut evidence = self.advance(key, call, events, kept, Some(told)).await?;
                evidence.payment = refused(key.rail(), asset, &reason);
                Ok((Ending::PaymentFailed { reason, demand: None }, evidence))
            }
            open @ (SettlementAnswer::Unknown { .. } | SettlementAnswer::Absent) => {
                let evidence = if let SettlementAnswer::Unknown { evidence } = open {
                    evidence
                } else {
                    "looked up: no effect so far".to_owned()
                };
                events.push(Event::Unknown { evidence });
                self.advance(key, call, events, kept, None).await?;
                Ok((Ending::Pending, Evidence::default()))
            }
        }
    }

    /// What a receipt says of a held call whose tool was not asked.
    pub(crate) fn told_unasked<'a>(
        &self,
        call: &'a Call<Held>,
        payment: &'a Payment,
        settlement: &'static str,
    ) -> Result<Told<'a>, Fault> {
        let at = self.ports.now();
        Ok(Told {
            receipt: self.receipt_id(at)?,
            call: call.id,
            at,
            caller: call.principal(),
            tool: &call.request.tool,
            schema: Some(call.listed.schema_digest),
            args: payment.binding.args,
            result: None,
            outcome: "not_asked",
            charged: false,
            price: Some((payment.amount, &payment.asset, payment.key.rail())),
            payment_ref: None,
            settlement,
            escrow: None,
            refunded: None,
            decision: Some((call.listed.requirement, call.stage.standing)),
            mode: self.limits.mode,
        })
    }

    /// One step of a settlement row, with its receipt in the same commit.
    pub(crate) async fn advance(
        &self,
        key: &PaymentKey,
        call: CallId,
        events: Vec<Event>,
        result: Option<&Bytes>,
        told: Option<Told<'_>>,
    ) -> Result<Evidence, Fault> {
        self.advance_into(key, call, events, result, told, None).await
    }

    /// The same, where the money may go into an escrow on these terms.
    pub(crate) async fn advance_into(
        &self,
        key: &PaymentKey,
        call: CallId,
        events: Vec<Event>,
        result: Option<&Bytes>,
        told: Option<Told<'_>>,
        escrow: Option<Box<EscrowTerms>>,
    ) -> Result<Evidence, Fault> {
        let now = self.ports.now();
        let drafted = match told {
            Some(told) => Some(told.draft(self.ports.random()?)),
            None => None,
        };
        let (statement, salts) = drafted.map_or((None, None), |d| (Some(d.statement), Some(d.salts)));
        let advance = Advance {
            key: key.clone(),
            call,
            events,
            result: result.map(|bytes| bytes.to_vec()),
            statement,
            private: salts.clone(),
            escrow,
            now,
        };
        let advanced = self.ports.ledger().advance(advance).await.map_err(store_fault)?;
        Ok(Evidence { receipt: advanced.receipt, salts, ..Evidence::default() })
    }

    pub(crate) fn rail(&self, rail: Rail) -> Result<&dyn tollgate_rails::PaymentRail, Fault> {
        self.ports
            .rails()
            .iter()
            .find(|candidate| candidate.rail() == rail)
            .map(AsRef::as_ref)
            .ok_or_else(|| Fault::Internal(format!("no rail {rail} is configured, but a payment needs it")))
    }

    pub(crate) fn receipt_id(&self, now: UnixMillis) -> Result<ReceiptId, Fault> {
        let [r0, r1, r2, r3, r4, r5, r6, r7, r8, r9, ..] = self.ports.random()?;
        Ok(ReceiptId::new(now, [r0, r1, r2, r3, r4, r5, r6, r7, r8, r9]))
    }
}

impl ToolAnswer {
    /// The digest that a receipt salts: of the canonical result without its `_meta`, which the gateway adds to.
    pub(crate) fn digest(&self) -> Digest {
        match self {
            Self::Result(raw) | Self::Error(raw) => result_digest(raw),
            Self::Digest(digest) => *digest,
        }
    }
}

/// SHA-256 of the canonical form of a result without `_meta`.
fn result_digest(raw: &[u8]) -> Digest {
    // A result that is no strict JSON object counts as a failure before it gets here; its raw bytes stand for themselves.
    tollgate_mcp::canonical::digest_without(raw, &["_meta"])
        .map_or_else(|_| Digest::of(raw), Digest::from_bytes)
}

/// What is kept and shown in place of a result that is known by its digest alone.
fn stand_in(digest: Digest) -> Bytes {
    format!("{{\"result_digest\":\"{digest}\"}}").into()
}

fn ending_of(outcome: Outcome<ToolAnswer>) -> Ending {
    match outcome {
        Outcome::Delivered(ToolAnswer::Result(result)) => Ending::Delivered(result),
        Outcome::Delivered(ToolAnswer::Digest(digest)) => Ending::Delivered(stand_in(digest)),
        Outcome::Delivered(answer) | Outcome::Failed(answer) => Ending::ToolFailed(answer),
        Outcome::Lost(kind) => Ending::Lost(kind),
    }
}

/// The receipt that an MPP client looks for (draft-payment-transport-mcp), where the payment came as an MPP credential.
fn mpp_receipt(call: &Call<Ready>, reference: &str, at: UnixMillis) -> Option<String> {
    let Presentation::Payment(Presented::Mpp(text)) = &call.request.presented else { return None };
    let credential = mpp::Credential::parse(text).ok()?;
    let challenge = credential.challenge();
    Some(mpp::receipt(challenge.method(), at, reference, challenge.id()))
}

/// What becomes of a payment on our own books, and where it is found again.
fn answer_of_ours(payment: &Payment, call: CallId, now: UnixMillis) -> SettlementAnswer {
    match &payment.funds {
        // What went back of an earlier attempt is credit by now: no signature has to move it.
        Funds::Credit(_) | Funds::Free(_) => {
            SettlementAnswer::Settled { reference: own_reference(payment, call) }
        }
        Funds::OnSettlement | Funds::Arrived | Funds::Sandbox => {
            own_answer(&payment.key, call, payment.expires, now)
        }
    }
}

/// What becomes of a payment on our own books, and where it is found again. The money is reserved there, so it moves; but
/// a signature that has run out while the tool worked moves nothing, in the sandbox as on a chain.
pub(crate) fn own_answer(
    key: &PaymentKey,
    call: CallId,
    expires: UnixMillis,
    now: UnixMillis,
) -> SettlementAnswer {
    let reference = match key.rail() {
        Rail::X402 if now >= expires => {
            return SettlementAnswer::Failed { reason: reason::VALID_BEFORE.to_owned() };
        }
        Rail::X402 => format!("sandbox:{call}"),
        Rail::L402 => format!("lightning:{}", key.proof()),
        Rail::Credit => format!("ledger:{call}"),
    };
    SettlementAnswer::Settled { reference }
}

pub(crate) fn settlement_of(payment: &Payment, since: UnixMillis) -> Settlement {
    Settlement {
        key: payment.key.clone(),
        amount: payment.amount,
        asset: payment.asset.clone(),
        proof: payment.proof.clone(),
        expires: payment.expires,
        since,
    }
}

/// The payer's address in the key of an x402 payment (`network/asset/payer/nonce`).
fn payer_of(key: &PaymentKey) -> Option<&str> {
    key.proof().split('/').nth(2)
}

/// The same demand with how the rail refused the payment: x402 clients look for it beside what would pay.
pub(crate) fn after_refusal(
    demand: Option<Box<Demand>>,
    payment: &Payment,
    reason: &str,
) -> Option<Box<Demand>> {
    let mut demand = demand?;
    demand.refused = refused(payment.key.rail(), &payment.asset, reason);
    Some(demand)
}

/// `SettleResponse` of a payment that did not move. Only x402 has a word for that.
fn refused(rail: Rail, asset: &AssetId, reason: &str) -> Option<String> {
    (rail == Rail::X402).then(|| wire::settle_response(false, "", asset.network(), None, None, Some(reason)))
}

/// Callers are told to come again; why, such as a relayer without gas, only an operator can mend.
pub(crate) fn warn_in_doubt(call: CallId, evidence: &str) {
    tracing::warn!(%call, evidence, "whether a payment moved is not known yet; it is looked up until it is");
}

/// The digest that the settlement row keeps of a result; an answer without one cannot be executed.
fn told_result(told: &Told<'_>) -> Digest {
    told.result.unwrap_or_else(|| Digest::of(b""))
}

#[cfg(test)]
mod tests;
