//! The letter and its stamps.

use bytes::Bytes;
use std::sync::Arc;

use tollgate_domain::pricing::ResultPrice;
use tollgate_domain::{
    CallId, Caller, Digest, FreeCall, Money, Origin, Principal, Quote, Settle, Standing, ToolRef, UnixMillis,
};
use tollgate_rails::{Payment, Presented, Proof};
use tollgate_risk::{Asking, Limited};

use crate::denial::Denial;
use crate::ports::Listed;
use crate::station::Refusal;

/// Whether the caller's prepaid credit may pay for the call without being asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CreditUse {
    /// Spend it when nothing else pays (MCP with an API key; REST with `auto_pay`).
    Allowed,
    /// Ask for payment instead.
    Refused,
}

/// What a caller presented as payment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Presentation {
    /// Nothing.
    Nothing,
    /// A payment, not yet read.
    Payment(Presented),
    /// Something in a payment's place that cannot be read; carries why. Answered with a demand like any bad payment.
    Unreadable(String),
}

/// A tool call as a door hands it in: parsed strictly, nothing believed.
#[derive(Clone, Debug)]
pub struct Request {
    /// Which tool of which server.
    pub tool: ToolRef,
    /// The arguments exactly as they came; a JSON object that passed the strict parser.
    pub arguments: Bytes,
    /// The digest of the arguments in canonical form, where the door was given it in place of the arguments. A tool with a
    /// schema cannot be called like that: nobody could check them.
    pub args_digest: Option<Digest>,
    /// An API key, as presented.
    pub api_key: Option<String>,
    /// A payment, as presented.
    pub presented: Presentation,
    /// The caller's own key for repeating a request that is paid from credit; 1 to 64 visible ASCII characters.
    pub idempotency_key: Option<String>,
    /// Whether prepaid credit may be spent.
    pub credit: CreditUse,
    /// The most the caller is willing to pay, where the door lets it say so.
    pub maximum: Option<Money>,
    /// Where the request comes from: limits of callers who are not known otherwise.
    pub origin: Origin,
}

/// One tool call on its way. Each station consumes it and adds a stamp; what was stamped cannot be taken back.
#[must_use = "a call ends in one receipt: pass it on, complete it or refuse it"]
#[derive(Debug)]
pub struct Call<S> {
    pub(crate) id: CallId,
    pub(crate) received: UnixMillis,
    pub(crate) request: Box<Request>,
    pub(crate) listed: Arc<Listed>,
    pub(crate) stage: S,
}

impl<S> Call<S> {
    /// The call's id, in every answer, log line and receipt.
    pub fn id(&self) -> CallId {
        self.id
    }

    /// The tool that is called.
    pub fn tool(&self) -> &ToolRef {
        &self.request.tool
    }

    /// What the catalogue says of the tool.
    pub fn listed(&self) -> &Arc<Listed> {
        &self.listed
    }

    pub(crate) fn stamped<T>(self, stage: impl FnOnce(S) -> T) -> Call<T> {
        Call {
            id: self.id,
            received: self.received,
            request: self.request,
            listed: self.listed,
            stage: stage(self.stage),
        }
    }
}

/// Read, and the tool is known.
#[derive(Debug)]
pub struct Received(pub(crate) ());

/// Who calls is known.
#[derive(Debug)]
pub struct Authenticated {
    pub(crate) caller: Caller,
    /// The caller's name, written out once.
    pub(crate) principal: Principal,
    pub(crate) proof: Option<Proof>,
}

/// The caller is trusted enough for this tool.
#[derive(Debug)]
pub struct Trusted {
    pub(crate) caller: Caller,
    pub(crate) principal: Principal,
    pub(crate) proof: Option<Proof>,
    pub(crate) standing: Standing,
}

