//! The permit: proof, as a type, that the whole street was walked.

use bytes::Bytes;

use tollgate_domain::{CallId, Principal, ToolRef};
use tollgate_rails::Payment;

use crate::call::{Call, Ready};

/// A call that may be carried out. Only this crate can make one; whoever runs tools takes nothing else.
///
/// A call that is ready yields its permit, once:
///
/// ```
/// # use tollgate_gate::{Call, HeldCall, Permitted, Ready};
/// fn carry_out(call: Call<Ready>) -> (Permitted, HeldCall) {
///     call.permit()
/// }
/// ```
///
/// A call that is held has none to give before its money was taken, where that comes first:
///
/// ```compile_fail
/// # use tollgate_gate::{Call, Held, HeldCall, Permitted};
/// fn carry_out(call: Call<Held>) -> (Permitted, HeldCall) {
///     call.permit()
/// }
/// ```
///
/// No call gives it twice:
///
/// ```compile_fail
/// # use tollgate_gate::{Call, HeldCall, Permitted, Ready};
/// fn carry_out(call: Call<Ready>) -> (Permitted, HeldCall) {
///     call.permit();
///     call.permit()
/// }
/// ```
///
/// And nobody else can make one:
///
/// ```compile_fail
/// # use tollgate_domain::{CallId, ToolRef};
/// # use tollgate_gate::Permitted;
/// fn forge(call: CallId, tool: ToolRef) -> Permitted {
///     Permitted { call, tool, arguments: Default::default() }
/// }
/// ```
#[derive(Debug)]
pub struct Permitted {
    call: CallId,
    tool: ToolRef,
    arguments: Bytes,
    is_paid: bool,
}

impl Permitted {
    /// The call's id.
    pub fn call(&self) -> CallId {
        self.call
    }

    /// The tool to run.
    pub fn tool(&self) -> &ToolRef {
        &self.tool
    }

    /// Whether money is reserved for the call.
    pub fn is_paid(&self) -> bool {
        self.is_paid
    }

    /// Its arguments, byte for byte as the caller sent them.
    pub fn arguments(&self) -> &Bytes {
        &self.arguments
    }
}

impl Call<Ready> {
    /// The permit to carry this call out, once: the held call stays behind to be completed.
    pub fn permit(self) -> (Permitted, HeldCall) {
        let permitted = Permitted {
            call: self.id,
            tool: self.request.tool.clone(),
            arguments: self.request.arguments.clone(),
            is_paid: self.payment().is_some(),
        };
        (permitted, HeldCall(self))
    }
}

/// A held call whose permit has been given out: it can only be completed.
#[must_use = "a held call ends in exactly one settlement, refund or void: complete it"]
#[derive(Debug)]
pub struct HeldCall(pub(crate) Call<Ready>);

impl HeldCall {
    /// The call's id.
    pub fn id(&self) -> CallId {
        self.0.id
    }

    /// Who calls.
    pub fn principal(&self) -> &Principal {
        self.0.principal()
    }

    /// The payment that is claimed, if the call costs something.
    pub fn payment(&self) -> Option<&Payment> {
        self.0.payment()
    }

    /// Whether money is reserved for this call.
    pub fn is_paid(&self) -> bool {
        self.0.payment().is_some()
    }
}