/// The arguments fit the schema and the price is named.
#[derive(Debug)]
pub struct Quoted {
    pub(crate) caller: Caller,
    pub(crate) principal: Principal,
    pub(crate) proof: Option<Proof>,
    pub(crate) standing: Standing,
    /// `None`: the call is free.
    pub(crate) quote: Option<Quote>,
    /// A free call that the caller may have left: whoever claims it first has it.
    pub(crate) free: Option<FreeCall>,
    /// What of the price is charged once there is a result; `None`: all of it.
    pub(crate) by_result: Option<ResultPrice>,
}

/// A payment that pays exactly this quote was verified, or the call is free. Nothing is claimed yet.
#[derive(Debug)]
pub struct Paid {
    pub(crate) caller: Caller,
    pub(crate) principal: Principal,
    pub(crate) standing: Standing,
    /// `None`: the call is free.
    pub(crate) bill: Option<Bill>,
}

/// What a call costs, and what may pay for it.
#[derive(Debug)]
pub(crate) struct Bill {
    pub(crate) quote: Quote,
    /// Ways to pay it, to be tried in this order.
    pub(crate) payments: Vec<Payment>,
    /// What of it is charged once there is a result.
    pub(crate) by_result: Option<ResultPrice>,
}

/// The behaviour is within its limits.
#[derive(Debug)]
pub struct Screened {
    pub(crate) paid: Paid,
}

/// The payment is claimed and the price reserved, durably; or the call is free and needs neither.
#[derive(Debug)]
pub struct Held {
    pub(crate) principal: Principal,
    pub(crate) standing: Standing,
    pub(crate) hold: Option<Hold>,
}

/// Nothing stands between this call and its tool: where the tool is paid before it runs, it is paid.
#[derive(Debug)]
pub struct Ready {
    pub(crate) held: Held,
    /// Where the money moved, if it has.
    pub(crate) taken: Option<String>,
}

/// A durable claim on one payment for one call.
#[derive(Clone, Debug)]
pub(crate) struct Hold {
    pub(crate) payment: Payment,
    pub(crate) attempt: u32,
    /// When its money moves, as it was quoted.
    pub(crate) settle: Settle,
    /// What of it is charged once there is a result.
    pub(crate) by_result: Option<ResultPrice>,
}

impl Call<Screened> {
    /// Who calls what, from where.
    pub fn shown(&self) -> Asking<'_> {
        self.asking(Some(&self.stage.paid.caller))
    }

    /// Ends the walk at a limit that is none of the gate's own.
    pub fn limited(&self, limited: Limited) -> Refusal {
        self.refuse(Denial::from(limited))
    }
}

impl Call<Held> {
    /// Whether money is reserved for this call.
    pub fn is_paid(&self) -> bool {
        self.stage.hold.is_some()
    }

    /// Who calls.
    pub fn principal(&self) -> &Principal {
        &self.stage.principal
    }

    /// Which attempt with its payment this is, from 1; 0 for a free call. A later attempt has a higher number: whoever runs
    /// the tool can tell a late attempt from the present one.
    pub fn attempt(&self) -> u32 {
        self.stage.hold.as_ref().map_or(0, |hold| hold.attempt)
    }

    /// The payment that is claimed, if the call costs something.
    pub fn payment(&self) -> Option<&Payment> {
        self.stage.hold.as_ref().map(|hold| &hold.payment)
    }
}

impl Call<Ready> {
    /// When its money moves.
    pub(crate) fn settle(&self) -> Settle {
        self.stage.held.hold.as_ref().map_or(self.listed.settle, |hold| hold.settle)
    }

    /// The payment that is claimed, if the call costs something.
    pub fn payment(&self) -> Option<&Payment> {
        self.stage.held.hold.as_ref().map(|hold| &hold.payment)
    }

    /// Who calls.
    pub fn principal(&self) -> &Principal {
        &self.stage.held.principal
    }

    /// Which attempt with its payment this is, as [`Call::<Held>::attempt`] says.
    pub fn attempt(&self) -> u32 {
        self.stage.held.hold.as_ref().map_or(0, |hold| hold.attempt)
    }
}
